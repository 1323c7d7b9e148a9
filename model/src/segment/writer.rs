//! The writing side: making a segment, finding a place for each scope.

use std::sync::atomic::{AtomicU64, Ordering};

use super::layout::{self, Encoding, Entry, Identity, ScopeKind, ScopeState, closing_of, scope_word};
use super::scope::Scope;
use super::slow;

/// Closed loops that are kept. Whoever looks twice a second then misses none that had a slow iteration of 10 ms, even where they come one right
/// after the other. More would take memory, and time to find one's instruments again.
const CLOSED_KEPT: usize = 64;

/// The writer of a segment. Copies write to the same segment.
#[derive(Clone, Copy)]
pub struct Writer {
    pub(super) words: &'static [AtomicU64],
}

impl Writer {
    /// Makes a segment of memory that holds only zeros.
    ///
    /// # Panics
    /// If there are fewer than [`super::WORDS_MIN`] words, or more than 2^32.
    pub fn create(words: &'static [AtomicU64], identity: &Identity) -> Self {
        assert!(words.len() >= layout::WORDS_MIN, "a segment of {} words is too short", words.len());
        assert!(u32::try_from(words.len()).is_ok(), "a segment of {} words is too long", words.len());
        let store = |word: usize, value: u64| words[word].store(value, Ordering::Relaxed);
        let scopes = layout::HEADER_WORDS;
        let directory = scopes + layout::SCOPES * layout::SCOPE_WORDS;
        store(
            layout::WORD_VERSION,
            u64::from(layout::VERSION_MAJOR) << 32 | u64::from(layout::VERSION_MINOR),
        );
        store(layout::WORD_LENGTH, words.len() as u64);
        store(layout::WORD_PID, u64::from(identity.pid));
        store(layout::WORD_CREATED, identity.created_ns);
        store(layout::WORD_SCOPES, layout::pack_table(scopes, layout::SCOPES));
        store(layout::WORD_DIRECTORY, layout::pack_table(directory, layout::ENTRIES));
        store(layout::WORD_FREE, layout::WORDS_MIN as u64);
        layout::store_text(&words[layout::WORDS_SERVICE], &identity.service);
        layout::store_text(&words[layout::WORDS_PRODUCER], &identity.producer);
        words[layout::WORD_MAGIC].store(layout::MAGIC, Ordering::Release);
        Self { words }
    }

    /// Renames the service. Who reads meanwhile may see a mixture of both names, once.
    pub fn set_service(&self, service: &str) {
        layout::store_text(&self.words[layout::WORDS_SERVICE], service);
    }

    /// How many words, from the first, may hold something; all others are zero.
    pub fn used_words(&self) -> usize {
        (self.words[layout::WORD_FREE].load(Ordering::Acquire) as usize).min(self.words.len())
    }

    /// Opens a scope. It takes over the cells of the closed one of the same kind that closed first; a loop does so only where 64 have closed, or half of
    /// the segment is in use, because the last figures of closed loops are read.
    ///
    /// `index` tells the scopes of a kind apart for as long as the process lives: give each a new one. `name` is cut
    /// to 32 bytes. Where the table is full the scope works as any other, but nobody can read it.
    pub fn open_scope(&self, kind: ScopeKind, index: u64, thread_id: u64, name: &str) -> Scope {
        // Before the place is taken: from here on the directory tells of what is registered in it.
        let first_entry = self.entries_used();
        let number = self.claim_scope(kind);
        let mut inherited = Vec::new();
        if let Some(number) = number {
            let words = self.scope_words(number);
            words[1].store(index, Ordering::Release);
            words[2].store(thread_id, Ordering::Relaxed);
            layout::store_text(&words[4..4 + layout::SCOPE_NAME_WORDS], name);
            inherited.extend(self.entries_from(0).filter(|entry| usize::from(entry.scope) == number));
            self.zero_cells_of(&inherited);
            if let Some(ring) = slow::Place::unpack(words[layout::SCOPE_RING].load(Ordering::Relaxed)) {
                ring.clear(self.words);
            }
            words[0].store(scope_word(ScopeState::Open, kind), Ordering::Release);
        } else {
            self.words[layout::WORD_DROPPED].fetch_add(1, Ordering::Relaxed);
        }
        Scope { writer: *self, number, kind, inherited, first_entry }
    }

    fn claim_scope(&self, kind: ScopeKind) -> Option<usize> {
        // Of others than loops nobody reads what has closed.
        let keeps = kind == ScopeKind::Loop && self.closed(kind).count() < CLOSED_KEPT && self.has_room();
        let fresh = if keeps { self.fresh_scope(kind) } else { None };
        fresh.or_else(|| self.closed_scope(kind)).or_else(|| self.fresh_scope(kind))
    }

