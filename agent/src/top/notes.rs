//! What a source knows of processes beside their series.

use std::collections::BTreeMap;

use attach::target::Pid;
use model::label::Tier;

/// What is known of each process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes(pub(crate) BTreeMap<Pid, ProcessNotes>);

/// What is known of one process that is measured from outside, since the reading before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProcessNotes {
    /// Tiers that were asked for and do not measure, each with the reason.
    pub(crate) missing: Vec<(Tier, String)>,
    /// Of each loop, by its name, how long a stretch away from the poll may have been that no reading caught.
    pub(crate) unseen_ns: BTreeMap<String, u64>,
}
