//! What is pushed and asked by Pyroscope's API.
#![no_main]

use formats::decode::Limits;
use formats::pyroscope_server::{Method, Request, push};

libfuzzer_sys::fuzz_target!(|request: &[u8]| {
    let _ = push(request, &Limits::default());
    let methods = ["ProfileTypes", "LabelNames", "LabelValues", "Series", "SelectMergeStacktraces", "SelectSeries", "Diff"];
    for method in methods.into_iter().filter_map(Method::named) {
        let _ = Request::decode(method, request);
    }
});
