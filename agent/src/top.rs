//! `loopscope top`: what event loops are doing, as a table that is kept up to date.
//!
//! It knows only [snapshots](model::snapshot::Snapshot), and works on the difference of two: whatever a
//! [source](source) measures, by whatever means, is shown the same way. A [reading](reading) orders a snapshot by
//! process and loop, a [change](change) takes differences, a [row](row) holds the figures of one loop, and
//! [columns](column) show them, on a whole [screen](screen) or as [plain] lines. All but the last two are functions of
//! two snapshots.
//!
//! Where the standard output is no terminal the table is written anew each interval, as `vmstat` does; refused: to fail
//! there, as `top` does, for nobody's script is helped by that.

mod change;
mod chart;
mod column;
mod detail;
mod empty;
mod history;
mod json;
mod missing;
mod needs;
mod notes;
mod number;
mod options;
mod order;
mod plain;
mod quantile;
mod reading;
mod row;
mod screen;
mod source;
mod table;
#[cfg(test)]
mod testing;
mod theme;
mod wait;

pub(crate) use notes::{Notes, ProcessNotes};
pub(crate) use options::TopOptions;
pub(crate) use source::Source;

use std::io::IsTerminal;

use attach::target::Process;

use crate::agent;
use crate::error::Error;

/// Shows the table until the user has seen enough.
pub(crate) fn run(options: &TopOptions) -> Result<(), Error> {
    // Sooner or later a process ends, but one that never was is a mistake.
    let named = options.only().into_iter().map(|pid| Process::open(pid).map_err(Error::Process));
    let named = named.collect::<Result<Vec<_>, _>>()?;
    if options.once || options.json || !is_drawable() {
        plain::run(options, named, agent::source(options.tier, options.only()))
    } else {
        let (tiers, only) = (options.tier, options.only());
        screen::run(options, named, move || agent::source(tiers, only))
    }
}

/// Whether the standard output can be drawn on.
fn is_drawable() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
