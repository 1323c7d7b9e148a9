//! What goes wrong around handles: no descriptors left, loops that go with live handles, processes that fork.

mod common;
mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use common::{Log, MS, after, descriptor_count, temporary_folder, use_up_descriptors};
use loopscope_runtime::{
    Async, Check, Command, Error, EventLoop, FsEvent, FsPoll, Idle, Pipe, PipeListener, PipeName, Poll,
    Prepare, Process, Read, Readiness, RunMode, Signal, Stdio, TcpListener, TcpStream, Timer, Udp,
};
use support::in_child;

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// Whether a handle is closed, whatever its type.
type IsClosing = Box<dyn Fn() -> bool>;

/// What needs a descriptor, and doing it.
type Needing<'a> = (&'a str, &'a dyn Fn() -> Result<(), Error>);

/// A live handle of each type; none may call back.
fn one_of_each(event_loop: &EventLoop) -> Vec<IsClosing> {
    macro_rules! live {
        ($($handle:expr),+ $(,)?) => { vec![$({
            let handle = $handle;
            Box::new(move || handle.is_closing()) as IsClosing
        }),+] };
    }
    let folder = temporary_folder(&format!("live-{:?}", std::thread::current().id()));
    let (timer, idle) = (Timer::new(event_loop), Idle::new(event_loop));
    let (prepare, check) = (Prepare::new(event_loop), Check::new(event_loop));
    timer.start(Duration::ZERO, |_, _| unreachable!()).unwrap();
    idle.start(|_, _| unreachable!()).unwrap();
    prepare.start(|_, _| unreachable!()).unwrap();
    check.start(|_, _| unreachable!()).unwrap();
    let wake = Async::new(event_loop, |_, _| unreachable!());
    wake.sender().send();

    let listener = TcpListener::bind(event_loop, loopback()).unwrap();
    listener.listen(1, |_, _, _| unreachable!()).unwrap();
    let address = listener.local_address().unwrap();
    let stream = TcpStream::connect(event_loop, address, |_, _, _| unreachable!()).unwrap();
    stream.write("never told", |_, _, _| unreachable!()).unwrap();
    stream.shutdown(|_, _, _| unreachable!()).unwrap();
    let udp = Udp::new(event_loop);
    udp.send("never told", address, |_, _, _| unreachable!()).unwrap();
    udp.receive_start(|_, _, _| unreachable!()).unwrap();
    let pipes = PipeListener::bind(event_loop, PipeName::Any).unwrap();
    pipes.listen(1, |_, _, _| unreachable!()).unwrap();
    let (reading, writing) = Pipe::pair(event_loop).unwrap();
    writing.write("never read", |_, _, _| unreachable!()).unwrap();
    reading.read_start(|_, _, _| unreachable!()).unwrap();
    let poll = Poll::new(event_loop, UnixStream::pair().unwrap().0).unwrap();
    poll.start(Readiness::BOTH, |_, _, _| unreachable!()).unwrap();
    let signal = Signal::new(event_loop);
    signal.start(libc::SIGUSR1, |_, _, _| unreachable!()).unwrap();
    // SAFETY: the signal is watched.
    unsafe { libc::raise(libc::SIGUSR1) };
    let output = Pipe::new(event_loop);
    let command = Command::new("true").stdout(Stdio::Pipe(output.clone()));
    let process: Process = command.spawn(event_loop, |_, _, _| unreachable!()).unwrap();
    output.read_start(|_, _, _| unreachable!()).unwrap();
    let (fs_event, fs_poll) = (FsEvent::new(event_loop), FsPoll::new(event_loop));
    fs_event.start_recursive(&folder, |_, _, _| unreachable!()).unwrap();
    std::fs::write(folder.join("never told"), "").unwrap();
    fs_poll.start(&folder, MS, |_, _, _| unreachable!()).unwrap();
    let closing = TcpListener::bind(event_loop, loopback()).unwrap();
    closing.close_with(|_| unreachable!());
    live![
        timer, idle, prepare, check, wake, listener, stream, udp, pipes, reading, writing, poll, signal,
        process, output, fs_event, fs_poll, closing
    ]
}

#[test]
fn a_loop_that_goes_with_live_handles_closes_them_calls_nobody_back_and_leaves_no_descriptor() {
    in_child(
        "a_loop_that_goes_with_live_handles_closes_them_calls_nobody_back_and_leaves_no_descriptor",
        &[],
        || {
            // What is made once: the telemetry's own, and the test's.
            drop(one_of_each(&EventLoop::new().unwrap()));
            let before = descriptor_count();
            for held in [true, false] {
                let event_loop = EventLoop::new().unwrap();
                let mut handles = one_of_each(&event_loop);
                if !held {
                    handles.clear();
                }
                drop(event_loop);
                assert!(handles.iter().all(|is_closing| is_closing()));
                drop(handles);
            }
            // A child's descriptor is the reaper's until the child has ended; it keeps one of its own. Each of the loops had
            // two dozen.
            support::wait_until("all descriptors are closed", || descriptor_count() <= before + 1);
        },
    );
}

