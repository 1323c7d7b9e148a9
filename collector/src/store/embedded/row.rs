//! A row of the table of samples, without its series.

/// What was spent in a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    /// The stack, in the dictionary that belongs to the row.
    pub(super) stack: u32,
    /// When, in whole seconds since the UNIX epoch.
    pub(super) time_s: u32,
    /// How much.
    pub(super) value: i64,
}

impl Row {
    /// When, in milliseconds since the UNIX epoch.
    pub(super) fn time_ms(&self) -> i64 {
        i64::from(self.time_s) * 1000
    }
}
