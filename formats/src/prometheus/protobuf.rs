//! The Prometheus protocol-buffer format: `io.prometheus.client.MetricFamily` messages, each after its length.
//!
//! Specification: <https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto>. It is the
//! only format with native histograms, into which ours go as they are: the same schema, the same boundaries.
//!
//! A message's length stands before it, so a family is held in memory until it is complete; never more than one.

use std::io;

use model::catalogue::{Kind, Metric, Unit};
use model::histogram::{self, Histogram};
use model::snapshot::{Exemplar, Series, Snapshot, Value};
use prost::Message;

use super::classic;

/// The `Content-Type` of this format.
pub const CONTENT_TYPE: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// By which buckets a histogram is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buckets {
    /// The native ones only: small, but a server without native histograms sees no buckets.
    Native,
    /// The native ones and, for servers that do not read those, the ones of the text formats.
    NativeAndClassic,
}

/// Durations up to this many seconds count as zero: the value that the client libraries use, so that histograms of both
/// add up without being converted. Ours are whole nanoseconds, so none but zero lies below.
const ZERO_THRESHOLD: f64 = 1.0 / (1u128 << 127) as f64 / 2.0;

/// Writes a snapshot as delimited messages.
///
/// # Errors
/// Those of `out`.
pub fn encode(snapshot: &Snapshot, buckets: Buckets, out: &mut impl io::Write) -> io::Result<()> {
    let (mut message, mut labels, mut length) = (Vec::new(), Vec::new(), Vec::new());
    for family in snapshot.families() {
        message.clear();
        wire::Family::of(family.metric).encode(&mut message).expect(GROWS);
        for series in family.series {
            labels.clear();
            series.labels().for_each(|(name, value)| push_label(&mut labels, name, value));
            // Messages one after the other are one message with the fields of all, so metrics can be appended one by one, and
            // in each of them its labels, without a text of their own for every name and value.
            let metric = wire::Metric::of(family.metric, series, buckets);
            push_length(&mut message, FAMILY_METRIC, labels.len() + metric.encoded_len());
            message.extend_from_slice(&labels);
            metric.encode(&mut message).expect(GROWS);
        }
        length.clear();
        prost::encode_length_delimiter(message.len(), &mut length).expect(GROWS);
        out.write_all(&length)?;
        out.write_all(&message)?;
    }
    Ok(())
}

const GROWS: &str = "a vector grows";

/// Fields with a length, by number and kind: `MetricFamily.metric`, `Metric.label`, `LabelPair.name` and `LabelPair.value`.
const FAMILY_METRIC: u8 = 4 << 3 | 2;
const METRIC_LABEL: u8 = 1 << 3 | 2;
const LABEL_NAME: u8 = 1 << 3 | 2;
const LABEL_VALUE: u8 = 2 << 3 | 2;

/// Begins a field of this length.
fn push_length(message: &mut Vec<u8>, field: u8, length: usize) {
    message.push(field);
    prost::encode_length_delimiter(length, message).expect(GROWS);
}

fn push_label(labels: &mut Vec<u8>, name: &str, value: &str) {
    let field_length = |text: &str| 1 + prost::length_delimiter_len(text.len()) + text.len();
    push_length(labels, METRIC_LABEL, field_length(name) + field_length(value));
    for (field, text) in [(LABEL_NAME, name), (LABEL_VALUE, value)] {
        push_length(labels, field, text.len());
        labels.extend_from_slice(text.as_bytes());
    }
}

impl wire::Family {
    /// The family without its metrics.
    fn of(metric: &Metric) -> Self {
        let kind = match metric.kind {
            Kind::Counter => wire::Kind::Counter,
            Kind::Gauge => wire::Kind::Gauge,
            Kind::Histogram => wire::Kind::Histogram,
        };
        let unit = match metric.unit {
            Unit::Seconds => Some("seconds".to_owned()),
            Unit::Bytes => Some("bytes".to_owned()),
            Unit::Count => None,
        };
        Self {
            name: Some(metric.name.to_owned()),
            help: Some(metric.help.to_owned()),
            kind: Some(kind.into()),
            unit,
        }
    }
}

impl wire::Metric {
    /// A metric without its labels.
    fn of(metric: &Metric, series: &Series, buckets: Buckets) -> Self {
        let number = |value: f64| match metric.unit {
            Unit::Seconds => value / 1e9,
            Unit::Bytes | Unit::Count => value,
        };
        let mut made = Self::default();
        match &series.value {
            Value::Counter(count) => {
                made.counter = Some(wire::Counter { value: Some(number(*count as f64)) })
            }
            Value::Gauge(reading) => made.gauge = Some(wire::Gauge { value: Some(number(*reading as f64)) }),
            Value::Histogram(histogram) => {
                made.histogram = Some(wire::Histogram::of(histogram, buckets, series.exemplar.as_deref()));
            }
        }
        made
    }
}

impl wire::Exemplar {
    fn of(exemplar: &Exemplar) -> Self {
        let trace = exemplar.trace.map(|trace| trace.in_hexadecimal());
        let trace = trace.into_iter().flat_map(|(trace, span)| [("trace_id", trace), ("span_id", span)]);
        let own = exemplar.labels.iter().map(|(name, value)| (*name, value.clone()));
        let label = trace
            .chain(own)
            .map(|(name, value)| wire::Label { name: Some(name.replace('.', "_")), value: Some(value) });
        Self {
            label: label.collect(),
            value: Some(exemplar.value_ns as f64 / 1e9),
            timestamp: Some(wire::Timestamp {
                seconds: (exemplar.time_unix_ns / 1_000_000_000) as i64,
                nanos: (exemplar.time_unix_ns % 1_000_000_000) as i32,
            }),
        }
    }
}

