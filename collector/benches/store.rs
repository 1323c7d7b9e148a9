//! What it costs to take profiles in, to keep them, and to merge an hour of them.
//!
//! An hour of steady services: each sends a profile as pprof every ten seconds, of a program at two cores that is sampled 100 times a
//! second, whose stacks (a fifth of them new to the profile) follow Zipf's law. CPU time is the whole process's, all threads.

#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]

use std::hint::black_box;
use std::time::Instant;

use formats::decode::{Limits, Symbols, ValueType};
use formats::pprof::{self, Totals};
use loopscope_collector::ingest::{Origin, batch};
use loopscope_collector::selector::Selector;
use loopscope_collector::store::embedded::{EmbeddedStore, Options};
use loopscope_collector::store::{AppendError, Detail, Query, Store};
use loopscope_collector::times::{Range, now_ms};
use rustix::time::{ClockId, clock_gettime};

const SERVICES: usize = 20;
const PROFILES: usize = 360;
const SAMPLES_A_PROFILE: usize = 2000;
const STACKS: usize = 5000;
const DEPTH: usize = 30;
const PERIOD_NS: i64 = 10_000_000;

/// A generator that needs no crate: good enough to choose stacks.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From zero up, the smaller the likelier.
    fn zipf(&mut self, count: usize) -> usize {
        let uniform = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        (((count as f64 + 1.0).powf(uniform)) as usize - 1).min(count - 1)
    }
}

fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The stacks of a service, as a tree that branches.
fn stacks(service: usize, random: &mut Random) -> (Symbols, Vec<u32>) {
    let mut symbols = Symbols::default();
    let mut all = Vec::new();
    for _ in 0..STACKS {
        let mut parent = None;
        let depth = DEPTH / 2 + random.zipf(DEPTH);
        for level in 0..depth {
            // Near the root all are alike, further in they part.
            let width = if level < 8 { 1 } else { 3 };
            let function = random.next() % width;
            let frame = symbols.named(&format!("service{service}::module{level}::Type::function_{function}"));
            parent = Some(symbols.stacks.push(parent, frame));
        }
        all.push(parent.expect("depth").0);
    }
    (symbols, all)
}

fn profile(symbols: &Symbols, stacks: &[u32], random: &mut Random, time_ms: i64) -> Vec<u8> {
    let mut values = vec![0; symbols.stacks.iter().len()];
    for _ in 0..SAMPLES_A_PROFILE {
        values[stacks[random.zipf(stacks.len())] as usize] += PERIOD_NS;
    }
    let cpu = ValueType::new("cpu", "nanoseconds");
    let totals = Totals {
        value: cpu.clone(),
        period: (cpu, PERIOD_NS),
        started_unix_ns: time_ms * 1_000_000,
        duration_ns: 10_000_000_000,
    };
    let mut body = Vec::new();
    pprof::encode_totals(symbols, &values, &totals, &mut body).expect("a vector grows");
    body
}

fn append(store: &EmbeddedStore, service: usize, body: &[u8]) -> usize {
    loop {
        let decoded = pprof::decode(body, &Limits::default()).expect("our own");
        let labels =
            vec![("service".to_owned(), format!("service{service}")), ("host".to_owned(), "a".to_owned())];
        let made = batch(decoded, &Origin { labels, kind: None, time_ms: 0 }).expect("few labels");
        let rows = made.rows();
        match store.append(made) {
            Ok(()) => return rows,
            // A producer sends it again.
            Err(AppendError::Busy) => std::thread::sleep(std::time::Duration::from_millis(5)),
            Err(error) => panic!("{error}"),
        }
    }
}

/// How long a merge takes, on the wall and of CPUs, in milliseconds; and its sum.
fn merge(store: &EmbeddedStore, selector: &str, range: Range) -> (f64, f64, i64) {
    let query = Query { selector: Selector::parse(selector).expect("ours"), range, by: Vec::new() };
    let (begun, cpu) = (Instant::now(), cpu_s());
    let found = store.merge(&query, Detail::Functions).expect("whole");
    let total = found.value.iter().map(|group| black_box(group.merged.total())).sum();
    (begun.elapsed().as_secs_f64() * 1e3, (cpu_s() - cpu) * 1e3, total)
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = EmbeddedStore::open(Options::new(folder.path())).expect("a fresh store");
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    // The whole hour before this one, so that it lies in one block at the end.
    let start_ms = (now_ms() / 3_600_000 - 1) * 3_600_000;
    let (mut cpu, mut wall, mut rows, mut sent) = (0.0, 0.0, 0, 0);
    let programs: Vec<(Symbols, Vec<u32>)> =
        (0..SERVICES).map(|service| stacks(service, &mut random)).collect();
    for time in 0..PROFILES {
        let bodies: Vec<Vec<u8>> = programs
            .iter()
            .map(|(symbols, stacks)| profile(symbols, stacks, &mut random, start_ms + time as i64 * 10_000))
            .collect();
        let (cpu_before, begun) = (cpu_s(), Instant::now());
        // Side by side, so that they share flushes of the log as requests would.
        std::thread::scope(|scope| {
            let threads: Vec<_> = bodies
                .chunks(SERVICES.div_ceil(4))
                .enumerate()
                .map(|(chunk, bodies)| {
                    let store = &store;
                    scope.spawn(move || {
                        let first = chunk * SERVICES.div_ceil(4);
                        bodies
                            .iter()
                            .enumerate()
                            .map(|(at, body)| append(store, first + at, body))
                            .sum::<usize>()
                    })
                })
                .collect();
            rows += threads.into_iter().map(|thread| thread.join().expect("no panic")).sum::<usize>();
        });
        cpu += cpu_s() - cpu_before;
        wall += begun.elapsed().as_secs_f64();
        sent += bodies.iter().map(Vec::len).sum::<usize>();
    }
    let samples = (SERVICES * PROFILES * SAMPLES_A_PROFILE) as f64;
    println!("ingest: {samples} samples in {rows} rows, {sent} bytes sent; {cpu:.2} CPU-s, {wall:.2} s");
    println!("        {:.0} samples and {:.0} rows a CPU-second", samples / cpu, rows as f64 / cpu);
    let before = cpu_s();
    store.flush().expect("room on the disk");
    store.flush().expect("room on the disk");
    let sizes = store.sizes();
    println!(
        "blocks: {} of {} bytes, {} rows: {:.3} bytes a sample, {:.2} a row; {:.2} CPU-s",
        sizes.blocks,
        sizes.block_bytes,
        sizes.block_rows,
        sizes.block_bytes as f64 / samples,
        sizes.block_bytes as f64 / sizes.block_rows as f64,
        cpu_s() - before
    );
    drop(store);
    let range = Range { from_ms: start_ms, until_ms: start_ms + 3_600_000 };
    for selector in [r#"{service="service7"}"#, ""] {
        let store = EmbeddedStore::open(Options::new(folder.path())).expect("the same store");
        let (cold, cold_cpu, total) = merge(&store, selector, range);
        let warm = (0..5).map(|_| merge(&store, selector, range));
        let (warm, warm_cpu) =
            warm.fold((f64::MAX, f64::MAX), |best, run| (best.0.min(run.0), best.1.min(run.1)));
        let services = if selector.is_empty() { SERVICES } else { 1 };
        assert_eq!(total, (services * PROFILES * SAMPLES_A_PROFILE) as i64 * PERIOD_NS, "nothing is lost");
        println!(
            "merge of an hour of {services} services: {cold:.1} ms cold ({cold_cpu:.1} CPU), {warm:.1} ms warm ({warm_cpu:.1} CPU)"
        );
    }
}
