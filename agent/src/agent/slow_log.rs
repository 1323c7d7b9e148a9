//! The last slow iterations, for whoever asks what a spike of the lag was: served as JSON at `/slow`.
//!
//! A histogram tells that there were some; a profile (`loopscope profile --slow`) tells which code they ran. This list
//! tells when they were, on which loop, and which phase took the time.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use attach::libuv::probes::SlowIteration;
use attach::target::Pid;
use model::label::LabelValue;
use model::snapshot::{Exemplar, Trace};
use model::time::Monotonic;
use serde_json::{Map, Value, json};

/// Slow iterations that are kept, of all targets; the oldest go first.
const KEPT: usize = 1000;

/// The last slow iterations of all targets. The thread that measures writes it, the one that serves reads it.
#[derive(Debug, Default)]
pub(super) struct SlowLog {
    kept: Mutex<VecDeque<Entry>>,
}

/// A slow iteration and whose it was.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) service: String,
    pub(super) pid: Pid,
    /// `None` of a loop that has no name yet.
    pub(super) loop_name: Option<String>,
    pub(super) iteration: SlowIteration,
    /// The span that tells of it, where spans are told.
    pub(super) trace: Option<Trace>,
}

impl SlowLog {
    /// Keeps one more.
    pub(super) fn push(&self, entry: Entry) {
        let mut kept = self.kept.lock().unwrap_or_else(|poison| poison.into_inner());
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(entry);
    }

    /// The longest iteration of each loop, by its process, among those that ended after `since`. `now` is the present by both clocks.
    pub(super) fn longest(
        &self,
        since: Monotonic,
        now: (SystemTime, Monotonic),
    ) -> HashMap<(String, String), Exemplar> {
        let kept = self.kept.lock().unwrap_or_else(|poison| poison.into_inner());
        let mut longest: HashMap<(String, String), Exemplar> = HashMap::new();
        for entry in kept.iter().filter(|entry| entry.iteration.ended > since) {
            let Some(name) = &entry.loop_name else { continue };
            let key = (entry.pid.to_string(), name.clone());
            let exemplar = entry.exemplar(now);
            if longest.get(&key).is_none_or(|known| known.value_ns < exemplar.value_ns) {
                longest.insert(key, exemplar);
            }
        }
        longest
    }

    /// All that are kept, the newest first. `now` is the present by both clocks.
    pub(super) fn json(&self, now: (SystemTime, Monotonic)) -> String {
        let kept = self.kept.lock().unwrap_or_else(|poison| poison.into_inner());
        let iterations: Vec<Value> = kept.iter().rev().map(|entry| entry.json(now)).collect();
        json!({ "slow_iterations": iterations }).to_string() + "\n"
    }
}

impl Entry {
    /// The iteration as one of the measurements of its loop's lag.
    fn exemplar(&self, now: (SystemTime, Monotonic)) -> Exemplar {
        let SlowIteration { tid, started, ended, phases, .. } = &self.iteration;
        let phase = phases.iter().max_by_key(|(_, ns)| *ns);
        let phase = phase.map(|(phase, _)| ("phase", phase.as_str().to_owned()));
        Exemplar {
            value_ns: ended.since_ns(*started),
            time_unix_ns: unix_ns(*ended, now),
            labels: [("thread.id", tid.to_string())].into_iter().chain(phase).collect(),
            trace: self.trace,
        }
    }

    fn json(&self, (wall, monotonic): (SystemTime, Monotonic)) -> Value {
        let SlowIteration { tid, started, ended, phases, .. } = &self.iteration;
        let now = wall.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let started_unix = now - monotonic.since_ns(*started) as f64 / 1e9;
        let phases: Map<String, Value> =
            phases.iter().map(|(phase, ns)| (phase.as_str().to_owned(), json!(*ns as f64 / 1e9))).collect();
        json!({
            "service": self.service,
            "pid": self.pid.get(),
            "loop": self.loop_name,
            "thread": tid,
            "started_unix_seconds": (started_unix * 1e6).round() / 1e6,
            "duration_seconds": ended.since_ns(*started) as f64 / 1e9,
            "phase_seconds": phases,
        })
    }
}

/// A time by the clock of walls. `now` is the present by both clocks.
pub(super) fn unix_ns(time: Monotonic, (wall, monotonic): (SystemTime, Monotonic)) -> u64 {
    let wall_ns = wall.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    wall_ns.saturating_sub(monotonic.since_ns(time))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::label::Phase;

    use super::*;

    fn entry(number: u64) -> Entry {
        let iteration = SlowIteration {
            slot: 0,
            tid: 18,
            loop_address: 1,
            started: Monotonic::from_ns(number * 1_000_000_000),
            ended: Monotonic::from_ns(number * 1_000_000_000 + 250_000_000),
            phases: vec![(Phase::Timers, 200_000_000)],
        };
        Entry {
            service: "shop".into(),
            pid: Pid::new(17),
            loop_name: Some("main".into()),
            iteration,
            trace: None,
        }
    }

    #[test]
    fn the_newest_comes_first_and_the_oldest_goes() {
        let log = SlowLog::default();
        (0..KEPT as u64 + 5).for_each(|number| log.push(entry(number)));
        let now = (UNIX_EPOCH + Duration::from_secs(5000), Monotonic::from_ns(2_000_000_000_000));
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
}
