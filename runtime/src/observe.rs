//! What the runtime measures of itself, and where it writes it down.

mod loop_instruments;
pub mod publish;
mod segment;

pub(crate) use loop_instruments::LoopInstruments;
