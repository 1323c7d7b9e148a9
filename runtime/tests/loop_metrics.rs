//! Every metric of a loop, moving and at rest, as a reader of the telemetry sees it.

mod common;

use std::time::{Duration, Instant};

use common::{Log, MS, after, busy, spin};
use loopscope_runtime::observe::publish::contents;
use loopscope_runtime::{
    Async, Check, Command, EventLoop, FsEvent, FsPoll, Idle, Pipe, Poll, Prepare, RunMode, Signal,
    TcpListener, TcpStream, Timer, Tty, Udp,
};
use model::catalogue::*;
use model::histogram::Histogram;
use model::label::{HandleType, LabelValue, Phase, RequestType};
use model::snapshot::Value;

/// A loop, and what its series say.
struct Measured {
    event_loop: EventLoop,
    name: &'static str,
}

impl Measured {
    fn new(name: &'static str) -> Self {
        Self { event_loop: EventLoop::builder().name(name).build().unwrap(), name }
    }

    fn value(&self, metric: &'static Metric, label: &[&str]) -> Value {
        let contents = contents();
        let scope = contents.scopes.iter().find(|scope| scope.name == self.name).expect("the loop publishes");
        let readings = &scope.readings;
        let mut found =
            readings.iter().filter(|reading| reading.metric.id == metric.id && reading.labels == label);
        found.next().unwrap_or_else(|| panic!("no series {} {label:?}", metric.name)).value.clone()
    }

    fn histogram(&self, metric: &'static Metric, label: &[&str]) -> Histogram {
        match self.value(metric, label) {
            Value::Histogram(histogram) => histogram,
            other => panic!("{} is {other:?}", metric.name),
        }
    }

    fn counter(&self, metric: &'static Metric, label: &[&str]) -> u64 {
        match self.value(metric, label) {
            Value::Counter(sum) => sum,
            other => panic!("{} is {other:?}", metric.name),
        }
    }

    fn phase(&self, phase: Phase) -> Histogram {
        self.histogram(&EVENTLOOP_PHASE_DURATION, &[phase.as_str()])
    }

    fn callbacks(&self, phase: Phase) -> u64 {
        self.counter(&EVENTLOOP_CALLBACKS, &[phase.as_str()])
    }

    fn handles(&self, handle_type: HandleType) -> i64 {
        match self.value(&EVENTLOOP_HANDLES, &[handle_type.as_str()]) {
            Value::Gauge(level) => level,
            other => panic!("{other:?}"),
        }
    }

    fn requests(&self, request_type: RequestType) -> i64 {
        match self.value(&EVENTLOOP_REQUESTS, &[request_type.as_str()]) {
            Value::Gauge(level) => level,
            other => panic!("{other:?}"),
        }
    }

    fn time(&self, state: &str) -> Duration {
        Duration::from_nanos(self.counter(&EVENTLOOP_TIME, &[state]))
    }

    fn run(&self) {
        assert!(!self.event_loop.run(RunMode::Default));
    }
}

/// That some duration of the histogram is about that long. Buckets are 9% wide.
#[track_caller]
fn expect_about(histogram: &Histogram, duration: Duration) {
    let longest = histogram.quantile_seconds(1.0).expect("something was recorded");
    assert!(longest > duration.as_secs_f64() * 0.95, "{longest} s of {duration:?}");
    // The upper end only tells seconds from milliseconds: the machine may be busy.
    assert!(longest < duration.as_secs_f64() + 2.0, "{longest} s of {duration:?}");
}

fn sum(histogram: &Histogram) -> Duration {
    Duration::from_nanos(histogram.sum_ns())
}

