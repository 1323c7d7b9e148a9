//! Reading pprof, of whichever producer; see the specification that [`encode`](super::encode) names.
//!
//! The tables may stand behind what refers to them, so the message is gone through three times: text and counts, then functions
//! and locations, then samples. Identifiers of functions and locations are positions as a rule, and anything else where they are not.
//!
//! Frames without a function, or one without a name, are named by their file and address. Labels with text are kept, and of those with numbers the `pid`:
//! others (bytes of an allocation, a request's duration) would tear a profile into as many series as it has samples.

use std::borrow::Cow;
use std::collections::HashMap;

use model::profile::{FrameId, Seeded, StackId, StringId};
use rustc_hash::FxHashMap;

use crate::decode::{
    DecodeError, Decoded, InflateError, Limits, Message, Place, Sample, ValueType, inflated, unsymbolized,
};

/// The label whose number is kept.
const NUMERIC_LABEL: &str = "pid";

/// Reads a profile, compressed by gzip or not.
///
/// # Errors
/// [`DecodeError`] with what is wrong, or too much.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, DecodeError> {
    decode_plain(&decompressed(bytes, limits)?, limits)
}

/// Reads a profile that is not compressed.
///
/// # Errors
/// [`DecodeError`] with what is wrong, or too much.
pub fn decode_plain(bytes: &[u8], limits: &Limits) -> Result<Decoded, DecodeError> {
    limits.check("bytes of a profile", bytes.len(), limits.profile_bytes)?;
    let tables = Tables::read(bytes, limits)?;
    Reader { bytes, limits, tables, functions: Ids::default(), locations: Ids::default() }.read()
}

/// A profile as it was before it was compressed, if it was.
///
/// # Errors
/// [`DecodeError`] with what is wrong, or too much.
pub fn decompressed<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Cow<'a, [u8]>, DecodeError> {
    inflated(bytes, limits.profile_bytes).map_err(|error| match error {
        InflateError::Malformed => {
            DecodeError::Malformed { what: "the gzip stream of a pprof profile", at: 0 }
        }
        InflateError::TooLarge(limit) => DecodeError::TooMuch { what: "bytes of a profile", limit },
    })
}

/// What is known after the first look.
struct Tables<'a> {
    texts: Vec<&'a str>,
    head: Decoded,
    mappings: HashMap<u64, i64, Seeded>,
}

impl<'a> Tables<'a> {
    fn read(bytes: &'a [u8], limits: &Limits) -> Result<Self, DecodeError> {
        let mut texts = Vec::new();
        let mut types = Vec::new();
        let mut mappings = HashMap::default();
        let (mut period_type, mut period, mut started_unix_ns, mut duration_ns) = (None, 0, 0, 0);
        let mut samples = 0;
        let mut profile = Message::new("a pprof profile", bytes);
        while let Some((number, field)) = profile.next()? {
            match number {
                1 => {
                    types.push(value_type(profile.message("a type of values", field)?)?);
                    limits.check("types of values", types.len(), limits.types)?;
                }
                2 => samples += 1,
                3 => {
                    let (id, file) = two(profile.message("a mapping", field)?, 1, 5)?;
                    mappings.insert(id, file as i64);
                    limits.check("mappings", mappings.len(), limits.strings)?;
                }
                6 => {
                    texts.push(profile.text(field)?);
                    limits.check("strings", texts.len(), limits.strings)?;
                }
                9 => started_unix_ns = profile.number(field)? as i64,
                10 => duration_ns = profile.number(field)? as i64,
                11 => period_type = Some(value_type(profile.message("a type of period", field)?)?),
                12 => period = profile.number(field)? as i64,
                _ => {}
            }
        }
        limits.check("samples", samples, limits.samples)?;
        if types.is_empty() {
            return Err(DecodeError::Empty);
        }
        let named = |(kind, unit): (i64, i64)| -> Result<ValueType, DecodeError> {
            Ok(ValueType::new(limits.cut(text(&texts, kind)?), limits.cut(text(&texts, unit)?)))
        };
        let types = types.into_iter().map(named).collect::<Result<Vec<_>, _>>()?;
        let mut head = Decoded::new(types);
        head.period = period_type.map(named).transpose()?.map(|kind| (kind, period));
        head.started_unix_ns = Some(started_unix_ns).filter(|started| *started > 0);
        head.duration_ns = duration_ns.max(0);
        head.samples.reserve_exact(samples);
        Ok(Self { texts, head, mappings })
    }
}

fn text<'a>(texts: &[&'a str], position: i64) -> Result<&'a str, DecodeError> {
    let found = usize::try_from(position).ok().and_then(|position| texts.get(position).copied());
    // An absent table is one of the empty string.
    found
        .or((position == 0).then_some(""))
        .ok_or(DecodeError::Missing { what: "string", id: position as u64 })
}

