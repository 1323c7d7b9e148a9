//! A telemetry segment belongs to another process, which may write anything into it.
#![no_main]

use std::sync::atomic::{AtomicU64, Ordering};

use libfuzzer_sys::fuzz_target;
use model::catalogue::EVENTLOOP_ITERATIONS;
use model::segment::{Reader, SlowCursor};
use model::snapshot::{SharedLabels, Snapshot};
use model::time::Monotonic;

fuzz_target!(|bytes: &[u8]| {
    let words: Vec<_> = bytes
        .chunks(8)
        .map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            AtomicU64::new(u64::from_le_bytes(word))
        })
        .collect();
    let Ok(reader) = Reader::open(&words) else { return };
    let _ = reader.identity();
    // Twice with one cursor; in between a word changes: the last two say which, and to what.
    let mut cursor = SlowCursor::default();
    let latest = || Monotonic::from_ns(u64::MAX);
    let _ = reader.slow_iterations(&mut cursor, latest);
    if let [.., place, value] = &words[..] {
        let at = place.load(Ordering::Relaxed) as usize % words.len();
        words[at].store(value.load(Ordering::Relaxed), Ordering::Relaxed);
    }
    let _ = reader.slow_iterations(&mut cursor, latest);
    let _ = reader.away(latest);
    let _ = reader.read_loops(&EVENTLOOP_ITERATIONS, Monotonic::from_ns(1));
    if let Ok(contents) = reader.read(Monotonic::from_ns(1)) {
        let target = SharedLabels::new([("service", "fuzz"), ("pid", "1")]);
        contents.add_to(&mut Snapshot::default(), &target);
    }
});
