//! What the runtime measures of itself, and where it writes it down.

mod loop_instruments;
mod slow_iterations;

/// The process's telemetry segment, which all that measures in a process has in common.
pub mod publish {
    pub use telemetry::publish::{
        Publication, Unpublished, contents, keep_private, publication, service_name, set_service_name,
    };
}

pub(crate) use loop_instruments::LoopInstruments;
pub(crate) use slow_iterations::SLOW;
pub use slow_iterations::{PhaseShare, SlowIteration};
