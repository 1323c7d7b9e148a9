//! `GET /api/v1/lag`: the lag of loops over time.

use std::collections::BTreeMap;

use model::histogram::{Histogram, INDEX_MAX, INDEX_MIN, SLOTS, upper_bound_seconds};
use serde_json::{Value, json};

use super::{Lag, STEP_MS, STEPS_MAX, ZERO};
use crate::api::{ApiError, Content, Parameters, labels_json, steps, usual_step_ms};
use crate::labels::{Labels, PROFILE_TYPE};
use crate::store::{Query, Steps, StoreError};
use crate::times::Range;

/// Loops times steps of an answer.
const CELLS_MAX: usize = 100_000;
/// Of a bucket; all buckets together are then a number, too.
const COUNT_MAX: u64 = 1 << 54;
/// What a question for profiles may say that says nothing of a loop.
const OF_SAMPLES: &[&str] = &[PROFILE_TYPE, "phase", "thread"];

/// The counts of a group in one step, by bucket; the lowest is that of zeros.
type Cell = BTreeMap<i16, u64>;
/// Of each group, one a step.
type Cells = BTreeMap<Labels, Vec<Cell>>;

impl Lag {
    /// The lag of the loops of the series that match, apart by loop unless other labels are named.
    pub(crate) fn answer(&self, parameters: &Parameters) -> Result<Content, ApiError> {
        let range = parameters.range()?;
        let selector = parameters.selector("query")?.without(OF_SAMPLES);
        let asked_ms = parameters.step_ms()?.unwrap_or_else(|| usual_step_ms(range));
        // What was measured in a step is known of no part of it.
        let steps = steps(range, (asked_ms.saturating_add(STEP_MS - 1) / STEP_MS).max(1) * STEP_MS)?;
        let named = parameters.all("by");
        let by = if named.is_empty() { vec!["loop".to_owned()] } else { named };
        let whole = steps.range();
        // A point lies where the last step does that it covers.
        let until_ms = whole.until_ms.saturating_add(STEP_MS * STEPS_MAX);
        let query = Query { selector, range: Range { until_ms, ..whole }, by };
        let (groups, warnings) = self.cells(&query, steps)?;
        let series: Vec<Value> = groups.iter().map(|(labels, cells)| line(labels, cells)).collect();
        let (step, start) = (steps.step_ms as f64 / 1e3, steps.start_ms as f64 / 1e3);
        let answer = json!({"unit": "seconds", "step": step, "start": start, "series": series});
        Ok(Content::json(answer, &warnings))
    }

    fn cells(&self, query: &Query, steps: Steps) -> Result<(Cells, Vec<String>), ApiError> {
        let mut groups = Cells::new();
        let mut is_too_much = false;
        let warnings = self.store.each_row(query, &mut |labels, time_ms, (bucket, covered), count| {
            let first = time_ms.saturating_sub((i64::from(covered) - 1) * STEP_MS).max(steps.start_ms);
            let Some(index) = index_of(bucket) else { return };
            let first = (first - steps.start_ms).div_euclid(steps.step_ms);
            let last = (time_ms - steps.start_ms).div_euclid(steps.step_ms).min(steps.count as i64 - 1);
            if last < first {
                return;
            }
            if !groups.contains_key(labels) {
                if (groups.len() + 1) * steps.count > CELLS_MAX {
                    is_too_much = true;
                    return;
                }
                groups.insert(labels.clone(), vec![Cell::new(); steps.count]);
            }
            let cells = groups.get_mut(labels).expect("it is there");
            for cell in &mut cells[first as usize..=last as usize] {
                let sum = cell.entry(index).or_default();
                *sum = sum.saturating_add(u64::try_from(count).unwrap_or(0)).min(COUNT_MAX);
            }
        })?;
        if is_too_much {
            return Err(StoreError::TooMuch { what: "points of lag", limit: CELLS_MAX }.into());
        }
        Ok((groups, warnings))
    }
}

/// A bucket by its name; zeros lie below the lowest.
fn index_of(bucket: &str) -> Option<i16> {
    match bucket {
        ZERO => Some(INDEX_MIN - 1),
        number => number.parse().ok().filter(|index| (INDEX_MIN..=INDEX_MAX).contains(index)),
    }
}

fn line(labels: &Labels, cells: &[Cell]) -> Value {
    let histograms: Vec<Option<Histogram>> = cells.iter().map(histogram).collect();
    let quantile = |q: f64| -> Vec<Option<f64>> {
        histograms.iter().map(|histogram| histogram.as_ref()?.quantile_seconds(q)).collect()
    };
    // The end of the highest bucket: no iteration took longer.
    let max = histograms.iter().map(|histogram| {
        let highest = histogram.as_ref()?.buckets().last();
        Some(highest.map_or(0.0, |bucket| upper_bound_seconds(bucket.index)))
    });
    let max: Vec<Option<f64>> = max.collect();
    json!({"labels": labels_json(labels), "p50": quantile(0.5), "p99": quantile(0.99), "max": max})
}

fn histogram(cell: &Cell) -> Option<Histogram> {
    if cell.is_empty() {
        return None;
    }
    let mut slots = [0; SLOTS];
    for (&index, &count) in cell.range(INDEX_MIN..) {
        slots[usize::from((index - INDEX_MIN).unsigned_abs())] = count;
    }
    // Nobody asks for the sum.
    Some(Histogram::from_counts(0, cell.get(&(INDEX_MIN - 1)).copied().unwrap_or(0), slots))
}
