//! pprof: the gzip-compressed `perftools.profiles.Profile` message that Go's tools, Pyroscope, Parca, Grafana, speedscope
//! and many more read.
//!
//! Specification: <https://github.com/google/pprof/blob/main/proto/profile.proto>. Samples of equal thread and stack are
//! added up; the format has no place for their times. Each tells its `process`, `thread`, `pid`, `tid` and, where it
//! ran under an event loop, `phase` as labels. The phase is a function of its own at the root, too, so that a
//! flamegraph shows it without being asked. What was lost stands in the comments.
//!
//! A sample has two values: how many there were, and the CPU time, time off the CPU, or bytes.

mod decode;
mod locations;
mod totals;
mod wire;

pub use decode::{decode, decode_plain, decompressed};
pub use totals::{OF_BASE, Part, Totals, encode_parts, encode_totals, totals_message};

use std::io;

use flate2::Compression;
use flate2::write::GzEncoder;
use model::label::LabelValue;
use model::profile::{Mapping, Profile, StringId, Thread, Weight};
use prost::Message;

use crate::aggregate::{self, StackTotal};
use crate::extra_strings::ExtraStrings;
use crate::losses;
use locations::Locations;

/// As many rows of a table are turned into messages at a time, so that they need not all be in memory.
const ROWS_AT_A_TIME: usize = 1024;

/// Writes a profile as gzip-compressed pprof.
///
/// # Errors
/// Those of `out`.
pub fn encode(profile: &Profile, out: &mut impl io::Write) -> io::Result<()> {
    encode_with_loops(profile, |_| None, out)
}

/// Writes a profile as gzip-compressed pprof, with the event loop of each thread that has one as the label `loop`.
///
/// # Errors
/// Those of `out`.
pub fn encode_with_loops<'a>(
    profile: &Profile,
    loop_of: impl Fn(&Thread) -> Option<&'a str>,
    out: &mut impl io::Write,
) -> io::Result<()> {
    let mut strings = ExtraStrings::new(profile);
    let totals = aggregate::by_stack(profile);
    let locations = Locations::new(profile, &totals);
    let mut writer = Writer { gzip: GzEncoder::new(out, Compression::fast()), message: Vec::new() };

    writer.append(&head(profile, &mut strings))?;
    writer.append_all(mappings(profile), |mapping| wire::Profile { mapping, ..Default::default() })?;
    writer.append_all(locations.functions(), |function| wire::Profile { function, ..Default::default() })?;
    writer.append_all(locations.rows(), |location| wire::Profile { location, ..Default::default() })?;
    let loops = profile.threads.iter().map(loop_of).collect();
    let samples = Samples { profile, locations: &locations, keys: Keys::new(&mut strings), loops };
    let rows = totals.iter().map(|total| samples.row(total, &mut strings));
    writer.append_all(rows, |sample| wire::Profile { sample, ..Default::default() })?;
    let texts = strings.all().map(str::to_owned);
    writer.append_all(texts, |string_table| wire::Profile { string_table, ..Default::default() })?;
    writer.gzip.finish()?;
    Ok(())
}

/// Writes a message piece by piece: messages one after the other are one message with the rows of all.
struct Writer<W: io::Write> {
    gzip: GzEncoder<W>,
    message: Vec<u8>,
}

impl<W: io::Write> Writer<W> {
    fn append(&mut self, part: &wire::Profile) -> io::Result<()> {
        self.message.clear();
        part.encode(&mut self.message).expect("a vector grows");
        io::Write::write_all(&mut self.gzip, &self.message)
    }

    fn append_all<T>(
        &mut self,
        rows: impl Iterator<Item = T>,
        part: impl Fn(Vec<T>) -> wire::Profile,
    ) -> io::Result<()> {
        let mut rows = rows.peekable();
        while rows.peek().is_some() {
            self.append(&part(rows.by_ref().take(ROWS_AT_A_TIME).collect()))?;
        }
        Ok(())
    }
}

/// What was profiled, and what was lost.
fn comments(profile: &Profile) -> Vec<String> {
    let title = Some(profile.recording.title.clone()).filter(|title| !title.is_empty());
    let lost = losses::in_words(&profile.losses);
    title.into_iter().chain(lost.iter().map(|(what, count)| format!("{what}: {count}"))).collect()
}

/// A string's position. pprof's table begins with the empty string, as the profile's does.
fn string(id: StringId) -> i64 {
    i64::from(id.0)
}

