//! Finding and reading the telemetry of other processes, honest and hostile.

mod publisher;

use std::time::{Duration, Instant};

use loopscope_attach::target::{Pid, Process, ProcessError};
use loopscope_attach::telemetry::{Discovery, Telemetry, TelemetryError};
use model::catalogue::EVENTLOOP_ITERATIONS;
use model::label::TargetError;
use model::segment::SegmentError;
use model::snapshot::Value;
use model::time::Monotonic;
use publisher::{Command, Publisher};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
#[ignore = "not a test: the process that the tests here look at"]
fn publisher() {
    publisher::run();
}

fn open(publisher: &Publisher) -> Result<Telemetry, TelemetryError> {
    Telemetry::open(Pid::new(publisher.pid()))
}

fn expect_refused(command: Command, cause: TargetError) -> TelemetryError {
    let publisher = Publisher::that_does(command, "hostile");
    let error = open(&publisher).and_then(|telemetry| telemetry.read(Monotonic::default())).unwrap_err();
    assert_eq!(error.cause(), Some(cause), "{error}");
    assert!(error.to_string().contains(&publisher.pid().to_string()), "{error}");
    error
}

/// Scans, each second of an imagined clock, until a condition holds.
fn scan_until(discovery: &mut Discovery, mut holds: impl FnMut(&Discovery) -> bool) {
    let began = Instant::now();
    let mut now = Monotonic::from_ns(1_000_000_000);
    while !holds(discovery) {
        assert!(began.elapsed() < PATIENCE, "the condition does not come to hold");
        discovery.scan(now).unwrap();
        now = now.plus_ns(1_000_000_000);
    }
}

fn has(discovery: &Discovery, pid: u32) -> bool {
    discovery.targets().any(|telemetry| telemetry.process().pid() == Pid::new(pid))
}

#[test]
fn what_a_process_publishes_is_read() {
    let publisher = Publisher::that_does(Command::Publish, "shop");
    let (identity, contents) = open(&publisher).unwrap().read(Monotonic::default()).unwrap();
    assert_eq!((identity.service.as_str(), identity.pid), ("shop", publisher.pid()));
    let main = contents.scopes.iter().find(|scope| scope.name == "main").unwrap();
    let iterations = main.readings.iter().find(|reading| reading.metric.id == EVENTLOOP_ITERATIONS.id);
    assert_eq!(iterations.unwrap().value, Value::Counter(1));
}

#[test]
fn a_process_that_publishes_nothing_is_no_failure() {
    let publisher = Publisher::start("quiet");
    let error = open(&publisher).unwrap_err();
    assert!(matches!(error, TelemetryError::NotPublished { .. }), "{error}");
    assert_eq!(error.cause(), None);
}

#[test]
fn a_segment_inherited_from_a_parent_is_not_the_childs() {
    let publisher = Publisher::that_does(Command::PublishForeign, "parent");
    assert!(matches!(open(&publisher), Err(TelemetryError::NotPublished { .. })));
}

#[test]
fn a_segment_of_ones_own_beside_an_inherited_one_is_found() {
    let mut publisher = Publisher::that_does(Command::PublishForeign, "child");
    publisher.tell(Command::Publish);
    assert!(open(&publisher).is_ok());
}

#[test]
fn memory_that_can_shrink_is_not_read() {
    let error = expect_refused(Command::PublishUnsealed, TargetError::Invalid);
    assert!(matches!(error, TelemetryError::Unsealed { .. }), "{error}");
}

#[test]
fn another_version_is_told_from_garbage() {
    let error = expect_refused(Command::PublishNewer, TargetError::Version);
    let version = SegmentError::Version { found: 9, expected: 1 };
    assert!(matches!(error, TelemetryError::Segment { ref source, .. } if *source == version), "{error}");
}

#[test]
fn memory_of_a_senseless_length_is_not_read() {
    expect_refused(Command::PublishTooShort, TargetError::Invalid);
    let error = expect_refused(Command::PublishTooLong, TargetError::Invalid);
    assert!(matches!(error, TelemetryError::Length { bytes: 0x4000_0000, .. }), "{error}");
}

#[test]
fn garbage_is_refused() {
    expect_refused(Command::PublishGarbage, TargetError::Invalid);
}

#[test]
fn a_segment_made_to_use_up_memory_is_refused() {
    let error = expect_refused(Command::PublishBomb, TargetError::Invalid);
    assert!(matches!(error, TelemetryError::TooMuch { .. }), "{error}");
}

#[test]
fn a_pid_that_nobody_has_is_vanished() {
    let error = Telemetry::open(Pid::new(i32::MAX as u32)).unwrap_err();
    assert!(matches!(error, TelemetryError::Process(ProcessError::Vanished { .. })), "{error}");
}

#[test]
fn discovery_finds_who_publishes_late_and_drops_who_ends() {
    let mut publisher = Publisher::start("late");
    let pid = publisher.pid();
    let mut discovery = Discovery::default();
    discovery.scan(Monotonic::from_ns(1)).unwrap();
    assert!(!has(&discovery, pid));
    publisher.tell(Command::Publish);
    scan_until(&mut discovery, |discovery| has(discovery, pid));
    // Killed, but not reaped: the process is still listed.
    publisher.kill();
    scan_until(&mut discovery, |discovery| !has(discovery, pid));
}

#[test]
fn discovery_drops_a_process_that_executes_another_program() {
    let mut publisher = Publisher::that_does(Command::Publish, "changing");
    let pid = publisher.pid();
    let mut discovery = Discovery::default();
    scan_until(&mut discovery, |discovery| has(discovery, pid));
    publisher.tell(Command::Execute);
    scan_until(&mut discovery, |discovery| !has(discovery, pid));
    // It still runs. While a thread executes the other program, the main thread looks for a moment as if it had ended.
    scan_until(&mut discovery, |_| Process::open(Pid::new(pid)).unwrap().stat().is_ok());
}

#[test]
fn discovery_reports_an_unreadable_process_once() {
    let publisher = Publisher::that_does(Command::PublishUnsealed, "unsealed");
    let pid = Pid::new(publisher.pid());
    let mut discovery = Discovery::default();
    let scans = (1..100).map(|second| discovery.scan(Monotonic::from_ns(second * 1_000_000_000)).unwrap());
    let failures = scans.flat_map(|scan| scan.failures).filter(|error| error.pid() == pid).count();
    assert_eq!(failures, 1);
    assert!(discovery.unreadable() >= 1);
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that cannot run here says so")]
fn a_process_in_a_container_is_found() {
    // A namespace of its own for pids and for mounts, as a container has.
    let wrapper = ["unshare", "--pid", "--mount", "--fork", "--mount-proc"];
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "this test needs root");
        eprintln!("SKIPPED: a_process_in_a_container_is_found needs root, to make namespaces");
        return;
    }
    let mut publisher = Publisher::start_by(&wrapper, "contained");
    assert_eq!(publisher.pid(), 1, "the first process of its namespace");
    publisher.tell(Command::Publish);
    let is_ours = |telemetry: &Telemetry| {
        let read = telemetry.read(Monotonic::default());
        read.is_ok_and(|(identity, _)| identity.service == "contained" && identity.pid == 1)
    };
    scan_until(&mut Discovery::default(), |discovery| discovery.targets().any(is_ours));
}
