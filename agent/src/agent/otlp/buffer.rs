//! Batches on disk, so that they outlive the agent: one file each, in a directory that one agent has for itself.
//!
//! A file is written beside its place, brought to the disk, and renamed: it is there as a whole or not at all. That a disk may
//! still return something else than was written shows in the checksum. What cannot be read is removed and told of, and never sent.
//!
//! A file is some numbers, 8 bytes each with the lowest first ([`MAGIC`], points, whether the payload is compressed, its length, its
//! checksum), and the payload.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use flate2::Crc;
use hyper::body::Bytes;

/// The first number of a file: the format and its version.
const MAGIC: u64 = u64::from_le_bytes(*b"loopOTL1");

pub(super) const HEADER_BYTES: usize = 5 * 8;

/// No batch is larger by far: whatever claims to be is none.
const PAYLOAD_BYTES_MAX: u64 = 64 << 20;

const EXTENSION: &str = "otlp";
const UNFINISHED: &str = "unfinished";

/// What is sent of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Payload {
    pub(super) bytes: Bytes,
    pub(super) is_gzip: bool,
}

/// The directory.
#[derive(Debug)]
pub(super) struct Buffer {
    folder: PathBuf,
    /// Holds the lock.
    _lock: File,
}

/// A batch that an earlier agent left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) id: u64,
    pub(super) points: u64,
    pub(super) length: usize,
}

/// The numbers of a file, but for the first.
#[derive(Clone, Copy, Debug)]
struct Header {
    points: u64,
    is_gzip: bool,
    length: u64,
    checksum: u64,
}

impl Buffer {
    /// Opens a directory, which is made if it is missing; gives what is in it, the oldest first, and how many files were no whole
    /// batches and are gone.
    ///
    /// # Errors
    /// What the operator is to do.
    pub(super) fn open(folder: &Path) -> Result<(Self, Vec<Found>, u64), String> {
        let failed = |error: io::Error| {
            format!(
                "cannot use {} to keep batches: {error}; name a directory that the agent may write to",
                folder.display()
            )
        };
        // Whatever is measured is for nobody but the agent's user.
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let mut options = OpenOptions::new();
        let lock = options.create(true).truncate(false).write(true).mode(0o600).open(folder.join("lock"));
        let lock = lock.map_err(failed)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                format!("another agent keeps its batches in {}; name another directory", folder.display())
            }
            TryLockError::Error(error) => failed(error),
        })?;
        let buffer = Self { folder: folder.to_owned(), _lock: lock };
        let (mut found, mut torn) = (Vec::new(), 0);
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            let id = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            match (extension, id) {
                (Some(EXTENSION), Some(id)) => match buffer.read(id) {
                    Ok((payload, points)) => found.push(Found { id, points, length: payload.bytes.len() }),
                    Err(_) => {
                        torn += 1;
                        buffer.remove(id);
                    }
                },
                // The agent ended while it wrote.
                (Some(UNFINISHED), Some(_)) => {
                    torn += 1;
                    let _ = fs::remove_file(&path);
                }
                // Not ours.
                _ => {}
            }
        }
        found.sort_by_key(|found| found.id);
        Ok((buffer, found, torn))
    }

    /// Keeps a batch; afterwards it is on the disk.
    pub(super) fn write(&self, id: u64, payload: &Payload, points: u64) -> io::Result<()> {
        let unfinished = self.path(id, UNFINISHED);
        let written = self.write_as(&unfinished, id, payload, points);
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written
    }

    fn write_as(&self, unfinished: &Path, id: u64, payload: &Payload, points: u64) -> io::Result<()> {
        let header = [
            MAGIC,
            points,
            u64::from(payload.is_gzip),
            payload.bytes.len() as u64,
            checksum(points, payload.is_gzip, &payload.bytes),
        ];
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(unfinished)?;
        file.write_all(header.map(u64::to_le_bytes).as_flattened())?;
        file.write_all(&payload.bytes)?;
        file.sync_all()?;
        fs::rename(unfinished, self.path(id, EXTENSION))?;
        // The name, too, is to be on the disk.
        File::open(&self.folder)?.sync_all()
    }

    /// Reads a batch, and the number of its points.
    ///
    /// # Errors
    /// Where it cannot be read, or is not what was written.
    pub(super) fn read(&self, id: u64) -> io::Result<(Payload, u64)> {
        let mut file = File::open(self.path(id, EXTENSION))?;
        let mut header = [0; HEADER_BYTES];
        file.read_exact(&mut header)?;
        let header = Header::parse(&header).ok_or(io::ErrorKind::InvalidData)?;
        let mut bytes = Vec::with_capacity(header.length as usize);
        // One more than there should be shows that there is more.
        file.take(header.length + 1).read_to_end(&mut bytes)?;
        let is_whole = bytes.len() as u64 == header.length
            && checksum(header.points, header.is_gzip, &bytes) == header.checksum;
        if !is_whole {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok((Payload { bytes: bytes.into(), is_gzip: header.is_gzip }, header.points))
    }

    /// Removes a batch. One that stays is sent again after a restart.
    pub(super) fn remove(&self, id: u64) {
        let _ = fs::remove_file(self.path(id, EXTENSION));
    }

    fn path(&self, id: u64, extension: &str) -> PathBuf {
        self.folder.join(format!("{id:020}.{extension}"))
    }
}

