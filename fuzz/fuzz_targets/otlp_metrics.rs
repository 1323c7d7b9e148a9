//! The distributions of one metric in a request of OTLP metrics.
#![no_main]

use formats::decode::Limits;
use model::catalogue::EVENTLOOP_LAG;

libfuzzer_sys::fuzz_target!(|request: &[u8]| {
    let found = formats::otlp::distributions(request, EVENTLOOP_LAG.otel_name, &Limits::default()).unwrap_or_default();
    for point in &found.points {
        // What is added up relies on it.
        assert!(point.buckets.windows(2).all(|pair| pair[0].index < pair[1].index));
        assert!(point.buckets.iter().all(|bucket| bucket.count > 0));
    }
});