#[test]
fn lag_is_the_time_away_from_the_poll_and_not_the_time_in_it() {
    let measured = Measured::new("lag");
    after(&measured.event_loop, 60 * MS, |_| {});
    let start = Instant::now();
    measured.run();
    let (lag, waited) =
        (sum(&measured.histogram(&EVENTLOOP_LAG, &[])), sum(&measured.phase(Phase::PollWait)));
    assert!(waited >= 59 * MS && lag + waited <= start.elapsed(), "waiting is no lag: {lag:?}, {waited:?}");

    after(&measured.event_loop, MS, |event_loop| {
        busy(30 * MS);
        after(event_loop, MS, |_| {});
    });
    measured.run();
    expect_about(&measured.histogram(&EVENTLOOP_LAG, &[]), 30 * MS);
}

#[test]
fn lag_is_recorded_once_a_poll_and_for_what_follows_the_last_one() {
    let measured = Measured::new("lag count");
    let polls = || measured.counter(&EVENTLOOP_ITERATIONS, &[]);
    let recorded = || measured.histogram(&EVENTLOOP_LAG, &[]).count();
    after(&measured.event_loop, MS, |_| busy(20 * MS));
    measured.run();
    assert_eq!(recorded(), polls() + 1, "the timer's callback came after the last poll");
    expect_about(&measured.histogram(&EVENTLOOP_LAG, &[]), 20 * MS);
    let before = recorded();
    measured.run();
    assert_eq!(recorded(), before, "a run with nothing to do records nothing");
}

#[test]
fn timer_lateness_is_from_due_to_called_of_each_timer() {
    let measured = Measured::new("lateness");
    let lateness = || measured.histogram(&EVENTLOOP_TIMER_LATENESS, &[]);
    assert_eq!(lateness().count(), 0);
    after(&measured.event_loop, Duration::ZERO, |_| busy(40 * MS));
    after(&measured.event_loop, Duration::ZERO, |_| {});
    measured.run();
    assert_eq!(lateness().count(), 2);
    // The second one was held up by the first, though both ran in the same phase.
    expect_about(&lateness(), 40 * MS);
    measured.run();
    assert_eq!(lateness().count(), 2);
}

#[test]
fn a_phase_has_the_duration_of_its_callbacks() {
    let measured = Measured::new("phases");
    let event_loop = &measured.event_loop;
    let busy_for = |ms: u32| move || busy(ms * MS);
    let (timers, idles, prepares, polls, checks, closes) =
        (busy_for(11), busy_for(12), busy_for(13), busy_for(14), busy_for(15), busy_for(16));
    after(event_loop, Duration::ZERO, move |_| timers());
    let idle = Idle::new(event_loop);
    idle.start(move |_, idle| {
        idles();
        idle.close();
    })
    .unwrap();
    let prepare = Prepare::new(event_loop);
    prepare
        .start(move |_, prepare| {
            prepares();
            prepare.close();
        })
        .unwrap();
    let wake = Async::new(event_loop, move |event_loop, wake| {
        polls();
        wake.close_with(move |_| closes());
        event_loop.set_immediate(move |_| checks());
    });
    wake.sender().send();
    measured.run();
    let expected = [
        (Phase::Timers, 11),
        (Phase::Idle, 12),
        (Phase::Prepare, 13),
        (Phase::PollCallbacks, 14),
        (Phase::Check, 15),
        (Phase::Close, 16),
    ];
    for (phase, ms) in expected {
        let duration = measured.phase(phase);
        assert_eq!(duration.count(), 1, "{phase}");
        expect_about(&duration, ms * MS);
    }
    // What had nothing to run is not recorded, and more iterations with nothing to do record no more.
    assert_eq!(measured.phase(Phase::Pending).count(), 0);
    let never = spin(event_loop);
    for _ in 0..3 {
        event_loop.run(RunMode::NoWait);
    }
    assert_eq!(measured.phase(Phase::Idle).count(), 4);
    assert_eq!(measured.phase(Phase::Check).count(), 1);
    never.close();
}

