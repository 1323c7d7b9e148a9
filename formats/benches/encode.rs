//! How long each format takes for a large profile and for a scrape of 500 targets.
//!
//! `cargo bench -p loopscope-formats`: per format the CPU time of the best of five runs, so that other programs on the
//! machine count for little, and the bytes that came of it.

#![allow(clippy::print_stdout, reason = "a bench prints its results")]

use std::io::{self, Write};

use loopscope_formats::prometheus::{self, Format};
use loopscope_formats::{firefox, folded, pprof, speedscope};
use model::catalogue::{CATALOGUE, Kind};
use model::histogram::Histogram;
use model::profile::{Frame, FrameKind, Profile, Sample, StringId, Thread, ThreadId};
use model::snapshot::{SharedLabels, Snapshot, Value};
use model::time::Monotonic;

fn main() {
    let profile = large_profile();
    let stacks = loopscope_formats::aggregate::by_stack(&profile).len();
    println!("{} samples of {stacks} stacks, {} frames", profile.samples.len(), profile.frames.iter().len());
    measure("folded", |out| folded::encode(&profile, out));
    measure("pprof", |out| pprof::encode(&profile, out));
    measure("speedscope", |out| speedscope::encode(&profile, out));
    measure("firefox", |out| firefox::encode(&profile, out));

    let snapshot = large_snapshot();
    let series: usize = snapshot.families().map(|family| family.series.len()).sum();
    println!("{series} series of {TARGETS} targets");
    for &format in Format::ALL {
        measure(&format.to_string(), |out| prometheus::encode(format, &snapshot, out));
    }
}

fn measure(name: &str, encode: impl Fn(&mut Counted) -> io::Result<()>) {
    let mut best = f64::MAX;
    let mut bytes = 0;
    for _ in 0..5 {
        let mut out = Counted(0);
        let begin = cpu_ms();
        encode(&mut out).unwrap();
        best = best.min(cpu_ms() - begin);
        bytes = out.0;
    }
    println!("{name:12} {:8.1} ms {:10.2} MB", best, bytes as f64 / 1e6);
}

/// CPU time of this thread.
fn cpu_ms() -> f64 {
    let schedstat =
        std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux keeps scheduler statistics");
    let ns = schedstat.split(' ').next().and_then(|ns| ns.parse::<u64>().ok());
    ns.expect("the first field is the CPU time") as f64 / 1e6
}

/// Counts bytes and drops them.
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += std::hint::black_box(bytes).len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A million samples of 8 threads, of about 100,000 stacks, most of them 10 to 40 frames deep.
fn large_profile() -> Profile {
    let mut profile = Profile::default();
    let mut random = Random(1);
    let functions: Vec<StringId> = (0..20_000)
        .map(|n| {
            profile.strings.intern(&format!("<service::module_{}::Type<T> as Trait>::method_{n}", n % 97))
        })
        .collect();
    let name = profile.strings.intern("worker");
    profile.threads = (0..8).map(|tid| Thread { pid: 1, tid, process_name: name, name }).collect();

    let mut stacks = Vec::new();
    for _ in 0..100_000 {
        // Callers come from few functions, callees from many, as in programs.
        let depth = 10 + random.below(30);
        let frames: Vec<_> = (0..depth)
            .map(|level| {
                let choices = if level + 4 < depth { 1 + (level / 3) as usize } else { functions.len() };
                let function = functions[level as usize * 100 + random.below(choices as u64) as usize % 100];
                profile.frames.intern(Frame {
                    kind: FrameKind::Native,
                    function,
                    file: StringId::default(),
                    line: 0,
                    mapping: None,
                    address: 0x1000 + u64::from(function.0) * 64 + random.below(4),
                    inlined: false,
                })
            })
            .collect();
        stacks.push(profile.stacks.intern(frames));
    }
    for at in 0..1_000_000 {
        let stack = random.below(stacks.len() as u64) as usize;
        profile.samples.push(Sample {
            time: Monotonic::from_ns(at * 1000),
            thread: ThreadId(stack as u32 % 8),
            stack: stacks[stack],
            weight: 1,
        });
    }
    profile
}

const TARGETS: u32 = 500;

/// Every metric of a target, with filled histograms, for many targets.
fn large_snapshot() -> Snapshot {
    let mut snapshot = Snapshot::default();
    let mut random = Random(1);
    for pid in 0..TARGETS {
        let target =
            SharedLabels::new([("service", "shop-checkout"), ("pid", &*pid.to_string()), ("loop", "0")]);
        for metric in CATALOGUE {
            let closed = metric.labels.iter().filter(|label| label.is_closed());
            let values: Vec<_> = closed.map(|label| label.values).collect();
            let mut combinations = vec![vec![]];
            for values in values {
                combinations = combinations
                    .iter()
                    .flat_map(|known: &Vec<_>| {
                        values.iter().map(|value| [known.as_slice(), &[*value]].concat())
                    })
                    .collect();
            }
            for own in combinations {
                let value = match metric.kind {
                    Kind::Counter => Value::Counter(random.below(1 << 40)),
                    Kind::Gauge => Value::Gauge(random.below(1 << 30) as i64),
                    Kind::Histogram => {
                        Value::Histogram(Histogram::from_ns((0..100).map(|_| 1 << random.below(30))))
                    }
                };
                snapshot.push(metric, &target, &own, value);
            }
        }
    }
    snapshot
}

/// Numbers that look random and are the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % bound
    }
}
