//! The server's side of Pyroscope's push and query API: its messages as protocol buffers, for clients that know Pyroscope only.
//!
//! Facts about the messages: `push/v1/push.proto`, `querier/v1/querier.proto` and `types/v1/types.proto` of Pyroscope 2. Requests of
//! the query API share most of their fields, so they are one [`Request`] here; what a method has no field for is empty.

mod answer;
mod push;
mod request;

pub use answer::{
    FlameGraph, Pairs, Point, ProfileTypeRow, Series, flame_graph, labels_sets, names, profile_types, series,
};
pub use push::{PushedSeries, push};
pub use request::{Method, REPEATED_MAX, Request};
