//! A host with another kernel: a virtual machine that runs one script and ends. Its processor is emulated, so that it runs wherever the tests do.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::folder::Folder;
use crate::process::run;
use crate::requirement;

const MEMORY_MIB: &str = "1536";

/// Longer than it takes on a machine that is busy: everything is some ten times slower in it.
const RUN: Duration = Duration::from_secs(600);

/// What a virtual machine is made of: its kernel, and the files that it has in memory.
#[derive(Debug)]
pub struct Guest {
    emulator: PathBuf,
    busybox: PathBuf,
    kernel: PathBuf,
    folder: Folder,
}

/// What a virtual machine said.
#[derive(Debug)]
pub struct Said(Vec<String>);

impl Guest {
    /// One with a shell and nothing else; `None` after saying that the story is skipped.
    ///
    /// # Panics
    /// With `CI=true`, if it cannot be.
    #[track_caller]
    pub fn new() -> Option<Self> {
        let emulator = requirement::program("qemu-system-x86_64")?;
        let busybox = requirement::program("busybox")?;
        let Some(kernel) = env::var_os("LOOPSCOPE_KERNEL").map(PathBuf::from).filter(|file| file.is_file())
        else {
            requirement::skip("a kernel to boot is missing; `cargo xtask test` fetches it");
            return None;
        };
        let guest = Self { emulator, busybox: busybox.clone(), kernel, folder: Folder::new("guest") };
        for folder in ["bin", "dev", "lib", "lib64", "proc", "sys", "tmp"] {
            fs::create_dir_all(guest.root().join(folder)).expect("a scratch folder");
        }
        guest.add_program("busybox", &busybox);
        Some(guest)
    }

    /// Gives it a program, with the libraries that it is linked to.
    ///
    /// # Panics
    /// If one of them cannot be copied.
    pub fn add_program(&self, name: &str, program: &Path) {
        self.add_file(&format!("bin/{name}"), program);
        // A static program has none, and that is said by a failure.
        let listed = Command::new("ldd").arg(program).output().expect("ldd is where libc is");
        for library in String::from_utf8_lossy(&listed.stdout).split_whitespace().map(Path::new) {
            let Some(file) = library.file_name().filter(|_| library.is_absolute()) else { continue };
            // What loads the others is looked for where programs say; others by their names.
            let is_loader = library.starts_with("/lib64");
            let folder = if is_loader { "lib64" } else { "lib" };
            self.add_file(&format!("{folder}/{}", file.to_string_lossy()), library);
        }
    }

    /// Gives it a file.
    ///
    /// # Panics
    /// If it cannot be copied.
    pub fn add_file(&self, name: &str, file: &Path) {
        fs::copy(file, self.root().join(name)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    /// Runs a script as its first process, until the script ends.
    ///
    /// # Panics
    /// If that takes too long, or the machine does not begin.
    #[track_caller]
    pub fn run(self, script: &Path) -> Said {
        self.add_file("init", script);
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.root().join("init"), executable).expect("our own file");
        let files = self.folder.file("files.cpio");
        let mut pack = Command::new("sh");
        pack.args(["-c", "find . | \"$0\" cpio -o -H newc >\"$1\""]).arg(&self.busybox).arg(&files);
        run(pack.current_dir(self.root()), RUN);
        let mut emulator = Command::new(&self.emulator);
        emulator.args(["-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", MEMORY_MIB, "-net", "none"]);
        emulator.args(["-display", "none", "-serial", "stdio", "-no-reboot"]);
        // The kernel is at its end where its first process is, and reboots at once, which ends the emulator.
        emulator.args(["-append", "console=ttyS0 quiet panic=-1"]);
        emulator.arg("-kernel").arg(&self.kernel).arg("-initrd").arg(&files).stdin(Stdio::null());
        let ended = run(&mut emulator, RUN);
        Said(ended.stdout.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect())
    }

    fn root(&self) -> PathBuf {
        self.folder.file("root")
    }
}

impl Said {
    /// The lines that began with this word and a colon, without these.
    pub fn of(&self, word: &str) -> String {
        let prefix = format!("{word}: ");
        self.0.iter().filter_map(|line| line.strip_prefix(&prefix)).map(|line| format!("{line}\n")).collect()
    }

    /// The one line that began with this word and a colon.
    ///
    /// # Panics
    /// If there is none, with everything that was said.
    #[track_caller]
    pub fn line(&self, word: &str) -> String {
        let lines = self.of(word);
        let line = lines.lines().next().unwrap_or_else(|| panic!("no {word}: {}", self.0.join("\n")));
        line.to_owned()
    }
}
