//! The programs that the tests run beside ours, and where Debian and Ubuntu keep them.
//!
//! Only what is missing is installed. Prometheus is not installed but unpacked under `target/tools`: its package would
//! start a service, which nobody who runs a test has asked for.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::{Error, run, say};

/// A program, the packages that bring it, and what the tests want it for.
struct Tool {
    /// Its name, or the path of a file that the packages bring.
    program: &'static str,
    /// The first of them that the machine's package lists know is installed.
    packages: &'static [&'static str],
    purpose: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool { program: "gcc", packages: &["gcc"], purpose: "compiles the C programs that are profiled" },
    Tool { program: "g++", packages: &["g++"], purpose: "compiles the C++ program that is profiled" },
    Tool { program: "strip", packages: &["binutils"], purpose: "strips a program that is profiled" },
    Tool { program: "node", packages: &["nodejs"], purpose: "runs the Node.js server that is profiled" },
    Tool {
        program: "perf",
        packages: &["linux-perf", "linux-tools-generic"],
        purpose: "is the profiler that ours is compared with",
    },
    Tool {
        program: "/usr/include/uv.h",
        packages: &["libuv1-dev"],
        purpose: "belongs to the shared libuv that a C program runs on",
    },
    Tool { program: "chromium", packages: &["chromium"], purpose: "shows flamegraphs" },
    Tool { program: "chromedriver", packages: &["chromium-driver"], purpose: "clicks in flamegraphs" },
    Tool { program: "npm", packages: &["npm"], purpose: "fetches the versions of Node.js that are measured" },
    Tool { program: "python3", packages: &["python3"], purpose: "runs a program on uvloop that is measured" },
    Tool {
        program: "pip3",
        packages: &["python3-pip"],
        purpose: "fetches uvloop, and what an OTLP receiver is made of",
    },
    Tool { program: "clang-14", packages: &["clang-14"], purpose: "compiles the BPF programs" },
    Tool { program: "curl", packages: &["curl"], purpose: "scrapes over TLS" },
    Tool { program: "openssl", packages: &["openssl"], purpose: "makes certificates" },
    Tool { program: "systemd-analyze", packages: &["systemd"], purpose: "judges the units, and runs them" },
    Tool { program: "ip", packages: &["iproute2"], purpose: "gives a host of its own a network" },
    Tool { program: "nsenter", packages: &["util-linux"], purpose: "looks at that host" },
    Tool {
        program: "qemu-system-x86_64",
        packages: &["qemu-system-x86"],
        purpose: "runs an older kernel, on which is measured",
    },
    Tool {
        program: "busybox",
        packages: &["busybox-static", "busybox"],
        purpose: "is all else that a host with that kernel has",
    },
    Tool { program: "strace", packages: &["strace"], purpose: "shows which system calls the agent makes" },
    Tool {
        program: "musl-gcc",
        packages: &["musl-tools"],
        purpose: "compiles what the static program is linked with",
    },
    Tool {
        program: "faketime",
        packages: &["faketime"],
        purpose: "steps the clock of an agent that is tested",
    },
    Tool { program: "lintian", packages: &["lintian"], purpose: "checks the Debian package" },
    Tool { program: "man", packages: &["man-db"], purpose: "shows the man pages of the package" },
    Tool { program: "unshare", packages: &["util-linux"], purpose: "starts programs in other namespaces" },
    Tool { program: "setpriv", packages: &["util-linux"], purpose: "starts programs as another user" },
];

const PROMETHEUS: &str = "prometheus";

/// What brings the newest kernel of Debian, or of Ubuntu, in the version for virtual machines: each depends on a package that has it.
const KERNELS: &[&str] = &["linux-image-cloud-amd64", "linux-image-virtual"];

/// Installs what is missing. The folders that it returns belong at the end of `PATH`.
pub(crate) fn provide(target: &Path) -> Result<Vec<PathBuf>, Error> {
    let tools = target.join("tools");
    let prometheus = tools.join("usr/bin");
    let missing: Vec<_> = TOOLS.iter().filter(|tool| !is_on_path(tool.program)).collect();
    let unpack = !is_on_path(PROMETHEUS) && !prometheus.join(PROMETHEUS).is_file();
    if !missing.is_empty() || unpack {
        require_apt()?;
        run(as_root("apt-get").arg("update").arg("--quiet=2"))?;
    }
    if !missing.is_empty() {
        install(&missing)?;
    }
    if unpack {
        say("missing: prometheus, which scrapes the agent; its package is unpacked, not installed");
        unpack_package(PROMETHEUS, &tools)?;
    }
    Ok(vec![prometheus])
}

