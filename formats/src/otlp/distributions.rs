//! Reading metrics: the distributions of one metric, out of all that a request brings.
//!
//! The request is read where it lies, and only points of that metric become more than bytes. Exponential histograms of any scale become our
//! buckets: finer ones add up to them exactly; of coarser ones each bucket counts at its upper end. Other kinds of points are counted.

use model::histogram::{Bucket, INDEX_MAX, INDEX_MIN, SCHEMA};

use super::wire;
use crate::decode::{DecodeError, Field, Limits, Message};

/// A point, and a resource's attributes.
const POINT_BYTES_MAX: usize = 64 << 10;
/// Points of the metric in one request.
const POINTS_MAX: usize = 1 << 14;
/// Scales that the specification has.
const SCALES: std::ops::RangeInclusive<i32> = -10..=20;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Distributions {
    /// The points of the metric.
    pub points: Vec<Distribution>,
    /// How many points of other metrics there were, or of other kinds.
    pub others: u64,
    /// What the points take, about: each has the attributes of its resource for itself.
    bytes: usize,
}

/// A point: how often which durations occurred in a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// The attributes of the resource, then those of the point, as text.
    pub attributes: Vec<(String, String)>,
    /// Where the time begins.
    pub started_unix_ns: u64,
    /// Where it ends.
    pub ended_unix_ns: u64,
    /// Whether the next point begins where this one ends.
    pub is_delta: bool,
    /// Durations of zero.
    pub zero_count: u64,
    /// The buckets that hold something, by ascending index.
    pub buckets: Vec<Bucket>,
}

/// Reads the distributions of the metric of this name out of an `ExportMetricsServiceRequest`.
///
/// # Errors
/// [`DecodeError`] with what is wrong, or too much.
pub fn distributions(request: &[u8], name: &str, limits: &Limits) -> Result<Distributions, DecodeError> {
    limits.check("bytes of a request", request.len(), limits.profile_bytes)?;
    let mut found = Distributions::default();
    each(request, "a request of OTLP metrics", 1, &mut |of_resource| {
        let mut resource = Vec::new();
        each(of_resource, "a resource's metrics", 1, &mut |message| {
            let decoded: wire::Resource = decode(message, "a resource")?;
            resource.extend(texts(&decoded.attributes, limits));
            Ok(())
        })?;
        each(of_resource, "a resource's metrics", 2, &mut |scope| {
            each(scope, "a scope's metrics", 2, &mut |metric| found.take(metric, name, &resource, limits))
        })
    })?;
    Ok(found)
}

impl Distributions {
    fn take(
        &mut self,
        metric: &[u8],
        name: &str,
        resource: &[(String, String)],
        limits: &Limits,
    ) -> Result<(), DecodeError> {
        const WHAT: &str = "a metric";
        let mut is_wanted = false;
        each(metric, WHAT, 1, &mut |text| {
            is_wanted = text == name.as_bytes();
            Ok(())
        })?;
        // Gauge, sum, histogram, exponential histogram, summary: the points of each are its first field.
        for kind in [5, 7, 9, 10, 11] {
            each(metric, WHAT, kind, &mut |data| {
                if !(is_wanted && kind == 10) {
                    return each(data, WHAT, 1, &mut |_| {
                        self.others += 1;
                        Ok(())
                    });
                }
                let mut is_delta = false;
                let mut fields = Message::new(WHAT, data);
                while let Some((number, field)) = fields.next()? {
                    if let (2, Field::Number(temporality)) = (number, field) {
                        is_delta = temporality == wire::AggregationTemporality::Delta as u64;
                    }
                }
                each(data, WHAT, 1, &mut |point| {
                    limits.check("points of one metric", self.points.len() + 1, POINTS_MAX)?;
                    let point: wire::HistogramPoint = decode(point, "a point")?;
                    if !SCALES.contains(&point.scale) {
                        self.others += 1;
                        return Ok(());
                    }
                    let mut attributes = resource.to_vec();
                    attributes.extend(texts(&point.attributes, limits));
                    let text = attributes.iter().map(|(name, value)| name.len() + value.len());
                    self.bytes += text.sum::<usize>() + size_of_val(attributes.as_slice());
                    limits.check_decoded(self.bytes)?;
                    self.points.push(Distribution {
                        attributes,
                        started_unix_ns: point.start_time_unix_nano,
                        ended_unix_ns: point.time_unix_nano,
                        is_delta,
                        zero_count: point.zero_count,
                        buckets: buckets(point.scale, &point.positive.unwrap_or_default()),
                    });
                    Ok(())
                })
            })?;
        }
        Ok(())
    }
}

/// OTLP's bucket `i` ends where its next begins, at `2^((i + 1) / 2^scale)`.
fn buckets(scale: i32, told: &wire::Buckets) -> Vec<Bucket> {
    let mut buckets: Vec<Bucket> = Vec::new();
    for (position, count) in told.bucket_counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let end = i64::from(told.offset) + position as i64 + 1;
        let index = if scale <= SCHEMA {
            end.saturating_mul(1 << (SCHEMA - scale))
        } else {
            let finer = scale - SCHEMA;
            (end + (1 << finer) - 1) >> finer
        };
        let index = index.clamp(INDEX_MIN.into(), INDEX_MAX.into()) as i16;
        match buckets.last_mut() {
            Some(last) if last.index == index => last.count = last.count.saturating_add(*count),
            _ => buckets.push(Bucket { index, count: *count }),
        }
    }
    buckets
}

