//! A block: an immutable part of the store, five tables in Parquet and what is to be known of them.
//!
//! | object | a row is | columns |
//! |---|---|---|
//! | `samples.parquet` | what was spent in a stack | `series`, `stack`, `time`, `value`; sorted in that order |
//! | `totals.parquet` | the same of all times of a series | `series`, `stack`, `value` |
//! | `stacks.parquet` | a stack | `caller` (a row of this table, or -1), `frame` (a row of `frames`) |
//! | `frames.parquet` | a place in code | `function`, `file`, `line` |
//! | `series.parquet` | a series within an hour, by service, hour and labels | `labels` (a JSON object), `hour`, `first_row` and `rows` (in `samples`), `first_total` and `totals`, `first_stack` and `stacks` (those of its service), `first`, `last` (times) |
//! | `meta.json` | | [`Meta`]: written last, so a block without it is none |
//!
//! A question about whole hours needs the totals and no sample, and one about a service needs its stacks and nobody else's.
//!
//! Every byte that a query reads is covered by a checksum in `meta.json`. A block tells which others it replaces, and which segment of the
//! log it came from: whatever instant a crash picks, what counts follows from the list of blocks alone.

mod build;
mod grouped;
mod read;
mod stacks;
mod table;

pub(super) use build::Builder;
pub(super) use read::Index;
pub(super) use stacks::{FrameTable, StackTable};

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::objects::Objects;

const VERSION: u32 = 2;
pub(super) const META: &str = "meta.json";
const SAMPLES: &str = "samples.parquet";
const TOTALS: &str = "totals.parquet";
const STACKS: &str = "stacks.parquet";
const FRAMES: &str = "frames.parquet";
const SERIES: &str = "series.parquet";

/// What is to be known of a block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Meta {
    /// Of the format.
    version: u32,
    /// The first hour that profiles of it began in, in hours since the UNIX epoch.
    pub(super) hour: i64,
    /// How many hours there are from the first to the last.
    pub(super) hours: i64,
    /// When its first profile began, in milliseconds since the UNIX epoch.
    pub(super) first_ms: i64,
    /// When its last one did.
    pub(super) last_ms: i64,
    /// Rows of samples.
    pub(super) rows: u64,
    /// How many series, each counted for each hour.
    pub(super) series: u64,
    /// The segment of the log that it was made of.
    pub(super) segment: Option<u64>,
    /// The blocks whose content it took over.
    pub(super) replaces: Vec<String>,
    samples: Vec<Part>,
    totals: Vec<Part>,
    stacks: Vec<Part>,
    frames: Part,
    index: Part,
    /// Of this object with a zero here.
    checksum: u32,
}

/// A part of an object that is read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    offset: u64,
    bytes: u64,
    crc32: u32,
}

impl Meta {
    fn sealed(mut self) -> Self {
        self.checksum = 0;
        let text = serde_json::to_vec(&self).expect("numbers and text");
        self.checksum = crc32fast::hash(&text);
        self
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let meta: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if meta.version != VERSION {
            return Err(format!("it has version {}, and {VERSION} is known", meta.version));
        }
        if meta.clone().sealed() != meta {
            return Err("its checksum is wrong".to_owned());
        }
        Ok(meta)
    }

    /// How much disk the block takes, without this object.
    pub(super) fn bytes(&self) -> u64 {
        let grouped = [&self.samples, &self.totals, &self.stacks].into_iter().flatten();
        grouped.map(|part| part.bytes).sum::<u64>() + self.frames.bytes + self.index.bytes
    }
}

/// A block, made and not yet written.
#[derive(Debug)]
pub(super) struct Made {
    meta: Meta,
    objects: Vec<(&'static str, Bytes)>,
}

/// A block that is stored.
#[derive(Debug)]
pub(super) struct Block {
    /// The folder of its objects.
    pub(super) name: String,
    pub(super) meta: Meta,
    /// Whether something in it could not be read: it is not asked until all of it was read again.
    broken: AtomicBool,
}

/// Why a block cannot be read.
#[derive(Debug)]
pub(super) enum BlockError {
    /// It is not what was written.
    Corrupted(String),
    /// The disk failed.
    Io(io::Error),
}

impl Block {
    /// Stores a block that was made.
    pub(super) fn store(objects: &Objects, name: String, made: Made) -> io::Result<Self> {
        for (object, content) in made.objects {
            objects.put(&format!("{name}/{object}"), content)?;
        }
        let text = serde_json::to_vec_pretty(&made.meta).expect("numbers and text");
        objects.put(&format!("{name}/{META}"), text.into())?;
        Ok(Self { name, meta: made.meta, broken: AtomicBool::new(false) })
    }

    /// Finds a block of this name.
    pub(super) fn find(objects: &Objects, name: &str) -> Result<Self, BlockError> {
        let bytes = objects.get(&format!("{name}/{META}")).map_err(BlockError::Io)?;
        let meta = Meta::parse(&bytes)
            .map_err(|reason| BlockError::Corrupted(format!("{name}/{META}: {reason}")))?;
        Ok(Self { name: name.to_owned(), meta, broken: AtomicBool::new(false) })
    }

    /// How often its content was merged; always more than of those that it replaces.
    pub(super) fn generation(&self) -> u64 {
        self.name.rsplit_once('+').and_then(|(_, generation)| generation.parse().ok()).unwrap_or(0)
    }

    /// The name of what a segment of the log says of an hour.
    pub(super) fn name_of(segment: u64, hour: i64) -> String {
        format!("blocks/{hour:08}-{segment:012}")
    }

    /// The segment that is in a name; those of merged blocks have that of a block that they took over.
    pub(super) fn segment_in(name: &str) -> Option<u64> {
        name.split('+').next()?.rsplit_once('-')?.1.parse().ok()
    }

    /// Whether it is what a segment of the log says of an hour.
    pub(super) fn is_of(&self, segment: u64, hour: i64) -> bool {
        self.meta.segment == Some(segment) && self.meta.hour == hour
    }

    /// Whether it is out of use.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Takes it out of use; whether it was in use.
    pub(super) fn take_out(&self) -> bool {
        !self.broken.swap(true, Ordering::Relaxed)
    }

    /// Takes it into use again.
    pub(super) fn take_back(&self) {
        self.broken.store(false, Ordering::Relaxed);
    }

    /// Removes its objects, first the one without which it is no block.
    pub(super) fn delete(&self, objects: &Objects) -> io::Result<()> {
        Self::delete_named(objects, &self.name)
    }

    /// Removes the objects of this name, whether they are a block or were to become one.
    pub(super) fn delete_named(objects: &Objects, name: &str) -> io::Result<()> {
        objects.delete(&format!("{name}/{META}"))?;
        // A bucket that is gone has no list either, so nothing is taken for removed because of that.
        for (object, _) in objects.list(Some(name))? {
            objects.delete(&object)?;
        }
        Ok(())
    }
}

impl std::fmt::Display for BlockError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Corrupted(what) => f.write_str(what),
            Self::Io(error) => error.fmt(f),
        }
    }
}
