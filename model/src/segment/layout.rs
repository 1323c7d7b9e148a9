//! Where everything lies: the offsets, the packing of words, and nothing else.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::instrument::{HISTOGRAM_CELLS, PEAK_CELLS};

/// "LOOPSCOP", in the machine's byte order.
pub(super) const MAGIC: u64 = 0x4c4f_4f50_5343_4f50;
pub(super) const VERSION_MAJOR: u32 = 1;
pub(super) const VERSION_MINOR: u32 = 2;
/// Since when a loop's ring tells whether the loop is away from its poll.
pub(super) const MINOR_OF_AWAY: u32 = 2;

pub(super) const WORD_MAGIC: usize = 0;
pub(super) const WORD_VERSION: usize = 1;
pub(super) const WORD_LENGTH: usize = 2;
pub(super) const WORD_PID: usize = 3;
pub(super) const WORD_CREATED: usize = 4;
pub(super) const WORD_SCOPES: usize = 5;
pub(super) const WORD_SCOPES_USED: usize = 6;
pub(super) const WORD_DIRECTORY: usize = 7;
pub(super) const WORD_DIRECTORY_USED: usize = 8;
pub(super) const WORD_FREE: usize = 9;
pub(super) const WORD_DROPPED: usize = 10;
pub(super) const WORD_CLOSINGS: usize = 11;
pub(super) const WORDS_SERVICE: std::ops::Range<usize> = 16..24;
pub(super) const WORDS_PRODUCER: std::ops::Range<usize> = 24..32;
pub(super) const HEADER_WORDS: usize = 32;

pub(super) const SCOPE_WORDS: usize = 8;
/// The word of a scope that says where its ring of slow iterations lies.
pub(super) const SCOPE_RING: usize = 3;
pub(super) const SCOPE_NAME_WORDS: usize = 4;
pub(super) const ENTRY_WORDS: usize = 2;

/// Scopes that a writer makes room for: the process and as many loops as threads that a program could want.
pub(super) const SCOPES: usize = 512;

/// Directory entries that a writer makes room for.
pub(super) const ENTRIES: usize = 16_384;

/// Words of a segment that suits most programs: 16 MiB of address space, of which only what is written to takes memory.
pub const WORDS_DEFAULT: usize = 2 * 1024 * 1024;

/// The fewest words that a segment can have.
pub const WORDS_MIN: usize = HEADER_WORDS + SCOPES * SCOPE_WORDS + ENTRIES * ENTRY_WORDS;

/// What a segment says of the program that writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The process id, in the writer's own pid namespace. A forked child inherits the mapping but not the identity.
    pub pid: u32,
    /// `CLOCK_MONOTONIC` when the segment was made, in nanoseconds.
    pub created_ns: u64,
    /// The service's name; at most 64 bytes are kept.
    pub service: String,
    /// The library that writes, with its version.
    pub producer: String,
}

/// What a scope's metrics are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ScopeKind {
    /// The whole process: its thread pool, its heap.
    Process = 1,
    /// One event loop.
    Loop = 2,
    /// A runtime that has several loops, such as one of tokio's.
    Runtime = 3,
}

impl ScopeKind {
    pub(super) fn from_code(code: u8) -> Option<Self> {
        [Self::Process, Self::Loop, Self::Runtime].into_iter().find(|kind| *kind as u8 == code)
    }
}

/// The life of a scope; zero is a place in the table that was never used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum ScopeState {
    Opening = 1,
    Open = 2,
    Closed = 3,
}

pub(super) fn scope_word(state: ScopeState, kind: ScopeKind) -> u64 {
    state as u64 | (kind as u64) << 8
}

/// That of a scope whose closing was this one of all.
pub(super) fn closed_word(kind: ScopeKind, closing: u64) -> u64 {
    scope_word(ScopeState::Closed, kind) | closing << CLOSING_SHIFT
}

/// Which closing of all was that of a scope of this kind; `None` where it is not closed, or of another kind.
pub(super) fn closing_of(word: u64, kind: ScopeKind) -> Option<u64> {
    let is_closed = word & ((1 << CLOSING_SHIFT) - 1) == scope_word(ScopeState::Closed, kind);
    is_closed.then_some(word >> CLOSING_SHIFT)
}

const CLOSING_SHIFT: u32 = 16;

/// How cells hold a metric's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Encoding {
    /// One cell; shards add up.
    Sum = 1,
    /// Sum in nanoseconds, zeros, slots; shards add up.
    Histogram = 2,
    /// The current value and its peaks by window; the value is the peak.
    Peak = 3,
    /// Two cells; the value is the first less the second. Shards add up.
    Difference = 4,
}

impl Encoding {
    pub(super) fn from_code(code: u8) -> Option<Self> {
        [Self::Sum, Self::Histogram, Self::Peak, Self::Difference].into_iter().find(|e| *e as u8 == code)
    }

    pub(super) const fn cells(self) -> usize {
        match self {
            Self::Sum => 1,
            Self::Histogram => HISTOGRAM_CELLS,
            Self::Peak => PEAK_CELLS,
            Self::Difference => 2,
        }
    }
}

/// A directory entry, unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) metric: u16,
    pub(super) encoding: u8,
    pub(super) labels: [u8; 2],
    pub(super) shards: u16,
    pub(super) offset: u32,
    pub(super) stride: u16,
    pub(super) scope: u16,
}

const ENTRY_READY: u64 = 1 << 40;

impl Entry {
    pub(super) fn pack(self) -> [u64; 2] {
        let first = u64::from(self.metric)
            | u64::from(self.encoding) << 16
            | u64::from(self.labels[0]) << 24
            | u64::from(self.labels[1]) << 32
            | ENTRY_READY
            | u64::from(self.shards) << 48;
        let second = u64::from(self.offset) | u64::from(self.stride) << 32 | u64::from(self.scope) << 48;
        [first, second]
    }

    /// `None` of an entry that is still being written.
    pub(super) fn unpack([first, second]: [u64; 2]) -> Option<Self> {
        (first & ENTRY_READY != 0).then_some(Self {
            metric: first as u16,
            encoding: (first >> 16) as u8,
            labels: [(first >> 24) as u8, (first >> 32) as u8],
            shards: (first >> 48) as u16,
            offset: second as u32,
            stride: (second >> 32) as u16,
            scope: (second >> 48) as u16,
        })
    }
}

/// A table's place: where it begins and how many rows it has room for.
pub(super) fn pack_table(offset: usize, capacity: usize) -> u64 {
    (offset as u64) << 32 | capacity as u64
}

pub(super) fn unpack_table(word: u64) -> (usize, usize) {
    ((word >> 32) as usize, (word & u64::from(u32::MAX)) as usize)
}

/// Stores as much of `text` as fits whole characters.
pub(super) fn store_text(words: &[AtomicU64], text: &str) {
    let mut end = text.len().min(words.len() * 8);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut bytes = text.as_bytes()[..end].iter().copied();
    for word in words {
        let chunk: [u8; 8] = std::array::from_fn(|_| bytes.next().unwrap_or(0));
        word.store(u64::from_ne_bytes(chunk), Relaxed);
    }
}

/// Reads text up to the first zero; bytes that are not UTF-8 become replacement characters.
pub(super) fn load_text(words: &[AtomicU64]) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.load(Relaxed).to_ne_bytes()).collect();
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
