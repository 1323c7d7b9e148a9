//! Profiles as OTLP messages: `opentelemetry.proto.collector.profiles.v1development`.
//!
//! The signal is under development: what is written here is the release of [`wire`], in which all profiles of a request share one
//! dictionary. A [`Profiles`] takes the samples of one process after the other and becomes one request.
//!
//! Samples of equal thread and stack are one `Sample` with the time of each, so that a moment (an exemplar's, a span's) leads to the
//! stacks of that moment; where all weigh one, times alone are written, as OpenTelemetry's own profiler does. Attributes of a
//! sample are `thread.name`, `thread.id` and, of a loop's thread, `loop` and `phase`; the phase is a frame of its own at the
//! root, too. `pid` and service are attributes of the resource.

mod bounds;
mod decode;
mod dictionary;
mod wire;

pub use decode::{ResourceProfile, decode};

use std::collections::HashMap;

use model::label::LabelValue;
use model::profile::{FrameId, FrameKind, Mapping, MappingId, Profile, StackId, ThreadId, Weight};
use prost::Message;
use rustc_hash::FxHashMap;

use super::answer::Partial;
use super::request::{Attribute, resource, scope};
use dictionary::Dictionary;

/// Profiles on their way into one request.
///
/// ```
/// use loopscope_formats::otlp::{Attribute, Profiles};
/// use model::profile::Profile;
///
/// let mut profiles = Profiles::default();
/// let shop = vec![("service.name", Attribute::Text("shop".into()))];
/// profiles.push(shop, "0.1.0", &Profile::default(), [7; 16], |thread| (thread.pid == 4711).then_some(None), 0);
/// assert_eq!(profiles.samples(), 0);
/// let request = profiles.encode();
/// # assert!(!request.is_empty());
/// ```
pub struct Profiles {
    dictionary: Dictionary,
    resources: Vec<wire::ResourceProfiles>,
    samples: u64,
    /// What everything but the dictionary takes, or a little more.
    bytes: usize,
    bytes_max: usize,
}

impl Default for Profiles {
    fn default() -> Self {
        Self::bounded(usize::MAX)
    }
}

/// What an observation takes at most beside its stack and thread: a time, and a weight.
const OBSERVATION_BYTES: usize = 18;

/// What a sample takes at most beside its observations and attributes.
const SAMPLE_BYTES: usize = 24;

/// What a process takes at most beside its contents: a tag and a length.
const RESOURCE_BYTES: usize = 6;

/// What a position in a table takes at most.
const POSITION_BYTES: usize = 5;

impl Profiles {
    /// Without samples yet. Beyond so many bytes no sample is added, so that the request is longer than that by one stack at most.
    pub fn bounded(bytes_max: usize) -> Self {
        Self { dictionary: Dictionary::default(), resources: Vec::new(), samples: 0, bytes: 0, bytes_max }
    }

