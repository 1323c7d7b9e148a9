//! Programs that do known things and tell what they did, by the clock that they are measured by: so the machine's other work
//! counts on both sides.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::deadline::{SOON, wait_for};
use crate::loopscope::Agent;
use crate::process::Guarded;

/// Longer than any of them takes, on a machine that is busy.
const RUN: Duration = Duration::from_secs(60);

/// A program that prints `ready`, and for each line `go` does everything once and prints what it did as one line of JSON.
#[derive(Debug)]
pub struct Truthful {
    program: Guarded,
    pid: String,
}

impl Truthful {
    /// Starts it.
    ///
    /// # Panics
    /// If it does not become ready.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let mut program = Guarded::start(command);
        program.line("that it is ready", SOON, |line| (line.trim() == "ready").then_some(()));
        let pid = program.pid().to_string();
        Self { program, pid }
    }

    /// Does everything once; gives what it says that it did.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn go(&mut self) -> Value {
        self.begin();
        let line = self.program.line("the truth", RUN, |line| line.starts_with('{').then(|| line.to_owned()));
        serde_json::from_str(&line).expect("the truth is JSON")
    }

    /// Its id.
    pub fn pid(&self) -> &str {
        &self.pid
    }

    /// Labels of its main loop, and more.
    pub fn main<'a>(&'a self, own: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        [&[("pid", self.pid.as_str()), ("loop", "main")], own].concat()
    }

    /// Labels of the process, and more.
    pub fn process<'a>(&'a self, own: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        [&[("pid", self.pid.as_str())], own].concat()
    }

    /// Waits until an agent measures it by a tier.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn wait_until_measured(&self, agent: &Agent, tier: &str) {
        wait_for("the program to be measured", SOON, || {
            let active = agent.scrape().value("loopscope_tier_active", &self.process(&[("tier", tier)]));
            active.filter(|&is| is == 1.0)
        });
    }

    /// What it has printed besides the truth, up to a line that `is_last` accepts.
    ///
    /// # Panics
    /// If there is no such line in time.
    #[track_caller]
    pub fn lines_until(&mut self, what: &str, mut is_last: impl FnMut(&str) -> bool) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line: &String| !is_last(line)) {
            lines.push(self.program.line(what, RUN, |line| Some(line.trim_end().to_owned())));
        }
        lines
    }

    /// Writes `go` and does not wait.
    pub fn begin(&mut self) {
        self.program.tell("go");
    }
}

/// A number that the program tells.
///
/// # Panics
/// If it does not tell it.
#[track_caller]
pub fn number(told: &Value, name: &str) -> f64 {
    told[name].as_f64().unwrap_or_else(|| panic!("the truth has no {name}: {told}"))
}

/// Expects a sum of seconds to be what a program tells, within 5%, and not more than what else it did that it does not tell.
///
/// # Panics
/// If it is not.
#[track_caller]
pub fn expect_seconds(what: &str, found: f64, told_ms: f64, untold_ms: f64) {
    let expected = told_ms / 1e3;
    let allowed = expected * 0.95 - 0.005..=expected * 1.05 + untold_ms / 1e3 + 0.025;
    assert!(allowed.contains(&found), "{what}: {found} s found, {expected} s told");
}