#[test]
fn pending_has_a_duration_and_a_count_when_something_was_put_off() {
    let measured = Measured::new("pending");
    let listener = TcpListener::bind(&measured.event_loop, "127.0.0.1:0".parse().unwrap()).unwrap();
    listener.listen(1, |_, listener, _| listener.close()).unwrap();
    TcpStream::connect(&measured.event_loop, listener.local_address().unwrap(), |_, stream, result| {
        result.unwrap();
        stream
            .write("data", |_, stream, _| {
                busy(10 * MS);
                stream.close();
            })
            .unwrap();
    })
    .unwrap();
    measured.run();
    assert_eq!(measured.phase(Phase::Pending).count(), 1);
    expect_about(&measured.phase(Phase::Pending), 10 * MS);
    assert_eq!(measured.callbacks(Phase::Pending), 1);
}

#[test]
fn ticks_and_microtasks_are_phases_of_their_own_and_not_of_the_phase_around_them() {
    let measured = Measured::new("ticks");
    after(&measured.event_loop, Duration::ZERO, |event_loop| {
        event_loop.next_tick(|_| busy(20 * MS));
        event_loop.next_tick(|_| {});
        event_loop.queue_microtask(|_| busy(30 * MS));
        busy(10 * MS);
    });
    measured.run();
    expect_about(&measured.phase(Phase::Ticks), 20 * MS);
    expect_about(&measured.phase(Phase::Microtasks), 30 * MS);
    expect_about(&measured.phase(Phase::Timers), 10 * MS);
    assert_eq!((measured.callbacks(Phase::Ticks), measured.callbacks(Phase::Microtasks)), (2, 1));
    assert_eq!((measured.phase(Phase::Ticks).count(), measured.phase(Phase::Microtasks).count()), (1, 1));
    let total: Duration = Phase::ALL
        .iter()
        .filter(|phase| **phase != Phase::PollWait)
        .map(|&phase| sum(&measured.phase(phase)))
        .sum();
    assert!(measured.time("active") >= total, "phases do not overlap");
    measured.run();
    assert_eq!(measured.phase(Phase::Ticks).count(), 1);
}

#[test]
fn poll_wait_is_recorded_where_the_loop_waited() {
    let measured = Measured::new("poll wait");
    after(&measured.event_loop, 30 * MS, |_| {});
    measured.run();
    expect_about(&measured.phase(Phase::PollWait), 30 * MS);
    let waits = measured.phase(Phase::PollWait).count();
    let idle = spin(&measured.event_loop);
    for _ in 0..10 {
        measured.event_loop.run(RunMode::NoWait);
    }
    assert_eq!(measured.phase(Phase::PollWait).count(), waits, "a poll that may not wait is no wait");
    idle.close();
}

#[test]
fn a_loop_is_active_while_it_works_and_idle_while_it_waits() {
    let measured = Measured::new("time");
    assert_eq!((measured.time("active"), measured.time("idle")), (Duration::ZERO, Duration::ZERO));
    after(&measured.event_loop, 40 * MS, |_| busy(20 * MS));
    measured.run();
    let (active, idle) = (measured.time("active"), measured.time("idle"));
    assert!(active >= 20 * MS, "{active:?}");
    assert!(idle >= 39 * MS, "{idle:?}");
    busy(30 * MS);
    let start = Instant::now();
    measured.run();
    assert_eq!(measured.time("idle"), idle);
    assert!(
        measured.time("active") - active <= start.elapsed(),
        "what is done between runs is not the loop's"
    );
}

#[test]
fn active_and_idle_time_add_up_to_the_time_of_the_run() {
    let measured = Measured::new("utilization");
    let log = Log::default();
    for ms in 0..20 {
        let noted = log.clone();
        after(&measured.event_loop, ms * MS, move |event_loop| {
            noted.note(ms);
            busy(MS / 2);
            event_loop.set_immediate(|event_loop| event_loop.next_tick(|_| busy(MS / 4)));
        });
    }
    let start = Instant::now();
    measured.run();
    let (elapsed, measured_time) = (start.elapsed(), measured.time("active") + measured.time("idle"));
    assert_eq!(log.len(), 20);
    assert!(measured_time <= elapsed, "{measured_time:?} of {elapsed:?}");
    assert!(measured_time.as_secs_f64() >= 0.9 * elapsed.as_secs_f64(), "{measured_time:?} of {elapsed:?}");
}

