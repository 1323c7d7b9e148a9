//! Poll handles.

mod common;

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use common::{Log, MS, after};
use loopscope_runtime::{Error, EventLoop, Poll, Readiness, RunMode};

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

#[test]
fn both_sides_of_a_connection_are_driven_to_their_end() {
    // libuv's poll_duplex: each side writes and reads as the descriptor allows, then shuts down.
    const MUCH: usize = 3_000_000;
    let event_loop = EventLoop::new().unwrap();
    let (one, other) = tcp_pair();
    let done = Rc::new(Cell::new(0));
    for stream in [one, other] {
        let stream = Rc::new(stream);
        let poll = Poll::new(&event_loop, Rc::clone(&stream)).unwrap();
        let (mut written, mut read, mut ended) = (0, 0, false);
        let done = Rc::clone(&done);
        let wanted = Readiness { disconnected: true, ..Readiness::BOTH };
        poll.start(wanted, move |_, poll, ready| {
            let ready = ready.unwrap();
            if ready.readable {
                let mut buffer = vec![0; 100_000];
                match (&*stream).read(&mut buffer) {
                    Ok(0) => ended = true,
                    Ok(count) => read += count,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
            if ready.writable && written < MUCH {
                match (&*stream).write(&vec![1; (MUCH - written).min(100_000)]) {
                    Ok(count) => written += count,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
                if written == MUCH {
                    stream.shutdown(std::net::Shutdown::Write).unwrap();
                }
            }
            if ended && written == MUCH {
                assert_eq!(read, MUCH);
                done.set(done.get() + 1);
                poll.close();
            }
        })
        .unwrap();
    }
    event_loop.run(RunMode::Default);
    assert_eq!(done.get(), 2);
}

#[test]
fn only_what_is_wanted_is_told() {
    let event_loop = EventLoop::new().unwrap();
    let (one, mut other) = UnixStream::pair().unwrap();
    other.write_all(b"x").unwrap();
    let poll = Poll::new(&event_loop, one).unwrap();
    let told = Rc::new(RefCell::new(Vec::new()));
    for wanted in [Readiness::READABLE, Readiness::WRITABLE, Readiness::BOTH] {
        let tell = Rc::clone(&told);
        // Starting again, without stopping, changes what is wanted.
        poll.start(wanted, move |_, _, ready| tell.borrow_mut().push(ready)).unwrap();
        event_loop.run(RunMode::Once);
        assert_eq!(told.take(), [Ok(wanted)]);
    }
    poll.start(Readiness::NONE, |_, _, _| unreachable!()).unwrap();
    assert!(!poll.is_active());
    event_loop.run(RunMode::Default);
}

#[test]
fn a_peer_that_is_gone_is_told_as_disconnected() {
    let event_loop = EventLoop::new().unwrap();
    let (one, other) = tcp_pair();
    let poll = Poll::new(&event_loop, one).unwrap();
    let told = Rc::new(Cell::new(None));
    let tell = Rc::clone(&told);
    poll.start(Readiness { disconnected: true, ..Readiness::NONE }, move |_, poll, ready| {
        tell.set(Some(ready));
        poll.close();
    })
    .unwrap();
    after(&event_loop, MS, move |_| other.shutdown(std::net::Shutdown::Write).unwrap());
    event_loop.run(RunMode::Default);
    assert_eq!(told.get(), Some(Ok(Readiness { disconnected: true, ..Readiness::NONE })));
}

#[test]
fn out_of_band_data_is_told_as_prioritized() {
    let event_loop = EventLoop::new().unwrap();
    let (one, other) = tcp_pair();
    rustix::net::send(&other, b"!", rustix::net::SendFlags::OOB).unwrap();
    let poll = Poll::new(&event_loop, one).unwrap();
    let told = Rc::new(Cell::new(None));
    let tell = Rc::clone(&told);
    poll.start(Readiness { prioritized: true, ..Readiness::NONE }, move |_, poll, ready| {
        tell.set(Some(ready.unwrap().prioritized));
        poll.close();
    })
    .unwrap();
    event_loop.run(RunMode::Default);
    assert_eq!(told.get(), Some(true));
}

#[test]
fn a_descriptor_is_watched_by_one_handle_at_a_time() {
    let event_loop = EventLoop::new().unwrap();
    let (one, _other) = UnixStream::pair().unwrap();
    let one = Rc::new(one);
    let (first, second) =
        (Poll::new(&event_loop, Rc::clone(&one)).unwrap(), Poll::new(&event_loop, one).unwrap());
    let log = Log::default();
    let noted = log.clone();
    first.start(Readiness::WRITABLE, move |_, _, _| noted.note("first")).unwrap();
    let taken = second.start(Readiness::WRITABLE, |_, _, _| unreachable!());
    assert_eq!(taken.unwrap_err().code(), 17); // EEXIST
    assert!(!second.is_active());
    event_loop.run(RunMode::Once);
    // As soon as the first has stopped, not only when the loop polls again.
    first.stop();
    let noted = log.clone();
    second
        .start(Readiness::WRITABLE, move |_, second, _| {
            noted.note("second");
            second.close();
        })
        .unwrap();
    event_loop.run(RunMode::Default);
    log.expect("first second");
}

#[test]
fn a_handle_that_a_callback_stops_does_not_call_back_though_it_was_ready() {
    // libuv's watcher_cross_stop.
    let event_loop = EventLoop::new().unwrap();
    let called = Rc::new(Cell::new(0));
    let polls: Rc<RefCell<Vec<Poll>>> = Rc::default();
    let mut peers = Vec::new();
    for _ in 0..10 {
        let (one, mut other) = UnixStream::pair().unwrap();
        other.write_all(b"x").unwrap();
        peers.push(other);
        let poll = Poll::new(&event_loop, one).unwrap();
        let (called, all) = (Rc::clone(&called), Rc::clone(&polls));
        poll.start(Readiness::READABLE, move |_, _, _| {
            called.set(called.get() + 1);
            for poll in all.take() {
                poll.close();
            }
        })
        .unwrap();
        polls.borrow_mut().push(poll);
    }
    event_loop.run(RunMode::Default);
    assert_eq!(called.get(), 1);
}

#[test]
fn a_handle_stops_or_closes_in_its_own_callback() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let (one, _other) = UnixStream::pair().unwrap();
    let poll = Poll::new(&event_loop, one).unwrap();
    let noted = log.clone();
    poll.start(Readiness::WRITABLE, move |_, poll, _| {
        noted.note("stopped");
        poll.stop();
    })
    .unwrap();
    event_loop.run(RunMode::Default);
    let noted = log.clone();
    poll.start(Readiness::WRITABLE, move |_, poll, _| {
        poll.close_with(noted.noting_once("closed"));
    })
    .unwrap();
    event_loop.run(RunMode::Default);
    log.expect("stopped closed");
    assert_eq!(poll.start(Readiness::BOTH, |_, _, _| unreachable!()), Err(Error::Closed));
}

#[test]
fn closing_lets_go_of_the_descriptor() {
    let event_loop = EventLoop::new().unwrap();
    let (one, mut other) = UnixStream::pair().unwrap();
    let poll = Poll::new(&event_loop, one).unwrap();
    poll.start(Readiness::READABLE, |_, _, _| unreachable!()).unwrap();
    poll.close();
    assert_eq!(other.read(&mut [0]).unwrap(), 0);
    event_loop.run(RunMode::Default);
}

#[test]
fn a_regular_file_cannot_be_watched() {
    let event_loop = EventLoop::new().unwrap();
    let poll = Poll::new(&event_loop, File::open("/proc/self/exe").unwrap()).unwrap();
    let refused = poll.start(Readiness::READABLE, |_, _, _| unreachable!());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert!(!event_loop.run(RunMode::Default));
}

#[test]
fn a_descriptor_with_an_error_is_told_once_and_stopped() {
    let event_loop = EventLoop::new().unwrap();
    // The reading end of a FIFO is gone: the writing one has an error.
    let (reading, writing) = rustix::pipe::pipe().unwrap();
    let poll = Poll::new(&event_loop, writing).unwrap();
    drop(reading);
    let told = Rc::new(Cell::new(None));
    let tell = Rc::clone(&told);
    poll.start(Readiness { prioritized: false, ..Readiness::BOTH }, move |_, poll, ready| {
        tell.set(Some(ready.map_err(|error| error.code())));
        assert!(!poll.is_active());
    })
    .unwrap();
    event_loop.run(RunMode::Default);
    assert_eq!(told.get(), Some(Err(9))); // EBADF
}

#[test]
fn one_loop_polls_another() {
    // libuv's poll_nested_epoll and embed.
    let (outer, inner) = (EventLoop::new().unwrap(), Rc::new(EventLoop::new().unwrap()));
    let log = Log::default();
    after(&inner, 5 * MS, log.noting_once("inner"));
    let (sent, _wake) = {
        let noted = log.clone();
        let wake = loopscope_runtime::Async::new(&inner, move |_, wake| {
            noted.note("woken");
            wake.close();
        });
        (wake.sender(), wake)
    };
    struct Embedded(Rc<EventLoop>);
    impl std::os::fd::AsFd for Embedded {
        fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
            self.0.as_fd()
        }
    }
    let poll = Poll::new(&outer, Embedded(Rc::clone(&inner))).unwrap();
    let ran = Rc::clone(&inner);
    poll.start(Readiness::READABLE, move |_, poll, _| {
        ran.run(RunMode::NoWait);
        poll.close();
    })
    .unwrap();
    std::thread::spawn(move || sent.send());
    outer.run(RunMode::Default);
    inner.run(RunMode::Default);
    assert_eq!(log.len(), 2);
}
