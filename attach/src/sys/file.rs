//! Mapping object files into memory.
//!
//! The alternative, reading them, would copy a hundred megabytes to use three. The price: a file that is cut short
//! while it is mapped ends the reader with SIGBUS, as it ends the programs that run it.

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// Maps a whole file, privately and read-only.
///
/// # Errors
/// Those of mmap(2), and `InvalidInput` for an empty file.
pub(crate) fn map(file: &File) -> io::Result<Mmap> {
    if file.metadata()?.len() == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the file is empty"));
    }
    // SAFETY: the mapping is private and is only read, as bytes, for which every value is valid; parsers check all
    // that they read. Object files are replaced, not rewritten, by linkers and package managers, and the kernel
    // denies writing to a program that runs.
    unsafe { Mmap::map(file) }
}
