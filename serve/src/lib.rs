//! What the programs `loopscope` and `loopscope-collector` share as services, and no library of theirs brings.
//!
//! [`accept`] takes connections within a bound until it is time to stop, [`stop`] tells when that is, [`encoding`] whether an answer may be
//! compressed, and [`suggestion`] what was meant in a configuration. What is served, and what a connection may do, is for each
//! program to know: one answers scrapers, the other takes bodies.

#![forbid(unsafe_code)]

pub mod accept;
pub mod encoding;
pub mod stop;
pub mod suggestion;
