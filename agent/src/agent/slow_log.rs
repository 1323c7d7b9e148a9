//! The last slow iterations, for whoever asks what a spike of the lag was: served as JSON at `/slow`.
//!
//! A histogram tells that there were some; a profile (`loopscope profile --slow`) tells which code they ran. This list
//! tells when they were, on which loop, and which phase took the time.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use attach::target::Pid;
use model::label::{LabelValue, Phase};
use model::snapshot::{Exemplar, Trace};
use model::time::Monotonic;
use serde_json::{Map, Value, json};

use crate::clock::Moment;

/// Slow iterations that are kept, of all targets. The oldest go first, of the process that has most of them: one that has many does
/// not make others' forgotten.
const KEPT: usize = 1000;

/// The last slow iterations of all targets. The thread that measures writes it, the one that serves reads it.
#[derive(Debug, Default)]
pub(super) struct SlowLog {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// In the order in which they came.
    entries: VecDeque<Entry>,
    /// How many of them each process has.
    counts: HashMap<Pid, usize>,
}

/// A slow iteration and whose it was.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) service: String,
    pub(super) pid: Pid,
    /// When the process started; `None` where nobody can tell.
    pub(super) process_started_unix_ns: Option<u64>,
    /// `None` of a loop that has no name yet.
    pub(super) loop_name: Option<String>,
    /// The loop's thread; `None` of one that the loop's process calls by a number which is not known here.
    pub(super) tid: Option<u32>,
    pub(super) started: Monotonic,
    pub(super) ended: Monotonic,
    /// The phases that took time, as far as they are known, the longest first.
    pub(super) phases: Vec<(Phase, u64)>,
    /// The span that tells of it, where spans are told.
    pub(super) trace: Option<Trace>,
}

impl SlowLog {
    /// Keeps one more.
    pub(super) fn push(&self, entry: Entry) {
        let mut kept = self.kept.lock().unwrap_or_else(|poison| poison.into_inner());
        if kept.entries.len() == KEPT {
            kept.forget_one();
        }
        *kept.counts.entry(entry.pid).or_default() += 1;
        kept.entries.push_back(entry);
    }

    /// The longest iteration of each loop, by its process, among those that ended after `since`.
    pub(super) fn longest(&self, since: Monotonic, now: Moment) -> HashMap<(String, String), Exemplar> {
        let kept = self.kept.lock().unwrap_or_else(|poison| poison.into_inner());
        let mut longest: HashMap<(String, String), Exemplar> = HashMap::new();
        for entry in kept.entries.iter().filter(|entry| entry.ended > since) {
            let Some(name) = &entry.loop_name else { continue };
            let key = (entry.pid.to_string(), name.clone());
            let exemplar = entry.exemplar(now);
            if longest.get(&key).is_none_or(|known| known.value_ns < exemplar.value_ns) {
                longest.insert(key, exemplar);
            }
        }
        longest
    }

    /// All that are kept, the newest first.
    pub(super) fn json(&self, now: Moment) -> String {
        let kept = self.kept.lock().unwrap_or_else(|poison| poison.into_inner());
        let iterations: Vec<Value> = kept.entries.iter().rev().map(|entry| entry.json(now)).collect();
        json!({ "slow_iterations": iterations }).to_string() + "\n"
    }
}

impl Kept {
    fn forget_one(&mut self) {
        let most = self.counts.values().copied().max();
        let at = self.entries.iter().position(|entry| self.counts.get(&entry.pid).copied() == most);
        let Some(entry) = at.and_then(|at| self.entries.remove(at)) else { return };
        if let Some(count) = self.counts.get_mut(&entry.pid) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&entry.pid);
            }
        }
    }
}

impl Entry {
    /// How long it was.
    pub(super) fn duration_ns(&self) -> u64 {
        self.ended.since_ns(self.started)
    }

    /// The iteration as one of the measurements of its loop's lag.
    fn exemplar(&self, now: Moment) -> Exemplar {
        let phase = self.phases.iter().max_by_key(|(_, ns)| *ns);
        let phase = phase.map(|(phase, _)| ("phase", phase.as_str().to_owned()));
        let thread = self.tid.map(|tid| ("thread.id", tid.to_string()));
        Exemplar {
            value_ns: self.duration_ns(),
            time_unix_ns: now.unix_ns_of(self.ended),
            labels: thread.into_iter().chain(phase).collect(),
            trace: self.trace,
        }
    }

    fn json(&self, now: Moment) -> Value {
        let phases = self.phases.iter();
        let phases: Map<String, Value> =
            phases.map(|(phase, ns)| (phase.as_str().to_owned(), json!(*ns as f64 / 1e9))).collect();
        // To the microsecond.
        let started_unix = (now.unix_ns_of(self.started) / 1000) as f64 / 1e6;
        json!({
            "service": self.service,
            "pid": self.pid.get(),
            "loop": self.loop_name,
            "thread": self.tid,
            "started_unix_seconds": started_unix,
            "duration_seconds": self.duration_ns() as f64 / 1e9,
            "phase_seconds": phases,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64) -> Entry {
        Entry {
            service: "shop".into(),
            pid: Pid::new(17),
            process_started_unix_ns: None,
            loop_name: Some("main".into()),
            tid: Some(18),
            started: Monotonic::from_ns(number * 1_000_000_000),
            ended: Monotonic::from_ns(number * 1_000_000_000 + 250_000_000),
            phases: vec![(Phase::Timers, 200_000_000)],
            trace: None,
        }
    }

    #[test]
    fn the_newest_comes_first_and_the_oldest_goes() {
        let log = SlowLog::default();
        (0..KEPT as u64 + 5).for_each(|number| log.push(entry(number)));
        let now = Moment { unix_ns: 5_000_000_000_000, monotonic: Monotonic::from_ns(2_000_000_000_000) };
        let told: Value = serde_json::from_str(&log.json(now)).unwrap();
        let iterations = told["slow_iterations"].as_array().unwrap();
        assert_eq!(iterations.len(), KEPT);
        assert_eq!(
            iterations[0],
            json!({
                "service": "shop", "pid": 17, "loop": "main", "thread": 18, "started_unix_seconds": 4004.0,
                "duration_seconds": 0.25, "phase_seconds": {"timers": 0.2},
            })
        );
        assert_eq!(iterations[KEPT - 1]["started_unix_seconds"], json!(3005.0));
    }

    #[test]
    fn a_process_that_has_many_does_not_make_those_of_others_forgotten() {
        let log = SlowLog::default();
        log.push(Entry { pid: Pid::new(3), ..entry(0) });
        (1..3 * KEPT as u64).for_each(|number| log.push(entry(number)));
        let kept = log.kept.lock().unwrap();
        assert_eq!(kept.entries.len(), KEPT);
        assert_eq!(kept.entries[0].pid, Pid::new(3));
        assert_eq!(kept.entries[1].started, entry(2 * KEPT as u64 + 1).started);
        assert_eq!(kept.counts.values().sum::<usize>(), KEPT);
    }
}
