//! The table as lines of text or JSON, for pipes, files and scripts: no escape codes.
//!
//! A program that reads gets all columns; a person's terminal gets those that fit. What the measuring had to tell is
//! told where the table is empty, on the standard error: it may be the reason.

use std::io::{self, IsTerminal, Write};
use std::time::SystemTime;

use super::empty;
use super::history::History;
use super::options::TopOptions;
use super::row::Row;
use super::source::{Readings, Source};
use super::table::{Layout, plain};
use super::theme::Theme;
use crate::console;
use crate::error::Error;

/// Writes one table or line after the other, until there were enough or nobody reads any more.
pub(super) fn run(options: &TopOptions, source: impl Source) -> Result<(), Error> {
    let messages = console::hold();
    let mut readings = Readings::new(source, options.interval);
    let order = options.order();
    let mut earlier = readings.take();
    let mut written = 0;
    while options.intervals().is_none_or(|intervals| written < intervals) {
        let later = readings.take();
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
        if shown.is_empty() && (written == 0 || !told.is_empty()) {
            let reasons = empty::reasons(&options.only(), &order, !rows.is_empty(), &told);
            reasons.iter().for_each(|reason| messages.tell(reason));
        }
        written += 1;
        earlier = later;
    }
    Ok(())
}

/// The table with its header.
fn table(options: &TopOptions, rows: &[&Row]) -> String {
    // Nothing here is in colours or has a trend.
    let (theme, history) = (Theme::of_environment(), History::default());
    let layout = match terminal_width() {
        Some(width) => Layout::fit(width, rows),
        None => Layout::whole(rows),
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
