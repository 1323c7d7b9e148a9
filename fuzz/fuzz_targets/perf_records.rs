//! Records come from the kernel, but a ring that was overrun or a bug of ours can hand out anything.
#![no_main]

use attach::sampler::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (words, _) = bytes.as_chunks();
    let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    fuzzing::perf_records(&words);
});
