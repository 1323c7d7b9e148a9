//! Interned text.

use hashbrown::HashTable;
use std::hash::BuildHasher;

use super::Seeded;

/// A string's position in its [`Strings`]. The default is the empty string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StringId(pub u32);

/// Strings, each held once. The first is the empty one.
#[derive(Clone, Debug)]
pub struct Strings {
    texts: Vec<Box<str>>,
    by_text: HashTable<StringId>,
    text_bytes: usize,
}

impl Strings {
    /// The identifier of this text, which is added if it is new.
    pub fn intern(&mut self, text: &str) -> StringId {
        let hash = |text: &str| Seeded.hash_one(text);
        let found = self.by_text.entry(
            hash(text),
            |id| &*self.texts[id.0 as usize] == text,
            |id| hash(&self.texts[id.0 as usize]),
        );
        *found
            .or_insert_with(|| {
                self.texts.push(text.into());
                self.text_bytes += text.len();
                StringId(self.texts.len() as u32 - 1)
            })
            .get()
    }

    /// The text.
    ///
    /// # Panics
    /// If the identifier is another table's.
    pub fn get(&self, id: StringId) -> &str {
        &self.texts[id.0 as usize]
    }

    /// How long all texts are together.
    pub fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// All texts, by identifier.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.texts.iter().map(|text| &**text)
    }
}

impl Default for Strings {
    fn default() -> Self {
        let mut strings = Self { texts: Vec::new(), by_text: HashTable::new(), text_bytes: 0 };
        strings.intern("");
        strings
    }
}
