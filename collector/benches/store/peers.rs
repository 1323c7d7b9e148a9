//! The same profiles in other hands: as files that Go's pprof merges, and as rows in DuckDB. The contenders take turns.
//!
//! DuckDB gets rows that were decoded before, and stacks that were not there yet; what that costs is not in its figures, nor is making a tree
//! of what it finds. pprof's store is a folder, so it takes in what is sent by writing it.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

use formats::decode::Limits;
use formats::pprof;
use loopscope_collector::store::embedded::{EmbeddedStore, Options};
use loopscope_collector::times::Range;
use model::profile::StackId;
use serde_json::{Value, json};

use crate::cost::children_cpu_s;
use crate::ours::{Sent, ingest, merge};
use crate::workload::{Load, Program, Sends};

const ROUNDS: usize = 5;

/// What a merge cost a contender.
struct Cost {
    wall_ms: f64,
    cpu_ms: f64,
}

/// Takes the load in, everybody, and lets them merge by turns.
pub(crate) fn run(load: &Load) {
    println!("beside others, an hour of {} services:", load.services);
    let folder = tempfile::tempdir().expect("a folder");
    let mut duckdb = DuckDb::start(&folder.path().join("rows.duckdb"));
    if duckdb.is_none() {
        println!("  SKIPPED: DuckDB, for python3 has no module duckdb: `pip install duckdb`");
    }
    let mut files = PprofFiles::new(&folder.path().join("pprof"));
    if files.is_none() {
        println!("  SKIPPED: pprof, for there is no `go tool pprof`: install Go");
    }
    let store_folder = folder.path().join("store");
    let store = EmbeddedStore::open(Options::new(&store_folder)).expect("a fresh store");
    let mut rows = RowFiles::new(&folder.path().join("rows"));
    let taken = ingest(&store, load, Sends::Pprof, |programs, profile, bodies| {
        if duckdb.is_some() {
            rows.add(programs, load.time_ms(profile), bodies);
        }
        if let Some(files) = &mut files {
            files.add(bodies);
        }
    });
    let samples = load.samples() as f64;
    let bytes = store.sizes().block_bytes as f64;
    drop(store);
    println!("  taken in, CPU-s and bytes a sample on the disk; in brackets, as the ratio to ours:");
    println!("    ours, from pprof: {:.2} CPU-s, {:.3} bytes", taken.cpu_s, bytes / samples);
    if let Some(duckdb) = &mut duckdb {
        let answer = duckdb.ask(&json!({"do": "ingest", "files": rows.files}));
        let (cpu_s, size) =
            (number(&answer, "cpu_s"), fs::metadata(&duckdb.path).expect("a file").len() as f64);
        println!(
            "    DuckDB {}, from decoded rows: {cpu_s:.2} CPU-s ({:.2}), {:.3} bytes ({:.1})",
            answer["version"].as_str().unwrap_or("?"),
            cpu_s / taken.cpu_s,
            size / samples,
            size / bytes
        );
    }
    if let Some(files) = &files {
        let size = files.bytes as f64;
        println!("    files for pprof, as they are sent: {:.3} bytes ({:.1})", size / samples, size / bytes);
    }
    for (services, rounds) in [(1, ROUNDS), (load.services, 2)] {
        take_turns(load, services, rounds, &store_folder, duckdb.as_mut(), files.as_ref());
    }
}

