//! The bytes of a file, read piece by piece.
//!
//! The file is not mapped: of the 20 MB of symbols and names that a Node.js has all would become resident to find fifty, and a file
//! that is cut short while it is mapped ends its reader with SIGBUS. One that is read only ends earlier, and what lay behind its end
//! is not found.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use object::pod::{self, Pod};

/// What is read at once of what is longer.
pub(super) const WINDOW_BYTES: usize = 64 << 10;

/// A piece is no longer than this, whatever the file says: the longest that is asked for has 1 MB.
const PIECE_BYTES_MAX: u64 = 4 << 20;

/// The bytes of a file.
#[derive(Debug)]
pub(super) struct Bytes<'a> {
    source: Source<'a>,
    /// What the kernel said first when it did not read.
    failure: RefCell<Option<io::Error>>,
}

#[derive(Debug)]
enum Source<'a> {
    Memory(&'a [u8]),
    File(&'a File),
}

impl<'a> Bytes<'a> {
    pub(super) fn of_memory(bytes: &'a [u8]) -> Self {
        Self { source: Source::Memory(bytes), failure: RefCell::default() }
    }

    pub(super) fn of_file(file: &'a File) -> Self {
        Self { source: Source::File(file), failure: RefCell::default() }
    }

    /// Whether all that was asked for could be read, as far as it is there.
    ///
    /// # Errors
    /// What the kernel said first when it did not read.
    pub(super) fn check(self) -> io::Result<()> {
        self.failure.into_inner().map_or(Ok(()), Err)
    }

    /// So many bytes from an offset on, or as many as there are.
    pub(super) fn piece(&self, offset: u64, bytes: u64) -> Vec<u8> {
        let mut piece = vec![0; bytes.min(PIECE_BYTES_MAX) as usize];
        self.fill(offset, &mut piece);
        piece
    }

    /// What stands at an offset.
    pub(super) fn record<T: Pod>(&self, offset: u64) -> Option<T> {
        let piece = self.piece(offset, size_of::<T>() as u64);
        Some(*pod::from_bytes(&piece).ok()?.0)
    }

    /// So many records from an offset on, or as many as there are.
    pub(super) fn records<T: Pod>(&self, offset: u64, count: u64) -> impl Iterator<Item = T> {
        let record_bytes = size_of::<T>();
        let window = WINDOW_BYTES / record_bytes;
        let windows = (0..count).step_by(window).map_while(move |from| {
            let from_bytes = from.checked_mul(record_bytes as u64)?;
            let here = (count - from).min(window as u64);
            let piece = self.piece(offset.checked_add(from_bytes)?, here * record_bytes as u64);
            let (records, _) = pod::slice_from_bytes(&piece, piece.len() / record_bytes).ok()?;
            Some(records.to_vec()).filter(|records: &Vec<T>| !records.is_empty())
        });
        windows.flatten()
    }

    /// Fills a buffer with what is there from an offset on, and cuts off the rest of the buffer.
    pub(super) fn fill(&self, offset: u64, buffer: &mut Vec<u8>) {
        let length = match self.source {
            Source::Memory(bytes) => {
                let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or(&[]);
                let length = rest.len().min(buffer.len());
                buffer[..length].copy_from_slice(&rest[..length]);
                length
            }
            Source::File(file) => self.read(file, offset, buffer),
        };
        buffer.truncate(length);
    }

    fn read(&self, file: &File, offset: u64, buffer: &mut [u8]) -> usize {
        let mut length = 0;
        while length < buffer.len() {
            // What a file that lies says of places behind the last that there can be.
            let Some(at) = offset.checked_add(length as u64).filter(|&at| i64::try_from(at).is_ok()) else {
                break;
            };
            match file.read_at(&mut buffer[length..], at) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failure.borrow_mut().get_or_insert(error);
                    break;
                }
            }
        }
        length
    }
}
