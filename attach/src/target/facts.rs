//! What a process is, in the words of those who run it.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::service::{Clues, base_name};
use super::{Process, ProcessError, package, strings};

/// Who a process is: what it is called, and what tells it from others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The service that it belongs to: what its environment declares, else what runs it calls it, else the name of its
    /// npm package, its script, its script's folder, or its [program](Facts::program).
    pub service: String,
    /// The file name of the program that it executes, such as `node`; where that may not be read, the name that it was
    /// called by, else its [name](Facts::name).
    pub program: String,
    /// The name of its main thread, as `ps` shows it (`comm`): the program's at first, and what it chose later. Node.js 24
    /// chose `MainThread`.
    pub name: String,
    /// The command line, its words parted by spaces.
    pub command: String,
    /// The user that it runs as.
    pub user: Option<u32>,
    /// The paths of its control groups: one with cgroup v2, one for each hierarchy with cgroup v1.
    pub cgroups: Vec<String>,
    /// The container's id of 64 hexadecimal digits, where a control group has one.
    pub container: Option<String>,
}

/// What `/proc/PID` tells of a process. What may not be read is empty.
struct Contents<'a> {
    name: String,
    /// Where `exe` leads.
    program: Option<PathBuf>,
    /// Where `cwd` leads.
    folder: Option<PathBuf>,
    cmdline: &'a [u8],
    environ: &'a [u8],
    cgroup: &'a [u8],
    user: Option<u32>,
}

impl Facts {
    /// Reads the facts of a process. What only its owner may read is left out.
    ///
    /// # Errors
    /// [`ProcessError::Vanished`] where the process has ended.
    pub fn read(process: &Process) -> Result<Self, ProcessError> {
        let name = process.stat()?.name;
        let text = |path| process.read(path).unwrap_or_default();
        let link = |path| {
            let link = process.read_link(path).ok()?;
            Some(PathBuf::from(std::ffi::OsStr::from_bytes(link.to_bytes())))
        };
        let contents = Contents {
            name,
            program: link("exe"),
            folder: link("cwd"),
            cmdline: &text("cmdline"),
            environ: &text("environ"),
            cgroup: &text("cgroup"),
            user: process.metadata("stat").ok().map(|metadata| metadata.st_uid),
        };
        Ok(Self::of(contents, &|script| package::name_of(process, script)))
    }

    fn of(contents: Contents<'_>, package: &dyn Fn(&Path) -> Option<String>) -> Self {
        let words = strings(contents.cmdline);
        let program = program_name(contents.program.as_deref(), &words, &contents.name);
        let cgroups = String::from_utf8_lossy(contents.cgroup);
        let paths = cgroups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
        let cgroups: Vec<String> = paths.map(str::to_owned).collect();
        let clues = Clues {
            environ: contents.environ,
            words: &words,
            program: &program,
            folder: contents.folder.as_deref(),
            package,
        };
        Self {
            service: clues.name(),
            command: words.join(" "),
            user: contents.user,
            container: cgroups.iter().rev().find_map(|path| container_id(path)),
            cgroups,
            name: contents.name,
            program,
        }
    }
}

/// The file name of a program, by where `exe` leads, by the first word of the command line, or by the main thread's name.
fn program_name(path: Option<&Path>, words: &[String], name: &str) -> String {
    let path = path.map(|path| path.to_string_lossy().into_owned());
    // A program whose file was replaced or removed while it runs.
    let path = path.as_deref().map(|path| path.strip_suffix(" (deleted)").unwrap_or(path));
    let called = words.first().map(|word| base_name(word));
    let names = [path.map(base_name), called];
    names.into_iter().flatten().find(|name| !name.is_empty()).unwrap_or(name).to_owned()
}

fn container_id(cgroup: &str) -> Option<String> {
    let is_id = |part: &&str| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    cgroup.split(['/', '-', '.', ':']).rfind(is_id).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Pid;

    fn contents() -> Contents<'static> {
        Contents {
            name: "MainThread".to_owned(),
            program: None,
            folder: None,
            cmdline: b"",
            environ: b"",
            cgroup: b"0::/\n",
            user: Some(0),
        }
    }

    fn facts(contents: Contents<'_>) -> Facts {
        Facts::of(contents, &|_| None)
    }

    #[test]
    fn a_program_has_the_name_of_its_file() {
        let program = |path: &str| {
            facts(Contents { program: Some(path.into()), cmdline: b"called\0", ..contents() }).program
        };
        assert_eq!(program("/usr/bin/node"), "node");
        assert_eq!(program("/opt/a b/node (deleted)"), "node");
        assert_eq!(facts(Contents { cmdline: b"/bin/called\0x\0", ..contents() }).program, "called");
        assert_eq!(facts(contents()).program, "MainThread");
    }

    #[test]
    fn a_service_without_a_better_name_has_the_programs() {
        let facts = facts(Contents { program: Some("/usr/bin/node".into()), ..contents() });
        assert_eq!((facts.service.as_str(), facts.name.as_str()), ("node", "MainThread"));
    }

    #[test]
    fn a_running_process_tells_its_program() {
        let facts = Facts::read(&Process::open(Pid::new(std::process::id())).unwrap()).unwrap();
        let own = std::env::current_exe().unwrap();
        assert_eq!(facts.program, own.file_name().unwrap().to_str().unwrap());
    }

    #[test]
    fn every_hierarchy_has_its_control_group() {
        let of = |cgroup| facts(Contents { cgroup, ..contents() }).cgroups;
        assert_eq!(of(b"0::/a:b\n"), ["/a:b"]);
        assert_eq!(of(b"3:cpu,cpuacct:/x\n1:name=systemd:/y\n0::/\n"), ["/x", "/y", "/"]);
        assert_eq!(of(b""), [""; 0]);
        assert_eq!(of(b"senseless\n"), [""; 0]);
    }

    #[test]
    fn a_container_is_told_by_its_control_group() {
        let id = "0123456789abcdef".repeat(4);
        for cgroup in [
            format!("0::/system.slice/docker-{id}.scope\n"),
            format!("12:cpu:/x\n0::/kubepods.slice/cri-containerd-{id}.scope\n"),
            format!("0::/docker/{id}\n"),
            format!("12:cpu,cpuacct:/docker/{id}\n1:name=systemd:/docker/{id}\n0::/system.slice/x\n"),
        ] {
            let facts = facts(Contents { cgroup: cgroup.as_bytes(), ..contents() });
            assert_eq!(facts.container.as_deref(), Some(id.as_str()), "{cgroup}");
        }
        assert_eq!(facts(Contents { cgroup: b"0::/user.slice\n", ..contents() }).container, None);
    }
}
