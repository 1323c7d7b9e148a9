//! The help, and what the measuring had to tell.

use ratatui::buffer::Buffer;
use ratatui::text::{Line, Span};

use super::frame::{self, Key};
use super::state::State;
use crate::top::column::Column;
use crate::top::table::{fit_left, wrap};
use crate::top::theme::Theme;

const KEYS: [Key; 3] = [("↑↓", "scroll"), ("Esc", "back"), ("q", "quit")];

/// What every key does.
const ALL_KEYS: [Key; 12] = [
    ("↑ ↓  k j", "choose a loop, or scroll"),
    ("PgUp PgDn", "by a page"),
    ("Home End  g G", "to the first or last"),
    ("Enter", "the chosen loop in detail"),
    ("s S  > <  → ←", "sort by the next or previous column"),
    ("r", "sort the other way round"),
    ("/", "show only what contains a text"),
    ("p  Space", "pause, go on"),
    ("m", "what the measuring had to tell"),
    ("Esc", "back; at the table: clear the filter, then quit"),
    ("q  Ctrl-C", "quit"),
    ("Ctrl-Z", "stop the program; `fg` goes on"),
];

/// From this width on keys and columns are explained beside each other.
const TWO_COLUMNS_WIDTH: u16 = 140;
const COLUMN_WIDTH: u16 = 64;

/// Draws the help.
pub(super) fn draw_help(state: &mut State, theme: Theme, buffer: &mut Buffer) {
    let width = buffer.area.width;
    let are_beside = width >= TWO_COLUMNS_WIDTH;
    let (left, right) = if are_beside { (COLUMN_WIDTH, width - COLUMN_WIDTH - 2) } else { (width, width) };
    let keys = ALL_KEYS.into_iter().flat_map(|(key, meaning)| explained(key, 15, meaning, left, theme));
    let keys = titled("KEYS", keys, theme);
    let columns = Column::ALL.iter();
    let columns = columns.flat_map(|column| explained(column.title(), 8, column.meaning(), right, theme));
    let mut columns = titled("COLUMNS", columns, theme);
    let note = "All figures are of the last interval. - is not measured, ~ an estimate by readings that are made now and \
                then; < tells that those caught nothing longer, and that what they missed was shorter.";
    columns.push(Line::default());
    columns.extend(wrap(note, right).into_iter().map(Line::raw));
    let lines = if are_beside {
        frame::beside(keys, COLUMN_WIDTH, 2, columns)
    } else {
        [keys, columns].join(&Line::default())
    };
    draw(state, "help", &lines, theme, buffer);
}

/// Draws what the measuring had to tell, the latest last.
pub(super) fn draw_messages(state: &mut State, theme: Theme, buffer: &mut Buffer) {
    let width = buffer.area.width;
    let lines: Vec<Line<'static>> = match state.messages.is_empty() {
        true => vec![Line::styled("nothing was told so far", theme.dim())],
        false => state.messages.iter().flat_map(|message| wrap(message, width)).map(Line::raw).collect(),
    };
    draw(state, "messages", &lines, theme, buffer);
}

fn draw(state: &mut State, what: &'static str, lines: &[Line<'static>], theme: Theme, buffer: &mut Buffer) {
    let title =
        Line::from(vec![Span::styled("loopscope top", theme.strong()), Span::raw(format!("  {what}"))]);
    let keys = frame::keys(&KEYS, buffer.area.width, theme);
    let area = frame::draw(title, Line::default(), keys, buffer);
    state.scroll = frame::put_scrolled(lines, state.scroll, area, buffer);
    state.page = usize::from(area.height).max(1);
}

fn titled(
    title: &'static str,
    lines: impl IntoIterator<Item = Line<'static>>,
    theme: Theme,
) -> Vec<Line<'static>> {
    std::iter::once(Line::styled(title, theme.strong())).chain(lines).collect()
}

/// A name and what it means, on as many lines as that takes.
fn explained(name: &str, name_width: u16, meaning: &str, width: u16, theme: Theme) -> Vec<Line<'static>> {
    let indent = name_width + 1;
    let lines = wrap(meaning, width.saturating_sub(indent).max(1));
    let names = std::iter::once(name).chain(std::iter::repeat(""));
    let line = |(name, meaning): (&str, String)| {
        Line::from(vec![Span::styled(fit_left(name, indent), theme.strong()), Span::raw(meaning)])
    };
    names.zip(lines).map(line).collect()
}
