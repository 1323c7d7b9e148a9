//! A profile as pprof, of whichever producer.
#![no_main]

use formats::decode::Limits;

libfuzzer_sys::fuzz_target!(|profile: &[u8]| {
    let limits = Limits::default();
    if let Ok(decoded) = formats::pprof::decode(profile, &limits) {
        assert_eq!(decoded.values.len(), decoded.samples.len() * decoded.types.len());
        for sample in &decoded.samples {
            assert!((sample.label_set as usize) < decoded.label_sets.len());
            let _ = decoded.symbols.places(sample.stack);
        }
    }
});