fn take_turns(
    load: &Load,
    services: usize,
    rounds: usize,
    store: &Path,
    mut duckdb: Option<&mut DuckDb>,
    files: Option<&PprofFiles>,
) {
    let (selector, service) = if services == 1 { (r#"{service="service0"}"#, "service0") } else { ("", "") };
    let (mut cold, mut warm, mut rows, mut merged) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let store = EmbeddedStore::open(Options::new(store)).expect("the same store");
        for costs in [&mut cold, &mut warm] {
            let cost = merge(&store, selector, load.range());
            assert_eq!(cost.total, load.total(services));
            costs.push(Cost { wall_ms: cost.wall_ms, cpu_ms: cost.cpu_ms });
        }
        if let Some(duckdb) = &mut duckdb {
            let (cost, total) = duckdb.merge(service, load.range());
            assert_eq!(total, load.total(services), "DuckDB found the same");
            rows.push(cost);
        }
        // All services take pprof most of a minute, once is enough.
        if let Some(files) = files.filter(|_| services == 1 || round == 0) {
            let (cost, total) = files.merge(services);
            assert_eq!(total, load.total(services), "pprof found the same");
            merged.push(cost);
        }
    }
    println!(
        "  merge of the hour of {services} services, median of {rounds} rounds; in brackets, as the ratio to ours, cold:"
    );
    let ours = tell("ours, not read before", &cold, None);
    for (who, costs) in [("ours, again", &warm), ("DuckDB", &rows), ("go tool pprof -proto", &merged)] {
        if !costs.is_empty() {
            tell(who, costs, Some(&ours));
        }
    }
}

fn tell(who: &str, costs: &[Cost], ours: Option<&Cost>) -> Cost {
    let median = |value: fn(&Cost) -> f64| {
        let mut values: Vec<f64> = costs.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let cost = Cost { wall_ms: median(|cost| cost.wall_ms), cpu_ms: median(|cost| cost.cpu_ms) };
    let ratio =
        |cost: f64, ours: Option<f64>| ours.map_or(String::new(), |ours| format!(" ({:.1})", cost / ours));
    println!(
        "    {who}: {:.1} CPU-ms{}, {:.1} ms{}",
        cost.cpu_ms,
        ratio(cost.cpu_ms, ours.map(|ours| ours.cpu_ms)),
        cost.wall_ms,
        ratio(cost.wall_ms, ours.map(|ours| ours.wall_ms))
    );
    cost
}

/// Rows as DuckDB reads them: two files for what came at the same time.
struct RowFiles {
    folder: PathBuf,
    files: Vec<(PathBuf, PathBuf)>,
    known: HashSet<u64>,
}

impl RowFiles {
    fn new(folder: &Path) -> Self {
        fs::create_dir(folder).expect("a folder");
        Self { folder: folder.to_owned(), files: Vec::new(), known: HashSet::new() }
    }

    fn add(&mut self, programs: &[Program], time_ms: i64, bodies: &[Sent]) {
        let (mut stacks, mut samples) = (String::new(), String::new());
        for (service, (program, (values, _))) in programs.iter().zip(bodies).enumerate() {
            for (stack, value) in values.iter().enumerate().filter(|(_, value)| **value != 0) {
                let id = (service as u64) << 32 | stack as u64;
                if self.known.insert(id) {
                    let frames = program.symbols.stacks.frames(Some(StackId(stack as u32)));
                    let names: Vec<&str> =
                        frames.iter().map(|frame| program.symbols.function(*frame)).collect();
                    writeln!(stacks, "{id},{}", names.join(";")).expect("a string grows");
                }
                writeln!(samples, "service{service},{},{id},{value}", time_ms / 1000)
                    .expect("a string grows");
            }
        }
        let path = |kind: &str| self.folder.join(format!("{:04}-{kind}.csv", self.files.len()));
        let files = (path("stacks"), path("samples"));
        fs::write(&files.0, stacks).expect("room on the disk");
        fs::write(&files.1, samples).expect("room on the disk");
        self.files.push(files);
    }
}

/// DuckDB, in a process of its own.
struct DuckDb {
    child: Child,
    answers: BufReader<ChildStdout>,
    path: PathBuf,
}

impl DuckDb {
    fn start(path: &Path) -> Option<Self> {
        // The environment may name an interpreter that has the module.
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let has_it = Command::new(&python).args(["-c", "import duckdb"]).stderr(Stdio::null()).status();
        if !has_it.is_ok_and(|status| status.success()) {
            return None;
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/store/duckdb_rows.py");
        let mut command = Command::new(python);
        command.arg(script).arg(path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it started before");
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        Some(Self { child, answers, path: path.to_owned() })
    }

    fn ask(&mut self, request: &Value) -> Value {
        writeln!(self.child.stdin.as_mut().expect("a pipe"), "{request}").expect("it reads");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("it answers");
        serde_json::from_str(&answer).expect("DuckDB ended with an error, above")
    }

    fn merge(&mut self, service: &str, range: Range) -> (Cost, i64) {
        let (first, until) = (range.from_ms / 1000, range.until_ms / 1000);
        let answer = self.ask(&json!({"do": "merge", "service": service, "first": first, "until": until}));
        let cost = Cost { wall_ms: number(&answer, "wall_s") * 1e3, cpu_ms: number(&answer, "cpu_s") * 1e3 };
        (cost, answer["total"].as_i64().expect("a sum"))
    }
}

impl Drop for DuckDb {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn number(answer: &Value, key: &str) -> f64 {
    answer[key].as_f64().expect("a number")
}

/// Profiles as files, by service.
struct PprofFiles {
    folder: PathBuf,
    of_service: Vec<Vec<PathBuf>>,
    bytes: usize,
}

impl PprofFiles {
    fn new(folder: &Path) -> Option<Self> {
        let tool = Command::new("go").args(["tool", "-n", "pprof"]).output();
        if !tool.is_ok_and(|output| output.status.success()) {
            return None;
        }
        fs::create_dir(folder).expect("a folder");
        Some(Self { folder: folder.to_owned(), of_service: Vec::new(), bytes: 0 })
    }

    fn add(&mut self, bodies: &[Sent]) {
        self.of_service.resize(bodies.len(), Vec::new());
        for (service, (files, (_, body))) in self.of_service.iter_mut().zip(bodies).enumerate() {
            let path = self.folder.join(format!("{service}-{}.pb.gz", files.len()));
            fs::write(&path, body).expect("room on the disk");
            files.push(path);
            self.bytes += body.len();
        }
    }

    fn merge(&self, services: usize) -> (Cost, i64) {
        let merged = self.folder.join("merged.pb.gz");
        let (begun, before_s) = (Instant::now(), children_cpu_s());
        let mut command = Command::new("go");
        command
            .args(["tool", "pprof", "-symbolize=none", "-proto"])
            .arg(format!("-output={}", merged.display()));
        command.args(self.of_service[..services].iter().flatten()).env("PPROF_TMPDIR", &self.folder);
        let output = command.output().expect("it started before");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let cost = Cost {
            wall_ms: begun.elapsed().as_secs_f64() * 1e3,
            cpu_ms: (children_cpu_s() - before_s) * 1e3,
        };
        let limits =
            Limits { profile_bytes: 1 << 30, samples: 1 << 24, strings: 1 << 22, ..Limits::default() };
        let decoded = pprof::decode(&fs::read(&merged).expect("its output"), &limits).expect("a profile");
        (cost, decoded.total(0))
    }
}
