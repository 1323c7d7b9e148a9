//! OTLP: metrics, [profiles] and spans for OpenTelemetry's collectors and backends, as the protocol-buffer messages of
//! `opentelemetry.proto.collector`; and, for the collector, [reading](distributions()) the distributions of one metric.
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
mod distributions;
pub mod profiles;
mod request;
mod spans;
mod stream;
mod wire;

pub use distributions::{Distribution, Distributions, distributions};
pub use profiles::Profiles;
pub use request::{Attribute, Number, Point, ResourceMetrics, Temporality};
pub use spans::{Span, encode_spans};
pub use stream::{Instrument, Stream};