fn value_type(message: Message<'_>) -> Result<(i64, i64), DecodeError> {
    two(message, 1, 2).map(|(kind, unit)| (kind as i64, unit as i64))
}

/// Two numbers of a message; zero where they are absent.
fn two(mut message: Message<'_>, first: u32, second: u32) -> Result<(u64, u64), DecodeError> {
    let mut found = (0, 0);
    while let Some((number, field)) = message.next()? {
        if number == first {
            found.0 = message.number(field)?;
        } else if number == second {
            found.1 = message.number(field)?;
        }
    }
    Ok(found)
}

/// Rows by identifiers that count from one as a rule.
#[derive(Default)]
struct Ids {
    dense: Vec<(u32, u32)>,
    sparse: HashMap<u64, (u32, u32), Seeded>,
}

impl Ids {
    fn insert(&mut self, id: u64, row: (u32, u32)) {
        if id == self.dense.len() as u64 {
            self.dense.push(row);
        } else {
            self.sparse.insert(id, row);
        }
    }

    fn get(&self, what: &'static str, id: u64) -> Result<(u32, u32), DecodeError> {
        match usize::try_from(id).ok().and_then(|id| self.dense.get(id)) {
            Some(row) => Ok(*row),
            None => self.get_sparse(what, id),
        }
    }

    // Apart, so that the usual way stays short.
    #[cold]
    fn get_sparse(&self, what: &'static str, id: u64) -> Result<(u32, u32), DecodeError> {
        self.sparse.get(&id).copied().ok_or(DecodeError::Missing { what, id })
    }

    fn len(&self) -> usize {
        self.dense.len() + self.sparse.len()
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    limits: &'a Limits,
    tables: Tables<'a>,
    /// By identifier: function and file, as interned strings.
    functions: Ids,
    /// By identifier: where the location's frames begin and end in a list, outermost first.
    locations: Ids,
}

impl Reader<'_> {
    fn read(mut self) -> Result<Decoded, DecodeError> {
        // Identifiers begin at one.
        self.functions.dense.push((0, 0));
        self.locations.dense.push((0, 0));
        self.each(5, |reader, message| reader.function(message))?;
        let mut frames = Vec::new();
        self.each(4, |reader, message| reader.location(message, &mut frames))?;
        self.limits.check_decoded(self.tables.head.row_bytes())?;
        let mut sets = FxHashMap::default();
        sets.insert(Vec::new(), 0);
        let mut stack = Vec::new();
        self.each(2, |reader, message| reader.sample(message, &frames, &mut sets, &mut stack))?;
        Ok(self.tables.head)
    }

