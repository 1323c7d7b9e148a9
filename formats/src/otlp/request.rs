//! Writing: the points of one process, as a part of a request.

use model::histogram::{self, Histogram};
use prost::Message;

use super::stream::{Instrument, Stream};
use super::wire;

/// Whether sums tell everything since their beginning, or what was added since the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temporality {
    /// Everything since the beginning.
    Cumulative,
    /// What was added since the last time.
    Delta,
}

/// An attribute's value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
}

/// A point's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Number {
    /// A whole number.
    Integer(i64),
    /// A duration in seconds, or a ratio.
    Double(f64),
    /// A distribution of durations.
    Histogram(Histogram),
}

/// One point of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// What tells it from other points of the stream.
    pub attributes: Vec<(&'static str, String)>,
    /// When a sum began: then it was zero. In nanoseconds since the UNIX epoch; zero of what is no sum.
    pub start_unix_ns: u64,
    /// When it was read, in nanoseconds since the UNIX epoch.
    pub time_unix_ns: u64,
    /// What was read.
    pub value: Number,
}

/// What is measured of one process.
///
/// ```
/// use loopscope_formats::otlp::{Attribute, Number, Point, ResourceMetrics, Stream, Temporality};
/// use model::catalogue::EVENTLOOP_ITERATIONS;
///
/// let mut shop = ResourceMetrics::new(vec![("service.name", Attribute::Text("shop".into()))]);
/// let point = Point { attributes: vec![], start_unix_ns: 1, time_unix_ns: 2, value: Number::Integer(17) };
/// shop.push(Stream::of(&EVENTLOOP_ITERATIONS), Temporality::Cumulative, point);
/// let mut request = Vec::new();
/// shop.encode("0.1.0", &mut request);
/// assert!(request.windows(20).any(|bytes| bytes == b"eventloop.iterations"));
/// ```
#[derive(Clone, Debug)]
pub struct ResourceMetrics {
    resource: Vec<(&'static str, Attribute)>,
    metrics: Vec<wire::Metric>,
    points: u64,
}

/// Who measured.
const SCOPE: &str = "loopscope";

impl ResourceMetrics {
    /// Nothing yet, of a process with these attributes.
    pub fn new(resource: Vec<(&'static str, Attribute)>) -> Self {
        Self { resource, metrics: Vec::new(), points: 0 }
    }

    /// Points that it holds.
    pub fn points(&self) -> u64 {
        self.points
    }

    /// Adds a point. Points of a stream come one after the other.
    ///
    /// # Panics
    /// If the value is none that the stream's instrument has.
    pub fn push(&mut self, stream: Stream, temporality: Temporality, point: Point) {
        self.points += 1;
        if self.metrics.last().is_none_or(|metric| metric.name != stream.name) {
            self.metrics.push(wire::Metric::of(stream, temporality));
        }
        let data = self.metrics.last_mut().and_then(|metric| metric.data.as_mut());
        let attributes =
            point.attributes.into_iter().map(|(name, value)| key_value(name, Attribute::Text(value)));
        let attributes = attributes.collect();
        let (start_time_unix_nano, time_unix_nano) = (point.start_unix_ns, point.time_unix_ns);
        let number = |value| wire::NumberPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            value: Some(match value {
                Number::Integer(value) => wire::NumberValue::Integer(value),
                Number::Double(value) => wire::NumberValue::Double(value),
                Number::Histogram(_) => panic!("{} has no distributions", stream.name),
            }),
        };
        match (data.expect("it was just made"), point.value) {
            (wire::Data::Gauge(gauge), value) => gauge.data_points.push(number(value)),
            (wire::Data::Sum(sum), value) => sum.data_points.push(number(value)),
            (wire::Data::ExponentialHistogram(made), Number::Histogram(histogram)) => {
                made.data_points.push(wire::HistogramPoint {
                    attributes: std::mem::take(&mut number(Number::Integer(0)).attributes),
                    start_time_unix_nano,
                    time_unix_nano,
                    ..wire::HistogramPoint::of(&histogram)
                });
            }
            (wire::Data::ExponentialHistogram(_), _) => panic!("{} has only distributions", stream.name),
        }
    }

    /// Appends it to a request, as measured by this version of Loopscope. Requests that are written one behind the other are one
    /// request with what all of them hold.
    pub fn encode(self, version: &str, request: &mut Vec<u8>) {
        let part = wire::ResourceMetrics {
            resource: Some(resource(self.resource)),
            scope_metrics: vec![wire::ScopeMetrics { scope: Some(scope(version)), metrics: self.metrics }],
        };
        wire::Request { resource_metrics: vec![part] }.encode(request).expect("a vector grows");
    }
}

impl wire::Metric {
    /// A metric without points.
    fn of(stream: Stream, temporality: Temporality) -> Self {
        let temporality = i32::from(match temporality {
            Temporality::Cumulative => wire::AggregationTemporality::Cumulative,
            Temporality::Delta => wire::AggregationTemporality::Delta,
        });
        let sum = |is_monotonic| wire::Sum {
            data_points: Vec::new(),
            aggregation_temporality: temporality,
            is_monotonic,
        };
        Self {
            name: stream.name.to_owned(),
            description: stream.description.to_owned(),
            unit: stream.unit.to_owned(),
            data: Some(match stream.instrument {
                Instrument::Counter => wire::Data::Sum(sum(true)),
                Instrument::UpDownCounter => wire::Data::Sum(sum(false)),
                Instrument::Gauge => wire::Data::Gauge(wire::Gauge::default()),
                Instrument::Histogram => wire::Data::ExponentialHistogram(wire::ExponentialHistogram {
                    data_points: Vec::new(),
                    aggregation_temporality: temporality,
                }),
            }),
        }
    }
}

impl wire::HistogramPoint {
    /// Our bucket `k` ends at `2^(k/8)`, where OTLP's bucket `k` begins at scale 3: what we call `k` is `k - 1` there.
    fn of(histogram: &Histogram) -> Self {
        let mut buckets = wire::Buckets::default();
        if let [first, .., last] | [first @ last] = histogram.buckets() {
            buckets.offset = i32::from(first.index) - 1;
            buckets.bucket_counts = vec![0; (last.index - first.index) as usize + 1];
            for bucket in histogram.buckets() {
                buckets.bucket_counts[(bucket.index - first.index) as usize] = bucket.count;
            }
        }
        Self {
            count: histogram.count(),
            sum: Some(histogram.sum_ns() as f64 / 1e9),
            scale: histogram::SCHEMA,
            zero_count: histogram.zero_count(),
            positive: Some(buckets),
            ..Self::default()
        }
    }
}

/// A resource with these attributes.
pub(super) fn resource(attributes: Vec<(&'static str, Attribute)>) -> wire::Resource {
    let attributes = attributes.into_iter().map(|(name, value)| key_value(name, value));
    wire::Resource { attributes: attributes.collect() }
}

/// This version of Loopscope as the one who measured.
pub(super) fn scope(version: &str) -> wire::Scope {
    wire::Scope { name: SCOPE.to_owned(), version: version.to_owned() }
}

fn key_value(name: &str, value: Attribute) -> wire::KeyValue {
    wire::KeyValue { key: name.to_owned(), value: Some(any_value(value)), key_strindex: 0 }
}

pub(super) fn any_value(value: Attribute) -> wire::AnyValue {
    let value = match value {
        Attribute::Text(text) => wire::AnyValueKind::Text(text),
        Attribute::Integer(number) => wire::AnyValueKind::Integer(number),
    };
    wire::AnyValue { value: Some(value) }
}

#[cfg(test)]
mod tests;
