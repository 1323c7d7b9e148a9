//! A host as the tests see it: processes of every kind, at two moments, and golden files of how they are shown.

use std::collections::BTreeSet;
use std::path::Path;

use attach::target::Pid;
use model::catalogue::{
    EVENTLOOP_AWAY, EVENTLOOP_HANDLES, EVENTLOOP_ITERATIONS, EVENTLOOP_LAG, EVENTLOOP_PHASE_DURATION,
    EVENTLOOP_REQUESTS, EVENTLOOP_SLOW_ITERATIONS, EVENTLOOP_STALL_OBSERVED, EVENTLOOP_TIME,
    EVENTLOOP_TIMER_LATENESS, GC_PAUSE, LOOPSCOPE_PROBE_COST, LOOPSCOPE_TIER_ACTIVE, Metric, PROCESS_CPU,
    PROCESS_OPEN_FDS, PROCESS_RESIDENT_MEMORY, PROCESS_START_TIME, PROCESS_THREADS,
    THREADPOOL_COMPLETION_DELAY, THREADPOOL_QUEUE_DEPTH, THREADPOOL_QUEUE_WAIT,
    THREADPOOL_QUEUE_WAIT_OBSERVED, THREADPOOL_RUN, THREADPOOL_TASKS, THREADPOOL_THREADS,
};
use model::histogram::Histogram;
use model::label::{
    GcKind, HandleType, LabelValue, LoopState, Outcome, Phase, RequestType, ThreadState, Tier,
};
use model::snapshot::{SharedLabels, Snapshot, Value};
use model::time::Monotonic;

use super::notes::{Notes, ProcessNotes};
use super::reading::Reading;
use super::row::Row;

const US: u64 = 1_000;
const MS: u64 = 1_000_000;

/// Seconds between the two moments.
pub(super) const INTERVAL_SECONDS: u64 = 2;

/// A snapshot that is being filled.
#[derive(Default)]
pub(super) struct Host {
    snapshot: Snapshot,
    notes: Notes,
}

/// Series with the labels of a process or loop.
pub(super) struct Labelled<'a> {
    snapshot: &'a mut Snapshot,
    labels: SharedLabels,
}

impl Host {
    pub(super) fn process(&mut self, service: &str, pid: u32) -> Labelled<'_> {
        let labels = SharedLabels::new([("service", service), ("pid", &pid.to_string())]);
        Labelled { snapshot: &mut self.snapshot, labels }
    }

    /// What is known of a process beside its series.
    pub(super) fn notes(&mut self, pid: u32) -> &mut ProcessNotes {
        self.notes.0.entry(Pid::new(pid)).or_default()
    }

    /// The reading of all that, taken after this many intervals.
    pub(super) fn reading(self, intervals: u64) -> Reading {
        let at = Monotonic::from_ns(1 + intervals * INTERVAL_SECONDS * 1_000_000_000);
        Reading::of(&self.snapshot, at).with(self.notes, BTreeSet::new())
    }
}

impl Labelled<'_> {
    pub(super) fn of_loop(&mut self, name: &str) -> Labelled<'_> {
        Labelled { labels: self.labels.with("loop", name), snapshot: self.snapshot }
    }

    pub(super) fn counter(&mut self, metric: &'static Metric, own: &[&'static str], count: u64) -> &mut Self {
        self.snapshot.push(metric, &self.labels, own, Value::Counter(count));
        self
    }

    pub(super) fn gauge(&mut self, metric: &'static Metric, own: &[&'static str], reading: i64) -> &mut Self {
        self.snapshot.push(metric, &self.labels, own, Value::Gauge(reading));
        self
    }

    /// A distribution of so many times so many nanoseconds.
    pub(super) fn histogram(
        &mut self,
        metric: &'static Metric,
        own: &[&'static str],
        durations: &[(u64, u64)],
    ) -> &mut Self {
        let each = durations.iter().flat_map(|&(times, ns)| std::iter::repeat_n(ns, times as usize));
        self.snapshot.push(metric, &self.labels, own, Value::Histogram(Histogram::from_ns(each)));
        self
    }
}

/// The host after this many intervals: what counts has grown by the same each time.
pub(super) fn host(intervals: u64) -> Reading {
    let mut host = Host::default();
    shop(&mut host, intervals);
    render(&mut host, intervals);
    untouched(&mut host, intervals);
    probed(&mut host, intervals);
    host.process("内部ツール-集計サービス", 4_194_303).gauge(&PROCESS_RESIDENT_MEMORY, &[], 3 << 30).counter(
        &PROCESS_CPU,
        &[],
        intervals * 30 * MS,
    );
    host.reading(intervals)
}

