//! How requests are bounded, and where sums begin.

use super::*;
use model::snapshot::{SharedLabels, Snapshot};

fn reading(processes: u32, loops: u32) -> Reading {
    let mut snapshot = Snapshot::default();
    for process in 0..processes {
        // No process has such a pid.
        let pid = (u32::MAX - process).to_string();
        let labels = SharedLabels::new([("service", "shop"), ("pid", &*pid)]);
        snapshot.push(&catalogue::PROCESS_START_TIME, &labels, &[], Value::Gauge(1_700_000_000_000_000_000));
        for number in 0..loops {
            let labels = labels.with("loop", &number.to_string());
            snapshot.push(&catalogue::EVENTLOOP_ITERATIONS, &labels, &[], Value::Counter(1));
        }
    }
    Reading { snapshot, notes: Vec::new() }
}

fn batches(preference: Preference, reading: &Reading) -> Vec<Batch> {
    Batcher::new(preference).batches(reading, clock::now())
}

#[test]
fn requests_are_bounded_and_hold_everything() {
    for (processes, loops) in [(1, 60_000), (1200, 50)] {
        let made = batches(Preference::Cumulative, &reading(processes, loops));
        assert!(made.len() > 1);
        assert!(made.iter().all(|batch| batch.request.len() < 2 * REQUEST_BYTES));
        let points: u64 = made.iter().map(|batch| batch.points).sum();
        assert_eq!(points, u64::from(processes * (loops + 1)), "with the uptime of each");
    }
}

#[test]
fn nothing_makes_no_request() {
    assert!(
        batches(Preference::Cumulative, &Reading { snapshot: Snapshot::default(), notes: Vec::new() })
            .is_empty()
    );
}

#[test]
fn differences_of_processes_that_were_there_before_begin_with_the_second_reading() {
    let mut reading = reading(1, 2);
    let pid = Pid::new(u32::MAX);
    reading.notes.push(ProcessNote { pid, is_outside: false, is_node: false, user_ns: 0, system_ns: 0 });
    let mut batcher = Batcher::new(Preference::Delta);
    let mut points = || {
        let batches = batcher.batches(&reading, clock::now());
        batches.iter().map(|batch| batch.points).sum::<u64>()
    };
    assert_eq!((points(), points()), (1, 3), "the uptime is no difference");
}

#[test]
fn whose_count_it_is_decides_when_it_was_zero() {
    let batcher = Batcher::new(Preference::Cumulative);
    let (agent, process) = (batcher.sums.began_unix_ns(), 1_700_000_000_000_000_000);
    let note =
        |is_outside| ProcessNote { pid: Pid::new(7), is_outside, is_node: false, user_ns: 0, system_ns: 0 };
    let zero = |note: &ProcessNote, metric, started_unix_ns| {
        let told =
            Told { pid: Some(7), note: Some(note), started_unix_ns, now_unix_ns: 0, attributes: Vec::new() };
        batcher.zero_unix_ns(&told, metric)
    };
    let (outside, published) = (note(true), note(false));
    assert_eq!(zero(&published, &catalogue::EVENTLOOP_LAG, Some(process)), process);
    assert_eq!(zero(&outside, &catalogue::EVENTLOOP_LAG, Some(process)), agent);
    assert_eq!(zero(&outside, &catalogue::PROCESS_CPU, Some(process)), process);
    assert_eq!(zero(&published, &catalogue::LOOPSCOPE_PROBE_HITS, Some(process)), agent);
    assert_eq!(zero(&published, &catalogue::EVENTLOOP_SLOW_ITERATIONS, Some(process)), agent);
    assert_eq!(zero(&outside, &catalogue::EVENTLOOP_LAG, Some(agent + 5)), agent + 5);
    assert_eq!(zero(&outside, &catalogue::PROCESS_CPU, None), agent);
}

/// How often a text is in a request.
fn count(batches: &[Batch], text: &str) -> usize {
    let windows = batches.iter().flat_map(|batch| batch.request.windows(text.len()));
    windows.filter(|window| *window == text.as_bytes()).count()
}

/// The agent's own loop was once told of as that of a process which started in 1970.
#[test]
fn the_agents_own_loop_belongs_to_the_agent_unless_its_process_is_a_target() {
    let pid = std::process::id();
    let labels = SharedLabels::new([("service", "loopscope"), ("pid", &*pid.to_string())]);
    let of_loop = labels.with("loop", "agent");
    let mut snapshot = Snapshot::default();
    snapshot.push(&catalogue::LOOPSCOPE_CPU, &SharedLabels::default(), &[], Value::Counter(1));
    snapshot.push(&catalogue::EVENTLOOP_ITERATIONS, &of_loop, &[], Value::Counter(1));
    let mut reading = Reading { snapshot, notes: Vec::new() };
    let made = batches(Preference::Cumulative, &reading);
    assert_eq!((count(&made, "process.creation.time"), count(&made, "1970-01-01")), (1, 0));
    assert_eq!(made.iter().map(|batch| batch.points).sum::<u64>(), 2);

    let (pid, note) = (Pid::new(pid), |pid| ProcessNote {
        pid,
        is_outside: false,
        is_node: false,
        user_ns: 0,
        system_ns: 0,
    });
    reading.notes.push(note(pid));
    reading.snapshot.push(
        &catalogue::PROCESS_START_TIME,
        &labels,
        &[],
        Value::Gauge(1_700_000_000_000_000_000),
    );
    let made = batches(Preference::Cumulative, &reading);
    assert_eq!((count(&made, "process.creation.time"), count(&made, "2023-11-14")), (2, 1));
}
