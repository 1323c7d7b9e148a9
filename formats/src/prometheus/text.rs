//! The Prometheus text format, version 0.0.4.
//!
//! Specification: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>.

use std::io;

use model::snapshot::Snapshot;

use super::lines::{self, Dialect};

/// The `Content-Type` of this format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes a snapshot as Prometheus text.
///
/// ```
/// use loopscope_formats::prometheus::text;
/// use model::catalogue::PROCESS_OPEN_FDS;
/// use model::snapshot::{SharedLabels, Snapshot, Value};
///
/// let mut snapshot = Snapshot::default();
/// snapshot.push(&PROCESS_OPEN_FDS, &SharedLabels::new([("pid", "17")]), &[], Value::Gauge(23));
/// let mut body = Vec::new();
/// text::encode(&snapshot, &mut body)?;
/// assert!(body.ends_with(b"process_open_fds{pid=\"17\"} 23\n"));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// Those of `out`.
pub fn encode(snapshot: &Snapshot, out: &mut impl io::Write) -> io::Result<()> {
    lines::encode(Dialect::Text, snapshot, out)
}
