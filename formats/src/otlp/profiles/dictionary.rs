//! The tables that all profiles of a request share: each row once, the first one empty.

use std::collections::HashMap;
use std::hash::Hash;

use prost::Message;
use rustc_hash::FxBuildHasher;

use super::super::request::{Attribute, any_value};
use super::wire;

/// The tables, as they grow.
pub(super) struct Dictionary {
    strings: Rows<String>,
    attributes: Rows<(i32, Attribute)>,
    mappings: Rows<wire::Mapping>,
    functions: Rows<wire::Function>,
    locations: Rows<wire::Location>,
    stacks: Rows<wire::Stack>,
    /// What all rows take in the message, or a little more.
    bytes: usize,
}

/// What a row takes at most beside its contents: a tag and a length.
const ROW_BYTES: usize = 6;

/// A table.
struct Rows<T> {
    rows: Vec<T>,
    by_row: HashMap<T, i32, FxBuildHasher>,
}

impl Default for Dictionary {
    fn default() -> Self {
        Self {
            strings: Rows::beginning_with(String::new()),
            attributes: Rows::beginning_with((0, Attribute::Text(String::new()))),
            mappings: Rows::beginning_with(wire::Mapping::default()),
            functions: Rows::beginning_with(wire::Function::default()),
            locations: Rows::beginning_with(wire::Location::default()),
            stacks: Rows::beginning_with(wire::Stack::default()),
            bytes: 0,
        }
    }
}

impl<T: Clone + Eq + Hash> Rows<T> {
    fn beginning_with(first: T) -> Self {
        let mut rows = Self { rows: Vec::new(), by_row: HashMap::default() };
        rows.position(first, &mut 0, |_| 0);
        rows
    }

    /// The position of a row; where it is new, what its contents take is added to `bytes`.
    fn position(&mut self, row: T, bytes: &mut usize, length: impl FnOnce(&T) -> usize) -> i32 {
        if let Some(&known) = self.by_row.get(&row) {
            return known;
        }
        // A request is bounded by its samples long before.
        let position = i32::try_from(self.rows.len()).expect("a request has less than two billion rows");
        *bytes += length(&row) + ROW_BYTES;
        self.rows.push(row.clone());
        self.by_row.insert(row, position);
        position
    }
}

impl Dictionary {
    pub(super) fn string(&mut self, text: &str) -> i32 {
        match self.strings.by_row.get(text) {
            Some(&known) => known,
            None => self.strings.position(text.to_owned(), &mut self.bytes, String::len),
        }
    }

    pub(super) fn attribute(&mut self, key: &str, value: Attribute) -> i32 {
        let key = self.string(key);
        // A number has at most ten bytes; each of three messages has a tag and a length.
        let length = |(_, value): &(i32, Attribute)| match value {
            Attribute::Text(text) => text.len() + 3 * ROW_BYTES,
            Attribute::Integer(_) => 10 + 3 * ROW_BYTES,
        };
        self.attributes.position((key, value), &mut self.bytes, length)
    }

    pub(super) fn mapping(&mut self, mapping: wire::Mapping) -> i32 {
        self.mappings.position(mapping, &mut self.bytes, Message::encoded_len)
    }

    pub(super) fn function(&mut self, name: &str, file: &str) -> i32 {
        let (name_strindex, filename_strindex) = (self.string(name), self.string(file));
        let function = wire::Function { name_strindex, filename_strindex, ..wire::Function::default() };
        self.functions.position(function, &mut self.bytes, Message::encoded_len)
    }

    pub(super) fn location(&mut self, location: wire::Location) -> i32 {
        self.locations.position(location, &mut self.bytes, Message::encoded_len)
    }

    pub(super) fn stack(&mut self, location_indices: Vec<i32>) -> i32 {
        self.stacks.position(wire::Stack { location_indices }, &mut self.bytes, Message::encoded_len)
    }

    /// What the message takes, or a little more.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The message.
    pub(super) fn finish(self) -> wire::Dictionary {
        let attribute = |(position, (key_strindex, value)): (usize, (i32, Attribute))| {
            let value = (position > 0).then(|| any_value(value));
            wire::KeyValueAndUnit { key_strindex, value, unit_strindex: 0 }
        };
        wire::Dictionary {
            mapping_table: self.mappings.rows,
            location_table: self.locations.rows,
            function_table: self.functions.rows,
            // Of the lengths that valid identifiers have, as the specification wishes.
            link_table: vec![wire::Link { trace_id: vec![0; 16], span_id: vec![0; 8] }],
            string_table: self.strings.rows,
            attribute_table: self.attributes.rows.into_iter().enumerate().map(attribute).collect(),
            stack_table: self.stacks.rows,
        }
    }
}
