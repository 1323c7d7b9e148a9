//! Processes to be measured: programs on the included runtime, and one in ten a Node.js.

use std::collections::VecDeque;
use std::process::{Child, Command, Stdio};

use crate::Programs;

/// One in so many is a Node.js; they are the dearer ones to run.
const NODE_EVERY: usize = 10;

/// A loop with a timer and a pool task now and then; it ends when its standard input does.
const SCRIPT: &str = "setInterval(() => require('fs').stat('/', () => {}), 1000); process.stdin.on('end', () => process.exit()).resume()";

/// Running targets, the oldest first. They end with this value.
pub(crate) struct Targets<'a> {
    programs: &'a Programs,
    running: VecDeque<Child>,
    started: usize,
}

impl<'a> Targets<'a> {
    /// Starts so many.
    pub(crate) fn start(programs: &'a Programs, count: usize) -> Self {
        let mut targets = Self { programs, running: VecDeque::new(), started: 0 };
        for _ in 0..count {
            targets.start_one();
        }
        targets
    }

    /// Ends the oldest, and starts another.
    pub(crate) fn replace_one(&mut self) {
        if let Some(oldest) = self.running.pop_front() {
            end(oldest);
        }
        self.start_one();
    }

    fn start_one(&mut self) {
        self.started += 1;
        let mut command = if self.started.is_multiple_of(NODE_EVERY) {
            let mut node = Command::new(&self.programs.node);
            node.args(["-e", SCRIPT]);
            node
        } else {
            Command::new(&self.programs.target)
        };
        let started = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.running.push_back(started.expect("a target starts"));
    }
}

impl Drop for Targets<'_> {
    fn drop(&mut self) {
        self.running.drain(..).for_each(end);
    }
}

fn end(mut target: Child) {
    let _ = target.kill();
    let _ = target.wait();
}
