//! Reading the Firefox Profiler's processed format, as samply, Firefox's own profiler and [`encode`](super::encode) write it.
//!
//! Tables belong to a thread in older versions and to all threads (`shared`) in newer ones; a stack's caller is a position (`prefix`) or a distance
//! (`prefixOffset`). Only what is needed is looked at. A sample counts as many intervals of CPU time as it weighs; waits and
//! allocations count themselves. Samples have their thread's name and process as labels.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use model::profile::{FrameId, StackId, StringId};
use serde::Deserialize;

use crate::decode::{DecodeError, Decoded, Limits, Place, Sample, UNNAMED, ValueType};

const WHAT: &str = "a Firefox Profiler's profile";

#[derive(Deserialize)]
struct Profile<'a> {
    meta: Meta,
    #[serde(borrow, default)]
    shared: Tables<'a>,
    #[serde(borrow)]
    threads: Vec<Thread<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    #[serde(default)]
    interval: f64,
    #[serde(default)]
    start_time: f64,
    preprocessed_profile_version: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Tables<'a> {
    stack_table: Option<StackTable>,
    frame_table: Option<FrameTable>,
    func_table: Option<FuncTable>,
    sources: Option<Sources>,
    #[serde(borrow, alias = "stringTable")]
    string_array: Option<Vec<Cow<'a, str>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StackTable {
    frame: Vec<u32>,
    #[serde(default)]
    prefix: Vec<Option<u32>>,
    #[serde(default)]
    prefix_offset: Vec<u32>,
}

#[derive(Deserialize)]
struct FrameTable {
    func: Vec<u32>,
    #[serde(default)]
    line: Vec<Option<u32>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FuncTable {
    name: Vec<u32>,
    #[serde(default)]
    file_name: Vec<Option<u32>>,
    #[serde(default)]
    source: Vec<Option<u32>>,
}

#[derive(Deserialize)]
struct Sources {
    #[serde(default)]
    filename: Vec<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Thread<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    process_name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pid: Option<Pid<'a>>,
    samples: Samples<'a>,
    #[serde(borrow, flatten)]
    tables: Tables<'a>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Pid<'a> {
    Number(u64),
    #[serde(borrow)]
    Text(Cow<'a, str>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Samples<'a> {
    stack: Vec<Option<u32>>,
    #[serde(default)]
    weight: Option<Vec<Option<f64>>>,
    #[serde(borrow, default)]
    weight_type: Option<Cow<'a, str>>,
}

/// Reads a profile, compressed by gzip or not.
///
/// # Errors
/// [`DecodeError`] with what is wrong, or too much.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, DecodeError> {
    let malformed = |at| DecodeError::Malformed { what: WHAT, at };
    let mut plain = Vec::new();
    let json = if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut gzip = MultiGzDecoder::new(bytes).take(limits.profile_bytes as u64 + 1);
        gzip.read_to_end(&mut plain).map_err(|_| malformed(0))?;
        plain.as_slice()
    } else {
        bytes
    };
    limits.check("bytes of a profile", json.len(), limits.profile_bytes)?;
    let profile: Profile<'_> = serde_json::from_slice(json).map_err(|error| malformed(error.line()))?;
    if profile.meta.preprocessed_profile_version.is_none() {
        let what = "a Firefox Profiler's profile that is not in the processed format";
        return Err(DecodeError::Malformed { what, at: 0 });
    }
    let samples = profile.threads.iter().map(|thread| thread.samples.stack.len()).sum();
    limits.check("samples", samples, limits.samples)?;
    limits.check("threads", profile.threads.len(), limits.label_sets)?;
    Reader { limits, shared: &profile.shared, decoded: head(&profile) }.read(&profile)
}

/// What the samples count: all threads' the same, so the first that tells it counts.
fn head(profile: &Profile<'_>) -> Decoded {
    let interval_ns = (profile.meta.interval * 1e6) as i64;
    let weight_type = profile.threads.iter().find_map(|thread| thread.samples.weight_type.as_deref());
    let (value_type, period) = match weight_type {
        Some("tracing-ms") => (ValueType::new("wall", "nanoseconds"), None),
        Some("bytes") => (ValueType::new("alloc_space", "bytes"), None),
        _ if interval_ns > 0 => {
            (ValueType::new("samples", "count"), Some((ValueType::new("cpu", "nanoseconds"), interval_ns)))
        }
        _ => (ValueType::new("samples", "count"), None),
    };
    let mut decoded = Decoded::new(vec![value_type]);
    decoded.period = period;
    // Milliseconds with fractions.
    let (whole, fraction) = (profile.meta.start_time.trunc(), profile.meta.start_time.fract());
    let started = (whole as i64).saturating_mul(1_000_000).saturating_add((fraction * 1e6) as i64);
    decoded.started_unix_ns = Some(started).filter(|started| *started > 0);
    decoded
}

struct Reader<'a> {
    limits: &'a Limits,
    shared: &'a Tables<'a>,
    decoded: Decoded,
}

impl<'a> Reader<'a> {
    fn read(mut self, profile: &'a Profile<'a>) -> Result<Decoded, DecodeError> {
        // Where all share the tables, they are read once.
        let mut of_shared: Option<Vec<StackId>> = None;
        for thread in &profile.threads {
            let is_shared = thread.tables.stack_table.is_none();
            let own;
            let stacks: &[StackId] = if is_shared {
                match &mut of_shared {
                    Some(known) => known,
                    none => none.insert(self.stacks(&thread.tables)?),
                }
            } else {
                own = self.stacks(&thread.tables)?;
                &own
            };
            let label_set = self.label_set(thread);
            let is_time = thread.samples.weight_type.as_deref() == Some("tracing-ms");
            for (position, stack) in thread.samples.stack.iter().enumerate() {
                let stack = match stack {
                    None => None,
                    Some(stack) => Some(*row("stack", stacks, *stack)?),
                };
                let weights = thread.samples.weight.as_deref();
                let weight =
                    weights.and_then(|weights| weights.get(position).copied().flatten()).unwrap_or(1.0);
                let weight = if is_time { weight * 1e6 } else { weight };
                self.decoded.samples.push(Sample { stack, label_set });
                self.decoded.values.push(weight as i64);
            }
        }
        Ok(self.decoded)
    }

