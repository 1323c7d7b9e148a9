//! A systemd of the story's own, which runs our units and nothing else.
//!
//! It is the first process in namespaces of its own: of processes, mounts, the network. Its programs are this machine's, with ours among them; what it
//! writes is in memory. It ends with the story, and everything in it with it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::deadline::{SOON, wait_for};
use crate::folder::Folder;
use crate::process::Guarded;
use crate::{fixture, loopscope, packaging, requirement};

/// What systemd takes for granted, and our units are ordered by.
const TARGETS: [&str; 6] = ["sysinit", "basic", "network", "multi-user", "shutdown", "umount"];

/// A host that runs.
#[derive(Debug)]
pub struct Host {
    /// Its first process, as this machine calls it.
    pid: u32,
    _process: Guarded,
    _folder: Folder,
}

impl Host {
    /// Boots a host that has these units of `packaging/`, each with its configuration as packages install it; `None` after saying that the story is
    /// skipped. `defaults` are texts of `/etc/default`, by the service.
    ///
    /// # Panics
    /// If it does not boot.
    #[track_caller]
    pub fn boot(units: &[&str], defaults: &[(&str, &str)]) -> Option<Self> {
        if !requirement::root() {
            return None;
        }
        for program in ["unshare", "nsenter", "systemctl", "ip"] {
            requirement::program(program)?;
        }
        let folder = Folder::public("host");
        for name in ["bin", "etc/loopscope", "etc/default", "units"] {
            fs::create_dir_all(folder.file(name)).expect("our own folder");
        }
        for program in [loopscope::program(), &loopscope::collector_program()] {
            let name = program.file_name().expect("a program has a name");
            fs::copy(program, folder.file("bin").join(name)).expect("a copy");
        }
        for configuration in ["agent.toml", "collector.toml"] {
            fs::write(folder.file("etc/loopscope").join(configuration), packaging::text(configuration))
                .expect("our own file");
        }
        for (service, text) in defaults {
            fs::write(folder.file("etc/default").join(service), text).expect("our own file");
        }
        let unit =
            |name: &str, text: &str| fs::write(folder.file("units").join(name), text).expect("our own file");
        for target in TARGETS {
            unit(&format!("{target}.target"), "[Unit]\nDefaultDependencies=no\n");
        }
        for name in units {
            unit(name, &packaging::text(&format!("systemd/{name}")));
        }
        unit("story.target", &format!("[Unit]\nDefaultDependencies=no\nWants={}\n", units.join(" ")));
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--cgroup",
            "--uts",
            "--ipc",
            "--net",
        ]);
        command.arg(fixture::path("systemd/boot.sh")).arg(folder.path());
        let mut process = Guarded::start(&mut command);
        let children = format!("/proc/{0}/task/{0}/children", process.pid());
        let pid = wait_for("the host's first process", SOON, || {
            assert!(process.is_running(), "it ended: {}", process.stderr());
            fs::read_to_string(&children).ok()?.trim().parse().ok()
        });
        let host = Self { pid, _process: process, _folder: folder };
        wait_for("its systemd", SOON, || {
            host.run(&["systemctl", "show", "--property=Version"]).status.success().then_some(())
        });
        Some(host)
    }

    /// Runs a command there to its end.
    ///
    /// # Panics
    /// If it cannot be run.
    #[track_caller]
    pub fn run(&self, command: &[&str]) -> Output {
        let mut entered = Command::new("nsenter");
        entered.args([
            "--mount",
            "--pid",
            "--net",
            "--uts",
            "--ipc",
            "--cgroup",
            "--target",
            &self.pid.to_string(),
        ]);
        entered.arg("--").args(command).output().expect("nsenter starts")
    }

    /// What a command prints there.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub fn told(&self, command: &[&str]) -> String {
        let output = self.run(command);
        let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{command:?}: {}{}", told(&output.stdout), told(&output.stderr));
        told(&output.stdout)
    }

    /// What it says of a unit, by property.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn properties(&self, unit: &str) -> BTreeMap<String, String> {
        let told = self.told(&["systemctl", "show", unit]);
        let pairs = told.lines().filter_map(|line| line.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Waits until a service runs, and gives its process, as the host calls it.
    ///
    /// # Panics
    /// If it ends.
    #[track_caller]
    pub fn wait_for_service(&self, unit: &str) -> String {
        wait_for(&format!("{unit} to run"), SOON, || {
            let told = self.properties(unit);
            assert_eq!(told["NRestarts"], "0", "{unit} has ended: {}", told["ExecMainStatus"]);
            (told["SubState"] == "running").then(|| told["MainPID"].clone())
        })
    }

    /// The text of a file of the host's `/proc`.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn proc(&self, pid: &str, file: &str) -> String {
        let path = Path::new("/proc").join(pid).join(file);
        self.told(&["cat", path.to_str().expect("numbers and letters")])
    }
}
