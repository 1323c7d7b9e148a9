//! The log of what was accepted, in segments: each holds what one [head](super::head) holds.
//!
//! A segment begins with [`MAGIC`]. A record is the length of its payload, the CRC-32 of length and payload, and the payload (little-endian).
//! A record counts once it was written and flushed to the disk, which is done for all that wait at the same time. A crash leaves at most
//! records behind the last flush, torn or whole; none of them was acknowledged.
//!
//! A write that fails is cut off again. After a failed flush nobody knows what the kernel still holds, so the segment is left as it is
//! and another one begun.

pub(super) mod record;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::store::Batch;

const MAGIC: &[u8; 8] = b"LSCPWAL1";
const HEADER_BYTES: usize = 8;
/// A record may be as large as this.
pub(super) const RECORD_BYTES_MAX: usize = 256 << 20;

/// A segment that is written.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    file: File,
    /// Where the last acknowledged record ends.
    pub(super) length: u64,
}

/// What was read of a segment.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// Whether something is wrong that no crash explains: a record of full length with a wrong checksum.
    pub(super) corrupted: bool,
    /// Bytes behind the last good record.
    pub(super) torn_bytes: usize,
}

impl Segment {
    /// Begins a segment.
    pub(super) fn create(folder: &Path, number: u64) -> io::Result<Self> {
        let path = path(folder, number);
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        let begun = file.write_all(MAGIC).and_then(|()| file.sync_all()).and_then(|()| sync_folder(folder));
        if let Err(error) = begun {
            // Best effort: an empty segment says nothing.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        Ok(Self { number, file, length: MAGIC.len() as u64 })
    }

    /// Writes records and flushes them to the disk. Where it fails, none of them is in the segment.
    ///
    /// # Errors
    /// Those of the disk; the second tells whether the segment can go on.
    pub(super) fn append(&mut self, records: &[u8]) -> Result<(), (io::Error, bool)> {
        if let Err(error) = self.file.write_all(records) {
            let usable = self.cut().is_ok();
            return Err((error, usable));
        }
        if let Err(error) = self.file.sync_data() {
            let _ = self.cut();
            return Err((error, false));
        }
        self.length += records.len() as u64;
        Ok(())
    }

    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        io::Seek::seek(&mut self.file, io::SeekFrom::Start(self.length)).map(drop)
    }
}

/// A batch as a record.
pub(super) fn framed(batch: &Batch) -> Vec<u8> {
    let payload = record::encode(batch);
    let length = (payload.len() as u32).to_le_bytes();
    let mut framed = Vec::with_capacity(HEADER_BYTES + payload.len());
    framed.extend_from_slice(&length);
    framed.extend_from_slice(&checksum(length, &payload).to_le_bytes());
    framed.extend_from_slice(&payload);
    framed
}

fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(payload);
    hasher.finalize()
}

/// Reads a segment's records, the oldest first, up to what is not whole.
pub(super) fn replay(bytes: &[u8], mut each: impl FnMut(Batch)) -> Replay {
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
        return Replay { corrupted: bytes.len() >= MAGIC.len(), torn_bytes: bytes.len() };
    };
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let Some((expected, behind)) = behind.split_first_chunk::<4>() else { break };
        let size = u32::from_le_bytes(*length) as usize;
        let Some((payload, behind)) = behind.split_at_checked(size) else { break };
        let right = checksum(*length, payload) == u32::from_le_bytes(*expected);
        match right.then(|| record::decode(payload)).flatten() {
            Some(batch) => each(batch),
            // Pages that a crash left empty are no record.
            None => {
                let corrupted = size != 0 && rest.iter().any(|byte| *byte != 0);
                return Replay { corrupted, torn_bytes: rest.len() };
            }
        }
        rest = behind;
    }
    Replay { corrupted: false, torn_bytes: rest.len() }
}

/// The segments in a folder, by ascending number.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        if let (Some(number), Some("log")) = (number, path.extension().and_then(|name| name.to_str())) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Where a segment lies.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.log"))
}

/// Makes what happened in a folder last.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
