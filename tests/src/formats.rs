//! Profiles read back, format by format, from what their specifications say and not from what our encoders write.
//!
//! Each reader panics where a file is not well-formed: here it is the file that is tested.

pub mod firefox;
pub mod folded;
pub mod pprof;
pub mod protobuf;
pub mod speedscope;
pub mod svg;