/// Publishes everything, and is well.
fn shop(host: &mut Host, n: u64) {
    let mut shop = host.process("shop", 4711);
    shop.counter(&PROCESS_CPU, &[], n * 640 * MS)
        .gauge(&PROCESS_RESIDENT_MEMORY, &[], 96 << 20)
        .gauge(&PROCESS_START_TIME, &[], 7)
        .gauge(&PROCESS_THREADS, &[], 9)
        .gauge(&PROCESS_OPEN_FDS, &[], 131)
        .gauge(&THREADPOOL_THREADS, &[ThreadState::Busy.as_str()], 1)
        .gauge(&THREADPOOL_THREADS, &[ThreadState::Idle.as_str()], 3)
        .gauge(&THREADPOOL_QUEUE_DEPTH, &[], 0)
        .histogram(&THREADPOOL_QUEUE_WAIT, &["fs"], &[(n * 40, 40 * US), (n, 900 * US)])
        .histogram(&THREADPOOL_RUN, &["fs"], &[(n * 41, 120 * US)])
        .counter(&THREADPOOL_TASKS, &["fs", Outcome::Done.as_str()], n * 41)
        .counter(&THREADPOOL_TASKS, &["fs", Outcome::Failed.as_str()], n);
    let mut main = shop.of_loop("main");
    main.histogram(&EVENTLOOP_LAG, &[], &[(n * 900, 41 * US), (n * 60, 300 * US), (n, 3 * MS)])
        .histogram(&EVENTLOOP_TIMER_LATENESS, &[], &[(n * 10, 400 * US)])
        .histogram(&THREADPOOL_COMPLETION_DELAY, &["fs"], &[(n * 41, 70 * US)])
        .counter(&EVENTLOOP_TIME, &[LoopState::Active.as_str()], n * 500 * MS)
        .counter(&EVENTLOOP_TIME, &[LoopState::Idle.as_str()], n * 1500 * MS)
        .counter(&EVENTLOOP_ITERATIONS, &[], n * 961)
        .gauge(&EVENTLOOP_HANDLES, &[HandleType::Tcp.as_str()], 118)
        .gauge(&EVENTLOOP_HANDLES, &[HandleType::Timer.as_str()], 4)
        .gauge(&EVENTLOOP_HANDLES, &[HandleType::Udp.as_str()], 0)
        .gauge(&EVENTLOOP_REQUESTS, &[RequestType::Fs.as_str()], 1);
    for (phase, times, ns) in [
        (Phase::Timers, 10, 50 * US),
        (Phase::Idle, 0, 0),
        (Phase::PollWait, 961, 1_560 * US),
        (Phase::PollCallbacks, 900, 500 * US),
        (Phase::Check, 200, 90 * US),
        (Phase::Close, 0, 0),
    ] {
        main.histogram(&EVENTLOOP_PHASE_DURATION, &[phase.as_str()], &[(n * times, ns)]);
    }
    shop.of_loop("worker-1")
        .histogram(&EVENTLOOP_LAG, &[], &[(n * 100, 30 * MS)])
        .counter(&EVENTLOOP_TIME, &[LoopState::Active.as_str()], n * 1500 * MS)
        .counter(&EVENTLOOP_TIME, &[LoopState::Idle.as_str()], n * 500 * MS)
        .counter(&EVENTLOOP_ITERATIONS, &[], n * 100);
}

/// Publishes everything, and suffers.
fn render(host: &mut Host, n: u64) {
    let mut render = host.process("image-renderer-europe-west", 23);
    render
        .counter(&PROCESS_CPU, &[], n * 9_000 * MS)
        .gauge(&PROCESS_RESIDENT_MEMORY, &[], 1_500 << 20)
        .gauge(&THREADPOOL_THREADS, &[ThreadState::Busy.as_str()], 16)
        .gauge(&THREADPOOL_THREADS, &[ThreadState::Idle.as_str()], 0)
        .gauge(&THREADPOOL_QUEUE_DEPTH, &[], 1_284)
        .histogram(&THREADPOOL_QUEUE_WAIT, &["crypto"], &[(n * 100, 800 * MS), (n * 100, 1_300 * MS)])
        .counter(&THREADPOOL_TASKS, &["crypto", Outcome::Done.as_str()], n * 200);
    let mut main = render.of_loop("main");
    main.histogram(&EVENTLOOP_LAG, &[], &[(n * 20, MS), (n * 10, 140 * MS)])
        .counter(&EVENTLOOP_TIME, &[LoopState::Active.as_str()], n * 1900 * MS)
        .counter(&EVENTLOOP_TIME, &[LoopState::Idle.as_str()], n * 60 * MS)
        .counter(&EVENTLOOP_ITERATIONS, &[], n * 30)
        .histogram(&EVENTLOOP_PHASE_DURATION, &["microtasks"], &[(n * 10, 138 * MS)])
        .histogram(&EVENTLOOP_PHASE_DURATION, &["poll_callbacks"], &[(n * 30, 17 * MS)]);
}

