//! What was written, read again. The receiver of the stories in `tests` reads it with OpenTelemetry's own types.

use super::*;
use model::catalogue::{self, EVENTLOOP_LAG, PROCESS_CPU, PROCESS_THREADS};
use proptest::prelude::*;

fn point(value: Number) -> Point {
    Point {
        attributes: vec![("loop", "main".into())],
        start_unix_ns: 17,
        time_unix_ns: 18,
        value,
        exemplar: None,
    }
}

fn decoded(parts: impl IntoIterator<Item = ResourceMetrics>) -> wire::Request {
    let mut request = Vec::new();
    for part in parts {
        part.encode("1.2.3", &mut request);
    }
    wire::Request::decode(&*request).expect("it is well formed")
}

fn only_metric(part: ResourceMetrics) -> wire::Metric {
    decoded([part]).resource_metrics.remove(0).scope_metrics.remove(0).metrics.remove(0)
}

fn histogram_point(histogram: &Histogram) -> wire::HistogramPoint {
    let mut part = ResourceMetrics::new(Vec::new());
    part.push(
        Stream::of(&EVENTLOOP_LAG),
        Temporality::Cumulative,
        point(Number::Histogram(histogram.clone())),
    );
    match only_metric(part).data {
        Some(wire::Data::ExponentialHistogram(mut it)) => it.data_points.remove(0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn resources_written_one_behind_the_other_are_one_request() {
    let of = |service: &str| {
        let attributes = vec![
            ("service.name", Attribute::Text(service.to_owned())),
            ("process.pid", Attribute::Integer(4711)),
        ];
        let mut part = ResourceMetrics::new(attributes);
        part.push(Stream::of(&PROCESS_CPU), Temporality::Delta, point(Number::Double(0.5)));
        part.push(Stream::of(&PROCESS_CPU), Temporality::Delta, point(Number::Double(0.25)));
        part.push(Stream::of(&PROCESS_THREADS), Temporality::Cumulative, point(Number::Integer(7)));
        assert_eq!(part.points(), 3);
        part
    };
    let request = decoded([of("shop"), of("till")]);
    let [shop, till] = &*request.resource_metrics else { panic!("{request:?}") };
    assert_ne!(shop.resource, till.resource);
    assert_eq!(
        till.resource.as_ref().unwrap().attributes[1].value,
        key_value("", Attribute::Integer(4711)).value
    );
    let scope = &shop.scope_metrics[0];
    assert_eq!(scope.scope, Some(wire::Scope { name: "loopscope".into(), version: "1.2.3".into() }));
    let [cpu, threads] = &*scope.metrics else { panic!("{scope:?}") };
    assert_eq!((&*cpu.name, &*cpu.unit), ("process.cpu.time", "s"));
    let Some(wire::Data::Sum(sum)) = &cpu.data else { panic!("{cpu:?}") };
    assert!(sum.is_monotonic && sum.aggregation_temporality() == wire::AggregationTemporality::Delta);
    assert_eq!(sum.data_points[1].value, Some(wire::NumberValue::Double(0.25)));
    assert_eq!((sum.data_points[1].start_time_unix_nano, sum.data_points[1].time_unix_nano), (17, 18));
    assert_eq!(sum.data_points[1].attributes, [key_value("loop", Attribute::Text("main".into()))]);
    let Some(wire::Data::Sum(sum)) = &threads.data else { panic!("{threads:?}") };
    assert!(!sum.is_monotonic && sum.aggregation_temporality() == wire::AggregationTemporality::Cumulative);
    assert_eq!(sum.data_points[0].value, Some(wire::NumberValue::Integer(7)));
}

#[test]
fn a_gauge_is_no_sum() {
    let mut part = ResourceMetrics::new(Vec::new());
    let stream = Stream::of(&catalogue::THREADPOOL_QUEUE_DEPTH);
    part.push(stream, Temporality::Cumulative, point(Number::Integer(-3)));
    let metric = only_metric(part);
    assert_eq!(metric.unit, "{task}");
    let Some(wire::Data::Gauge(gauge)) = metric.data else { panic!("{metric:?}") };
    assert_eq!(gauge.data_points[0].value, Some(wire::NumberValue::Integer(-3)));
}

#[test]
fn a_bucket_ends_where_otlp_says_that_it_does() {
    // OTLP's bucket i at scale 3 is (2^(i/8), 2^((i+1)/8)]: a second exactly belongs to bucket -1, a nanosecond more to 0.
    let second = histogram_point(&Histogram::from_ns([1_000_000_000]));
    assert_eq!(second.positive, Some(wire::Buckets { offset: -1, bucket_counts: vec![1] }));
    let more = histogram_point(&Histogram::from_ns([1_000_000_001]));
    assert_eq!(more.positive.unwrap().offset, 0);
    let gap = histogram_point(&Histogram::from_ns([0, 1_000_000_000, 2_000_000_000, 2_000_000_000]));
    let counts = vec![1, 0, 0, 0, 0, 0, 0, 0, 2];
    assert_eq!(gap.positive, Some(wire::Buckets { offset: -1, bucket_counts: counts }));
    assert_eq!((gap.count, gap.zero_count, gap.scale, gap.sum), (4, 1, 3, Some(5.0)));
    let empty = histogram_point(&Histogram::default());
    assert_eq!((empty.count, empty.positive), (0, Some(wire::Buckets::default())));
}

proptest! {
    #[test]
    fn a_histogram_loses_nothing(durations in prop::collection::vec(prop_oneof![0u64..100, any::<u64>()], 0..50)) {
        let histogram = Histogram::from_ns(durations.iter().map(|ns| ns >> 8));
        let told = histogram_point(&histogram);
        let buckets = told.positive.unwrap();
        let read = buckets.bucket_counts.iter().zip(buckets.offset..).filter(|(count, _)| **count > 0);
        let read: Vec<_> = read.map(|(count, index)| (index + 1, *count)).collect();
        let ours: Vec<_> = histogram.buckets().iter().map(|it| (i32::from(it.index), it.count)).collect();
        prop_assert_eq!(read, ours);
        prop_assert_eq!(told.count, told.zero_count + buckets.bucket_counts.iter().sum::<u64>());
        prop_assert_eq!(told.sum, Some(histogram.sum_ns() as f64 / 1e9));
    }
}

#[test]
fn an_exemplar_leads_to_its_thread_and_its_span() {
    let trace = model::snapshot::Trace { trace_id: [1; 16], span_id: [2; 8] };
    let labels = vec![("thread.id", "18".to_owned()), ("phase", "timers".to_owned())];
    let exemplar = Exemplar { value_ns: 250_000_000, time_unix_ns: 9, labels, trace: Some(trace) };
    let mut part = ResourceMetrics::new(Vec::new());
    let value = Number::Histogram(Histogram::from_ns([250_000_000]));
    let point = Point { exemplar: Some(exemplar), ..point(value) };
    part.push(Stream::of(&EVENTLOOP_LAG), Temporality::Cumulative, point);
    let Some(wire::Data::ExponentialHistogram(made)) = only_metric(part).data else { panic!() };
    let [told] = &*made.data_points[0].exemplars else { panic!("{made:?}") };
    assert_eq!((told.value, told.time_unix_nano), (Some(0.25), 9));
    assert_eq!((&*told.trace_id, &*told.span_id), (&[1; 16][..], &[2; 8][..]));
    assert_eq!(told.filtered_attributes[0], key_value("thread.id", Attribute::Integer(18)));
    assert_eq!(told.filtered_attributes[1], key_value("phase", Attribute::Text("timers".into())));
}
