//! What libuv's own tests pin down and no other file here does, and the table of all of them: `docs/libuv-semantics.md`.

mod common;
mod support;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Log, MS, after};
use loopscope_runtime::pool::Pool;
use loopscope_runtime::{
    Error, EventLoop, Idle, Prepare, Read, RunMode, TaskKind, TcpListener, TcpStream, Timer, Udp, dns, fs,
    random,
};
use support::wait_until;

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// Tells whether a call into the loop is under way.
#[derive(Clone, Default)]
struct Nested(Rc<Cell<bool>>);

impl Nested {
    fn call<T>(&self, call: impl FnOnce() -> T) -> T {
        self.0.set(true);
        let result = call();
        self.0.set(false);
        result
    }

    #[track_caller]
    fn expect_fresh_stack(&self) {
        assert!(!self.0.get(), "called back within the call that asked for it");
    }
}

#[test]
fn nothing_calls_back_within_the_call_that_asked_for_it() {
    let event_loop = EventLoop::new().unwrap();
    let (log, nested) = (Log::default(), Nested::default());
    let listener = TcpListener::bind(&event_loop, loopback()).unwrap();
    listener
        .listen(1, |_, listener, connection| {
            connection
                .unwrap()
                .read_start(|_, stream, read| match read.unwrap() {
                    Read::Data(data) => stream.write(data.to_vec(), |_, _, _| {}).unwrap(),
                    Read::End => stream.close(),
                })
                .unwrap();
            listener.close();
        })
        .unwrap();
    let address = listener.local_address().unwrap();
    let (noted, outer) = (log.clone(), nested.clone());
    let connected = move |_: &EventLoop, stream: &TcpStream, result: Result<(), Error>| {
        outer.expect_fresh_stack();
        result.unwrap();
        noted.note("connected");
        let (noted, nested) = (noted.clone(), outer.clone());
        let written = move |event_loop: &EventLoop, stream: &TcpStream, result: Result<(), Error>| {
            nested.expect_fresh_stack();
            result.unwrap();
            noted.note("written");
            // Reading begins when the answer has most likely come: that tempts a loop to call back at once.
            let (stream, noted, nested) = (stream.clone(), noted.clone(), nested.clone());
            after(event_loop, 50 * MS, move |_| {
                nested.expect_fresh_stack();
                let (noted, inner) = (noted.clone(), nested.clone());
                let reading = move |_: &EventLoop, stream: &TcpStream, read: Result<Read<'_>, Error>| {
                    inner.expect_fresh_stack();
                    let (noted, nested) = (noted.clone(), inner.clone());
                    match read.unwrap() {
                        Read::Data(data) => {
                            assert_eq!(data, b"hello");
                            noted.note("read");
                            inner.call(|| {
                                let told = move |_: &EventLoop, _: &TcpStream, result: Result<(), Error>| {
                                    nested.expect_fresh_stack();
                                    result.unwrap();
                                    noted.note("shut-down");
                                };
                                stream.shutdown(told).unwrap();
                            });
                        }
                        Read::End => inner.call(|| {
                            stream.close_with(move |_| {
                                nested.expect_fresh_stack();
                                noted.note("closed");
                            });
                        }),
                    }
                };
                nested.call(|| stream.read_start(reading).unwrap());
            });
        };
        outer.call(|| stream.write("hello", written).unwrap());
    };
    nested.call(|| TcpStream::connect(&event_loop, address, connected).unwrap());
    event_loop.run(RunMode::Default);
    log.expect("connected written read shut-down closed");
}

#[test]
fn more_sockets_than_one_poll_tells_of_may_all_be_closed_while_they_are_ready() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum.map(|maximum| maximum.min(4096)).or(Some(4096)), ..limit };
    setrlimit(Resource::Nofile, raised).unwrap();
    // More than the 1024 events that one poll takes, unless the system allows no more.
    let room = raised.current.unwrap_or(4096).saturating_sub(200) as usize;
    let sockets = room.min(1500);
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let handles: Vec<_> = (0..sockets)
        .map(|_| {
            let socket = Udp::new(&event_loop);
            socket.bind(loopback()).unwrap();
            let noted = log.clone();
            socket.receive_start(move |_, _, _| noted.note("received")).unwrap();
            let noted = log.clone();
            let address = socket.local_address().unwrap();
            socket.send(vec![b'A'; 1024], address, move |_, _, _| noted.note("sent")).unwrap();
            socket
        })
        .collect();
    while log.count("received") == 0 {
        event_loop.run(RunMode::Once);
    }
    for socket in &handles {
        socket.close_with(log.noting_once("closed"));
    }
    let received = log.count("received");
    assert!(!event_loop.run(RunMode::Default));
    assert_eq!((log.count("sent"), log.count("closed")), (sockets, sockets));
    assert_eq!(log.count("received"), received, "nothing is received by what is closed");
}

