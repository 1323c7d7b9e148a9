//! Which rows are shown, and in which order.

use super::column::Column;
use super::row::Row;

/// A filter and an order of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) sort: Column,
    /// Whether to sort against the column's own direction.
    pub(super) is_reversed: bool,
    /// A text that a row must contain, in whatever case.
    pub(super) filter: String,
}

impl Order {
    /// The rows that are shown, in order.
    pub(super) fn apply<'a>(&self, rows: &'a [Row]) -> Vec<&'a Row> {
        let wanted = self.filter.to_lowercase();
        let mut shown: Vec<&Row> = rows.iter().filter(|row| row.contains(&wanted)).collect();
        shown.sort_by(|a, b| self.sort.compare(a, b, self.is_reversed));
        shown
    }
}

impl Row {
    fn contains(&self, wanted: &str) -> bool {
        let loop_name = self.key.loop_name.as_deref().unwrap_or_default();
        let has = |text: &str| text.to_lowercase().contains(wanted);
        has(&self.service) || has(loop_name) || has(&self.key.pid.to_string())
    }
}
