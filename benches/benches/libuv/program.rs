//! The programs that are compared, and what a run of one tells.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use loopscope_benches::{children_cpu_ns, program_cpu_ns};

use crate::{AS_CONTENDER, on_tokio, ours};

/// A program that performs rows.
pub(crate) struct Program {
    pub(crate) name: String,
    command: Vec<PathBuf>,
}

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) cpu_ns: f64,
    pub(crate) wall_ns: f64,
    pub(crate) peak_kib: f64,
}

impl Program {
    /// libuv's program first: the others are compared with it.
    pub(crate) fn all() -> Vec<Self> {
        let this = env::current_exe().expect("a program knows its path");
        let own = |runtime: &str| {
            let command = vec![this.clone(), AS_CONTENDER.into(), runtime.into()];
            Self { name: runtime.to_owned(), command }
        };
        let mut programs = vec![Self::on_libuv(None)];
        if let Some(prefix) = env::var_os("LOOPSCOPE_LIBUV") {
            programs.push(Self::on_libuv(Some(Path::new(&prefix))));
        }
        programs.extend([own("loopscope"), own("tokio")]);
        programs
    }

    /// Compiles libuv's program, against the installed library or another one.
    fn on_libuv(prefix: Option<&Path>) -> Self {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/libuv/libuv.c");
        let which = prefix.map_or("installed", |_| "other");
        let program = env::temp_dir().join(format!("loopscope-bench-libuv-{which}-{}", std::process::id()));
        let mut compiler = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()));
        compiler.args(["-O3", "-DNDEBUG", "-D_GNU_SOURCE", "-std=gnu11", source, "-o"]).arg(&program);
        if let Some(prefix) = prefix {
            let lib = prefix.join("lib");
            compiler.arg("-I").arg(prefix.join("include")).arg("-L").arg(&lib);
            compiler.arg(format!("-Wl,-rpath,{}", lib.display()));
        }
        let compiled = compiler.args(["-luv", "-lpthread"]).status().expect("a C compiler can be run");
        assert!(compiled.success(), "{source} needs libuv's headers: install libuv1-dev");
        let version = Command::new(&program).arg("version").output().expect("what was just compiled runs");
        let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
        Self { name: format!("libuv {version}"), command: vec![program] }
    }

    fn command(&self, before: &[&str], row: &str, count: u64) -> Command {
        let mut words = before.iter().map(PathBuf::from).chain(self.command.iter().cloned());
        let mut command = Command::new(words.next().expect("a program has a name"));
        command.args(words).arg(row).arg(count.to_string());
        command
    }

    /// One run; `None` if the program does not have this row.
    pub(crate) fn run(&self, row: &str, count: u64) -> Option<Run> {
        let output = self.command(&[], row, count).output().expect("a program that runs");
        if output.status.code() == Some(NO_SUCH_ROW) {
            return None;
        }
        assert!(output.status.success(), "{} {row}: {}", self.name, String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout);
        let mut numbers = text.split_whitespace().map(|number| number.parse().expect("a number"));
        let mut next = || numbers.next().expect("four numbers");
        let (cpu_ns, wall_ns, _operations, peak_kib): (f64, f64, f64, f64) = (next(), next(), next(), next());
        Some(Run { cpu_ns, wall_ns, peak_kib })
    }

    /// System calls of a run.
    pub(crate) fn calls(&self, row: &str, count: u64) -> Option<f64> {
        let log = env::temp_dir().join(format!("loopscope-bench-calls-{}", std::process::id()));
        let path = log.to_str().expect("a path of text");
        self.command(&["strace", "-c", "-f", "-o", path], row, count).output().ok()?;
        let text = std::fs::read_to_string(&log).ok()?;
        let _ = std::fs::remove_file(&log);
        let total = text.lines().find(|line| line.trim_end().ends_with("total"))?;
        total.split_whitespace().nth(3)?.parse().ok()
    }
}

impl Program {
    /// Instructions of a run in user space.
    pub(crate) fn instructions(&self, row: &str, count: u64) -> Option<f64> {
        let valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];
        let output = self.command(&valgrind, row, count).output().ok()?;
        let text = String::from_utf8_lossy(&output.stderr);
        let total = text.lines().find_map(|line| line.split_once("Collected :"))?.1;
        total.split_whitespace().next()?.parse().ok()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let [compiled] = &self.command[..] {
            let _ = std::fs::remove_file(compiled);
        }
    }
}

/// The exit status of a program that does not have a row.
const NO_SUCH_ROW: i32 = 2;

/// Performs a row as one of the contenders, and says what it took as `libuv.c` does.
#[expect(clippy::print_stdout, reason = "the figures go to the program that started this one")]
pub(crate) fn contend(runtime: &str, row: &str, count: u64) {
    let (cpu, wall) = (program_cpu_ns() + children_cpu_ns(), Instant::now());
    let has_row = match runtime {
        "tokio" => on_tokio::run(row, count),
        _ => ours::run(row, count),
    };
    if !has_row {
        std::process::exit(NO_SUCH_ROW);
    }
    let (cpu, wall) = (program_cpu_ns() + children_cpu_ns() - cpu, wall.elapsed().as_nanos());
    let status = std::fs::read_to_string("/proc/self/status").expect("this process's own file");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line of that name");
    let peak = peak.split_whitespace().next().expect("a number");
    println!("{cpu} {wall} {count} {peak}");
}
