//! Reading the Firefox Profiler's processed format, as samply, Firefox's own profiler and [`encode`](super::encode) write it.
//!
//! Tables belong to a thread in older versions and to all threads (`shared`) in newer ones; a stack's caller is a position (`prefix`) or a distance
//! (`prefixOffset`). Only what is needed is looked at. A sample counts as many intervals of CPU time as it weighs; waits and
//! allocations count themselves. Samples have their thread's name and process as labels.
//!
//! A value of two bytes becomes sixteen in memory, and a table that threads share could be gone through once for each of a hundred
//! thousand threads. So values are counted before any is read ([`VALUES_A_SAMPLE`]), rows are counted as they are read, and shared tables are
//! read once.

mod json;

use std::rc::Rc;

use model::profile::{FrameId, StackId, StringId};

use crate::decode::{
    DecodeError, Decoded, InflateError, Limits, Place, Sample, UNNAMED, ValueType, inflated,
};

use json::{Pid, Profile, Tables, Thread};

const WHAT: &str = "a Firefox Profiler's profile";

/// Values that a profile may have, for each sample that it may have; as many rows may be read. A value takes about four bytes in what is
/// written, so a full 32 MiB have two thirds as many.
const VALUES_A_SAMPLE: usize = 24;
const THREADS_MAX: usize = 4096;

/// Reads a profile, compressed by gzip or not.
///
/// # Errors
/// [`DecodeError`] with what is wrong, or too much.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, DecodeError> {
    let malformed = |at| DecodeError::Malformed { what: WHAT, at };
    let json = inflated(bytes, limits.profile_bytes).map_err(|error| match error {
        InflateError::Malformed => malformed(0),
        InflateError::TooLarge(limit) => DecodeError::TooMuch { what: "bytes of a profile", limit },
    })?;
    // Those of text count, too; there are few.
    let commas = json.iter().filter(|byte| **byte == b',').count();
    limits.check("values", commas, values_max(limits))?;
    let profile: Profile<'_> = serde_json::from_slice(&json).map_err(|error| malformed(error.line()))?;
    if profile.meta.preprocessed_profile_version.is_none() {
        let what = "a Firefox Profiler's profile that is not in the processed format";
        return Err(DecodeError::Malformed { what, at: 0 });
    }
    let samples = profile.threads.iter().map(|thread| thread.samples.stack.len()).sum();
    limits.check("samples", samples, limits.samples)?;
    limits.check("threads", profile.threads.len(), THREADS_MAX)?;
    let (decoded, shared) = (head(&profile), &profile.shared);
    Reader { limits, shared, decoded, rows_read: 0, frames_of_shared: None }.read(&profile)
}

fn values_max(limits: &Limits) -> usize {
    limits.samples.saturating_mul(VALUES_A_SAMPLE)
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
    rows_read: usize,
    /// The frames, where these and all that they refer to are shared.
    frames_of_shared: Option<Rc<[FrameId]>>,
}

impl<'a> Reader<'a> {
    fn read(mut self, profile: &'a Profile<'a>) -> Result<Decoded, DecodeError> {
        // Where all share the tables, they are read once.
        let mut of_shared: Option<Vec<StackId>> = None;
        for thread in &profile.threads {
            let is_shared = thread.is_shared();
            let own;
            let stacks: &[StackId] = if is_shared {
                match &mut of_shared {
                    Some(known) => known,
                    none => none.insert(self.stacks(thread)?),
                }
            } else {
                own = self.stacks(thread)?;
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
            self.limits.check_decoded(self.decoded.row_bytes())?;
        }
        Ok(self.decoded)
    }

    fn label_set(&mut self, thread: &Thread<'_>) -> u32 {
        let mut set = Vec::new();
        let pid = thread.pid.as_ref().map_or("", |Pid(pid)| pid);
        let process = thread.process_name.as_deref().unwrap_or("");
        for (name, value) in [("pid", pid), ("process", process), ("thread", &thread.name)] {
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

    /// Counts what is gone through, whatever comes of it.
    fn read_rows(&mut self, rows: usize) -> Result<(), DecodeError> {
        self.rows_read = self.rows_read.saturating_add(rows);
        self.limits.check("rows of tables", self.rows_read, values_max(self.limits))
    }

    /// The stacks of a table, by position.
    fn stacks(&mut self, own: &'a Thread<'a>) -> Result<Vec<StackId>, DecodeError> {
        let table = own.stack_table.as_ref().or(self.shared.stack_table.as_ref());
        let Some(table) = table else { return Ok(Vec::new()) };
        self.limits.check("stacks", table.frame.len(), self.limits.samples * 4)?;
        self.read_rows(table.frame.len())?;
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
            self.limits.check_decoded(self.decoded.row_bytes())?;
        }
        Ok(stacks)
    }

    fn frames(&mut self, own: &'a Thread<'a>) -> Result<Rc<[FrameId]>, DecodeError> {
        if !own.is_shared_but_for_stacks() {
            return self.read_frames(own);
        }
        if let Some(known) = &self.frames_of_shared {
            return Ok(Rc::clone(known));
        }
        let frames = self.read_frames(own)?;
        self.frames_of_shared = Some(Rc::clone(&frames));
        Ok(frames)
    }

    fn read_frames(&mut self, own: &'a Thread<'a>) -> Result<Rc<[FrameId]>, DecodeError> {
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
        self.read_rows(table.func.len().saturating_add(functions.name.len()))?;
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
        Ok(frames.into())
    }
}

fn row<'a, T>(what: &'static str, table: &'a [T], position: u32) -> Result<&'a T, DecodeError> {
    table.get(position as usize).ok_or(missing(what, position))
}

fn missing(what: &'static str, position: u32) -> DecodeError {
    DecodeError::Missing { what, id: position.into() }
}
