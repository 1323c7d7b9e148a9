//! Whether a file holds libuv, and where, is asked of every file that a process has mapped executable.
#![no_main]

use attach::libuv::image::Image;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    Image::read(bytes);
});
