//! From addresses to functions, files and lines: once, when a recording is over, for each address that was seen.
//!
//! Read in this order: [`images`] opens object files while they are there; [`object_file`] names their addresses
//! from [`dwarf`], [`symbol_table`] or, in a stripped file, [`unnamed`]; [`kernel`] and [`perf_map`] know the
//! other two kinds of code. Symbols are never sorted into a table of their own: see [`nearest`].

pub(crate) mod image;
pub(crate) mod images;
pub(crate) mod kernel;
pub(crate) mod perf_map;

mod debug_file;
mod dwarf;
mod jit_name;
mod lines;
mod nearest;
mod object_file;
mod symbol_table;

mod unnamed;

pub(crate) use object_file::resolve as resolve_image;

use model::profile::{StringId, Strings};
use rustc_hash::FxHashMap;

use super::demangle::demangle;

/// A function at an address; several where the compiler put functions into one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Never empty.
    pub(crate) function: StringId,
    /// Empty where unknown.
    pub(crate) file: StringId,
    /// Zero where unknown.
    pub(crate) line: u32,
    /// Whether the compiler put the function into the one before.
    pub(crate) inlined: bool,
}

impl Place {
    /// A place of which only the function is known.
    fn of(function: StringId) -> Self {
        Self { function, file: StringId::default(), line: 0, inlined: false }
    }
}

/// The places of a list of addresses.
#[derive(Default)]
pub(crate) struct Symbols {
    pub(crate) strings: Strings,
    /// Whether functions had to be called by where they begin, for want of a symbol table.
    pub(crate) stripped: bool,
    places: Vec<Place>,
    ends: Vec<usize>,
    demangled: FxHashMap<Box<[u8]>, StringId>,
}

impl Symbols {
    /// The places of the `index`th address, from the outermost to the innermost; empty where nothing is known.
    pub(crate) fn places(&self, index: usize) -> &[Place] {
        let Some(&end) = self.ends.get(index) else { return &[] };
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.places[start..end]
    }

    /// Adds the places of the addresses of another, behind those that are there.
    pub(crate) fn append(&mut self, other: &Symbols) {
        self.stripped |= other.stripped;
        let mut start = 0;
        for &end in &other.ends {
            for place in &other.places[start..end] {
                let function = self.strings.intern(other.strings.get(place.function));
                let file = self.strings.intern(other.strings.get(place.file));
                self.places.push(Place { function, file, ..*place });
            }
            self.ends.push(self.places.len());
            start = end;
        }
    }

    /// Adds addresses of which nothing is known until there are so many.
    pub(crate) fn pad_to(&mut self, addresses: usize) {
        let end = self.places.len();
        self.ends.resize(self.ends.len().max(addresses), end);
    }

    /// How many addresses it has places of.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Adds the places of the next address.
    fn push(&mut self, places: impl IntoIterator<Item = Place>) {
        self.places.extend(places);
        self.ends.push(self.places.len());
    }

    /// A function's name for people.
    fn function(&mut self, raw: &[u8]) -> StringId {
        if let Some(&known) = self.demangled.get(raw) {
            return known;
        }
        let name = self.strings.intern(&demangle(&String::from_utf8_lossy(raw)));
        self.demangled.insert(raw.into(), name);
        name
    }
}
