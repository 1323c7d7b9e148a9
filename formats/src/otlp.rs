//! OTLP: metrics for OpenTelemetry's collectors and backends, as the protocol-buffer messages of
//! `opentelemetry.proto.collector.metrics.v1`.
//!
//! Specification: <https://github.com/open-telemetry/opentelemetry-proto>. A [`ResourceMetrics`] holds what is measured of one
//! process; several of them, [encoded](ResourceMetrics::encode) one behind the other, are one `ExportMetricsServiceRequest`.
//! [`answer`] reads what a receiver says to it. How a metric of the catalogue is called, and in which unit it is told, is
//! in [`stream`]. When a sum began and whether differences are told is for the caller to know.
//!
//! The messages are written out by hand, for `prost`, as those of Prometheus are. Refused: the types that
//! `opentelemetry-proto` generates. They come with OpenTelemetry's API and SDK as dependencies, three dozen crates to build,
//! for some sixty lines that the specification has frozen.

pub mod answer;
mod request;
mod stream;
mod wire;

pub use request::{Attribute, Number, Point, ResourceMetrics, Temporality};
pub use stream::{Instrument, Stream};