#[test]
fn one_socket_that_is_ready_may_close_another_one_that_is_ready_too() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let pair: Rc<RefCell<Vec<Udp>>> = Rc::default();
    for number in 0..2 {
        let socket = Udp::new(&event_loop);
        socket.bind(loopback()).unwrap();
        let (noted, all) = (log.clone(), Rc::clone(&pair));
        socket
            .receive_start(move |_, _, received| {
                received.unwrap();
                noted.note("received");
                all.borrow()[1 - number].close();
            })
            .unwrap();
        pair.borrow_mut().push(socket);
    }
    let sender = std::net::UdpSocket::bind(loopback()).unwrap();
    for socket in &*pair.borrow() {
        sender.send_to(b"x", socket.local_address().unwrap()).unwrap();
    }
    while log.len() == 0 {
        event_loop.run(RunMode::Once);
    }
    for _ in 0..3 {
        event_loop.run(RunMode::NoWait);
    }
    log.expect("received");
    pair.take().into_iter().for_each(|socket| socket.close());
    assert!(!event_loop.run(RunMode::Default));
}

#[test]
fn a_handle_is_active_from_its_start_to_its_stop_and_closing_from_its_close() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let timer = Timer::new(&event_loop);
    let is = |timer: &Timer| (timer.is_active(), timer.is_closing());
    assert_eq!(is(&timer), (false, false));
    for _ in 0..2 {
        timer.start(Duration::from_secs(1000), |_, _| unreachable!()).unwrap();
        assert_eq!(is(&timer), (true, false));
        timer.stop();
        assert_eq!(is(&timer), (false, false));
    }
    timer.start(Duration::from_secs(1000), |_, _| unreachable!()).unwrap();
    timer.close_with(log.noting_once("closed"));
    assert_eq!(is(&timer), (false, true));
    assert!(!event_loop.run(RunMode::Default));
    log.expect("closed");
}

#[test]
fn a_timer_that_runs_once_is_no_longer_active_when_it_calls_back() {
    let event_loop = EventLoop::new().unwrap();
    let (log, noted) = (Log::default(), Log::default());
    let log_of_once = log.clone();
    let once = Timer::new(&event_loop);
    once.start(MS, move |_, once| log_of_once.note(once.is_active())).unwrap();
    event_loop.run(RunMode::Default);
    log.expect("false");
    let repeating = Timer::new(&event_loop);
    let log_of_repeating = noted.clone();
    repeating
        .start_repeating(MS, MS, move |_, repeating| {
            log_of_repeating.note(repeating.is_active());
            repeating.close();
        })
        .unwrap();
    event_loop.run(RunMode::Default);
    noted.expect("true");
}

#[test]
fn every_thread_s_loop_gets_its_own_answers_on_its_own_thread() {
    fn ask_for_an_address(event_loop: &EventLoop, log: &Log, left: u32) {
        let (noted, thread) = (log.clone(), std::thread::current().id());
        dns::getaddrinfo(event_loop, "localhost", 0, dns::Family::Any, move |event_loop, found| {
            assert_eq!(std::thread::current().id(), thread);
            found.unwrap();
            noted.note("address");
            if left > 1 {
                ask_for_an_address(event_loop, &noted, left - 1);
            }
        });
    }
    fn ask_for_a_file(event_loop: &EventLoop, log: &Log, left: u32) {
        let (noted, thread) = (log.clone(), std::thread::current().id());
        fs::stat(event_loop, ".", move |event_loop, found| {
            assert_eq!(std::thread::current().id(), thread);
            found.unwrap();
            noted.note("file");
            if left > 1 {
                ask_for_a_file(event_loop, &noted, left - 1);
            }
        });
    }
    let ask = || {
        let event_loop = EventLoop::new().unwrap();
        let log = Log::default();
        for _ in 0..4 {
            ask_for_an_address(&event_loop, &log, 4);
            ask_for_a_file(&event_loop, &log, 4);
        }
        assert!(!event_loop.run(RunMode::Default));
        (log.count("address"), log.count("file"))
    };
    let threads: Vec<_> = (0..8).map(|_| std::thread::spawn(ask)).collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), (16, 16));
    }
}