/// The kernel of the distribution, for a virtual machine: unpacked, not installed.
pub(crate) fn provide_kernel(tools: &Path) -> Result<PathBuf, Error> {
    let into = tools.join("kernel");
    if let Some(kernel) = kernel_in(&into) {
        return Ok(kernel);
    }
    require_apt()?;
    say(
        "missing: a kernel for a virtual machine, on which is measured; its package is unpacked, not installed",
    );
    let missing = || Error::Missing {
        what: "a kernel".to_owned(),
        remedy: format!("no package among {} is known to apt-get", KERNELS.join(", ")),
    };
    let package = KERNELS.iter().find_map(|package| kernel_package(package)).ok_or_else(missing)?;
    unpack_package(&package, &into)?;
    kernel_in(&into).ok_or_else(missing)
}

/// The package that has the kernel: the one of its kind on which this one depends.
fn kernel_package(package: &str) -> Option<String> {
    let depends = Command::new("apt-cache").args(["depends", "--important", package]).output().ok()?;
    let depends = String::from_utf8(depends.stdout).ok()?;
    let mut names = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    names.find(|name| name.starts_with("linux-image-")).map(str::to_owned)
}

fn kernel_in(folder: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(folder.join("boot")).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let is_kernel = |file: &PathBuf| {
        file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"vmlinuz-"))
    };
    files.into_iter().find(is_kernel)
}

fn install(missing: &[&Tool]) -> Result<(), Error> {
    let mut packages = Vec::new();
    for tool in missing {
        say(&format!("missing: {}, which {}", tool.program, tool.purpose));
        let known = tool.packages.iter().copied().find(|package| is_known(package));
        let package = known.ok_or_else(|| Error::Missing {
            what: tool.program.to_owned(),
            remedy: format!("no package among {} is known to apt-get", tool.packages.join(", ")),
        })?;
        if !packages.contains(&package) {
            packages.push(package);
        }
    }
    let mut apt = as_root("apt-get");
    // Another installation may be under way; it is waited for.
    apt.args(["install", "--yes", "--quiet=2", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=600"]);
    run(apt.args(packages).stdin(Stdio::null()))
}

fn unpack_package(package: &str, into: &Path) -> Result<(), Error> {
    let file_error = |error| Error::File { path: into.to_owned(), error };
    // What an earlier, interrupted run left.
    match fs::remove_dir_all(into) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(file_error(error)),
        _ => fs::create_dir_all(into).map_err(file_error)?,
    }
    run(Command::new("apt-get").args(["download", "--quiet=2", package]).current_dir(into))?;
    for entry in fs::read_dir(into).map_err(file_error)? {
        let archive = entry.map_err(file_error)?.path();
        if archive.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(into))?;
        }
    }
    Ok(())
}

fn require_apt() -> Result<(), Error> {
    if is_on_path("apt-get") {
        return Ok(());
    }
    let programs: Vec<_> = TOOLS.iter().map(|tool| tool.program).chain([PROMETHEUS, "promtool"]).collect();
    Err(Error::Missing {
        what: "apt-get".to_owned(),
        remedy: format!("on a system other than Debian or Ubuntu, install {} yourself", programs.join(", ")),
    })
}

fn is_known(package: &str) -> bool {
    let shown = Command::new("apt-cache").args(["show", "--quiet=2", package]).stderr(Stdio::null()).output();
    shown.is_ok_and(|shown| shown.status.success() && !shown.stdout.is_empty())
}

fn is_on_path(program: &str) -> bool {
    // A whole path is found wherever it is looked for.
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// A command that runs with root's rights, by `sudo` where we lack them.
fn as_root(program: &str) -> Command {
    let user = Command::new("id").arg("--user").output();
    let root = user.is_ok_and(|user| user.stdout.trim_ascii() == b"0");
    let mut command = Command::new(if root { program } else { "sudo" });
    if !root {
        command.arg(program);
    }
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}
