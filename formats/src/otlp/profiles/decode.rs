//! Reading profiles of whichever producer: OpenTelemetry's eBPF profiler, a collector of OpenTelemetry's, or our own agent.
//!
//! Each profile of a request becomes one of its own, with the attributes of its resource. Observations of a sample are added up: their
//! values, or where there are times alone, one each. Frames without a function are named by their file and address.

use std::ops::Range;

use model::profile::{FrameId, StackId};
use prost::Message;
use rustc_hash::FxHashMap;

use super::super::wire::{AnyValue, KeyValue, text_of};
use super::{bounds, wire};
use crate::decode::{DecodeError, Decoded, Limits, Place, Sample, ValueType, unsymbolized};

/// A profile, and whose it is.
#[derive(Clone, Debug)]
pub struct ResourceProfile {
    /// The attributes of the resource, as text.
    pub resource: Vec<(String, String)>,
    /// The profile.
    pub profile: Decoded,
}

/// Reads an `ExportProfilesServiceRequest`.
///
/// # Errors
/// [`DecodeError`] with what is wrong, or too much.
pub fn decode(request: &[u8], limits: &Limits) -> Result<Vec<ResourceProfile>, DecodeError> {
    bounds::check(request, limits)?;
    let malformed = |_| DecodeError::Malformed { what: "a request of OTLP profiles", at: 0 };
    let request = wire::Request::decode(request).map_err(malformed)?;
    let dictionary = request.dictionary.unwrap_or_default();
    let mut profiles = Vec::new();
    // All share the dictionary, but each has what it refers to for itself.
    let mut decoded_bytes = 0;
    for of_resource in &request.resource_profiles {
        let attributes = of_resource.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        let resource: Vec<(String, String)> = attributes
            .iter()
            .filter_map(|attribute| attribute_text(attribute, &dictionary, limits))
            .collect();
        for profile in of_resource.scope_profiles.iter().flat_map(|scope| &scope.profiles) {
            let profile = Reader { dictionary: &dictionary, limits, decoded_bytes }.profile(profile)?;
            let text = resource.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
            decoded_bytes += profile.size_bytes() + size_of_val(resource.as_slice()) + text;
            limits.check_decoded(decoded_bytes)?;
            profiles.push(ResourceProfile { resource: resource.clone(), profile });
        }
    }
    Ok(profiles)
}

/// A row of a table; a table that is left out is one of an empty row.
fn row<'a, T>(table: &'a [T], what: &'static str, index: i32) -> Result<Option<&'a T>, DecodeError> {
    let found = usize::try_from(index).ok().and_then(|index| table.get(index));
    match found {
        None if index == 0 => Ok(None),
        None => Err(DecodeError::Missing { what, id: index as u64 }),
        found => Ok(found),
    }
}

fn text(dictionary: &wire::Dictionary, index: i32) -> Result<&str, DecodeError> {
    Ok(row(&dictionary.string_table, "string", index)?.map_or("", String::as_str))
}

fn attribute_text(
    attribute: &KeyValue,
    dictionary: &wire::Dictionary,
    limits: &Limits,
) -> Option<(String, String)> {
    let key = match attribute.key.as_str() {
        "" => text(dictionary, attribute.key_strindex).ok()?,
        key => key,
    };
    Some((limits.cut(key).to_owned(), value_text(attribute.value.as_ref()?, dictionary, limits)?))
}

/// A value as a label's; `None` of lists and maps, which are none.
fn value_text(value: &AnyValue, dictionary: &wire::Dictionary, limits: &Limits) -> Option<String> {
    text_of(value, limits, |index| text(dictionary, index).ok())
}

/// The frames of locations: a location is on many stacks, and is read once a profile.
#[derive(Default)]
struct Locations {
    /// Those of one location side by side, outermost first.
    frames: Vec<FrameId>,
    known: FxHashMap<i32, Range<u32>>,
}

struct Reader<'a> {
    dictionary: &'a wire::Dictionary,
    limits: &'a Limits,
    /// What the profiles before take.
    decoded_bytes: usize,
}

