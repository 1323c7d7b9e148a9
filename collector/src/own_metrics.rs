//! What the collector measures of itself: `/metrics`, by the catalogue.
//!
//! Its event loop and its heap it publishes as any tokio program does that has our crate; here they are told as well.

use std::sync::atomic::AtomicU64;
use std::time::Instant;

use formats::decode::DecodeError;
use formats::prometheus;
use loopscope_tokio::process;
use model::catalogue;
use model::instrument::{Counter, HISTOGRAM_CELLS, Histogram};
use model::label::{IngestOutcome, LabelValue, PointOutcome};
use model::snapshot::{SharedLabels, Snapshot, Value};
use rustix::time::{ClockId, clock_gettime};

use crate::ingest::IngestError;
use crate::lag::Taken;
use crate::store::AppendError;
use crate::store::embedded::Sizes;

/// The service that the collector is, as its series name it.
pub(crate) const SERVICE: &str = "loopscope-collector";

/// The collector's own instruments; all threads record. Their cells are never freed: a collector lives as long as its program.
#[derive(Debug)]
pub(crate) struct OwnMetrics {
    requests: Vec<Counter>,
    points: Vec<Counter>,
    ingest: Histogram,
    query: Histogram,
}

impl Default for OwnMetrics {
    fn default() -> Self {
        let cell = || Counter::new(Box::leak(Box::new(AtomicU64::new(0))));
        let cells = || Histogram::new(Box::leak(Box::new([const { AtomicU64::new(0) }; HISTOGRAM_CELLS])));
        Self {
            requests: IngestOutcome::ALL.iter().map(|_| cell()).collect(),
            points: PointOutcome::ALL.iter().map(|_| cell()).collect(),
            ingest: cells(),
            query: cells(),
        }
    }
}

impl OwnMetrics {
    /// Points of metrics came, of which so many were kept.
    pub(crate) fn points(&self, taken: Taken) {
        self.points[PointOutcome::Kept as usize].add(taken.kept);
        self.points[PointOutcome::LeftOut as usize].add(taken.left_out);
    }

    /// Something came of a request that brought something to keep, which began then.
    pub(crate) fn ingested(&self, outcome: IngestOutcome, begun: Instant) {
        self.requests[outcome as usize].add(1);
        if outcome == IngestOutcome::Stored {
            self.ingest.record_ns(elapsed_ns(begun));
        }
    }

    /// A query ended that began then.
    pub(crate) fn queried(&self, begun: Instant) {
        self.query.record_ns(elapsed_ns(begun));
    }

    /// All of it as Prometheus's text, or whatever the scraper asks for; with its media type.
    pub(crate) fn exposition(&self, accept: &str, sizes: &Sizes) -> (&'static str, Vec<u8>) {
        let format = prometheus::negotiate(accept);
        let mut body = Vec::new();
        prometheus::encode(format, &self.snapshot(sizes), &mut body).expect("a vector grows");
        (prometheus::content_type(format), body)
    }

    fn snapshot(&self, sizes: &Sizes) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let none = SharedLabels::default();
        for (outcome, requests) in IngestOutcome::ALL.iter().zip(&self.requests) {
            let requests = Value::Counter(requests.get());
            snapshot.push(&catalogue::LOOPSCOPE_COLLECTOR_REQUESTS, &none, &[outcome.as_str()], requests);
        }
        for (outcome, points) in PointOutcome::ALL.iter().zip(&self.points) {
            let points = Value::Counter(points.get());
            snapshot.push(&catalogue::LOOPSCOPE_COLLECTOR_POINTS, &none, &[outcome.as_str()], points);
        }
        let gauge = |number: u64| Value::Gauge(i64::try_from(number).unwrap_or(i64::MAX));
        for (metric, value) in [
            (&catalogue::LOOPSCOPE_COLLECTOR_INGEST_DURATION, Value::Histogram(self.ingest.get())),
            (&catalogue::LOOPSCOPE_COLLECTOR_QUERY_DURATION, Value::Histogram(self.query.get())),
            (&catalogue::LOOPSCOPE_COLLECTOR_ROWS, Value::Counter(sizes.rows_accepted)),
            (&catalogue::LOOPSCOPE_COLLECTOR_BLOCKS, gauge(sizes.blocks as u64)),
            (&catalogue::LOOPSCOPE_COLLECTOR_BLOCK_BYTES, gauge(sizes.block_bytes)),
            (&catalogue::LOOPSCOPE_COLLECTOR_LOG_BYTES, gauge(sizes.log_bytes)),
            (&catalogue::LOOPSCOPE_COLLECTOR_HEAD_BYTES, gauge(sizes.head_bytes as u64)),
            (&catalogue::LOOPSCOPE_COLLECTOR_HEAD_SERIES, gauge(sizes.head_series as u64)),
            (&catalogue::LOOPSCOPE_COLLECTOR_CORRUPTED_BLOCKS, Value::Counter(sizes.corrupted_blocks)),
        ] {
            snapshot.push(metric, &none, &[], value);
        }
        let pid = std::process::id().to_string();
        let own = SharedLabels::new([("service", SERVICE), ("pid", pid.as_str())]);
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let cpu_ns = cpu.tv_sec as u64 * 1_000_000_000 + cpu.tv_nsec as u64;
        snapshot.push(&catalogue::PROCESS_CPU, &own, &[], Value::Counter(cpu_ns));
        if let Some(bytes) = resident_bytes() {
            snapshot.push(&catalogue::PROCESS_RESIDENT_MEMORY, &own, &[], Value::Gauge(bytes));
        }
        process::contents().add_to(&mut snapshot, &own);
        snapshot
    }
}

/// What came of a request that was refused.
pub(crate) fn outcome_of(refusal: &IngestError) -> IngestOutcome {
    match refusal {
        IngestError::TooLarge | IngestError::Decode(DecodeError::TooMuch { .. }) | IngestError::Label(_) => {
            IngestOutcome::Limited
        }
        IngestError::Request(_) | IngestError::Decode(_) => IngestOutcome::Malformed,
        IngestError::Append(error) => match error {
            AppendError::Busy => IngestOutcome::Busy,
            AppendError::Full(_) => IngestOutcome::Full,
            AppendError::Io(_) => IngestOutcome::Failed,
            AppendError::Time { .. } | AppendError::TooManySeries { .. } | AppendError::TooLarge { .. } => {
                IngestOutcome::Limited
            }
        },
        IngestError::Defect => IngestOutcome::Failed,
    }
}

fn elapsed_ns(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The second number of `/proc/self/statm`, in pages.
fn resident_bytes() -> Option<i64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(i64::try_from(rustix::param::page_size()).ok()?)
}