    /// Every message in the fields of this number.
    fn each(
        &mut self,
        wanted: u32,
        mut read: impl FnMut(&mut Self, Message<'_>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let mut profile = Message::new("a pprof profile", self.bytes);
        while let Some((number, field)) = profile.next()? {
            if number == wanted {
                read(self, profile.message("a row of a pprof profile", field)?)?;
            }
        }
        Ok(())
    }

    fn interned(&mut self, position: i64) -> Result<StringId, DecodeError> {
        let text = self.limits.cut(text(&self.tables.texts, position)?);
        Ok(self.tables.head.symbols.strings.intern(text))
    }

    fn function(&mut self, mut message: Message<'_>) -> Result<(), DecodeError> {
        let (mut id, mut name, mut system_name, mut file) = (0, 0, 0, 0);
        while let Some((number, field)) = message.next()? {
            match number {
                1 => id = message.number(field)?,
                2 => name = message.number(field)? as i64,
                3 => system_name = message.number(field)? as i64,
                4 => file = message.number(field)? as i64,
                _ => {}
            }
        }
        let mut function = self.interned(name)?;
        if function == StringId::default() {
            function = self.interned(system_name)?;
        }
        let file = self.interned(file)?;
        self.functions.insert(id, (function.0, file.0));
        self.limits.check("functions", self.functions.len(), self.limits.strings)
    }

    fn location(&mut self, mut message: Message<'_>, frames: &mut Vec<FrameId>) -> Result<(), DecodeError> {
        let start = frames.len();
        let (mut id, mut mapping, mut address) = (0, 0, 0);
        let mut places = Vec::new();
        while let Some((number, field)) = message.next()? {
            match number {
                1 => id = message.number(field)?,
                2 => mapping = message.number(field)?,
                3 => address = message.number(field)?,
                4 => {
                    let (function, line) = two(message.message("a line", field)?, 1, 2)?;
                    let (function, file) = self.functions.get("function", function)?;
                    let (function, file) = (StringId(function), StringId(file));
                    places.push(Place { function, file, line: u32::try_from(line).unwrap_or(0) });
                    self.limits.check("frames", start + places.len(), self.limits.strings * 4)?;
                }
                _ => {}
            }
        }
        if places.is_empty() {
            places.push(Place::default());
        }
        // The innermost inlined function comes first.
        for mut place in places.into_iter().rev() {
            if place.function == StringId::default() {
                // Only here are mapping and address known, which may stand behind the lines.
                place.function = self.unsymbolized(mapping, address)?;
            }
            frames.push(self.tables.head.symbols.frames.intern(place));
        }
        self.locations.insert(id, (start as u32, frames.len() as u32));
        self.limits.check("locations", self.locations.len(), self.limits.strings * 4)
    }

    /// What a function is called of which only the place is known.
    fn unsymbolized(&mut self, mapping: u64, address: u64) -> Result<StringId, DecodeError> {
        let path =
            self.tables.mappings.get(&mapping).map_or(Ok(""), |&path| text(&self.tables.texts, path))?;
        let name = unsymbolized(path, address);
        // A location of a few bytes has a name of its own here, as long as its file's.
        self.limits.check_decoded(self.tables.head.row_bytes())?;
        Ok(self.tables.head.symbols.strings.intern(self.limits.cut(&name)))
    }

    fn sample(
        &mut self,
        mut message: Message<'_>,
        frames: &[FrameId],
        sets: &mut FxHashMap<Vec<(StringId, StringId)>, u32>,
        locations: &mut Vec<(u32, u32)>,
    ) -> Result<(), DecodeError> {
        locations.clear();
        let width = self.tables.head.types.len();
        let first_value = self.tables.head.values.len();
        let mut labels = Vec::new();
        while let Some((number, field)) = message.next()? {
            match number {
                1 => message.numbers(field, |id| {
                    locations.push(self.locations.get("location", id)?);
                    self.limits.check("frames of a stack", locations.len(), self.limits.depth)
                })?,
                2 => {
                    let values = &mut self.tables.head.values;
                    message.numbers(field, |value| {
                        values.push(value as i64);
                        self.limits.check("values of a sample", values.len() - first_value, width)
                    })?;
                }
                3 => {
                    labels.extend(self.label(message.message("a label", field)?)?);
                    self.limits.check("labels of a sample", labels.len(), self.limits.labels)?;
                }
                _ => {}
            }
        }
        if self.tables.head.values.len() - first_value != width {
            return Err(message.malformed());
        }
        let stack = self.stack(frames, locations)?;
        let label_set = self.label_set(labels, sets)?;
        self.tables.head.samples.push(Sample { stack, label_set });
        self.limits.check_decoded(self.tables.head.row_bytes())
    }

    fn stack(
        &mut self,
        frames: &[FrameId],
        locations: &[(u32, u32)],
    ) -> Result<Option<StackId>, DecodeError> {
        let depth = locations.iter().map(|(start, end)| (end - start) as usize).sum();
        self.limits.check("frames of a stack", depth, self.limits.depth)?;
        let outermost_first =
            locations.iter().rev().flat_map(|&(start, end)| &frames[start as usize..end as usize]);
        Ok(self.tables.head.symbols.stacks.intern(outermost_first.copied()))
    }

    fn label(&mut self, mut message: Message<'_>) -> Result<Option<(StringId, StringId)>, DecodeError> {
        let (mut key, mut string, mut amount) = (0, 0, 0);
        while let Some((number, field)) = message.next()? {
            match number {
                1 => key = message.number(field)? as i64,
                2 => string = message.number(field)? as i64,
                3 => amount = message.number(field)? as i64,
                _ => {}
            }
        }
        let value = match string {
            0 if text(&self.tables.texts, key)? != NUMERIC_LABEL => return Ok(None),
            0 => self.tables.head.symbols.strings.intern(&amount.to_string()),
            string => self.interned(string)?,
        };
        Ok(Some((self.interned(key)?, value)))
    }

    fn label_set(
        &mut self,
        mut labels: Vec<(StringId, StringId)>,
        sets: &mut FxHashMap<Vec<(StringId, StringId)>, u32>,
    ) -> Result<u32, DecodeError> {
        labels.sort_unstable();
        labels.dedup();
        if let Some(known) = sets.get(&labels) {
            return Ok(*known);
        }
        let position = self.tables.head.label_sets.len();
        self.limits.check("sets of labels", position, self.limits.label_sets)?;
        self.tables.head.label_sets.push(labels.clone());
        sets.insert(labels, position as u32);
        Ok(position as u32)
    }
}