#[test]
fn iterations_are_counted() {
    let measured = Measured::new("iterations");
    let iterations = || measured.counter(&EVENTLOOP_ITERATIONS, &[]);
    measured.run();
    assert_eq!(iterations(), 0);
    let idle = spin(&measured.event_loop);
    for _ in 0..5 {
        measured.event_loop.run(RunMode::NoWait);
    }
    assert_eq!(iterations(), 5);
    idle.close();
    measured.run();
    assert_eq!(iterations(), 6);
}

#[test]
fn callbacks_are_counted_by_phase() {
    let measured = Measured::new("callbacks");
    let event_loop = &measured.event_loop;
    for _ in 0..3 {
        after(event_loop, Duration::ZERO, |_| {});
    }
    event_loop.set_immediate(|_| {});
    let check = Check::new(event_loop);
    check.start(|_, check| check.close()).unwrap();
    measured.run();
    let counts = |phases: [Phase; 5]| phases.map(|phase| measured.callbacks(phase));
    let phases = [Phase::Timers, Phase::Check, Phase::Close, Phase::Idle, Phase::PollCallbacks];
    // A handle that is closed without a callback still ends in the close phase.
    assert_eq!(counts(phases), [3, 2, 1, 0, 0]);
    measured.run();
    assert_eq!(counts(phases), [3, 2, 1, 0, 0]);
}

#[test]
fn handles_are_counted_from_made_to_closed() {
    let measured = Measured::new("handles");
    let event_loop = &measured.event_loop;
    let types = [
        HandleType::Timer,
        HandleType::Idle,
        HandleType::Prepare,
        HandleType::Check,
        HandleType::Async,
        HandleType::Tcp,
    ];
    let counts = || types.map(|handle_type| measured.handles(handle_type));
    assert_eq!(counts(), [0; 6]);
    let timer = Timer::new(event_loop);
    let idle = Idle::new(event_loop);
    let prepare = Prepare::new(event_loop);
    let check = Check::new(event_loop);
    let wake = Async::new(event_loop, |_, _| {});
    let listener = TcpListener::bind(event_loop, "127.0.0.1:0".parse().unwrap()).unwrap();
    assert_eq!(counts(), [1; 6]);
    drop(idle);
    assert_eq!(measured.handles(HandleType::Idle), 0, "one that is neither active nor referred to ends");
    timer.close();
    assert_eq!(measured.handles(HandleType::Timer), 1, "it is closed when its close callback runs");
    prepare.close();
    check.close();
    wake.close();
    listener.close();
    measured.run();
    assert_eq!(counts(), [0; 6]);
}

#[test]
fn handles_of_the_system_are_counted_from_made_to_closed() {
    let measured = Measured::new("system handles");
    let event_loop = &measured.event_loop;
    let types = [
        HandleType::Pipe,
        HandleType::Udp,
        HandleType::Poll,
        HandleType::Signal,
        HandleType::Process,
        HandleType::FsEvent,
        HandleType::FsPoll,
        HandleType::Tty,
    ];
    let counts = || types.map(|handle_type| measured.handles(handle_type));
    assert_eq!(counts(), [0; 8]);
    let pipe = Pipe::new(event_loop);
    let udp = Udp::new(event_loop);
    let poll = Poll::new(event_loop, std::os::unix::net::UnixStream::pair().unwrap().0).unwrap();
    let signal = Signal::new(event_loop);
    let process = Command::new("true").spawn(event_loop, |_, _, _| {}).unwrap();
    let (fs_event, fs_poll) = (FsEvent::new(event_loop), FsPoll::new(event_loop));
    let (outer, _inner) = terminal();
    let tty = Tty::new(event_loop, outer).unwrap();
    assert_eq!(counts(), [1; 8]);
    pipe.close();
    udp.close();
    poll.close();
    signal.close();
    process.close();
    fs_event.close();
    fs_poll.close();
    tty.close();
    measured.run();
    assert_eq!(counts(), [0; 8]);
}

