//! Object files are whatever a profiled process has mapped.
#![no_main]

use attach::sampler::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Where the seeds have their code, near by, and far beyond the end.
    let addresses = [0, 0x78, 0x1000, 0x1010, 0x40_010d, 0x40_0115, u64::MAX - 1, u64::MAX];
    fuzzing::object_file(bytes.to_owned(), &addresses);
});
