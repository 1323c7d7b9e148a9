//! Profiles of steady services, as they are sent.
//!
//! Each profile is of two cores that are sampled 100 times a second. Its stacks are chosen by Zipf's law from those of its service, which branch
//! at random: 15 to 45 deep, and hardly two of them alike in their inner half, which is worse than real programs.

use formats::decode::{Symbols, ValueType};
use formats::otlp::{Attribute, Profiles};
use formats::pprof::{self, Totals};
use loopscope_collector::times::Range;
use model::profile::{
    Frame, FrameId, FrameKind, Profile, Recording, Sample, StackId, Thread, ThreadId, Weight,
};
use model::time::Monotonic;

pub(crate) const SAMPLES_A_PROFILE: usize = 2000;
const DEPTH: usize = 30;
pub(crate) const PERIOD_NS: i64 = 10_000_000;

/// How much of what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) services: usize,
    /// Of each service.
    pub(crate) profiles: usize,
    /// Different ones of each service.
    pub(crate) stacks: usize,
    pub(crate) start_ms: i64,
    /// From one profile to the next.
    pub(crate) step_ms: i64,
}

/// What profiles are sent as.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sends {
    Pprof,
    Otlp,
}

impl Load {
    pub(crate) fn samples(&self) -> usize {
        self.services * self.profiles * SAMPLES_A_PROFILE
    }

    /// What was spent in so many services.
    pub(crate) fn total(&self, services: usize) -> i64 {
        (services * self.profiles * SAMPLES_A_PROFILE) as i64 * PERIOD_NS
    }

    pub(crate) fn range(&self) -> Range {
        Range { from_ms: self.start_ms, until_ms: self.start_ms + self.profiles as i64 * self.step_ms }
    }

    /// What no whole series is in, so that samples have to be read.
    pub(crate) fn range_but_for_a_minute(&self) -> Range {
        let Range { from_ms, until_ms } = self.range();
        Range { from_ms: from_ms + 60_000, until_ms: until_ms - 60_000 }
    }

    pub(crate) fn time_ms(&self, profile: usize) -> i64 {
        self.start_ms + profile as i64 * self.step_ms
    }

    /// The programs of all services.
    pub(crate) fn programs(&self, random: &mut Random) -> Vec<Program> {
        (0..self.services).map(|service| Program::new(service, self.stacks, random)).collect()
    }
}

/// A generator that needs no crate: good enough to choose stacks.
pub(crate) struct Random(pub(crate) u64);

impl Default for Random {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

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

/// A service's program.
pub(crate) struct Program {
    /// All of its stacks, as a tree that branches.
    pub(crate) symbols: Symbols,
    /// Those that samples are taken of.
    leaves: Vec<StackId>,
    /// The same for a recorder.
    recorded: Profile,
}

impl Program {
    fn new(service: usize, count: usize, random: &mut Random) -> Self {
        let mut symbols = Symbols::default();
        let mut leaves = Vec::new();
        for _ in 0..count {
            let mut parent = None;
            let depth = DEPTH / 2 + random.zipf(DEPTH);
            for level in 0..depth {
                // Near the root all are alike, further in they part.
                let width = if level < 8 { 1 } else { 3 };
                let function = random.next() % width;
                let frame =
                    symbols.named(&format!("service{service}::module{level}::Type::function_{function}"));
                parent = Some(symbols.stacks.push(parent, frame));
            }
            leaves.push(parent.expect("depth"));
        }
        let mut recorded = Profile::default();
        for place in symbols.frames.iter() {
            let (function, file) =
                (recorded.strings.intern(symbols.strings.get(place.function)), Default::default());
            let address = u64::from(place.function.0) * 16;
            let kind = FrameKind::Native;
            recorded.frames.intern(Frame {
                kind,
                function,
                file,
                line: 0,
                mapping: None,
                address,
                inlined: false,
            });
        }
        for (caller, FrameId(frame)) in symbols.stacks.iter() {
            recorded.stacks.push(caller, FrameId(frame));
        }
        let name = recorded.strings.intern("node");
        recorded.threads = vec![Thread { pid: 1, tid: 1, process_name: name, name }];
        Self { symbols, leaves, recorded }
    }

    /// What was spent in each stack during one profile.
    pub(crate) fn values(&self, random: &mut Random) -> Vec<i64> {
        let mut values = vec![0; self.symbols.stacks.iter().len()];
        for _ in 0..SAMPLES_A_PROFILE {
            values[self.leaves[random.zipf(self.leaves.len())].0 as usize] += PERIOD_NS;
        }
        values
    }

    /// A profile as it is sent.
    pub(crate) fn body(&mut self, values: &[i64], time_ms: i64, sends: Sends) -> Vec<u8> {
        match sends {
            Sends::Pprof => self.pprof(values, time_ms),
            Sends::Otlp => self.otlp(values, time_ms),
        }
    }

    fn pprof(&self, values: &[i64], time_ms: i64) -> Vec<u8> {
        let cpu = ValueType::new("cpu", "nanoseconds");
        let totals = Totals {
            value: cpu.clone(),
            period: (cpu, PERIOD_NS),
            started_unix_ns: time_ms * 1_000_000,
            duration_ns: 10_000_000_000,
        };
        let mut body = Vec::new();
        pprof::encode_totals(&self.symbols, values, &totals, &mut body).expect("a vector grows");
        body
    }

    /// As our own agent exports what it recorded: each sample with its time.
    fn otlp(&mut self, values: &[i64], time_ms: i64) -> Vec<u8> {
        self.recorded.recording = Recording {
            started_unix_ns: time_ms as u64 * 1_000_000,
            duration_ns: 10_000_000_000,
            weight: Weight::CpuSamples { period_ns: PERIOD_NS as u64 },
            ..Recording::default()
        };
        let taken = (0_u32..)
            .zip(values)
            .flat_map(|(stack, value)| std::iter::repeat_n(StackId(stack), (*value / PERIOD_NS) as usize));
        let sample = |(position, stack)| Sample {
            time: Monotonic::from_ns(position * 5_000_000),
            thread: ThreadId(0),
            stack: Some(stack),
            weight: 1,
        };
        self.recorded.samples = (0_u64..).zip(taken).map(sample).collect();
        let mut profiles = Profiles::default();
        let resource = vec![("service.name", Attribute::Text("given below".to_owned()))];
        profiles.push(resource, "0.1.0", &self.recorded, [7; 16], |_| Some(None), 0);
        profiles.encode()
    }
}