impl wire::Histogram {
    fn of(histogram: &Histogram, buckets: Buckets, exemplar: Option<&Exemplar>) -> Self {
        let mut made = Self {
            exemplars: exemplar.map(wire::Exemplar::of).into_iter().collect(),
            sample_count: Some(histogram.count()),
            sample_sum: Some(histogram.sum_ns() as f64 / 1e9),
            schema: Some(histogram::SCHEMA),
            zero_threshold: Some(ZERO_THRESHOLD),
            zero_count: Some(histogram.zero_count()),
            ..Self::default()
        };
        if buckets == Buckets::NativeAndClassic {
            made.bucket = classic::cumulative_counts(histogram)
                .map(|(bound, count)| wire::Bucket {
                    cumulative_count: Some(count),
                    upper_bound: Some(bound.seconds),
                    exemplar: None,
                })
                .collect();
            // Servers before 2.51 look for it there, those of native histograms, too. One beyond all bounds has no bucket here.
            let bucket = exemplar.and_then(|exemplar| made.bucket.get_mut(classic::bucket_of(exemplar)));
            if let Some(bucket) = bucket {
                bucket.exemplar = exemplar.map(wire::Exemplar::of);
            }
        }
        // A span is a run of adjacent buckets and tells the gap before it; counts are told as differences.
        let (mut next_index, mut previous_count) = (0, 0);
        for bucket in histogram.buckets() {
            let index = i32::from(bucket.index);
            match made.positive_span.last_mut() {
                Some(span) if index == next_index => span.length = Some(span.length() + 1),
                _ => {
                    made.positive_span.push(wire::Span { offset: Some(index - next_index), length: Some(1) })
                }
            }
            made.positive_delta.push(bucket.count.wrapping_sub(previous_count) as i64);
            (next_index, previous_count) = (index + 1, bucket.count);
        }
        made
    }
}

/// The messages of `io.prometheus.client`, as far as they are written here.
mod wire {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Family {
        #[prost(string, optional, tag = "1")]
        pub(super) name: Option<String>,
        #[prost(string, optional, tag = "2")]
        pub(super) help: Option<String>,
        #[prost(enumeration = "Kind", optional, tag = "3")]
        pub(super) kind: Option<i32>,
        // 4: metrics, which are appended.
        #[prost(string, optional, tag = "5")]
        pub(super) unit: Option<String>,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
    #[repr(i32)]
    pub(super) enum Kind {
        Counter = 0,
        Gauge = 1,
        Histogram = 4,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Metric {
        // 1: labels, which are appended.
        #[prost(message, optional, tag = "2")]
        pub(super) gauge: Option<Gauge>,
        #[prost(message, optional, tag = "3")]
        pub(super) counter: Option<Counter>,
        #[prost(message, optional, tag = "7")]
        pub(super) histogram: Option<Histogram>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Label {
        #[prost(string, optional, tag = "1")]
        pub(super) name: Option<String>,
        #[prost(string, optional, tag = "2")]
        pub(super) value: Option<String>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Gauge {
        #[prost(double, optional, tag = "1")]
        pub(super) value: Option<f64>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Counter {
        #[prost(double, optional, tag = "1")]
        pub(super) value: Option<f64>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Histogram {
        #[prost(uint64, optional, tag = "1")]
        pub(super) sample_count: Option<u64>,
        #[prost(double, optional, tag = "2")]
        pub(super) sample_sum: Option<f64>,
        #[prost(message, repeated, tag = "3")]
        pub(super) bucket: Vec<Bucket>,
        #[prost(sint32, optional, tag = "5")]
        pub(super) schema: Option<i32>,
        #[prost(double, optional, tag = "6")]
        pub(super) zero_threshold: Option<f64>,
        #[prost(uint64, optional, tag = "7")]
        pub(super) zero_count: Option<u64>,
        #[prost(message, repeated, tag = "12")]
        pub(super) positive_span: Vec<Span>,
        #[prost(sint64, repeated, tag = "13")]
        pub(super) positive_delta: Vec<i64>,
        /// Of native histograms, whatever the bucket.
        #[prost(message, repeated, tag = "16")]
        pub(super) exemplars: Vec<Exemplar>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Exemplar {
        #[prost(message, repeated, tag = "1")]
        pub(super) label: Vec<Label>,
        #[prost(double, optional, tag = "2")]
        pub(super) value: Option<f64>,
        #[prost(message, optional, tag = "3")]
        pub(super) timestamp: Option<Timestamp>,
    }

    /// `google.protobuf.Timestamp`.
    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(super) struct Timestamp {
        #[prost(int64, tag = "1")]
        pub(super) seconds: i64,
        #[prost(int32, tag = "2")]
        pub(super) nanos: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Bucket {
        #[prost(uint64, optional, tag = "1")]
        pub(super) cumulative_count: Option<u64>,
        #[prost(double, optional, tag = "2")]
        pub(super) upper_bound: Option<f64>,
        #[prost(message, optional, tag = "3")]
        pub(super) exemplar: Option<Exemplar>,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(super) struct Span {
        #[prost(sint32, optional, tag = "1")]
        pub(super) offset: Option<i32>,
        #[prost(uint32, optional, tag = "2")]
        pub(super) length: Option<u32>,
    }
}
