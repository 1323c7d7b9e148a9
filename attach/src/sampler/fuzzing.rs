//! Doors for the fuzz targets in `fuzz/`, which only their builds have (`--cfg fuzzing`): decoders of bytes from outside
//! that are nobody else's business.

use std::fs;
use std::path::{Path, PathBuf};

use model::profile::StringId;

use super::rings::record;
use super::symbolize::image::{Bytes, Image};
use super::symbolize::perf_map::PerfMap;
use super::symbolize::resolve_image;

/// Reads the kernel's records one after the other, as they stand in a ring.
pub fn perf_records(mut words: &[u64]) {
    while let Some(&first) = words.first() {
        let Ok(length) = record::length_in_words(first) else { return };
        let Some((one, rest)) = words.split_at_checked(length) else { return };
        let _ = record::time_of(one);
        let _ = record::parse(one);
        words = rest;
    }
}

/// Reads an object file, and looks up addresses in it, which must ascend.
pub fn object_file(bytes: Vec<u8>, addresses: &[u64]) {
    let nowhere = PathBuf::from("/nonexistent");
    if let Some(image) = Image::parse(Bytes::Owned(bytes), None, nowhere) {
        let _ = image.bias(addresses.first().copied().unwrap_or(0), 0);
        let _ = image.unwind_sections();
        resolve_image(&image, addresses, true);
    }
}

/// Reads a perf map, and looks up addresses in it, which must ascend. The map is written to a directory like `/proc`.
pub fn perf_map(proc_dir: &Path, map: &[u8], addresses: &[u64]) {
    let tmp = proc_dir.join("1/root/tmp");
    if fs::create_dir_all(&tmp).and_then(|()| fs::write(tmp.join("perf-1.map"), map)).is_ok() {
        let mut perf_map = PerfMap::new(1, StringId::default());
        perf_map.open(proc_dir);
        perf_map.resolve(addresses);
    }
}