impl Reader<'_> {
    fn profile(&self, profile: &wire::Profile) -> Result<Decoded, DecodeError> {
        let value_type = profile.sample_type.ok_or(DecodeError::Empty)?;
        let mut decoded = Decoded::new(vec![self.value_type(value_type)?]);
        if let Some(period) = profile.period_type {
            decoded.period = Some((self.value_type(period)?, profile.period));
        }
        decoded.started_unix_ns = i64::try_from(profile.time_unix_nano).ok().filter(|started| *started > 0);
        decoded.duration_ns = i64::try_from(profile.duration_nano).unwrap_or(i64::MAX);
        let mut stacks = FxHashMap::default();
        let mut locations = Locations::default();
        let mut sets: FxHashMap<&[i32], u32> = FxHashMap::default();
        for sample in &profile.samples {
            let stack = match stacks.get(&sample.stack_index) {
                Some(known) => *known,
                None => {
                    let stack = self.stack(&mut decoded, &mut locations, sample.stack_index)?;
                    stacks.insert(sample.stack_index, stack);
                    stack
                }
            };
            let label_set = match sets.get(sample.attribute_indices.as_slice()) {
                Some(known) => *known,
                None => {
                    let set = self.label_set(&mut decoded, &sample.attribute_indices)?;
                    sets.insert(&sample.attribute_indices, set);
                    set
                }
            };
            let value = match sample.values.as_slice() {
                [] => i64::try_from(sample.timestamps_unix_nano.len()).unwrap_or(i64::MAX),
                values => values.iter().fold(0, |sum: i64, value| sum.saturating_add(*value)),
            };
            decoded.samples.push(Sample { stack, label_set });
            decoded.values.push(value);
            self.limits.check_decoded(self.decoded_bytes + decoded.row_bytes())?;
        }
        Ok(decoded)
    }

    fn value_type(&self, value_type: wire::ValueType) -> Result<ValueType, DecodeError> {
        let name = |index| Ok::<_, DecodeError>(self.limits.cut(text(self.dictionary, index)?));
        Ok(ValueType::new(name(value_type.type_strindex)?, name(value_type.unit_strindex)?))
    }

    fn stack(
        &self,
        decoded: &mut Decoded,
        locations: &mut Locations,
        index: i32,
    ) -> Result<Option<StackId>, DecodeError> {
        let Some(stack) = row(&self.dictionary.stack_table, "stack", index)? else { return Ok(None) };
        self.limits.check("frames of a stack", stack.location_indices.len(), self.limits.depth)?;
        let mut parent = None;
        let mut depth = 0;
        // The innermost comes first.
        for &location in stack.location_indices.iter().rev() {
            let frames = self.location(decoded, locations, location)?;
            depth += frames.len();
            self.limits.check("frames of a stack", depth, self.limits.depth)?;
            for frame in frames {
                parent = Some(decoded.symbols.stacks.push(parent, locations.frames[frame as usize]));
            }
        }
        Ok(parent)
    }

    /// Where the frames of a location are among all.
    fn location(
        &self,
        decoded: &mut Decoded,
        locations: &mut Locations,
        index: i32,
    ) -> Result<Range<u32>, DecodeError> {
        if let Some(known) = locations.known.get(&index) {
            return Ok(known.clone());
        }
        let Some(location) = row(&self.dictionary.location_table, "location", index)? else {
            return Ok(0..0);
        };
        let start = locations.frames.len() as u32;
        if location.lines.is_empty() {
            let place = self.place(decoded, location, &wire::Line::default())?;
            locations.frames.push(decoded.symbols.frames.intern(place));
        }
        // The function that is inlined in all others comes first.
        for line in location.lines.iter().rev() {
            let place = self.place(decoded, location, line)?;
            locations.frames.push(decoded.symbols.frames.intern(place));
        }
        // A location of a few bytes has a name of its own where no function is known.
        self.limits.check_decoded(self.decoded_bytes + decoded.row_bytes())?;
        let frames = start..locations.frames.len() as u32;
        locations.known.insert(index, frames.clone());
        Ok(frames)
    }

    fn place(
        &self,
        decoded: &mut Decoded,
        location: &wire::Location,
        line: &wire::Line,
    ) -> Result<Place, DecodeError> {
        let function = row(&self.dictionary.function_table, "function", line.function_index)?;
        let (name, file) = match function {
            None => ("", ""),
            Some(function) => {
                let name = match text(self.dictionary, function.name_strindex)? {
                    "" => text(self.dictionary, function.system_name_strindex)?,
                    name => name,
                };
                (name, text(self.dictionary, function.filename_strindex)?)
            }
        };
        let name = if name.is_empty() { &self.unsymbolized(location)? } else { name };
        let strings = &mut decoded.symbols.strings;
        let (function, file) = (strings.intern(self.limits.cut(name)), strings.intern(self.limits.cut(file)));
        Ok(Place { function, file, line: u32::try_from(line.line).unwrap_or(0) })
    }

    fn unsymbolized(&self, location: &wire::Location) -> Result<String, DecodeError> {
        let mapping = row(&self.dictionary.mapping_table, "mapping", location.mapping_index)?;
        let path = mapping.map_or(Ok(""), |mapping| text(self.dictionary, mapping.filename_strindex))?;
        Ok(unsymbolized(path, location.address))
    }

    fn label_set(&self, decoded: &mut Decoded, attributes: &[i32]) -> Result<u32, DecodeError> {
        self.limits.check("labels of a sample", attributes.len(), self.limits.labels)?;
        let mut set = Vec::new();
        for &index in attributes {
            let Some(attribute) = row(&self.dictionary.attribute_table, "attribute", index)? else {
                continue;
            };
            let key = text(self.dictionary, attribute.key_strindex)?;
            let value = attribute.value.as_ref();
            if let Some(value) = value.and_then(|value| value_text(value, self.dictionary, self.limits)) {
                let strings = &mut decoded.symbols.strings;
                set.push((strings.intern(self.limits.cut(key)), strings.intern(&value)));
            }
        }
        let position = decoded.label_sets.len();
        self.limits.check("sets of labels", position, self.limits.label_sets)?;
        decoded.label_sets.push(set);
        Ok(position as u32)
    }
}
