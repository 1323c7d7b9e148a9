//! What the programs `loopscope` and `loopscope-collector` share as services, and no library of theirs brings.
//!
//! [`accept`] takes connections within a bound until it is time to stop, [`stop`] tells when that is, [`web`] who may ask and over what,
//! [`connection`] serves one connection by those rules, [`encoding`] tells whether an answer may be compressed, and [`suggestion`] what was meant
//! in a configuration. What is answered, and the bounds of a connection, are for each program to know: one answers scrapers, the other takes bodies.

#![forbid(unsafe_code)]

pub mod accept;
pub mod connection;
pub mod encoding;
pub mod stop;
pub mod suggestion;
pub mod web;
