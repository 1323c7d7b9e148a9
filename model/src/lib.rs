//! What Loopscope measures, as data: no I/O, no clock, no serialization.
//!
//! Every other crate points here. A program on our runtime records into [`instrument`]s that live in a telemetry
//! [`segment`]; a reader turns a segment into a [`snapshot`]; exporters read only snapshots. A profiler fills a
//! [`profile`]; file formats read only profiles. The names of everything that is measured stand once, in the
//! [`catalogue`].
//!
//! Read in this order: [`catalogue`] and its [`label`]s, [`histogram`], [`instrument`], [`segment`], [`snapshot`],
//! [`profile`].

#![forbid(unsafe_code)]

pub mod catalogue;
pub mod histogram;
pub mod instrument;
pub mod label;
pub mod profile;
pub mod segment;
pub mod snapshot;
pub mod time;
