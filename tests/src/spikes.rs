//! A Node.js whose loop is blocked about once a second, by a function with a name, and who may be profiled.

use std::fs;
use std::process::Command;

use crate::deadline::SOON;
use crate::folder::Folder;
use crate::process::Guarded;
use crate::{fixture, loopscope, requirement};

/// Often enough for a story; what is measured of the default is in `benches`.
pub const OFTEN: [&str; 5] = ["--profile", "--profile-frequency", "97", "--profile-interval", "1s"];

/// A program whose `blockTheLoop` blocks it for 400 ms in every 900, on timers, and that says its functions' names.
#[derive(Debug)]
pub struct Spikes {
    node: Guarded,
    folder: Folder,
}

impl Spikes {
    /// Starts it, under a name of the story's own; `None` after saying that the story is skipped.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn start(story: &str) -> Option<Self> {
        let node = requirement::program("node")?;
        // Built before it starts, so that it is not idle while a compiler runs.
        loopscope::program();
        let mut command = Command::new(node);
        command
            .args(["--perf-basic-prof", "--always-sparkplug"])
            .arg(fixture::path("node/spikes.js"))
            .arg(format!("story-{story}"));
        let folder = Folder::new("profiling");
        // It leaves a log beside itself.
        command.current_dir(folder.path());
        let mut node = Guarded::start(&mut command);
        node.line("its start", SOON, |line| (line.trim() == "ready").then_some(()));
        let rules =
            format!("[[rule]]\ncommand = '*story-{story}*'\nrename = 'shop'\n[[rule]]\ninclude = false\n");
        fs::write(folder.file("agent.toml"), rules).expect("a scratch file");
        Some(Self { node, folder })
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.node.pid()
    }

    /// A configuration by which only this program is measured and profiled, as `shop`, whatever else runs on the machine.
    ///
    /// # Panics
    /// If its path is no text.
    pub fn config(&self) -> String {
        self.folder.file("agent.toml").into_os_string().into_string().expect("a path in UTF-8")
    }
}

impl Drop for Spikes {
    fn drop(&mut self) {
        let _ = fs::remove_file(format!("/tmp/perf-{}.map", self.pid()));
    }
}
