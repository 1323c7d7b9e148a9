//! A perf map is written by the program that is profiled.
#![no_main]

use std::path::Path;

use attach::sampler::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // In memory. One fuzzer at a time.
    let proc_dir = Path::new("/dev/shm/loopscope-fuzz-perf-map");
    fuzzing::perf_map(proc_dir, bytes, &[0, 1, 0x10, 0x1000, 0x1234_5678, u64::MAX]);
});
