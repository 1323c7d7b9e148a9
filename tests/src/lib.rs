//! The harness of the stories in `tests/`: what starts, loads, watches and compares real programs.
//!
//! A story runs the program `loopscope` as a user would and looks at what comes out. Where another program can say
//! what should have come out (`perf`, a Prometheus server), it is asked about the same run. Rules of the house:
//!
//! - A process that a story starts is ended when the story ends, however it ends ([`process::Guarded`]).
//! - Nothing sleeps for a time to be right: a story waits for a condition, and gives up at a deadline ([`deadline`]).
//! - What a machine does not offer is skipped loudly, and with `CI=true` is a failure ([`requirement`]).
//! - Load goes to the loopback address only, and ends by itself ([`http::Load`]).
#![forbid(unsafe_code)]

pub mod aliases;
pub mod browser;
pub mod collector;
pub mod comparison;
pub mod dashboards;
pub mod deadline;
pub mod dist;
pub mod example;
pub mod exposition;
pub mod fixture;
pub mod folder;
pub mod formats;
pub mod guest;
pub mod http;
pub mod loopscope;
pub mod metrics;
pub mod node;
pub mod otlp;
pub mod packaging;
pub mod perf;
pub mod process;
pub mod prometheus;
pub mod pyroscope;
pub mod recording;
pub mod requirement;
pub mod spikes;
pub mod systemd;
pub mod truth;
