//! Profiling a program: what it costs while it runs, and how long the flamegraph takes once it has ended.
//!
//! Run with `cargo bench -p loopscope-benches --bench profile`. Needs `perf`, and compares with what it finds of
//! `inferno-collapse-perf` and `inferno-flamegraph`, `samply`, `flamegraph`.
//!
//! Each contender launches the same program, which burns a fixed CPU time in two threads. Reported are the profiler's
//! own CPU time while it recorded, its CPU time in all, and the time on the wall from the program's end to the finished
//! file. The contenders take turns; each figure is the middle one of its rounds.

#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]
#![expect(clippy::print_stderr, reason = "and says what it leaves out on standard error")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use loopscope_benches::{cargo_build, children_cpu_ns};

const ROUNDS: usize = 3;
const THREADS: u32 = 2;
const SECONDS: u32 = 5;

/// A way from a program to a flamegraph.
struct Pipeline {
    name: &'static str,
    /// The program that must be there.
    needs: &'static str,
    /// Shell text, with `$HZ`, `$WORKLOAD` (the command to launch), `$OUT` (a path without extension).
    script: String,
}

/// What one round took, in milliseconds.
#[derive(Clone, Copy)]
struct Round {
    recording_cpu: f64,
    total_cpu: f64,
    exit_to_file: f64,
}

fn main() {
    let loopscope = cargo_build(&["--release", "--bin", "loopscope"]).join("loopscope");
    let workload = cargo_build(&["--release", "--package", "loopscope-benches", "--example", "workload"])
        .join("examples/workload");
    let folder = std::env::temp_dir().join(format!("loopscope-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the results");
    let mut pipelines: Vec<_> = pipelines(&loopscope).into_iter().filter(is_there).collect();
    // The first run warms caches, and shows what does not work here.
    pipelines.retain(|pipeline| {
        let works = run(pipeline, &workload, &folder, 99).is_some();
        if !works {
            eprintln!("left out: {} (it fails here)", pipeline.name);
        }
        works
    });
    for hz in [99, 999] {
        println!("### {THREADS} threads, {SECONDS} s of CPU each, at {hz} Hz\n");
        println!("| | recording, CPU ms | in all, CPU ms | exit to file, ms |\n|---|---|---|---|");
        let mut rounds = vec![Vec::new(); pipelines.len()];
        for _ in 0..ROUNDS {
            for (pipeline, rounds) in pipelines.iter().zip(&mut rounds) {
                rounds.extend(run(pipeline, &workload, &folder, hz));
            }
        }
        for (pipeline, rounds) in pipelines.iter().zip(&rounds) {
            let middle = |figure: fn(&Round) -> f64| {
                let mut figures: Vec<_> = rounds.iter().map(figure).collect();
                figures.sort_by(f64::total_cmp);
                figures[figures.len() / 2]
            };
            let (recording, total) = (middle(|round| round.recording_cpu), middle(|round| round.total_cpu));
            println!(
                "| {} | {recording:.0} | {total:.0} | {:.0} |",
                pipeline.name,
                middle(|round| round.exit_to_file)
            );
        }
        println!();
    }
    let _ = std::fs::remove_dir_all(folder);
}

fn pipelines(loopscope: &Path) -> Vec<Pipeline> {
    let perf = |call_graph: &str| {
        format!(
            "perf record -q -e cpu-clock -F $HZ --call-graph {call_graph} -o $OUT.data -- $WORKLOAD && \
             perf script -i $OUT.data 2>/dev/null | inferno-collapse-perf -q | inferno-flamegraph -q > $OUT.svg"
        )
    };
    vec![
        Pipeline {
            name: "loopscope profile",
            needs: "sh",
            script: format!("{} profile -F $HZ -o $OUT.svg -- $WORKLOAD", loopscope.display()),
        },
        Pipeline {
            name: "perf record + script + inferno, DWARF",
            needs: "inferno-flamegraph",
            script: perf("dwarf,16384"),
        },
        Pipeline {
            name: "perf record + script + inferno, frame pointers",
            needs: "inferno-flamegraph",
            script: perf("fp"),
        },
        Pipeline {
            name: "samply record (to its JSON)",
            needs: "samply",
            script: "samply record --save-only -r $HZ -o $OUT.json.gz -- $WORKLOAD".into(),
        },
        Pipeline {
            name: "flamegraph (cargo-flamegraph)",
            needs: "flamegraph",
            script: "cd $OUT.d && flamegraph -F $HZ -o $OUT.svg -- $WORKLOAD".into(),
        },
    ]
}

fn is_there(pipeline: &Pipeline) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(pipeline.needs).exists());
    if !found {
        eprintln!("left out: {} (no `{}`)", pipeline.name, pipeline.needs);
    }
    found
}

/// One round; `None` where the pipeline fails.
fn run(pipeline: &Pipeline, workload: &Path, folder: &Path, hz: u32) -> Option<Round> {
    let (out, report) = (folder.join("out"), folder.join("report"));
    let _ = std::fs::remove_dir_all(folder.join("out.d"));
    std::fs::create_dir_all(folder.join("out.d")).expect("a folder for the results");
    let launched = format!("{} {THREADS} {SECONDS} {}", workload.display(), report.display());
    let before = children_cpu_ns();
    let status = Command::new("sh")
        .args(["-c", &pipeline.script])
        .env("HZ", hz.to_string())
        .env("WORKLOAD", launched)
        .env("OUT", out)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("there is a shell");
    let ended = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_nanos() as f64;
    if !status.success() {
        return None;
    }
    let [workload_cpu, recording_cpu, workload_ended] = read_report(&report);
    Some(Round {
        recording_cpu: recording_cpu / 1e6,
        total_cpu: ((children_cpu_ns() - before) as f64 - workload_cpu) / 1e6,
        exit_to_file: (ended - workload_ended) / 1e6,
    })
}

fn read_report(path: &PathBuf) -> [f64; 3] {
    let text = std::fs::read_to_string(path).expect("the workload wrote its report");
    let mut numbers = text.split_whitespace().map(|number| number.parse().expect("a number"));
    std::array::from_fn(|_| numbers.next().expect("three numbers"))
}