/// The fields of a number that are messages or texts.
fn each(
    bytes: &[u8],
    what: &'static str,
    wanted: u32,
    take: &mut dyn FnMut(&[u8]) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut message = Message::new(what, bytes);
    while let Some((number, field)) = message.next()? {
        if number == wanted {
            take(message.bytes(field)?)?;
        }
    }
    Ok(())
}

fn decode<M: prost::Message + Default>(bytes: &[u8], what: &'static str) -> Result<M, DecodeError> {
    if bytes.len() > POINT_BYTES_MAX {
        return Err(DecodeError::TooMuch { what: "bytes of a point", limit: POINT_BYTES_MAX });
    }
    M::decode(bytes).map_err(|_| DecodeError::Malformed { what, at: 0 })
}

fn texts(attributes: &[wire::KeyValue], limits: &Limits) -> Vec<(String, String)> {
    let text = |attribute: &wire::KeyValue| {
        let value = wire::text_of(attribute.value.as_ref()?, limits, |_| None)?;
        Some((limits.cut(&attribute.key).to_owned(), value))
    };
    attributes.iter().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use model::catalogue;
    use model::histogram::Histogram;
    use proptest::prelude::*;

    use super::*;
    use crate::otlp::{Attribute, Number, Point, ResourceMetrics, Stream, Temporality};

    fn request(temporality: Temporality, histograms: &[Histogram]) -> Vec<u8> {
        let text = |text: &str| Attribute::Text(text.to_owned());
        let resource = vec![("service.name", text("shop")), ("process.pid", Attribute::Integer(7))];
        let mut metrics = ResourceMetrics::new(resource);
        let point = |value| Point {
            attributes: vec![("loop", "main".to_owned())],
            start_unix_ns: 10,
            time_unix_ns: 20,
            value,
            exemplar: None,
        };
        metrics.push(Stream::of(&catalogue::EVENTLOOP_ITERATIONS), temporality, point(Number::Integer(3)));
        for histogram in histograms {
            let value = Number::Histogram(histogram.clone());
            metrics.push(Stream::of(&catalogue::EVENTLOOP_LAG), temporality, point(value));
        }
        let other = point(Number::Histogram(Histogram::from_ns([5])));
        metrics.push(Stream::of(&catalogue::EVENTLOOP_TIMER_LATENESS), temporality, other);
        let mut request = Vec::new();
        metrics.encode("0", &mut request);
        request
    }

    #[test]
    fn of_all_metrics_one_is_read_as_it_was_written_and_the_others_are_counted() {
        let lag = Histogram::from_ns([0, 0, 1_000_000, 1_000_000, 900_000_000, u64::MAX]);
        for (temporality, is_delta) in [(Temporality::Cumulative, false), (Temporality::Delta, true)] {
            let request = request(temporality, std::slice::from_ref(&lag));
            let name = catalogue::EVENTLOOP_LAG.otel_name;
            let found = distributions(&request, name, &Limits::default()).unwrap();
            assert_eq!(found.others, 2);
            let [point] = &found.points[..] else { panic!("{found:?}") };
            let attributes = [("service.name", "shop"), ("process.pid", "7"), ("loop", "main")];
            let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(point.attributes, attributes);
            assert_eq!((point.started_unix_ns, point.ended_unix_ns), (10, 20));
            assert_eq!(point.is_delta, is_delta);
            assert_eq!(point.zero_count, 2);
            assert_eq!(point.buckets, lag.buckets());
        }
    }

    #[test]
    fn more_points_than_anybody_has_are_refused() {
        let request = request(Temporality::Delta, &vec![Histogram::default(); POINTS_MAX + 1]);
        let refused = distributions(&request, catalogue::EVENTLOOP_LAG.otel_name, &Limits::default());
        assert!(matches!(refused, Err(DecodeError::TooMuch { .. })), "{refused:?}");
    }

    #[test]
    fn finer_buckets_add_up_and_coarser_ones_count_at_their_upper_end() {
        let told = |offset, counts: &[u64]| wire::Buckets { offset, bucket_counts: counts.to_vec() };
        let bucket = |index, count| Bucket { index, count };
        // 2^(1/8) is where our bucket 1 ends, and at scale 3 bucket 0.
        assert_eq!(buckets(3, &told(0, &[5, 0, 7])), [bucket(1, 5), bucket(3, 7)]);
        // At scale 4 buckets 0 and 1 end at 2^(1/16) and 2^(2/16): both within our bucket 1.
        assert_eq!(buckets(4, &told(0, &[5, 7, 1])), [bucket(1, 12), bucket(2, 1)]);
        assert_eq!(buckets(4, &told(-2, &[5, 7])), [bucket(0, 12)]);
        // At scale 0 bucket 0 ends at 2.
        assert_eq!(buckets(0, &told(-1, &[2, 3])), [bucket(0, 2), bucket(8, 3)]);
        assert_eq!(buckets(-10, &told(i32::MAX, &[1])), [bucket(INDEX_MAX, 1)]);
        assert_eq!(buckets(20, &told(i32::MIN, &[1])), [bucket(INDEX_MIN, 1)]);
    }

    proptest! {
        #[test]
        fn whatever_was_sent_is_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = distributions(&bytes, "eventloop.lag", &Limits::default());
        }
    }
}
