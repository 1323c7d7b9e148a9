//! What is measured of a Node.js process, by the names of prom-client's default metrics.
//!
//! Dashboards for Node.js ask for these names. What cannot be told from outside is absent, and docs/prom-client.md says
//! why. prom-client runs in the main thread and knows its loop only, so only the main loop is told here, without the label
//! `loop`.

use attach::target::Figures;
use model::catalogue::{self, Metric, prom_client as names};
use model::histogram::{Histogram, upper_bound_seconds};
use model::label::{GcKind, HandleType, LabelValue};
use model::snapshot::{Series, SharedLabels, Snapshot, Value};

/// The metrics that have the same names in both lists.
static SHARED: [&Metric; 6] = [
    &catalogue::PROCESS_CPU,
    &catalogue::PROCESS_RESIDENT_MEMORY,
    &catalogue::PROCESS_VIRTUAL_MEMORY,
    &catalogue::PROCESS_OPEN_FDS,
    &catalogue::PROCESS_MAX_FDS,
    &catalogue::PROCESS_START_TIME,
];

/// The types of handles that Node.js has objects for, which are what prom-client counts. Its timers and immediates share a
/// few handles that it has no objects for.
const WITH_OBJECTS: [HandleType; 9] = [
    HandleType::Async,
    HandleType::FsEvent,
    HandleType::FsPoll,
    HandleType::Pipe,
    HandleType::Process,
    HandleType::Signal,
    HandleType::Tcp,
    HandleType::Tty,
    HandleType::Udp,
];

/// What is known of a Node.js process. Unknown is `None`.
pub(super) struct NodeProcess<'a> {
    /// The labels of all its series.
    pub(super) labels: &'a SharedLabels,
    /// What the kernel tells.
    pub(super) figures: &'a Figures,
    /// The size of its data segment.
    pub(super) data_bytes: Option<u64>,
    /// The version of Node.js: major, minor, patch.
    pub(super) version: Option<(u32, u32, u32)>,
    /// How many handles of each type keep the main loop alive.
    pub(super) handles: Option<[i64; HandleType::ALL.len()]>,
    /// Each iteration's time away from the poll in the last minute, of the main loop.
    pub(super) recent_lag: Option<Histogram>,
    /// All else, by the catalogue's names.
    pub(super) measured: &'a Snapshot,
}

