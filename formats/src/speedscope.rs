//! speedscope: one sampled profile a thread, for <https://www.speedscope.app>.
//!
//! Specification: <https://www.speedscope.app/file-format-schema.json>. Samples stand in the order of their times, equal
//! ones in a row as one, with their weights in nanoseconds (CPU time, or time off the CPU) or bytes. The gaps between
//! samples are not shown: the format's axis is the sum of the weights.
//!
//! To speedscope a frame is a function, so frames that differ only by address or line become one, and lines are left out.

use std::io;
use std::ops::Range;

use model::profile::{FrameId, Profile, Sample, StackId, StringId, Thread, ThreadId, Weight};
use rustc_hash::FxHashMap;

use crate::json::Json;
use crate::number::push_integer;
use crate::{aggregate, losses};

/// Writes a profile as speedscope JSON.
///
/// # Errors
/// Those of `out`.
pub fn encode(profile: &Profile, out: &mut impl io::Write) -> io::Result<()> {
    let functions = Functions::new(profile);
    let mut stacks = Stacks { profile, functions: &functions, text: Vec::new(), known: FxHashMap::default() };
    let threads = aggregate::by_thread(profile);
    let mut json = Json::new(out);
    json.object(|json| {
        json.key("$schema").string("https://www.speedscope.app/file-format-schema.json");
        json.key("exporter").string("loopscope");
        json.key("name").string(&name(profile));
        // The busiest thread is the one to look at first.
        let busiest = (0..threads.len()).rev().max_by_key(|&at| total_weight(profile, &threads[at].1));
        json.key("activeProfileIndex").integer(busiest.unwrap_or(0));
        json.key("shared").object(|json| {
            json.key("frames").array(&functions.frames, |json, frame| write_frame(json, profile, *frame));
        });
        json.key("profiles").array(&threads, |json, (thread, samples)| {
            write_thread(json, profile, &mut stacks, *thread, samples);
        });
    });
    json.finish()
}

/// What was profiled and, as the format has no better place for it, what was lost.
fn name(profile: &Profile) -> String {
    let lost = losses::in_words(&profile.losses);
    lost.iter()
        .fold(profile.recording.title.clone(), |name, (what, count)| format!("{name}; {what}: {count}"))
}

/// Frames of one name and file are one.
struct Functions {
    /// By frame: the position in `frames`.
    position_of: Vec<u32>,
    /// One frame of each function.
    frames: Vec<FrameId>,
}

impl Functions {
    fn new(profile: &Profile) -> Self {
        let mut frames = Vec::new();
        let mut positions: FxHashMap<(StringId, StringId), u32> = FxHashMap::default();
        let position_of = (0..).zip(profile.frames.iter()).map(|(id, frame)| {
            *positions.entry((frame.function, frame.file)).or_insert_with(|| {
                frames.push(FrameId(id));
                frames.len() as u32 - 1
            })
        });
        Self { position_of: position_of.collect(), frames }
    }
}

/// Stacks as the format writes them: the positions of their functions, outermost first. The same few are written again
/// and again, so their text is kept.
struct Stacks<'a> {
    profile: &'a Profile,
    functions: &'a Functions,
    text: Vec<u8>,
    known: FxHashMap<Option<StackId>, Range<usize>>,
}

/// As much text of stacks is kept; then they are all forgotten.
const STACKS_BYTES_MAX: usize = 16 << 20;

impl Stacks<'_> {
    fn text(&mut self, stack: Option<StackId>) -> &[u8] {
        if let Some(known) = self.known.get(&stack) {
            return &self.text[known.clone()];
        }
        if self.text.len() > STACKS_BYTES_MAX {
            self.text.clear();
            self.known.clear();
        }
        let start = self.text.len();
        for frame in self.profile.frames_of(stack) {
            self.text.push(if self.text.len() == start { b'[' } else { b',' });
            push_integer(&mut self.text, self.functions.position_of[frame.0 as usize]);
        }
        if self.text.len() == start {
            self.text.push(b'[');
        }
        self.text.push(b']');
        self.known.insert(stack, start..self.text.len());
        &self.text[start..]
    }
}

fn write_frame(json: &mut Json<'_, impl io::Write>, profile: &Profile, frame: FrameId) {
    let frame = profile.frames.get(frame);
    json.object(|json| {
        json.key("name").string(profile.text(frame.function));
        if frame.file != StringId::default() {
            json.key("file").string(profile.text(frame.file));
        }
    });
}

fn write_thread(
    json: &mut Json<'_, impl io::Write>,
    profile: &Profile,
    stacks: &mut Stacks<'_>,
    thread: ThreadId,
    samples: &[&Sample],
) {
    let unit = match profile.recording.weight {
        Weight::CpuSamples { .. } | Weight::OffCpuNs => "nanoseconds",
        Weight::AllocatedBytes => "bytes",
    };
    let Thread { pid, tid, process_name, name } = profile.threads[thread.0 as usize];
    let in_a_row = || samples.chunk_by(|a, b| a.stack == b.stack);
    json.object(|json| {
        json.key("type").string("sampled");
        json.key("name").string(&format!(
            "{} ({pid}) / {} ({tid})",
            profile.text(process_name),
            profile.text(name)
        ));
        json.key("unit").string(unit);
        json.key("startValue").integer(0);
        json.key("endValue").integer(total_weight(profile, samples));
        json.key("samples").array(in_a_row(), |json, samples| json.raw(stacks.text(samples[0].stack)));
        json.key("weights").array(in_a_row(), |json, samples| json.integer(total_weight(profile, samples)));
    });
}

/// The weight of these samples, in nanoseconds or bytes; saturates.
fn total_weight(profile: &Profile, samples: &[&Sample]) -> u64 {
    let sum = samples.iter().fold(0u64, |sum, sample| sum.saturating_add(sample.weight));
    match profile.recording.weight {
        Weight::CpuSamples { period_ns } => sum.saturating_mul(period_ns),
        Weight::OffCpuNs | Weight::AllocatedBytes => sum,
    }
}