    /// Adds the samples of some threads: those for which `of_thread` gives something, and within it, the name of the thread's loop if it
    /// has one. A process without samples is left out. Begins with the profile's sample number `from`; where the request is full, gives the
    /// number of the sample that is to be the first of the next request.
    pub fn push<'a>(
        &mut self,
        of_process: Vec<(&'static str, Attribute)>,
        version: &str,
        profile: &Profile,
        id: [u8; 16],
        of_thread: impl Fn(&model::profile::Thread) -> Option<Option<&'a str>>,
        from: usize,
    ) -> Option<usize> {
        let threads: Vec<Option<Option<&str>>> = profile.threads.iter().map(of_thread).collect();
        let bytes_left = self.bytes_max.saturating_sub(self.bytes);
        // An empty request takes one sample, however long that is.
        let is_empty = self.samples == 0;
        let mut writer = Writer::new(profile, &mut self.dictionary, threads);
        let (samples, next) = writer.samples(from, bytes_left, is_empty);
        if samples.is_empty() {
            return next;
        }
        let (sample_type, period) = writer.types();
        let observations = samples.iter().map(|sample| sample.timestamps_unix_nano.len() as u64);
        self.samples += observations.sum::<u64>();
        let profile = wire::Profile {
            sample_type: Some(sample_type),
            samples,
            time_unix_nano: profile.recording.started_unix_ns,
            duration_nano: profile.recording.duration_ns,
            period_type: period.map(|(its_type, _)| its_type),
            period: period.map_or(0, |(_, period)| period),
            profile_id: id.to_vec(),
            ..wire::Profile::default()
        };
        let resource = wire::ResourceProfiles {
            resource: Some(resource(of_process)),
            scope_profiles: vec![wire::ScopeProfiles {
                scope: Some(scope(version)),
                profiles: vec![profile],
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        };
        self.bytes += resource.encoded_len() + RESOURCE_BYTES;
        self.resources.push(resource);
        next
    }

    /// How many samples it holds, each observation counted.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// The request.
    pub fn encode(self) -> Vec<u8> {
        let dictionary = Some(self.dictionary.finish());
        wire::Request { resource_profiles: self.resources, dictionary }.encode_to_vec()
    }
}

/// What an `ExportProfilesServiceResponse` says of a partial success, as [`answer::partial`](super::answer::partial) does of metrics.
/// What is counted are profiles.
pub fn partial(response: &[u8]) -> Option<Partial> {
    let said = wire::Response::decode(response).ok()?.partial_success?;
    let rejected_points = u64::try_from(said.rejected_profiles).unwrap_or(0);
    let partial = Partial { rejected_points, message: said.error_message };
    (partial.rejected_points > 0 || !partial.message.is_empty()).then_some(partial)
}

/// Writes samples of one profile.
struct Writer<'a, 'd> {
    profile: &'a Profile,
    dictionary: &'d mut Dictionary,
    /// By thread: whether it is written, and its loop.
    threads: Vec<Option<Option<&'a str>>>,
    mappings: FxHashMap<MappingId, i32>,
    /// The position of a stack, and the phase that it fell in.
    stacks: FxHashMap<StackId, (i32, Option<&'static str>)>,
    /// What the samples take, or a little more.
    bytes: usize,
}

impl<'a, 'd> Writer<'a, 'd> {
    fn new(
        profile: &'a Profile,
        dictionary: &'d mut Dictionary,
        threads: Vec<Option<Option<&'a str>>>,
    ) -> Self {
        let (mappings, stacks) = (HashMap::default(), HashMap::default());
        Self { profile, dictionary, threads, mappings, stacks, bytes: 0 }
    }

    /// What a value counts, and for samples of CPU time what lies between two of them.
    fn types(&mut self) -> (wire::ValueType, Option<(wire::ValueType, i64)>) {
        let mut of = |kind, unit| wire::ValueType {
            type_strindex: self.dictionary.string(kind),
            unit_strindex: self.dictionary.string(unit),
        };
        match self.profile.recording.weight {
            Weight::CpuSamples { period_ns } => {
                (of("samples", "count"), Some((of("cpu", "nanoseconds"), saturated(period_ns))))
            }
            Weight::OffCpuNs => (of("off_cpu", "nanoseconds"), None),
            Weight::AllocatedBytes => (of("alloc_space", "bytes"), None),
        }
    }

    /// Samples of equal thread and stack as one, from that number on; and the number of the first for which there was no room left.
    fn samples(
        &mut self,
        from: usize,
        bytes_left: usize,
        mut needs_one: bool,
    ) -> (Vec<wire::Sample>, Option<usize>) {
        let recording = &self.profile.recording;
        let mut positions: FxHashMap<(ThreadId, Option<StackId>), usize> = FxHashMap::default();
        let mut samples: Vec<wire::Sample> = Vec::new();
        let mut next = None;
        for (number, sample) in self.profile.samples.iter().enumerate().skip(from) {
            let Some(of_loop) = self.threads[sample.thread.0 as usize] else { continue };
            if self.bytes + self.dictionary.bytes() >= bytes_left && !needs_one {
                next = Some(number);
                break;
            }
            needs_one = false;
            let position = *positions.entry((sample.thread, sample.stack)).or_insert_with(|| {
                let (stack_index, phase) = sample.stack.map_or((0, None), |stack| self.stack(stack));
                let attribute_indices = self.attributes(sample.thread, of_loop, phase);
                self.bytes += SAMPLE_BYTES + attribute_indices.len() * POSITION_BYTES;
                samples.push(wire::Sample { stack_index, attribute_indices, ..wire::Sample::default() });
                samples.len() - 1
            });
            let time = recording.started_unix_ns.saturating_add(sample.time.since_ns(recording.started));
            samples[position].timestamps_unix_nano.push(time);
            samples[position].values.push(saturated(sample.weight));
            self.bytes += OBSERVATION_BYTES;
        }
        if samples.iter().all(|sample| sample.values.iter().all(|&value| value == 1)) {
            samples.iter_mut().for_each(|sample| sample.values.clear());
        }
        (samples, next)
    }

    fn attributes(&mut self, thread: ThreadId, of_loop: Option<&str>, phase: Option<&str>) -> Vec<i32> {
        let thread = self.profile.threads[thread.0 as usize];
        let text = |text: &str| Attribute::Text(text.to_owned());
        let name = text(self.profile.text(thread.name));
        let mut attributes = vec![
            self.dictionary.attribute("thread.name", name),
            self.dictionary.attribute("thread.id", Attribute::Integer(thread.tid.into())),
        ];
        attributes.extend(of_loop.map(|of_loop| self.dictionary.attribute("loop", text(of_loop))));
        attributes.extend(phase.map(|phase| self.dictionary.attribute("phase", text(phase))));
        attributes
    }

    fn stack(&mut self, stack: StackId) -> (i32, Option<&'static str>) {
        if let Some(&known) = self.stacks.get(&stack) {
            return known;
        }
        let stacks = &self.profile.stacks;
        let outwards = std::iter::successors(Some(stack), |&stack| stacks.caller(stack));
        let frames: Vec<FrameId> = outwards.map(|stack| stacks.frame(stack)).collect();
        let mut phase = None;
        let mut locations = Vec::with_capacity(frames.len());
        // A function that the compiler put into its caller is in one location with it.
        for run in frames.chunk_by(|&inner, &outer| self.profile.is_inside(inner, outer)) {
            locations.push(self.location(run));
            if let FrameKind::Phase(its) = self.profile.frames.get(run[0]).kind {
                phase = Some(its.as_str());
            }
        }
        let written = (self.dictionary.stack(locations), phase);
        self.stacks.insert(stack, written);
        written
    }

    /// A place in the code; the innermost function there comes first.
    fn location(&mut self, run: &[FrameId]) -> i32 {
        let innermost = self.profile.frames.get(run[0]);
        let lines = run.iter().map(|&frame| {
            let frame = self.profile.frames.get(frame);
            let (name, file) = (self.profile.text(frame.function), self.profile.text(frame.file));
            let function_index = self.dictionary.function(name, file);
            wire::Line { function_index, line: frame.line.into(), column: 0 }
        });
        let lines = lines.collect();
        let kind = match innermost.kind {
            FrameKind::Kernel => Some("kernel"),
            FrameKind::Native => Some("native"),
            FrameKind::Jit | FrameKind::Phase(_) | FrameKind::Unknown => None,
        };
        let kind = kind
            .map(|kind| self.dictionary.attribute("profile.frame.type", Attribute::Text(kind.to_owned())));
        let mapping_index = innermost.mapping.map_or(0, |mapping| self.mapping(mapping));
        self.dictionary.location(wire::Location {
            mapping_index,
            address: innermost.address,
            lines,
            attribute_indices: kind.into_iter().collect(),
        })
    }

    fn mapping(&mut self, id: MappingId) -> i32 {
        if let Some(&known) = self.mappings.get(&id) {
            return known;
        }
        let Mapping { path, build_id, start, end, file_offset } = self.profile.mappings.get(id);
        let build_id = Some(self.profile.text(build_id)).filter(|build_id| !build_id.is_empty());
        let attribute = build_id.map(|build_id| {
            let value = Attribute::Text(build_id.to_owned());
            self.dictionary.attribute("process.executable.build_id.gnu", value)
        });
        let mapping = wire::Mapping {
            memory_start: start,
            memory_limit: end,
            file_offset,
            filename_strindex: self.dictionary.string(self.profile.text(path)),
            attribute_indices: attribute.into_iter().collect(),
        };
        let written = self.dictionary.mapping(mapping);
        self.mappings.insert(id, written);
        written
    }
}

/// The format counts in signed numbers.
fn saturated(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
