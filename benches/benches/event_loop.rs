//! What the instruments cost a loop: the same loop with them on and off.
//!
//! Run with `cargo bench -p loopscope-benches --bench event_loop`.

#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use loopscope_benches::{Contender, alternate_on, program_cpu_ns, table, thread_cpu_ns};
use runtime::{EventLoop, Idle, Read, RunMode, TaskKind, TcpListener, TcpStream, Timer};

const ROUNDS: usize = 80;

/// A benchmark: runs a loop for so many operations.
type Operation = fn(&EventLoop, u64);

/// A reading of CPU time.
type Clock = fn() -> u64;

fn main() {
    let operations: [(&str, Operation, u64, Clock); 5] = [
        ("An empty iteration (an idle handle, nothing ready)", empty_iterations, 50_000, thread_cpu_ns),
        ("A timer (started, due at once, called back)", timers, 30_000, thread_cpu_ns),
        ("An immediate", immediates, 30_000, thread_cpu_ns),
        ("A TCP round trip of five bytes, both ends in one loop", round_trips, 2_000, thread_cpu_ns),
        ("A pool task, one after the other, all threads' CPU time", pool_tasks, 2_000, program_cpu_ns),
    ];
    for (title, operation, count, clock) in operations {
        let contender = |name, instruments| {
            let event_loop = EventLoop::builder().instruments(instruments).build().expect("a loop");
            Contender::new(name, move |n| operation(&event_loop, n))
        };
        let contenders = vec![contender("instruments off", false), contender("instruments on", true)];
        println!("{}", table(title, &alternate_on(clock, contenders, ROUNDS, count)));
    }
}

fn empty_iterations(event_loop: &EventLoop, count: u64) {
    let idle = Idle::new(event_loop);
    let left = Cell::new(count);
    let tick = move |_: &EventLoop, idle: &Idle| {
        left.set(left.get() - 1);
        if left.get() == 0 {
            idle.close();
        }
    };
    idle.start(tick).expect("an open handle");
    event_loop.run(RunMode::Default);
}

fn timers(event_loop: &EventLoop, count: u64) {
    let timer = Timer::new(event_loop);
    start_timer(&timer, count);
    event_loop.run(RunMode::Default);
}

fn start_timer(timer: &Timer, left: u64) {
    let again = move |_: &EventLoop, timer: &Timer| match left {
        1 => timer.close(),
        _ => start_timer(timer, left - 1),
    };
    timer.start(Duration::ZERO, again).expect("an open handle");
}

fn immediates(event_loop: &EventLoop, count: u64) {
    queue_immediate(event_loop, count);
    event_loop.run(RunMode::Default);
}

fn queue_immediate(event_loop: &EventLoop, left: u64) {
    event_loop.set_immediate(move |event_loop| {
        if left > 1 {
            queue_immediate(event_loop, left - 1);
        }
    });
}

/// The pool measures itself in either case: the loop's share is what differs.
fn pool_tasks(event_loop: &EventLoop, count: u64) {
    queue_task(event_loop, count);
    event_loop.run(RunMode::Default);
}

fn queue_task(event_loop: &EventLoop, left: u64) {
    let done = move |event_loop: &EventLoop, _: Result<(), runtime::pool::TaskError>| {
        if left > 1 {
            queue_task(event_loop, left - 1);
        }
    };
    event_loop.queue_work(TaskKind::Work, || (), done);
}

fn round_trips(event_loop: &EventLoop, count: u64) {
    let listener = TcpListener::bind(event_loop, "127.0.0.1:0".parse().expect("an address")).expect("a port");
    let address = listener.local_address().expect("a bound listener");
    let serve = |_: &EventLoop, listener: &TcpListener, connection: Result<TcpStream, runtime::Error>| {
        listener.close();
        let echo = |_: &EventLoop, stream: &TcpStream, read: Result<Read<'_>, runtime::Error>| match read {
            Ok(Read::Data(data)) => stream.write(data.to_vec(), |_, _, _| ()).expect("an open stream"),
            Ok(Read::End) | Err(_) => stream.close(),
        };
        connection.expect("a connection").read_start(echo).expect("an open stream");
    };
    listener.listen(1, serve).expect("a bound listener");

    let left = Rc::new(Cell::new(count));
    let client = TcpStream::connect(event_loop, address, |_, _, connected| connected.expect("a connection"));
    let client = client.expect("a socket");
    client.set_nodelay(true).expect("a socket");
    client.write(b"PING\n", |_, _, _| ()).expect("an open stream");
    let ping = move |_: &EventLoop, stream: &TcpStream, _: Result<Read<'_>, runtime::Error>| {
        left.set(left.get() - 1);
        match left.get() {
            0 => stream.close(),
            _ => stream.write(b"PING\n", |_, _, _| ()).expect("an open stream"),
        }
    };
    client.read_start(ping).expect("an open stream");
    event_loop.run(RunMode::Default);
}