/// Both sides of a pseudo-terminal.
fn terminal() -> (std::os::fd::OwnedFd, std::os::fd::OwnedFd) {
    use std::os::fd::{FromRawFd, OwnedFd};
    let (mut outer, mut inner) = (0, 0);
    let null = std::ptr::null_mut();
    // SAFETY: both numbers are written by the call and then owned; nothing else is given.
    unsafe {
        assert_eq!(libc::openpty(&mut outer, &mut inner, null, std::ptr::null(), std::ptr::null()), 0);
        (OwnedFd::from_raw_fd(outer), OwnedFd::from_raw_fd(inner))
    }
}

#[test]
fn datagrams_are_counted_as_requests_until_their_callbacks() {
    let measured = Measured::new("datagrams");
    let udp = Udp::new(&measured.event_loop);
    udp.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let to = udp.local_address().unwrap();
    assert_eq!(measured.requests(RequestType::UdpSend), 0);
    for _ in 0..3 {
        udp.send("x", to, |_, _, _| {}).unwrap();
    }
    assert_eq!(measured.requests(RequestType::UdpSend), 3);
    measured.run();
    assert_eq!(measured.requests(RequestType::UdpSend), 0);
    // They were sent at once, and what was put off called back.
    assert_eq!(measured.callbacks(Phase::Pending), 3);
}

#[test]
fn callbacks_for_signals_and_processes_are_those_of_the_poll() {
    let measured = Measured::new("signals and processes");
    let signal = Signal::new(&measured.event_loop);
    signal.start(libc::SIGRTMIN() + 20, |_, signal, _| signal.stop()).unwrap();
    // SAFETY: the signal is watched.
    assert_eq!(unsafe { libc::raise(libc::SIGRTMIN() + 20) }, 0);
    Command::new("true").spawn(&measured.event_loop, |_, _, _| {}).unwrap();
    measured.run();
    assert_eq!(measured.callbacks(Phase::PollCallbacks), 2);
}

#[test]
fn requests_of_streams_are_counted_while_they_are_under_way() {
    let measured = Measured::new("requests");
    let event_loop = &measured.event_loop;
    let types = [RequestType::Connect, RequestType::Write, RequestType::Shutdown];
    let counts = || types.map(|request_type| measured.requests(request_type));
    assert_eq!(counts(), [0; 3]);
    let listener = TcpListener::bind(event_loop, "127.0.0.1:0".parse().unwrap()).unwrap();
    listener.listen(1, |_, listener, _| listener.close()).unwrap();
    let stream = TcpStream::connect(event_loop, listener.local_address().unwrap(), |_, _, _| {}).unwrap();
    stream.write("one", |_, _, _| {}).unwrap();
    stream.write("two", |_, _, _| {}).unwrap();
    stream.shutdown(|_, stream, _| stream.close()).unwrap();
    assert_eq!(counts(), [1, 2, 1]);
    measured.run();
    assert_eq!(counts(), [0; 3]);
}

#[test]
fn a_loop_without_instruments_publishes_nothing_and_runs_the_same() {
    let event_loop = EventLoop::builder().name("unmeasured").instruments(false).build().unwrap();
    let log = Log::default();
    after(&event_loop, MS, log.noting_once("timer"));
    event_loop.next_tick(log.noting_once("tick"));
    event_loop.run(RunMode::Default);
    log.expect("tick timer");
    assert!(contents().scopes.iter().all(|scope| scope.name != "unmeasured"));
}

#[test]
fn a_loop_that_ended_publishes_nothing() {
    let measured = Measured::new("ended");
    let timer = Timer::new(&measured.event_loop);
    assert_eq!(measured.handles(HandleType::Timer), 1);
    drop(measured);
    assert!(contents().scopes.iter().all(|scope| scope.name != "ended"));
    // A handle that outlives its loop counts nowhere: its cells may be another loop's by now.
    let heir = Measured::new("heir");
    drop(timer);
    assert_eq!(heir.handles(HandleType::Timer), 0);
}