    /// Whether half of everything is free.
    fn has_room(&self) -> bool {
        let used = |word: usize| self.words[word].load(Ordering::Relaxed) as usize;
        let cells_used = used(layout::WORD_FREE).saturating_sub(layout::WORDS_MIN);
        cells_used <= (self.words.len() - layout::WORDS_MIN) / 2
            && used(layout::WORD_SCOPES_USED) <= layout::SCOPES / 2
            && used(layout::WORD_DIRECTORY_USED) <= layout::ENTRIES / 2
    }

    /// A place that no other scope had.
    fn fresh_scope(&self, kind: ScopeKind) -> Option<usize> {
        let number = claim(&self.words[layout::WORD_SCOPES_USED], 1, layout::SCOPES)?;
        self.scope_words(number)[0].store(scope_word(ScopeState::Opening, kind), Ordering::Release);
        Some(number)
    }

    /// The place of the scope of this kind that closed first.
    fn closed_scope(&self, kind: ScopeKind) -> Option<usize> {
        let opening = scope_word(ScopeState::Opening, kind);
        loop {
            let (_, number, word) = self.closed(kind).min()?;
            let state = &self.scope_words(number)[0];
            // Another thread may have been quicker; no two closings have the same number.
            if state.compare_exchange(word, opening, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Some(number);
            }
        }
    }

    pub(super) fn scope_words(&self, number: usize) -> &'static [AtomicU64] {
        let start = layout::HEADER_WORDS + number * layout::SCOPE_WORDS;
        &self.words[start..start + layout::SCOPE_WORDS]
    }

    /// The closed scopes of a kind: which closing each was, its place, and its first word.
    fn closed(&self, kind: ScopeKind) -> impl Iterator<Item = (u64, usize, u64)> {
        let used = self.words[layout::WORD_SCOPES_USED].load(Ordering::Acquire) as usize;
        (0..used.min(layout::SCOPES)).filter_map(move |number| {
            let word = self.scope_words(number)[0].load(Ordering::Relaxed);
            Some((closing_of(word, kind)?, number, word))
        })
    }

    fn entries_used(&self) -> usize {
        (self.words[layout::WORD_DIRECTORY_USED].load(Ordering::Acquire) as usize).min(layout::ENTRIES)
    }

    /// The entries of the directory, from one on.
    pub(super) fn entries_from(&self, first: usize) -> impl Iterator<Item = Entry> {
        let (start, _) = layout::unpack_table(self.words[layout::WORD_DIRECTORY].load(Ordering::Relaxed));
        let (from, to) = (first, self.entries_used().max(first));
        let rows = &self.words[start + from * layout::ENTRY_WORDS..start + to * layout::ENTRY_WORDS];
        let rows = rows.chunks_exact(layout::ENTRY_WORDS);
        rows.filter_map(|row| Entry::unpack([row[0].load(Ordering::Acquire), row[1].load(Ordering::Relaxed)]))
    }

    fn zero_cells_of(&self, entries: &[Entry]) {
        for entry in entries {
            let cells = Encoding::from_code(entry.encoding).map_or(1, Encoding::cells);
            for shard in 0..usize::from(entry.shards) {
                let start = entry.offset as usize + shard * usize::from(entry.stride);
                self.words[start..start + cells].iter().for_each(|cell| cell.store(0, Ordering::Relaxed));
            }
        }
    }

    pub(super) fn allocate(&self, count: usize) -> Option<usize> {
        claim(&self.words[layout::WORD_FREE], count, self.words.len())
    }

    pub(super) fn append(&self, entry: Entry) -> Option<()> {
        let number = claim(&self.words[layout::WORD_DIRECTORY_USED], 1, layout::ENTRIES)?;
        let (start, _) = layout::unpack_table(self.words[layout::WORD_DIRECTORY].load(Ordering::Relaxed));
        let row = &self.words[start + number * layout::ENTRY_WORDS..];
        let [first, second] = entry.pack();
        row[1].store(second, Ordering::Relaxed);
        row[0].store(first, Ordering::Release);
        Some(())
    }
}

/// Takes `count` units from a counter that may not pass `limit`; gives the first one taken.
fn claim(counter: &AtomicU64, count: usize, limit: usize) -> Option<usize> {
    let step = |used: u64| used.checked_add(count as u64).filter(|&next| next <= limit as u64);
    counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, step).ok().map(|first| first as usize)
}
