//! What frames are called and where they are, each text once.

use std::hash::Hash;

use model::profile::{Frame, FrameId, MappingId, Profile, StringId};
use rustc_hash::FxHashMap;

use super::paint::{Meaning, Paint};
use super::text::legible;

/// What the nodes of a picture are.
pub(super) struct Symbols<'a> {
    profile: &'a Profile,
    changes: Option<&'a [i8]>,
    /// Each symbol once.
    pub(super) all: Vec<Symbol>,
    by_symbol: FxHashMap<Symbol, u32>,
    by_frame: FxHashMap<FrameId, u32>,
    names: Numbered<&'a str>,
    locations: Numbered<(StringId, u32, Option<MappingId>)>,
}

/// What a node is. Frames that differ in nothing that is shown share one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Symbol {
    /// A position in [`Symbols::names`].
    pub(super) name: u32,
    /// A position in [`Symbols::locations`].
    pub(super) location: u32,
    /// Its colour.
    pub(super) paint: Paint,
}

impl<'a> Symbols<'a> {
    pub(super) fn new(profile: &'a Profile, changes: Option<&'a [i8]>) -> Self {
        Self {
            profile,
            changes,
            all: Vec::new(),
            by_symbol: FxHashMap::default(),
            by_frame: FxHashMap::default(),
            names: Numbered::default(),
            locations: Numbered::default(),
        }
    }

    /// The symbol of a row that is no code.
    pub(super) fn of_root(&mut self, meaning: Meaning, name: &'a str) -> u32 {
        let location = self.locations.number((StringId::default(), 0, None), String::new);
        self.add(meaning, name, location)
    }

    /// The symbol of a frame.
    pub(super) fn of_frame(&mut self, id: FrameId) -> u32 {
        if let Some(&known) = self.by_frame.get(&id) {
            return known;
        }
        let frame = self.profile.frames.get(id);
        let location = self.location(&frame);
        let meaning = match self.changes {
            None => Meaning::of(&frame),
            Some(changes) => Meaning::Change(changes.get(id.0 as usize).copied().unwrap_or(0)),
        };
        let symbol = self.add(meaning, self.profile.text(frame.function), location);
        self.by_frame.insert(id, symbol);
        symbol
    }

    /// The names of functions and threads.
    pub(super) fn names(&self) -> &[String] {
        &self.names.texts
    }

    /// File and line, or the file that the code was mapped from, or nothing.
    pub(super) fn locations(&self) -> &[String] {
        &self.locations.texts
    }

    fn add(&mut self, meaning: Meaning, name: &'a str, location: u32) -> u32 {
        let paint = Paint::new(meaning, name);
        let name = self.names.number(name, || legible(name));
        let symbol = Symbol { name, location, paint };
        *self.by_symbol.entry(symbol).or_insert_with(|| {
            self.all.push(symbol);
            self.all.len() as u32 - 1
        })
    }

    fn location(&mut self, frame: &Frame) -> u32 {
        let text = |id| legible(self.profile.text(id));
        if frame.file == StringId::default() {
            return self.locations.number((frame.file, 0, frame.mapping), || {
                frame.mapping.map_or_else(String::new, |id| text(self.profile.mappings.get(id).path))
            });
        }
        self.locations.number((frame.file, frame.line, None), || match frame.line {
            0 => text(frame.file),
            line => format!("{}:{line}", text(frame.file)),
        })
    }
}

/// Texts, numbered in the order in which their keys were first seen.
struct Numbered<K> {
    by_key: FxHashMap<K, u32>,
    texts: Vec<String>,
}

impl<K: Eq + Hash> Numbered<K> {
    fn number(&mut self, key: K, text: impl FnOnce() -> String) -> u32 {
        *self.by_key.entry(key).or_insert_with(|| {
            self.texts.push(text());
            self.texts.len() as u32 - 1
        })
    }
}

impl<K> Default for Numbered<K> {
    fn default() -> Self {
        Self { by_key: FxHashMap::default(), texts: Vec::new() }
    }
}