/// The profile without its tables.
fn head(profile: &Profile, strings: &mut ExtraStrings<'_>) -> wire::Profile {
    let recording = &profile.recording;
    let (kind, unit) = match recording.weight {
        Weight::CpuSamples { .. } => ("cpu", "nanoseconds"),
        Weight::OffCpuNs => ("off_cpu", "nanoseconds"),
        Weight::AllocatedBytes => ("alloc_space", "bytes"),
    };
    let weight = wire::ValueType { kind: string(strings.intern(kind)), unit: string(strings.intern(unit)) };
    let count =
        wire::ValueType { kind: string(strings.intern("samples")), unit: string(strings.intern("count")) };
    let (period_type, period) = match recording.weight {
        Weight::CpuSamples { period_ns } => (Some(weight), saturated(period_ns)),
        Weight::OffCpuNs | Weight::AllocatedBytes => (None, 0),
    };
    wire::Profile {
        sample_type: vec![count, weight],
        default_sample_type: weight.kind,
        time_nanos: saturated(recording.started_unix_ns),
        duration_nanos: saturated(recording.duration_ns),
        period_type,
        period,
        comment: comments(profile).iter().map(|comment| string(strings.intern(comment))).collect(),
        ..Default::default()
    }
}

/// The mappings, first the main program's: readers take the first for it.
fn mappings(profile: &Profile) -> impl Iterator<Item = wire::Mapping> {
    let main = profile.threads.first().map_or("", |thread| profile.text(thread.process_name));
    let order = |mapping: &Mapping| {
        let path = profile.text(mapping.path);
        let file = path.rsplit('/').next().unwrap_or(path);
        // The kernel keeps only the first 15 bytes of a process's name.
        let is_main = !main.is_empty() && file.starts_with(main);
        (!is_main, path.starts_with('['))
    };
    let mut mappings: Vec<(u64, Mapping)> = (1..).zip(profile.mappings.iter()).collect();
    mappings.sort_by_key(|(_, mapping)| order(mapping));
    mappings.into_iter().map(|(id, mapping)| wire::Mapping {
        id,
        memory_start: mapping.start,
        memory_limit: mapping.end,
        file_offset: mapping.file_offset,
        filename: string(mapping.path),
        build_id: string(mapping.build_id),
        // Whatever could be found out is written, so no reader needs to look for the file.
        has_functions: true,
        has_filenames: true,
        has_line_numbers: true,
        has_inline_frames: true,
    })
}

/// The names of the labels.
struct Keys {
    process: i64,
    thread: i64,
    pid: i64,
    tid: i64,
    phase: i64,
    event_loop: i64,
}

impl Keys {
    fn new(strings: &mut ExtraStrings<'_>) -> Self {
        let [process, thread, pid, tid, phase, event_loop] =
            ["process", "thread", "pid", "tid", "phase", "loop"].map(|key| string(strings.intern(key)));
        Self { process, thread, pid, tid, phase, event_loop }
    }
}

struct Samples<'a> {
    profile: &'a Profile,
    locations: &'a Locations<'a>,
    keys: Keys,
    /// By thread.
    loops: Vec<Option<&'a str>>,
}

impl Samples<'_> {
    fn row(&self, total: &StackTotal, strings: &mut ExtraStrings<'_>) -> wire::Sample {
        let (count, weight) = match self.profile.recording.weight {
            Weight::CpuSamples { period_ns } => (total.weight, total.weight.saturating_mul(period_ns)),
            Weight::OffCpuNs | Weight::AllocatedBytes => (total.samples, total.weight),
        };
        let (location_id, phase) = self.locations.of_stack(total.stack);
        let thread = self.profile.threads[total.thread.0 as usize];
        let text = |key, str| wire::Label { key, str, ..Default::default() };
        let number = |key, num: u32| wire::Label { key, num: num.into(), ..Default::default() };
        let mut label = vec![
            text(self.keys.process, string(thread.process_name)),
            text(self.keys.thread, string(thread.name)),
            number(self.keys.pid, thread.pid),
            number(self.keys.tid, thread.tid),
        ];
        let of_loop = self.loops[total.thread.0 as usize];
        label.extend(of_loop.map(|it| text(self.keys.event_loop, string(strings.intern(it)))));
        label.extend(phase.map(|phase| text(self.keys.phase, string(strings.intern(phase.as_str())))));
        wire::Sample { location_id, value: vec![saturated(count), saturated(weight)], label }
    }
}

/// The format counts in signed numbers.
fn saturated(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