#[test]
fn a_process_without_descriptors_is_told_so_by_every_handle_that_needs_one_and_goes_on_later() {
    in_child(
        "a_process_without_descriptors_is_told_so_by_every_handle_that_needs_one_and_goes_on_later",
        &[],
        || {
            let event_loop = EventLoop::new().unwrap();
            let needing: [Needing<'_>; 8] = [
                ("listener", &|| TcpListener::bind(&event_loop, loopback()).map(drop)),
                ("stream", &|| TcpStream::connect(&event_loop, loopback(), |_, _, _| {}).map(drop)),
                ("udp", &|| Udp::new(&event_loop).bind(loopback())),
                ("pair", &|| Pipe::pair(&event_loop).map(drop)),
                ("pipe listener", &|| PipeListener::bind(&event_loop, PipeName::Any).map(drop)),
                ("process with a pipe", &|| {
                    let input = Stdio::Pipe(Pipe::new(&event_loop));
                    Command::new("true").stdin(input).spawn(&event_loop, |_, _, _| {}).map(drop)
                }),
                ("fs event", &|| FsEvent::new(&event_loop).start("/tmp", |_, handle, _| handle.close())),
                ("loop", &|| EventLoop::new().map(drop)),
            ];
            let files = use_up_descriptors();
            for (name, need) in needing {
                assert_eq!(need().unwrap_err().code(), libc::EMFILE, "{name}");
            }
            let log = Log::default();
            let noted = log.clone();
            // A name is no descriptor: what connecting lacks is told to its callback.
            Pipe::connect(&event_loop, "/nowhere", move |_, _, result| {
                noted.note(result.unwrap_err().code());
            });
            event_loop.run(RunMode::Default);
            log.expect(&libc::EMFILE.to_string());
            // A process needs none here, and its end is told by a signal.
            let noted = log.clone();
            let started =
                Command::new("true").spawn(&event_loop, move |_, _, exit| noted.note(exit.status.unwrap()));
            started.unwrap();
            event_loop.run(RunMode::Default);
            log.expect("0");

            drop(files);
            for (name, need) in needing {
                assert_eq!(need(), Ok(()), "{name}");
            }
        },
    );
}

#[test]
fn a_forked_child_that_runs_another_program_or_ends_disturbs_nothing() {
    in_child("a_forked_child_that_runs_another_program_or_ends_disturbs_nothing", &[], || {
        let event_loop = EventLoop::new().unwrap();
        let log = Log::default();
        let (reading, writing) = Pipe::pair(&event_loop).unwrap();
        let noted = log.clone();
        reading
            .read_start(move |_, reading, read| {
                assert_eq!(read, Ok(Read::Data(b"still here")));
                noted.note("read");
                reading.close();
            })
            .unwrap();
        let signal = Signal::new(&event_loop);
        let noted = log.clone();
        signal
            .start(libc::SIGUSR1, move |_, signal, _| {
                noted.note("signal");
                signal.close();
            })
            .unwrap();
        // SAFETY: the child makes system calls only.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: as above. The signal is caught by the child's copy, and is not the parent's.
            unsafe {
                libc::raise(libc::SIGUSR1);
                libc::_exit(0);
            }
        }
        let mut status = 0;
        // SAFETY: the status is written by the call.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0);
        assert!(event_loop.run(RunMode::NoWait));
        log.expect("");
        writing.write("still here", |_, writing, _| writing.close()).unwrap();
        after(&event_loop, MS, |_| {
            // SAFETY: the signal is watched.
            unsafe { libc::raise(libc::SIGUSR1) };
        });
        event_loop.run(RunMode::Default);
        assert_eq!((log.count("read"), log.count("signal")), (1, 1));
    });
}

#[test]
fn a_callback_that_owns_its_handle_lets_it_go_when_it_is_closed() {
    let event_loop = EventLoop::new().unwrap();
    let held = Rc::new(());
    let (one, _other) = Pipe::pair(&event_loop).unwrap();
    let (itself, witness) = (one.clone(), Rc::clone(&held));
    one.read_start(move |_, _, _| drop((itself.clone(), witness.clone()))).unwrap();
    let udp = Udp::new(&event_loop);
    let (itself, witness) = (udp.clone(), Rc::clone(&held));
    udp.receive_start(move |_, _, _| drop((itself.clone(), witness.clone()))).unwrap();
    let signal = Signal::new(&event_loop);
    let (itself, witness) = (signal.clone(), Rc::clone(&held));
    signal.start(libc::SIGWINCH, move |_, _, _| drop((itself.clone(), witness.clone()))).unwrap();
    let fs_event = FsEvent::new(&event_loop);
    let (itself, witness) = (fs_event.clone(), Rc::clone(&held));
    fs_event.start("/tmp", move |_, _, _| drop((itself.clone(), witness.clone()))).unwrap();
    assert_eq!(Rc::strong_count(&held), 5);
    one.close();
    udp.close();
    signal.close();
    fs_event.close();
    assert_eq!(Rc::strong_count(&held), 1);
    event_loop.run(RunMode::Default);
}

#[test]
fn an_async_handle_of_a_loop_that_has_ended_is_closed_and_leaves_nothing_behind() {
    let local = EventLoop::new().unwrap().handle();
    let held = Rc::new(());
    let of_callback = Rc::clone(&held);
    let wake = Async::new(&local, move |_, _| drop(Rc::clone(&of_callback)));
    assert!(wake.is_closing() && !wake.is_active());
    assert_eq!(Rc::strong_count(&held), 1, "the callback is dropped");
    wake.sender().send();
    wake.close();
}

#[test]
fn a_loop_that_has_ended_starts_no_process() {
    let local = EventLoop::new().unwrap().handle();
    let mark = temporary_folder("ended-loop").join("started");
    let touch = Command::new("touch").arg(mark.as_os_str());
    let refused = touch.spawn(&local, |_, _, _| unreachable!()).map(|process| process.pid());
    assert_eq!(refused, Err(Error::Closed));
    assert!(!mark.exists());
}
