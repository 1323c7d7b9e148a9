//! A multipart form, as Pyroscope's clients send profiles: the boundary, a line break, and the body.
#![no_main]

use collector::ingest::form::part;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let Ok(boundary) = std::str::from_utf8(&input[..end]) else { return };
    let body = &input[(end + 1).min(input.len())..];
    for content_type in [format!("multipart/form-data; boundary={boundary}"), boundary.to_owned()] {
        if let Some(found) = part(body, &content_type, "profile") {
            assert!(body.as_ptr_range().start <= found.as_ptr_range().start);
            assert!(found.as_ptr_range().end <= body.as_ptr_range().end);
        }
    }
});
