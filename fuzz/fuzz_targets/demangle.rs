//! Symbols are named by whoever made the file.
#![no_main]

use attach::sampler::demangle::demangle;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|name: &str| {
    demangle(name);
});
