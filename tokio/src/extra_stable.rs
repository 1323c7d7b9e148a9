//! What only a build with `--cfg tokio_unstable` tells: here, nothing.

use model::segment::Scope;
use model::time::Monotonic;
use tokio::runtime::RuntimeMetrics;

/// Whether the blocking pool's threads and queue are sampled, so that nobody else has to count them.
pub(crate) const SAMPLES_THE_POOL: bool = false;

pub(crate) struct Extra;

impl Extra {
    pub(crate) fn new(_runtime: &Scope, _metrics: &RuntimeMetrics) -> Self {
        Self
    }

    pub(crate) fn sample(&mut self, _metrics: &RuntimeMetrics, _now: Monotonic) {}
}
