//! What a browser is shown at `/`.

/// The page.
pub(crate) fn page() -> &'static str {
    "<!doctype html><meta charset=utf-8><title>Loopscope collector</title><h1>Loopscope collector</h1>\
     <p>Profiles are sent to /ingest and asked for under /api/v1; see docs/collector.md.\n"
}
