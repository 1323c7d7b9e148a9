//! The lag of event loops over time: what is kept of metrics that come by OTLP.
//!
//! Distributions are kept as profiles are, in a store of their own beside the profiles': the same log, the same blocks, the same bounds,
//! and nothing that asks for profiles ever sees them. A series is a loop; its "stack" is a bucket of the histogram, and what was
//! "spent" in it is how many iterations had such a lag. The frame's line is how many steps of [`STEP_MS`] the point covers, for an agent
//! exports every minute what it measured in that minute. All times are those of steps.
//!
//! Refused: keeping metrics at large. Prometheus does that, and Grafana shows both side by side; the lag is here because a profile is looked
//! at where the lag was high.

mod answer;
mod differences;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use formats::decode::{Limits, Place, Symbols};
use formats::otlp::{Distribution, Distributions, distributions};
use model::catalogue;
use model::profile::StackId;

use crate::ingest::otlp::label;
use crate::ingest::{self, IngestError, UNKNOWN_SERVICE};
use crate::labels::Labels;
use crate::store::embedded::{EmbeddedStore, Options, Sizes};
use crate::store::{Batch, BatchSeries, Store};
use differences::{Difference, Differences};

/// The length of a step.
const STEP_MS: i64 = 10_000;
/// A point covers no more steps than this: five minutes. What was measured over hours says nothing of a moment.
const STEPS_MAX: i64 = 30;
/// The name of the bucket of zeros.
const ZERO: &str = "zero";
/// By which the store tells its series; it has no other type.
const TYPE: &str = "eventloop_lag:iterations:count:lag:seconds";

/// The lag of all loops.
#[derive(Debug)]
pub(crate) struct Lag {
    store: EmbeddedStore,
    /// Held while a request is stored: what the next one adds to a sum depends on whether this one was.
    differences: Mutex<Differences>,
}

/// What came of a request's points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) kept: u64,
    pub(crate) left_out: u64,
}

impl Lag {
    /// Opens the lag beside the profiles that are kept so.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn open(profiles: &Options) -> io::Result<Self> {
        let mut options = Options::new(profiles.folder.join("lag"));
        options.bucket =
            profiles.bucket.as_ref().map(|bucket| format!("{}/lag", bucket.trim_end_matches('/')));
        options.retention = profiles.retention;
        options.future_max = profiles.future_max;
        options.series_max = profiles.series_max;
        // It is some percent of what profiles take.
        options.disk_bytes_max = profiles.disk_bytes_max.map(|bytes| bytes / 16);
        options.head_bytes_max = profiles.head_bytes_max / 8;
        options.cache_bytes_max = profiles.cache_bytes_max / 8;
        Ok(Self { store: EmbeddedStore::open(options)?, differences: Mutex::default() })
    }

    pub(crate) fn sizes(&self) -> Sizes {
        self.store.sizes()
    }

    /// Keeps what a request told of lag; waits for the disk.
    ///
    /// # Errors
    /// [`IngestError`]; then nothing of it was kept.
    pub(crate) fn keep(&self, found: Distributions) -> Result<Taken, IngestError> {
        let mut taken = Taken { kept: 0, left_out: found.others };
        let mut differences = self.differences.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = Batch::default();
        let mut series: BTreeMap<(Labels, i64), BTreeMap<StackId, i64>> = BTreeMap::new();
        let mut buckets = Buckets::default();
        let mut turn = differences.begin();
        for point in found.points {
            let labels = labels(&point)?;
            match turn.difference(&labels, point) {
                Difference::Unknown => taken.kept += 1,
                Difference::Refused => taken.left_out += 1,
                Difference::Known { began_ms, ended_ms, counts } => {
                    taken.kept += 1;
                    let (time_ms, steps) = steps_of(began_ms, ended_ms);
                    let rows = series.entry((labels, time_ms)).or_default();
                    for (index, count) in counts {
                        let stack = buckets.stack(&mut batch.symbols, index, steps);
                        let sum = rows.entry(stack).or_default();
                        *sum = sum.saturating_add(i64::try_from(count).unwrap_or(i64::MAX));
                    }
                }
            }
        }
        let made = series.into_iter().map(|((labels, time_ms), rows)| BatchSeries {
            labels,
            time_ms,
            rows: rows.into_iter().collect(),
        });
        batch.series = made.collect();
        self.store.append(batch)?;
        turn.keep();
        Ok(taken)
    }
}

/// Reads what a request of metrics tells of lag.
///
/// # Errors
/// [`IngestError`] with what is wrong, or too much.
pub(crate) fn read(request: &[u8], limits: &Limits) -> Result<Distributions, IngestError> {
    Ok(distributions(request, catalogue::EVENTLOOP_LAG.otel_name, limits)?)
}

/// Where the last step lies that a point covers, and how many it covers.
fn steps_of(began_ms: i64, ended_ms: i64) -> (i64, i64) {
    let last = (ended_ms - 1).div_euclid(STEP_MS);
    let first = began_ms.min(ended_ms - 1).div_euclid(STEP_MS);
    (last.saturating_mul(STEP_MS), last.saturating_sub(first).saturating_add(1).min(STEPS_MAX))
}

fn labels(point: &Distribution) -> Result<Labels, IngestError> {
    let named = point.attributes.iter().cloned().filter_map(label);
    let mut base: BTreeMap<String, String> =
        named.map(|(name, value)| (crate::selector::canonical(&name).to_owned(), value)).collect();
    base.retain(|name, _| !name.starts_with("__"));
    base.entry(crate::labels::SERVICE.to_owned()).or_insert_with(|| UNKNOWN_SERVICE.to_owned());
    ingest::labels(&base, std::iter::empty(), TYPE)
}

/// The buckets of a batch as stacks.
#[derive(Debug, Default)]
struct Buckets(BTreeMap<(Option<i16>, i64), StackId>);

impl Buckets {
    /// `None` is the bucket of zeros.
    fn stack(&mut self, symbols: &mut Symbols, index: Option<i16>, steps: i64) -> StackId {
        *self.0.entry((index, steps)).or_insert_with(|| {
            let name = index.map_or_else(|| ZERO.to_owned(), |index| index.to_string());
            let function = symbols.strings.intern(&name);
            let file = symbols.strings.intern("");
            let frame = symbols.frames.intern(Place { function, file, line: steps as u32 });
            symbols.stacks.push(None, frame)
        })
    }
}

#[cfg(test)]
mod tests;