#[test]
fn what_the_pool_did_before_the_poll_counts_as_waiting_one_by_one() {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    let pool = Pool::builder().threads(1).build().unwrap();
    let event_loop = EventLoop::builder().pool(&pool).count_waiting_events(true).build().unwrap();
    let log = Log::default();
    let noted = log.clone();
    fs::stat(&event_loop, ".", move |event_loop, found| {
        found.unwrap();
        noted.note("file");
        for _ in 0..2 {
            event_loop.queue_work(TaskKind::Work, || (), noted_once(&noted, "work"));
        }
    });
    let noted = log.clone();
    fs::stat(&event_loop, ".", move |_, _| noted.note("file"));
    let noted = log.clone();
    random::fill(&event_loop, vec![0], move |_, _| noted.note("random"));
    let noted = log.clone();
    fs::stat(&event_loop, ".", move |_, _| noted.note("file"));
    // The pool's only thread has given back everything before it takes this.
    event_loop.queue_work(
        TaskKind::Work,
        || STARTED.fetch_add(1, Ordering::Relaxed),
        noted_once(&log, "last"),
    );
    wait_until("the last task has started", || STARTED.load(Ordering::Relaxed) == 1);
    assert!(!event_loop.run(RunMode::Default));
    assert_eq!((log.count("file"), log.count("random"), log.count("work"), log.len()), (3, 1, 2, 7));
    let info = event_loop.info();
    assert!(info.events >= 7, "{info:?}");
    assert!((4..=info.events).contains(&info.events_waiting), "{info:?}");

    fn noted_once<T>(log: &Log, what: &'static str) -> impl FnOnce(&EventLoop, T) + 'static {
        let log = log.clone();
        move |_, _| log.note(what)
    }
}

#[test]
fn each_answer_of_the_pool_that_is_waited_for_is_an_event_of_one_more_iteration() {
    fn ask(event_loop: &EventLoop, seen: Rc<RefCell<Vec<(u64, u64)>>>, left: u32) {
        fs::stat(event_loop, ".", move |event_loop, found| {
            found.unwrap();
            let info = event_loop.info();
            seen.borrow_mut().push((info.iterations, info.events));
            if left > 1 {
                ask(event_loop, seen, left - 1);
            }
        });
    }
    let event_loop = EventLoop::new().unwrap();
    let seen = Rc::default();
    let prepare = Prepare::new(&event_loop);
    let of_callback = Rc::clone(&seen);
    prepare
        .start(move |event_loop, prepare| {
            prepare.stop();
            let info = event_loop.info();
            assert_eq!((info.iterations, info.events), (0, 0));
            ask(event_loop, Rc::clone(&of_callback), 3);
        })
        .unwrap();
    event_loop.run(RunMode::Default);
    let seen = seen.take();
    assert_eq!(seen.iter().map(|(iterations, _)| *iterations).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(seen.windows(2).all(|pair| pair[0].1 < pair[1].1), "{seen:?}");
}

#[test]
fn a_timer_that_is_due_when_the_run_begins_costs_one_iteration_and_no_idle_time() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    after(&event_loop, Duration::ZERO, log.noting_once("timer"));
    event_loop.run(RunMode::Default);
    log.expect("timer");
    assert_eq!((event_loop.info().iterations, event_loop.idle_time()), (1, Duration::ZERO));
}

#[test]
fn a_loop_is_closed_and_another_one_takes_its_place_on_the_thread() {
    for _ in 0..2 {
        let event_loop = EventLoop::new().unwrap();
        let log = Log::default();
        let noted = log.clone();
        let timer = Timer::new(&event_loop);
        timer
            .start(MS, move |_, timer| {
                noted.note("timer");
                timer.close();
            })
            .unwrap();
        assert!(!event_loop.run(RunMode::Default));
        log.expect("timer");
        assert!(event_loop.close().is_ok());
    }
}

#[test]
fn single_iterations_run_an_idle_handle_once_each_and_tell_when_nothing_is_left() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let idle = Idle::new(&event_loop);
    let noted = log.clone();
    idle.start(move |_, idle| {
        noted.note("idle");
        if noted.len() == 64 {
            idle.stop();
        }
    })
    .unwrap();
    let mut iterations = 1;
    while event_loop.run(RunMode::Once) {
        iterations += 1;
    }
    assert_eq!((log.count("idle"), iterations), (64, 64));
}

#[test]
fn a_prepare_handle_that_unreferences_itself_lets_the_loop_end() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let noted = log.clone();
    let prepare = Prepare::new(&event_loop);
    prepare
        .start(move |_, prepare| {
            noted.note("prepare");
            prepare.unreference();
        })
        .unwrap();
    assert!(!event_loop.run(RunMode::Default));
    log.expect("prepare");
}

/// The lines of the table: a test of libuv, and what is said of it.
fn rows(document: &str) -> Vec<(&str, &str)> {
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    rows.map(|row| row.split_once("` | ").expect("two columns")).collect()
}

#[test]
fn every_test_that_the_table_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join("../docs/libuv-semantics.md")).unwrap();
    let rows = rows(&document);
    let distinct: BTreeSet<_> = rows.iter().map(|(theirs, _)| theirs).collect();
    assert_eq!((rows.len(), distinct.len()), (68, 68));
    let mut named = 0;
    for (theirs, ours) in rows {
        // Of what does not apply, the reason is given instead.
        let mut file = None;
        for name in ours.split('`').skip(1).step_by(2) {
            match name.strip_suffix(".rs") {
                Some(_) => file = Some(std::fs::read_to_string(root.join("tests").join(name)).expect(name)),
                None => {
                    let text = file.as_deref().unwrap_or_else(|| panic!("{theirs}: no file before {name}"));
                    let function = format!("#[test]\nfn {name}() {{");
                    assert!(text.contains(&function), "{theirs}: there is no test {name}");
                    named += 1;
                }
            }
        }
        assert!(file.is_some() || ours.starts_with("does not apply: "), "{theirs}: {ours}");
    }
    assert!(named >= 68, "{named}");
}