impl Header {
    fn parse(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let (numbers, _) = bytes.as_chunks::<8>();
        let [magic, points, is_gzip, length, checksum] = numbers.first_chunk()?.map(u64::from_le_bytes);
        let is_sane = magic == MAGIC && is_gzip <= 1 && length <= PAYLOAD_BYTES_MAX;
        is_sane.then_some(Self { points, is_gzip: is_gzip == 1, length, checksum })
    }
}

fn checksum(points: u64, is_gzip: bool, bytes: &[u8]) -> u64 {
    let mut crc = Crc::new();
    crc.update(&points.to_le_bytes());
    crc.update(&[u8::from(is_gzip)]);
    crc.update(bytes);
    u64::from(crc.sum())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A directory that is removed in the end.
    pub(in super::super) struct Scratch(pub(in super::super) PathBuf);

    impl Scratch {
        pub(in super::super) fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("loopscope-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            Self(folder)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    pub(in super::super) fn payload(text: &str) -> Payload {
        Payload { bytes: Bytes::copy_from_slice(text.as_bytes()), is_gzip: true }
    }

    #[test]
    fn what_is_kept_is_found_again_in_order() {
        let scratch = Scratch::new("kept");
        let (buffer, found, torn) = Buffer::open(&scratch.0.join("a/b")).unwrap();
        assert_eq!((found.len(), torn), (0, 0));
        for (id, text) in [(9, "nine"), (10, "ten"), (2, "")] {
            buffer.write(id, &payload(text), id * 100).unwrap();
        }
        drop(buffer);
        fs::write(scratch.0.join("a/b/README"), "not ours").unwrap();
        let (buffer, found, torn) = Buffer::open(&scratch.0.join("a/b")).unwrap();
        let ids: Vec<_> = found.iter().map(|found| (found.id, found.points, found.length)).collect();
        assert_eq!((ids, torn), (vec![(2, 200, 0), (9, 900, 4), (10, 1000, 3)], 0));
        assert_eq!(buffer.read(9).unwrap(), (payload("nine"), 900));
        buffer.remove(9);
        assert!(buffer.read(9).is_err());
        assert!(scratch.0.join("a/b/README").exists());
    }

    #[test]
    fn a_directory_belongs_to_one_agent() {
        let scratch = Scratch::new("locked");
        let first = Buffer::open(&scratch.0).unwrap();
        assert!(Buffer::open(&scratch.0).unwrap_err().contains("another agent"));
        drop(first);
        Buffer::open(&scratch.0).unwrap();
        assert!(Buffer::open(Path::new("/proc/nothing")).unwrap_err().contains("may write to"));
    }

    #[test]
    fn a_file_that_is_not_whole_is_removed_and_counted() {
        let scratch = Scratch::new("torn");
        let (buffer, ..) = Buffer::open(&scratch.0).unwrap();
        buffer.write(1, &payload("whole"), 7).unwrap();
        let whole = fs::read(buffer.path(1, EXTENSION)).unwrap();
        // Cut anywhere, one byte more, any byte changed.
        let cut = (0..whole.len()).map(|length| whole[..length].to_vec());
        let changed = (0..whole.len()).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x40;
            bytes
        });
        let broken: Vec<_> = cut.chain(changed).chain([[&whole[..], b"x"].concat()]).collect();
        for (id, bytes) in (2..).zip(&broken) {
            fs::write(buffer.path(id, EXTENSION), bytes).unwrap();
        }
        fs::write(buffer.path(1000, UNFINISHED), &whole).unwrap();
        drop(buffer);
        let (_buffer, found, torn) = Buffer::open(&scratch.0).unwrap();
        assert_eq!(found, [Found { id: 1, points: 7, length: 5 }]);
        assert_eq!(torn, broken.len() as u64 + 1);
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 2, "the whole one and the lock");
    }
}
