//! A process's memory, a few words at a time.

use std::io;

use crate::sys::memory::{self, Piece};
use crate::target::{Pid, ProcessError};

/// Memory that may end is copied in pieces of this size.
const PIECE_BYTES: usize = 256;

/// The memory of a process.
#[derive(Debug)]
pub(super) struct Remote {
    pid: Pid,
}

impl Remote {
    pub(super) fn new(pid: Pid) -> Self {
        Self { pid }
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Copies one piece; `None` where the process has no memory there.
    pub(super) fn read(&self, address: u64, into: &mut [u8]) -> Result<Option<()>, ProcessError> {
        let wanted = into.len();
        match memory::read(self.pid, &mut [Piece { address, into }]) {
            Ok(copied) => Ok((copied == wanted).then_some(())),
            Err(error) => self.no_memory(error),
        }
    }

    /// Copies many pieces in one call; `false` where not all could be.
    pub(super) fn read_all(&self, pieces: &mut [Piece<'_>]) -> Result<bool, ProcessError> {
        let wanted: usize = pieces.iter().map(|piece| piece.into.len()).sum();
        match memory::read(self.pid, pieces) {
            Ok(copied) => Ok(copied == wanted),
            Err(error) => Ok(self.no_memory(error)?.is_some()),
        }
    }

    /// Copies from an address on, as far as there is memory.
    pub(super) fn read_up_to(&self, address: u64, bytes_max: usize) -> Result<Vec<u8>, ProcessError> {
        let mut bytes = vec![0; bytes_max];
        // A piece is copied whole or not at all.
        let pieces = bytes.chunks_mut(PIECE_BYTES).enumerate();
        let at = |number: usize| address.wrapping_add((number * PIECE_BYTES) as u64);
        let mut pieces: Vec<Piece<'_>> =
            pieces.map(|(number, into)| Piece { address: at(number), into }).collect();
        let copied = match memory::read(self.pid, &mut pieces) {
            Ok(copied) => copied,
            Err(error) => {
                self.no_memory(error)?;
                0
            }
        };
        bytes.truncate(copied);
        Ok(bytes)
    }

    /// A word.
    pub(super) fn word(&self, address: u64) -> Result<Option<u64>, ProcessError> {
        let mut word = [0; 8];
        Ok(self.read(address, &mut word)?.map(|()| u64::from_ne_bytes(word)))
    }

    fn no_memory(&self, error: io::Error) -> Result<Option<()>, ProcessError> {
        match error.raw_os_error() {
            Some(libc::EFAULT) => Ok(None),
            _ => Err(ProcessError::new(self.pid, &format!("the memory of process {}", self.pid), error)),
        }
    }
}

/// A number at an offset of a piece of memory; zero beyond its end.
pub(super) fn u64_at(bytes: &[u8], offset: u32) -> u64 {
    let word = bytes.get(offset as usize..).and_then(|rest| rest.first_chunk());
    word.map_or(0, |word| u64::from_ne_bytes(*word))
}

/// As [`u64_at`], of four bytes.
pub(super) fn u32_at(bytes: &[u8], offset: u32) -> u32 {
    let word = bytes.get(offset as usize..).and_then(|rest| rest.first_chunk());
    word.map_or(0, |word| u32::from_ne_bytes(*word))
}