/// Knows nothing of us: its memory is read.
fn untouched(host: &mut Host, n: u64) {
    let mut api = host.process("node", 812);
    api.counter(&PROCESS_CPU, &[], n * 200 * MS)
        .gauge(&PROCESS_RESIDENT_MEMORY, &[], 61 << 20)
        .gauge(&THREADPOOL_THREADS, &[ThreadState::Busy.as_str()], 4)
        .gauge(&THREADPOOL_THREADS, &[ThreadState::Idle.as_str()], 0)
        .gauge(&THREADPOOL_QUEUE_DEPTH, &[], 6)
        .histogram(&THREADPOOL_QUEUE_WAIT_OBSERVED, &[], &[(n * 3, 100 * MS)])
        .gauge(&LOOPSCOPE_TIER_ACTIVE, &[Tier::Observe.as_str()], 1);
    api.of_loop("main")
        .gauge(&EVENTLOOP_AWAY, &[], 0)
        .histogram(&EVENTLOOP_STALL_OBSERVED, &[], &[(n * 2, 210 * MS)])
        .counter(&EVENTLOOP_ITERATIONS, &[], n * 84);
}

/// Knows nothing of us: it is probed, in vain for the pool.
fn probed(host: &mut Host, n: u64) {
    let refusal = "the point where a task begins was not found in the binary".to_owned();
    host.notes(9020).missing.push((Tier::Pool, refusal));
    let mut api = host.process("checkout", 9020);
    api.counter(&PROCESS_CPU, &[], n * 1_100 * MS)
        .gauge(&PROCESS_RESIDENT_MEMORY, &[], 88 << 20)
        .counter(&LOOPSCOPE_PROBE_COST, &[Tier::Loop.as_str()], n * 3 * MS)
        .counter(&LOOPSCOPE_PROBE_COST, &[Tier::Phases.as_str()], n * 5 * MS);
    for (tier, is_active) in [(Tier::Observe, 1), (Tier::Loop, 1), (Tier::Phases, 1), (Tier::Pool, 0)] {
        api.gauge(&LOOPSCOPE_TIER_ACTIVE, &[tier.as_str()], is_active);
    }
    let mut main = api.of_loop("main");
    main.gauge(&EVENTLOOP_AWAY, &[], 700 * MS as i64)
        .counter(&EVENTLOOP_SLOW_ITERATIONS, &[], n * 3)
        .histogram(&EVENTLOOP_LAG, &[], &[(n * 400, 150 * US), (n * 3, 60 * MS)])
        .counter(&EVENTLOOP_TIME, &[LoopState::Active.as_str()], n * 300 * MS)
        .counter(&EVENTLOOP_TIME, &[LoopState::Idle.as_str()], n * 1000 * MS)
        .counter(&EVENTLOOP_ITERATIONS, &[], n * 403)
        .histogram(&EVENTLOOP_PHASE_DURATION, &["timers"], &[(n * 3, 58 * MS)])
        .histogram(&EVENTLOOP_PHASE_DURATION, &["poll_wait"], &[(n * 403, 2_480 * US)])
        .histogram(&EVENTLOOP_PHASE_DURATION, &["poll_callbacks"], &[(n * 300, 200 * US)]);
    for (kind, times, ns) in [(GcKind::Minor, 12, 900 * US), (GcKind::Major, 1, 24 * MS)] {
        main.histogram(&GC_PAUSE, &[kind.as_str()], &[(n * times, ns)]);
    }
}

/// The rows of the host over one interval.
pub(super) fn rows() -> Vec<Row> {
    Row::all(Some(&host(1)), &host(2))
}

/// The row of a process's loop.
pub(super) fn row(pid: u32, loop_name: &str) -> Row {
    let is_it = |row: &Row| row.key.pid == Pid::new(pid) && row.key.loop_name.as_deref() == Some(loop_name);
    rows().into_iter().find(is_it).expect("the host has such a loop")
}

/// Compares with the fixture of this name; `LOOPSCOPE_BLESS=1 cargo test -p loopscope` writes them anew.
pub(super) fn expect_golden(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/top/fixtures").join(name);
    if std::env::var_os("LOOPSCOPE_BLESS").is_some() {
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; LOOPSCOPE_BLESS=1 writes it", path.display()));
    assert!(expected == actual, "{name} changed:\n{expected}\nis now\n{actual}");
}
