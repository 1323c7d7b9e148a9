//! Spans as OTLP messages: `opentelemetry.proto.collector.trace.v1`, as far as they are written here.

use model::snapshot::Trace;
use prost::Message;

use super::request::{Attribute, key_value, resource, scope};
use super::wire::{KeyValue, Resource, Scope};

/// A stretch of time. It is of the kind "internal": it has to do with no other process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// What the stretch is.
    pub name: &'static str,
    /// Its identifiers.
    pub trace: Trace,
    /// The span that it is a part of.
    pub parent: Option<[u8; 8]>,
    /// When it began, in nanoseconds since the UNIX epoch.
    pub start_unix_ns: u64,
    /// When it ended.
    pub end_unix_ns: u64,
    /// What is told of it.
    pub attributes: Vec<(&'static str, Attribute)>,
}

/// Appends the spans of one process to a request. Requests that are written one behind the other are one with all that they hold.
pub fn encode_spans(
    of_process: Vec<(&'static str, Attribute)>,
    version: &str,
    spans: Vec<Span>,
    request: &mut Vec<u8>,
) {
    let spans = spans.into_iter().map(|span| wire::Span {
        trace_id: span.trace.trace_id.to_vec(),
        span_id: span.trace.span_id.to_vec(),
        parent_span_id: span.parent.map_or_else(Vec::new, |parent| parent.to_vec()),
        name: span.name.to_owned(),
        kind: wire::INTERNAL,
        start_time_unix_nano: span.start_unix_ns,
        end_time_unix_nano: span.end_unix_ns,
        attributes: span.attributes.into_iter().map(|(name, value)| key_value(name, value)).collect(),
    });
    let scope_spans = vec![wire::ScopeSpans { scope: Some(scope(version)), spans: spans.collect() }];
    let part = wire::ResourceSpans { resource: Some(resource(of_process)), scope_spans };
    wire::Request { resource_spans: vec![part] }.encode(request).expect("a vector grows");
}

mod wire {
    use super::{KeyValue, Resource, Scope};

    /// `SPAN_KIND_INTERNAL`.
    pub(super) const INTERNAL: i32 = 1;

    /// `ExportTraceServiceRequest`.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Request {
        #[prost(message, repeated, tag = "1")]
        pub(super) resource_spans: Vec<ResourceSpans>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ResourceSpans {
        #[prost(message, optional, tag = "1")]
        pub(super) resource: Option<Resource>,
        #[prost(message, repeated, tag = "2")]
        pub(super) scope_spans: Vec<ScopeSpans>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ScopeSpans {
        #[prost(message, optional, tag = "1")]
        pub(super) scope: Option<Scope>,
        #[prost(message, repeated, tag = "2")]
        pub(super) spans: Vec<Span>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Span {
        #[prost(bytes = "vec", tag = "1")]
        pub(super) trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        pub(super) span_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "4")]
        pub(super) parent_span_id: Vec<u8>,
        #[prost(string, tag = "5")]
        pub(super) name: String,
        #[prost(int32, tag = "6")]
        pub(super) kind: i32,
        #[prost(fixed64, tag = "7")]
        pub(super) start_time_unix_nano: u64,
        #[prost(fixed64, tag = "8")]
        pub(super) end_time_unix_nano: u64,
        #[prost(message, repeated, tag = "9")]
        pub(super) attributes: Vec<KeyValue>,
    }
}