    fn label_set(&mut self, thread: &Thread<'_>) -> u32 {
        let mut set = Vec::new();
        let pid = match &thread.pid {
            Some(Pid::Number(pid)) => pid.to_string(),
            Some(Pid::Text(pid)) => pid.to_string(),
            None => String::new(),
        };
        let process = thread.process_name.as_deref().unwrap_or("");
        for (name, value) in [("pid", pid.as_str()), ("process", process), ("thread", &thread.name)] {
            if !value.is_empty() {
                let strings = &mut self.decoded.symbols.strings;
                set.push((strings.intern(name), strings.intern(self.limits.cut(value))));
            }
        }
        let known = self.decoded.label_sets.iter().position(|known| *known == set);
        known.unwrap_or_else(|| {
            self.decoded.label_sets.push(set);
            self.decoded.label_sets.len() - 1
        }) as u32
    }

    /// The stacks of a table, by position.
    fn stacks(&mut self, own: &'a Tables<'a>) -> Result<Vec<StackId>, DecodeError> {
        let table = own.stack_table.as_ref().or(self.shared.stack_table.as_ref());
        let Some(table) = table else { return Ok(Vec::new()) };
        self.limits.check("stacks", table.frame.len(), self.limits.samples * 4)?;
        let frames = self.frames(own)?;
        let mut stacks: Vec<StackId> = Vec::with_capacity(table.frame.len());
        let mut depths: Vec<usize> = Vec::with_capacity(table.frame.len());
        for (position, frame) in table.frame.iter().enumerate() {
            let caller = match table.prefix.get(position) {
                Some(prefix) => *prefix,
                None => match table.prefix_offset.get(position) {
                    None | Some(0) => None,
                    Some(offset) => {
                        Some((position as u32).checked_sub(*offset).ok_or(missing("stack", *offset))?)
                    }
                },
            };
            let depth = match caller {
                None => 1,
                Some(caller) => row("stack", &depths, caller)? + 1,
            };
            self.limits.check("frames of a stack", depth, self.limits.depth)?;
            let caller = caller.map(|caller| stacks[caller as usize]);
            let frame = *row("frame", &frames, *frame)?;
            stacks.push(self.decoded.symbols.stacks.push(caller, frame));
            depths.push(depth);
        }
        Ok(stacks)
    }

    fn frames(&mut self, own: &'a Tables<'a>) -> Result<Vec<FrameId>, DecodeError> {
        let shared = self.shared;
        let table = own.frame_table.as_ref().or(shared.frame_table.as_ref());
        let functions = own.func_table.as_ref().or(shared.func_table.as_ref());
        let strings = own.string_array.as_ref().or(shared.string_array.as_ref());
        let sources = own.sources.as_ref().or(shared.sources.as_ref());
        let (Some(table), Some(functions), Some(strings)) = (table, functions, strings) else {
            return Err(DecodeError::Missing { what: "table of frames, functions or strings", id: 0 });
        };
        self.limits.check("strings", strings.len(), self.limits.strings)?;
        self.limits.check("frames", table.func.len(), self.limits.strings * 4)?;
        let limits = self.limits;
        let interned = &mut self.decoded.symbols.strings;
        let mut text = |position: u32| -> Result<StringId, DecodeError> {
            Ok(interned.intern(limits.cut(row("string", strings, position)?)))
        };
        let mut places = Vec::with_capacity(functions.name.len());
        for (position, name) in functions.name.iter().enumerate() {
            let at = |column: &[Option<u32>]| column.get(position).copied().flatten();
            let file = match (at(&functions.file_name), at(&functions.source)) {
                (Some(file), _) => Some(file),
                (None, Some(source)) => {
                    let files = sources.map_or(&[][..], |sources| &sources.filename);
                    Some(*row("source", files, source)?)
                }
                (None, None) => None,
            };
            let file = file.map_or(Ok(StringId::default()), &mut text)?;
            places.push((text(*name)?, file));
        }
        let unnamed = self.decoded.symbols.strings.intern(UNNAMED);
        let mut frames = Vec::with_capacity(table.func.len());
        for (position, function) in table.func.iter().enumerate() {
            let (name, file) = *row("function", &places, *function)?;
            let function = if name == StringId::default() { unnamed } else { name };
            let line = table.line.get(position).copied().flatten().unwrap_or(0);
            frames.push(self.decoded.symbols.frames.intern(Place { function, file, line }));
        }
        Ok(frames)
    }
}

fn row<'a, T>(what: &'static str, table: &'a [T], position: u32) -> Result<&'a T, DecodeError> {
    table.get(position as usize).ok_or(missing(what, position))
}

fn missing(what: &'static str, position: u32) -> DecodeError {
    DecodeError::Missing { what, id: position.into() }
}
