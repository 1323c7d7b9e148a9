//! How wide the contents of each column are, and whether there are any.
//!
//! While the same loops are shown a need only grows: columns that move every second cannot be read.

use ratatui::text::Span;

use super::column::{Column, UNKNOWN};
use super::row::{Row, RowKey};

/// What the columns need for some rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    loops: Vec<RowKey>,
    widths: [u16; Column::ALL.len()],
    has_figures: [bool; Column::ALL.len()],
}

impl Needs {
    /// What these rows need.
    pub(super) fn of(rows: &[&Row]) -> Self {
        let mut loops: Vec<RowKey> = rows.iter().map(|row| row.key.clone()).collect();
        loops.sort();
        let mut needs = Self { loops, ..Self::default() };
        for &column in Column::ALL {
            let at = column as usize;
            for row in rows {
                let cell = column.cell(row);
                needs.widths[at] = needs.widths[at].max(Span::raw(cell.text.as_str()).width() as u16);
                needs.has_figures[at] |= cell.text != UNKNOWN;
            }
        }
        needs
    }

    /// What these rows need, after what was needed before.
    pub(super) fn then(&self, rows: &[&Row]) -> Self {
        let mut needs = Self::of(rows);
        if needs.loops == self.loops {
            for at in 0..Column::ALL.len() {
                needs.widths[at] = needs.widths[at].max(self.widths[at]);
                needs.has_figures[at] |= self.has_figures[at];
            }
        }
        needs
    }

    /// How wide a column would like to be.
    pub(super) fn width(&self, column: Column) -> u16 {
        self.widths[column as usize].clamp(column.width(), column.width_max())
    }

    /// Whether a column shows anything but that nothing is measured.
    pub(super) fn has_figures(&self, column: Column) -> bool {
        self.has_figures[column as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::testing::rows;

    #[test]
    fn columns_stay_where_they_are_while_the_same_loops_are_shown() {
        let before = rows();
        let before: Vec<&Row> = before.iter().collect();
        let needs = Needs::of(&before);
        assert_eq!(needs.width(Column::Phase), 14);
        let mut after = rows();
        for row in &mut after {
            row.phases.clear();
        }
        let after: Vec<&Row> = after.iter().collect();
        let then = needs.then(&after);
        assert!(then.width(Column::Phase) == 14 && then.has_figures(Column::Phase));
        let fewer = then.then(&after[1..]);
        assert!(fewer.width(Column::Phase) == 5 && !fewer.has_figures(Column::Phase));
    }
}
