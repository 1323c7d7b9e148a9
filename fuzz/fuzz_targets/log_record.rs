//! A record of the collector's log, whose checksum was right all the same.
#![no_main]

use collector::store::embedded::{decode_record, encode_record};

libfuzzer_sys::fuzz_target!(|record: &[u8]| {
    let Some(batch) = decode_record(record) else { return };
    for series in &batch.series {
        for (stack, _) in &series.rows {
            let _ = batch.symbols.places(Some(*stack));
        }
    }
    let written = encode_record(&batch);
    let again = decode_record(&written).expect("what was read can be written");
    assert_eq!(encode_record(&again), written);
});
