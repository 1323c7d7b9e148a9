//! The telemetry segment: how a program lays out its instruments in memory that another process reads.
//!
//! A segment is an array of 64-bit words, in the machine's byte order, shared between one program that writes and any
//! number of readers. It has a header, a table of scopes (the process's pool and heap, each event loop), a directory
//! that says which cells hold which metric, and the cells. Everything is appended; nothing moves.
//!
//! ```text
//! word 0            magic, written last when a segment is made
//!      1            version: major << 32 | minor
//!      2            length of the segment in words
//!      3            process id of the writer, in its own pid namespace
//!      4            CLOCK_MONOTONIC when the segment was made, ns
//!      5            scopes: offset << 32 | capacity
//!      6            scopes used
//!      7            directory: offset << 32 | capacity
//!      8            directory entries used
//!      9            first free word
//!     10            instruments that did not fit
//!     11            scopes closed so far
//!     16..24        service name: UTF-8, padded with zeros
//!     24..32        producer, such as "loopscope-telemetry 0.1.0"
//! scope, 8 words    state (1 opening, 2 open, 3 closed) | kind << 8 | which closing of all it was << 16;  index;  thread id;  ring of slow iterations, or zero:
//!                   offset << 32 | rows << 16 | words of a row;  name (4 words)
//! entry, 2 words    metric | encoding << 16 | label 1 << 24 | label 2 << 32 | 1 << 40 | shards << 48;
//!                   offset | stride << 32 | scope << 48
//! ```
//!
//! **Threads.** Any thread may open scopes and register instruments: space is claimed with atomic additions, and an
//! entry counts from the moment its first word is stored (`Release`). Cells are written by the instruments alone. When a
//! scope is closed its cells stay, and a later scope of its kind takes them over, zeroed, under a new index; a
//! reader that raced with that sees the index change and drops what it read. A loop takes over a closed one's place only where there are
//! 64 of them or half of the segment is in use, and then that of the one which closed first, so that whoever looks twice a second sees a loop's end, too.
//!
//! **Trust.** A reader trusts nothing. Every offset and length is checked against the memory that it was given, the
//! work is bounded by the segment's size, and what it does not understand is counted, not guessed.
//!
//! **Versions.** A reader accepts its own major version. A new metric, label value or kind of scope needs no new version:
//! readers skip what they do not know. A new encoding, or a word that was reserved, raises the minor version; any other change the major one. Since 1.1 a loop may have a
//! [ring of slow iterations](SlowReading), of which older readers know nothing; since 1.2 the ring tells since when its loop is away from the poll, and a scope
//! its closing, which older readers take for a scope that is gone.

mod contents;
mod error;
mod layout;
mod reader;
mod scope;
mod slow;
mod writer;

pub use contents::{Contents, Reading, ScopeReading};
pub use error::SegmentError;
pub use layout::{Identity, ScopeKind, WORDS_DEFAULT, WORDS_MIN};
pub use reader::Reader;
pub use scope::{AllocationCells, Scope};
pub use slow::{Away, LocalSlowIterations, SlowCursor, SlowIteration, SlowReading, TellingLoop};
pub use writer::Writer;
