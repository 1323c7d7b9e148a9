//! OpenMetrics text, version 1.0.0: families are named without `_total`, units are told, and the end is marked.
//!
//! Specification: <https://prometheus.io/docs/specs/om/open_metrics_spec/>. Creation times (`_created`) are left out: a
//! snapshot does not hold them, and unknown is absent.

use std::io;

use model::snapshot::Snapshot;

use super::lines::{self, Dialect};

/// The `Content-Type` of this format.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Writes a snapshot as OpenMetrics text.
///
/// # Errors
/// Those of `out`.
pub fn encode(snapshot: &Snapshot, out: &mut impl io::Write) -> io::Result<()> {
    lines::encode(Dialect::OpenMetrics, snapshot, out)
}
