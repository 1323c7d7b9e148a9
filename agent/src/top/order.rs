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
        let has = |text: &str| text.to_lowercase().contains(wanted);
        has(&self.service) || has(self.loop_name()) || has(&self.key.pid.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::testing::rows;

    fn services(sort: Column, is_reversed: bool, filter: &str) -> Vec<String> {
        let rows = rows();
        let order = Order { sort, is_reversed, filter: filter.to_owned() };
        order.apply(&rows).iter().map(|row| row.service.clone()).collect()
    }

    #[test]
    fn numbers_sort_from_the_highest_and_names_from_the_first() {
        assert_eq!(services(Column::Cpu, false, "")[0], "image-renderer-europe-west");
        assert_eq!(services(Column::Service, false, "")[0], "checkout");
        assert_eq!(services(Column::Pid, false, "")[0], "image-renderer-europe-west");
    }

    #[test]
    fn what_is_not_measured_comes_last_either_way() {
        for is_reversed in [false, true] {
            let sorted = services(Column::Lag99, is_reversed, "");
            let unmeasured = &sorted[sorted.len() - 2..];
            assert!(unmeasured.contains(&"node".to_owned()), "{sorted:?}");
        }
    }

    #[test]
    fn names_with_a_number_sort_by_it() {
        let mut rows = rows();
        rows.truncate(3);
        for (row, name) in rows.iter_mut().zip(["worker-10", "worker-2", "main"]) {
            row.key.loop_name = Some(name.to_owned());
        }
        let order = Order { sort: Column::Loop, is_reversed: false, filter: String::new() };
        let sorted: Vec<&str> = order.apply(&rows).into_iter().map(Row::loop_name).collect();
        assert_eq!(sorted, ["main", "worker-2", "worker-10"]);
    }

    #[test]
    fn a_filter_looks_at_services_processes_and_loops_in_whatever_case() {
        assert_eq!(services(Column::Service, false, "RENDER"), ["image-renderer-europe-west"]);
        assert_eq!(services(Column::Service, false, "worker-"), ["shop"]);
        assert_eq!(services(Column::Service, false, "9020"), ["checkout"]);
        assert!(services(Column::Service, false, "no such").is_empty());
    }
}
