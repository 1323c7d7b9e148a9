//! Recording one value: our instruments beside those of the metrics crates that Rust programs use.
//!
//! Run with `cargo bench -p loopscope-benches --bench recording`.

#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]

use std::hint::black_box;
use std::sync::atomic::AtomicU64;

use loopscope_benches::{Contender, alternate, table};
use metrics_exporter_prometheus::PrometheusBuilder;
use model::instrument;

const ROUNDS: usize = 60;
const OPERATIONS: u64 = 400_000;

fn main() {
    println!("{}", table("One addition to a counter", &alternate(counters(), ROUNDS, OPERATIONS)));
    println!("{}", table("One duration into a histogram", &alternate(histograms(), ROUNDS, OPERATIONS)));
}

fn counters() -> Vec<Contender<'static>> {
    let local = instrument::LocalCounter::new(&cells::<1>()[0]);
    let shared = instrument::Counter::new(&cells::<1>()[0]);
    let prometheus = prometheus::IntCounter::new("c", "help").expect("a valid name");
    let client = prometheus_client::metrics::counter::Counter::<u64>::default();
    let metrics =
        metrics::with_local_recorder(&PrometheusBuilder::new().build_recorder(), || metrics::counter!("c"));
    vec![
        Contender::new("loopscope, one thread's", move |n| (0..n).for_each(|_| black_box(&local).add(1))),
        Contender::new("loopscope, any thread's", move |n| (0..n).for_each(|_| black_box(&shared).add(1))),
        Contender::new("prometheus", move |n| (0..n).for_each(|_| black_box(&prometheus).inc())),
        Contender::new("prometheus-client", move |n| {
            (0..n).for_each(|_| {
                black_box(&client).inc();
            })
        }),
        Contender::new("metrics", move |n| (0..n).for_each(|_| black_box(&metrics).increment(1))),
    ]
}

fn histograms() -> Vec<Contender<'static>> {
    use prometheus_client::metrics::histogram::Histogram as ClientHistogram;
    // Fourteen bounds, as the crates' users have; ours has 400 buckets.
    let bounds = || (0..14).map(|power| 1e-5 * 3f64.powi(power));
    let local = instrument::LocalHistogram::new(cells());
    let shared = instrument::Histogram::new(cells());
    let options = prometheus::HistogramOpts::new("h", "help").buckets(bounds().collect());
    let prometheus = prometheus::Histogram::with_opts(options).expect("valid options");
    let client = ClientHistogram::new(bounds());
    let recorder =
        PrometheusBuilder::new().set_buckets(&bounds().collect::<Vec<_>>()).expect("bounds").build_recorder();
    let metrics = metrics::with_local_recorder(&recorder, || metrics::histogram!("h"));
    vec![
        Contender::new("loopscope, one thread's", move |n| {
            durations(n).for_each(|ns| black_box(&local).record_ns(ns))
        }),
        Contender::new("loopscope, any thread's", move |n| {
            durations(n).for_each(|ns| black_box(&shared).record_ns(ns))
        }),
        Contender::new("prometheus", move |n| {
            durations(n).for_each(|ns| black_box(&prometheus).observe(seconds(ns)))
        }),
        Contender::new("prometheus-client", move |n| {
            durations(n).for_each(|ns| black_box(&client).observe(seconds(ns)))
        }),
        Contender::new("metrics", move |n| {
            durations(n).for_each(|ns| black_box(&metrics).record(seconds(ns)));
            // The crate keeps every value until it is rendered; without this the benchmark would only grow memory.
            recorder.handle().run_upkeep();
        }),
    ]
}

/// Durations from a microsecond to about a tenth of a second, in no order that a branch predictor could learn.
fn durations(count: u64) -> impl Iterator<Item = u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    (0..count).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        1_000 + (state >> 37 >> (state & 15))
    })
}

fn seconds(ns: u64) -> f64 {
    ns as f64 * 1e-9
}

fn cells<const N: usize>() -> &'static [AtomicU64; N] {
    Box::leak(Box::new([const { AtomicU64::new(0) }; N]))
}
