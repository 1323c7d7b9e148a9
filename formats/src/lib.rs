//! How measurements are written down: pure encoders from [`model`] to the formats that other programs read, and [decoders](decode)
//! of the profiles that other programs write.
//!
//! A metrics format takes a [`model::snapshot::Snapshot`], a profile format a [`model::profile::Profile`]; each writes
//! bytes to an [`std::io::Write`] and does nothing else. Files, sockets and clocks are the caller's.
//!
//! Wire types live only here, and none of them is public: what leaves this crate is bytes.

#![forbid(unsafe_code)]

pub mod aggregate;
pub mod decode;
pub mod firefox;
pub mod flamegraph;
pub mod folded;
pub mod otlp;
pub mod pprof;
pub mod prometheus;
pub mod pyroscope;
pub mod pyroscope_server;
pub mod speedscope;

mod extra_strings;
mod json;
mod losses;
mod number;
