//! What became of each loop over the last intervals, for the trends.

use std::collections::{HashMap, VecDeque};

use super::row::{Row, RowKey};

/// Intervals that are remembered of a loop: as many as a wide terminal shows.
const INTERVALS_MAX: usize = 400;

/// The figures of the last intervals, by loop.
#[derive(Debug, Default)]
pub(super) struct History {
    loops: HashMap<RowKey, VecDeque<Point>>,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    utilization: Option<f64>,
    lag_max_seconds: Option<f64>,
}

impl History {
    /// An interval has passed; loops that it does not tell of are forgotten.
    pub(super) fn push(&mut self, rows: &[Row]) {
        let mut before = std::mem::take(&mut self.loops);
        for row in rows {
            let mut points = before.remove(&row.key).unwrap_or_default();
            if points.len() == INTERVALS_MAX {
                points.pop_front();
            }
            points.push_back(Point {
                utilization: row.utilization,
                lag_max_seconds: row.lag.max.and_then(|max| max.seen_seconds()),
            });
            self.loops.insert(row.key.clone(), points);
        }
    }

    /// The utilization over at most the last `intervals`, the oldest first.
    pub(super) fn utilization(&self, key: &RowKey, intervals: usize) -> Vec<Option<f64>> {
        self.last(key, intervals, |point| point.utilization)
    }

    /// The longest lag that was seen in each of at most the last `intervals`, the oldest first.
    pub(super) fn lag_max_seconds(&self, key: &RowKey, intervals: usize) -> Vec<Option<f64>> {
        self.last(key, intervals, |point| point.lag_max_seconds)
    }

    fn last<T>(&self, key: &RowKey, intervals: usize, figure: impl Fn(&Point) -> T) -> Vec<T> {
        let Some(points) = self.loops.get(key) else { return Vec::new() };
        points.iter().skip(points.len().saturating_sub(intervals)).map(figure).collect()
    }
}