impl NodeProcess<'_> {
    /// Adds the series of names that only prom-client has.
    pub(super) fn add_to(&self, snapshot: &mut Snapshot) {
        self.add_accounting(snapshot);
        self.add_lag(snapshot);
        self.add_handles(snapshot);
        for series in self.of_main_loop(&catalogue::GC_PAUSE) {
            let kind = GcKind::ALL.iter().find(|kind| series.label("kind") == Some(kind.as_str()));
            if let Some(kind) = kind {
                snapshot.push(
                    &names::NODEJS_GC_DURATION,
                    self.labels,
                    &[kind.as_str()],
                    series.value.clone(),
                );
            }
        }
        if let Some((major, minor, patch)) = self.version {
            let labels = self.labels.with("version", &format!("v{major}.{minor}.{patch}"));
            let labels = labels.with("major", &major.to_string()).with("minor", &minor.to_string());
            let labels = labels.with("patch", &patch.to_string());
            snapshot.push(&names::NODEJS_VERSION_INFO, &labels, &[], Value::Gauge(1));
        }
    }

    /// Adds the series of names that the catalogue has, too.
    pub(super) fn add_shared_to(&self, snapshot: &mut Snapshot) {
        for metric in SHARED {
            for series in self.measured.series(metric) {
                snapshot.push(metric, self.labels, &[], series.value.clone());
            }
        }
    }

    fn add_accounting(&self, snapshot: &mut Snapshot) {
        let cpu = [
            (&names::PROCESS_CPU_USER, self.figures.user_ns),
            (&names::PROCESS_CPU_SYSTEM, self.figures.system_ns),
        ];
        for (metric, ns) in cpu {
            snapshot.push(metric, self.labels, &[], Value::Counter(ns));
        }
        if let Some(bytes) = self.data_bytes.and_then(|bytes| i64::try_from(bytes).ok()) {
            snapshot.push(&names::PROCESS_HEAP, self.labels, &[], Value::Gauge(bytes));
        }
    }

    fn add_lag(&self, snapshot: &mut Snapshot) {
        for series in self.of_main_loop(&catalogue::EVENTLOOP_AWAY) {
            snapshot.push(&names::NODEJS_EVENTLOOP_LAG, self.labels, &[], series.value.clone());
        }
        let Some(spread) = self.recent_lag.as_ref().and_then(Spread::of) else { return };
        for (metric, seconds) in [
            (&names::NODEJS_EVENTLOOP_LAG_MIN, spread.min),
            (&names::NODEJS_EVENTLOOP_LAG_MAX, spread.max),
            (&names::NODEJS_EVENTLOOP_LAG_MEAN, spread.mean),
            (&names::NODEJS_EVENTLOOP_LAG_STDDEV, spread.stddev),
            (&names::NODEJS_EVENTLOOP_LAG_P50, spread.p50),
            (&names::NODEJS_EVENTLOOP_LAG_P90, spread.p90),
            (&names::NODEJS_EVENTLOOP_LAG_P99, spread.p99),
        ] {
            snapshot.push(metric, self.labels, &[], Value::Gauge((seconds * 1e9).round() as i64));
        }
    }

    fn add_handles(&self, snapshot: &mut Snapshot) {
        let Some(handles) = &self.handles else { return };
        let count = |of: HandleType| handles[of as usize];
        for of in WITH_OBJECTS.into_iter().filter(|&of| count(of) > 0) {
            let count = Value::Gauge(count(of));
            snapshot.push(&names::NODEJS_ACTIVE_HANDLES, self.labels, &[of.as_str()], count);
        }
        let total = Value::Gauge(WITH_OBJECTS.into_iter().map(count).sum());
        snapshot.push(&names::NODEJS_ACTIVE_HANDLES_TOTAL, self.labels, &[], total);
    }

    fn of_main_loop(&self, metric: &'static Metric) -> impl Iterator<Item = &Series> {
        self.measured.series(metric).iter().filter(|series| series.label("loop") == Some("main"))
    }
}

/// Figures of a distribution, in seconds.
#[derive(Debug, PartialEq)]
struct Spread {
    /// The lower bound of the lowest bucket.
    min: f64,
    /// The upper bound of the highest bucket.
    max: f64,
    /// Exact.
    mean: f64,
    /// As if all of a bucket lay in its middle.
    stddev: f64,
    p50: f64,
    p90: f64,
    p99: f64,
}

impl Spread {
    /// `None` of an empty distribution.
    fn of(histogram: &Histogram) -> Option<Self> {
        let count = histogram.count();
        let quantile = |q| histogram.quantile_seconds(q);
        let (p50, p90, p99) = (quantile(0.5)?, quantile(0.9)?, quantile(0.99)?);
        let mean = histogram.sum_ns() as f64 / 1e9 / count as f64;
        let buckets = histogram.buckets();
        let middle = |index: i16| (upper_bound_seconds(index - 1) * upper_bound_seconds(index)).sqrt();
        let squares = |value: f64, count: u64| count as f64 * (value - mean).powi(2);
        let sum: f64 = buckets.iter().map(|bucket| squares(middle(bucket.index), bucket.count)).sum();
        let variance = (sum + squares(0.0, histogram.zero_count())) / count as f64;
        let lowest = buckets.first().filter(|_| histogram.zero_count() == 0);
        Some(Self {
            min: lowest.map_or(0.0, |bucket| upper_bound_seconds(bucket.index - 1)),
            max: buckets.last().map_or(0.0, |bucket| upper_bound_seconds(bucket.index)),
            mean,
            stddev: variance.sqrt(),
            p50,
            p90,
            p99,
        })
    }
}

#[cfg(test)]
mod tests;
