//! A million handles, made, used and closed: neither descriptors nor memory grow. Alone in its file, for both are the
//! process's.

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use common::{descriptor_count, live_bytes};
use loopscope_runtime::alloc::CountingAllocator;
use loopscope_runtime::{
    Async, Check, Command, EventLoop, FsEvent, FsPoll, Idle, Pipe, PipeListener, PipeName, Poll, Prepare,
    Read, Readiness, RunMode, Signal, TcpListener, TcpStream, Timer, Udp,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// Uses `use_some` for as many handles as it is said to need, after a tenth of them to warm up, and sees that nothing
/// grows.
fn expect_flat(
    event_loop: &EventLoop,
    name: &str,
    handles: usize,
    a_time: usize,
    use_some: impl Fn(&EventLoop),
) {
    let times = handles / a_time;
    let run = |times: usize| {
        for _ in 0..times {
            use_some(event_loop);
            event_loop.run(RunMode::Default);
        }
    };
    run((times / 10).max(1));
    let before = (descriptor_count(), live_bytes());
    run(times);
    let after = (descriptor_count(), live_bytes());
    assert_eq!(after.0, before.0, "descriptors, of {name}");
    // The harness's own thread, and the pool's, may hold a little at either time.
    assert!(after.1.saturating_sub(before.1) < 16 * 1024, "{name}: from {} to {} bytes", before.1, after.1);
}

#[test]
fn a_million_handles_leave_neither_descriptors_nor_memory_behind() {
    let event_loop = EventLoop::new().unwrap();
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));

    expect_flat(&event_loop, "timers", 300_000, 100, |event_loop| {
        for ms in 0..100 {
            let timer = Timer::new(event_loop);
            timer.start(Duration::from_micros(ms), |_, timer| timer.close()).unwrap();
        }
    });
    expect_flat(&event_loop, "idle, prepare and check", 300_000, 300, |event_loop| {
        for _ in 0..100 {
            Idle::new(event_loop).start(|_, idle| idle.close()).unwrap();
            Prepare::new(event_loop).start(|_, prepare| prepare.close()).unwrap();
            Check::new(event_loop).start(|_, check| check.close()).unwrap();
        }
    });
    expect_flat(&event_loop, "async", 150_000, 100, |event_loop| {
        for _ in 0..100 {
            Async::new(event_loop, |_, wake| wake.close()).sender().send();
        }
    });
    expect_flat(&event_loop, "udp", 70_000, 2, |event_loop| {
        let receiver = Udp::new(event_loop);
        receiver.bind(loopback).unwrap();
        receiver.receive_start(|_, receiver, _| receiver.close()).unwrap();
        let sender = Udp::new(event_loop);
        let to = receiver.local_address().unwrap();
        sender.send("x", to, |_, sender, _| sender.close()).unwrap();
    });
    expect_flat(&event_loop, "pipes", 100_000, 2, |event_loop| {
        let (one, other) = Pipe::pair(event_loop).unwrap();
        one.write("x", |_, one, _| one.close()).unwrap();
        other
            .read_start(|_, other, read| {
                if read == Ok(Read::End) {
                    other.close();
                }
            })
            .unwrap();
    });
    expect_flat(&event_loop, "polls", 40_000, 1, |event_loop| {
        let poll = Poll::new(event_loop, UnixStream::pair().unwrap().0).unwrap();
        poll.start(Readiness::BOTH, |_, poll, _| poll.close()).unwrap();
    });
    expect_flat(&event_loop, "signals", 20_000, 1, |event_loop| {
        let signal = Signal::new(event_loop);
        signal.start(libc::SIGUSR1, |_, signal, _| signal.close()).unwrap();
        // SAFETY: the signal is watched.
        unsafe { libc::raise(libc::SIGUSR1) };
    });
    expect_flat(&event_loop, "tcp", 15_000, 3, |event_loop| {
        let listener = TcpListener::bind(event_loop, loopback).unwrap();
        listener
            .listen(1, |_, listener, connection| {
                connection.unwrap().close();
                listener.close();
            })
            .unwrap();
        let to = listener.local_address().unwrap();
        TcpStream::connect(event_loop, to, |_, stream, _| stream.close_reset(|_| {}).unwrap()).unwrap();
    });
    expect_flat(&event_loop, "pipe listeners", 6_000, 3, |event_loop| {
        let listener = PipeListener::bind(event_loop, PipeName::Any).unwrap();
        listener
            .listen(1, |_, listener, connection| {
                connection.unwrap().close();
                listener.close();
            })
            .unwrap();
        let name = listener.local_name().unwrap().unwrap();
        Pipe::connect(event_loop, name, |_, pipe, _| pipe.close());
    });
    let folder = common::temporary_folder("leaks");
    expect_flat(&event_loop, "fs events", 5_000, 1, |event_loop| {
        let handle = FsEvent::new(event_loop);
        handle.start_recursive(&folder, |_, handle, _| handle.close()).unwrap();
        std::fs::write(folder.join("file"), "").unwrap();
    });
    expect_flat(&event_loop, "fs polls", 3_000, 1, |event_loop| {
        let handle = FsPoll::new(event_loop);
        handle.start("/nowhere", Duration::from_secs(1), |_, handle, _| handle.close()).unwrap();
    });
    expect_flat(&event_loop, "processes", 100, 1, |event_loop| {
        Command::new("true").spawn(event_loop, |_, process, _| process.close()).unwrap();
    });
}
