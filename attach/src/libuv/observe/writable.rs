//! The memory of a process in which a loop may lie.

use std::fs::File;
use std::io::Read;
use std::ops::Range;

use crate::target::{Pid, ProcessError};

/// Mappings of a process that are looked at.
const MAPS_BYTES_MAX: u64 = 8 << 20;

/// The memory that a process can write to: a loop lies there. What lies elsewhere is not even read: below a stack that could
/// grow the kernel would log that somebody tried.
pub(super) struct Writable(Vec<Range<u64>>);

impl Writable {
    pub(super) fn read(pid: Pid) -> Result<Self, ProcessError> {
        let path = format!("/proc/{pid}/maps");
        let read = File::open(&path).and_then(|file| {
            let mut bytes = Vec::new();
            file.take(MAPS_BYTES_MAX).read_to_end(&mut bytes).map(|_| bytes)
        });
        let bytes = read.map_err(|error| ProcessError::new(pid, &path, error))?;
        Ok(Self::of_maps(&bytes))
    }

    /// Paths in the list may be of any bytes but a line's end.
    fn of_maps(maps: &[u8]) -> Self {
        Self(String::from_utf8_lossy(maps).lines().filter_map(Self::parse).collect())
    }

    /// `7f0000000000-7f0000021000 rw-p …`; the kernel lists them in order.
    fn parse(line: &str) -> Option<Range<u64>> {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let hexadecimal = |text| u64::from_str_radix(text, 16).ok();
        rest.starts_with("rw").then_some(hexadecimal(start)?..hexadecimal(end)?)
    }

    /// How much can be written from an address on.
    pub(super) fn length_from(&self, address: u64) -> u64 {
        let behind = self.0.partition_point(|range| range.start <= address);
        let holds = self.0[..behind].last().filter(|range| range.contains(&address));
        holds.map_or(0, |range| range.end - address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_written_to_counts_and_only_to_its_end() {
        let writable = Writable::of_maps(
            b"1000-3000 rw-p 0 0:0 0\n3000-4000 r--p 0 0:0 0 /a\xff\n7000-8000 rw-p 0 0:0 0 [stack]\nx",
        );
        for (address, length) in
            [(0xfff, 0), (0x1000, 0x2000), (0x2ff8, 8), (0x3000, 0), (0x7800, 0x800), (0x8000, 0)]
        {
            assert_eq!(writable.length_from(address), length, "{address:#x}");
        }
    }
}
