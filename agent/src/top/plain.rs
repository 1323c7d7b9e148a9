//! The table as lines of text or JSON, for pipes, files and scripts: no escape codes.
//!
//! A program that reads gets all columns; a person's terminal gets those that fit. The standard error tells why the table is
//! empty, and which tiers do not measure. Processes that were named and are no event loops, or have all ended, are a
//! failure: a script would wait for them forever.

use std::io::{self, IsTerminal, Write};
use std::time::SystemTime;

use attach::target::Process;

use super::history::History;
use super::needs::Needs;
use super::options::TopOptions;
use super::row::Row;
use super::source::{Readings, Source};
use super::table::{Layout, plain};
use super::theme::Theme;
use super::{empty, missing};
use crate::console;
use crate::error::Error;

/// Writes one table or line after the other, until there were enough or nobody reads any more.
pub(super) fn run(options: &TopOptions, named: Vec<Process>, source: impl Source) -> Result<(), Error> {
    let messages = console::hold();
    let mut readings = Readings::new(source, named, options.interval);
    let (order, only) = (options.order(), options.only());
    let mut missing = missing::Told::default();
    let mut earlier = readings.take();
    let (mut written, mut has_found) = (0, false);
    while options.intervals().is_none_or(|intervals| written < intervals) {
        let later = readings.take();
        if !only.is_empty() && later.ended == only {
            return Err(Error::Ended { message: empty::have_ended(&only) });
        }
        let rows = Row::all(Some(&earlier), &later);
        let shown = order.apply(&rows);
        let text = if options.json {
            let interval_seconds = later.at.since_ns(earlier.at) as f64 / 1e9;
            super::json::line(SystemTime::now(), interval_seconds, &shown)
        } else {
            let separator = if written > 0 { "\n" } else { "" };
            format!("{separator}{}", table(options, &shown))
        };
        match write(&text) {
            // Whoever read has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(|source| Error::Stdout { source })?,
        }
        let told = messages.take();
        missing.tell(&shown).iter().for_each(|sentence| messages.tell(sentence));
        (written, has_found) = (written + 1, has_found || !rows.is_empty());
        let reasons = || empty::reasons(&only, &later.ended, &order, !rows.is_empty(), &told);
        if !only.is_empty() && !has_found && options.intervals() == Some(written) {
            return Err(Error::NoEventLoop { reasons: reasons() });
        }
        if shown.is_empty() && (written == 1 || !told.is_empty()) {
            reasons().iter().for_each(|reason| messages.tell(reason));
        }
        earlier = later;
    }
    Ok(())
}

/// The table with its header.
fn table(options: &TopOptions, rows: &[&Row]) -> String {
    // Nothing here is in colours or has a trend.
    let (theme, history) = (Theme::of_environment(), History::default());
    let layout = match terminal_width() {
        Some(width) => Layout::fit(width, &Needs::of(rows), options.sort),
        None => Layout::whole(&Needs::of(rows)),
    }
    .without_trend();
    let header = layout.header(options.sort, theme);
    let lines = std::iter::once(header).chain(rows.iter().map(|row| layout.row(row, &history, theme)));
    lines.map(|line| plain(&line) + "\n").collect()
}

fn terminal_width() -> Option<u16> {
    if !io::stdout().is_terminal() {
        return None;
    }
    ratatui::crossterm::terminal::size().ok().map(|(width, _)| width)
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
