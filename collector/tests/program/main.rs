//! The program as its users meet it: the real binary, its answers over HTTP, and what it survives.

#[path = "../../../agent/tests/cli/certificates.rs"]
mod certificates;
mod client;
mod crash;
mod faults;
mod formats;
mod http;
mod otlp;
mod pyroscope;
mod secured;
mod server;
mod upload;
