//! A request of OTLP profiles.
#![no_main]

use formats::decode::Limits;

libfuzzer_sys::fuzz_target!(|request: &[u8]| {
    for found in formats::otlp::profiles::decode(request, &Limits::default()).unwrap_or_default() {
        assert_eq!(found.profile.values.len(), found.profile.samples.len());
        for sample in &found.profile.samples {
            assert!((sample.label_set as usize) < found.profile.label_sets.len());
            let _ = found.profile.symbols.places(sample.stack);
        }
    }
});
