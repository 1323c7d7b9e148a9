//! Text that a format needs beside the profile's own, in one table with it.

use model::profile::{Profile, StringId};
use rustc_hash::FxHashMap;

/// Strings whose identifiers go on where the profile's end.
pub(crate) struct ExtraStrings<'a> {
    profile: &'a Profile,
    texts: Vec<Box<str>>,
    by_text: FxHashMap<Box<str>, StringId>,
}

impl<'a> ExtraStrings<'a> {
    pub(crate) fn new(profile: &'a Profile) -> Self {
        Self { profile, texts: Vec::new(), by_text: FxHashMap::default() }
    }

    /// The identifier of this text, which is added if it is new; the profile's own strings are not searched.
    pub(crate) fn intern(&mut self, text: &str) -> StringId {
        if let Some(&known) = self.by_text.get(text) {
            return known;
        }
        let id = StringId((self.profile.strings.iter().len() + self.texts.len()) as u32);
        self.texts.push(text.into());
        self.by_text.insert(text.into(), id);
        id
    }

    /// The profile's strings and these, by identifier.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        self.profile.strings.iter().chain(self.texts.iter().map(|text| &**text))
    }
}
