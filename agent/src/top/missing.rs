//! What to say of tiers that were asked for and do not measure.

use std::collections::{BTreeMap, BTreeSet};

use attach::libuv::tiers::Tiers;
use attach::target::Pid;
use model::label::{LabelValue, Tier};

use super::empty::named;
use super::row::Row;

/// Tiers that somebody was told of already.
#[derive(Debug, Default)]
pub(super) struct Told(BTreeSet<(Pid, u8)>);

impl Told {
    /// A sentence for what is missing and was not told yet; processes that lack the same for the same reason share one.
    pub(super) fn tell(&mut self, rows: &[&Row]) -> Vec<String> {
        let mut untold: BTreeMap<(Pid, &str), Tiers> = BTreeMap::new();
        for row in rows {
            for (tier, reason) in &row.missing {
                if self.0.insert((row.key.pid, tier.position())) {
                    let tiers = untold.entry((row.key.pid, reason)).or_default();
                    *tiers = tiers.with(*tier);
                }
            }
        }
        let mut alike: BTreeMap<(String, &str), Vec<&Pid>> = BTreeMap::new();
        for ((pid, reason), tiers) in &untold {
            alike.entry((tiers.to_string(), reason)).or_default().push(pid);
        }
        let sentence = |((tiers, reason), pids): (&(String, &str), &Vec<&Pid>)| {
            format!("{}: not measured: {tiers}: {reason}", named(pids))
        };
        alike.iter().map(sentence).collect()
    }
}

/// Reasons for tiers that are missing; those that share one stand together.
pub(super) fn by_reason(missing: &[(Tier, String)]) -> Vec<(Tiers, &str)> {
    let mut together: Vec<(Tiers, &str)> = Vec::new();
    for (tier, reason) in missing {
        match together.iter_mut().find(|(_, other)| other == reason) {
            Some((tiers, _)) => *tiers = tiers.with(*tier),
            None => together.push((Tiers::only(*tier), reason)),
        }
    }
    together
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::testing::rows;

    #[test]
    fn what_is_missing_is_told_once_with_its_reason() {
        let rows = rows();
        let rows: Vec<&Row> = rows.iter().collect();
        let mut told = Told::default();
        let sentences = told.tell(&rows);
        assert_eq!(
            sentences,
            ["process 9020: not measured: pool: the point where a task begins was not found in the binary"]
        );
        assert!(told.tell(&rows).is_empty());
    }

    #[test]
    fn processes_that_lack_the_same_for_the_same_reason_share_a_sentence() {
        let mut rows = rows();
        for row in &mut rows {
            row.missing = [Tier::Loop, Tier::Pool].map(|tier| (tier, "not permitted".to_owned())).to_vec();
        }
        let rows: Vec<&Row> = rows.iter().collect();
        let sentences = Told::default().tell(&rows);
        assert_eq!(sentences.len(), 1, "{sentences:?}");
        assert!(sentences[0].starts_with("processes 23, 812, ") && sentences[0].contains(": loop,pool: "));
        assert_eq!(by_reason(&rows[0].missing).len(), 1);
    }
}
