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
    let keys = ALL_KEYS.map(|(key, meaning)| explained(key, 15, meaning, theme));
    let keys = titled("KEYS", keys, theme);
    let columns = Column::ALL.iter().map(|column| explained(column.title(), 8, column.meaning(), theme));
    let mut columns = titled("COLUMNS", columns, theme);
    let notes = [
        Line::default(),
        Line::raw("All figures are of the last interval. - is not measured, ~ an estimate."),
    ];
    columns.extend(notes);
    let lines = if width >= TWO_COLUMNS_WIDTH {
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

fn explained(name: &str, width: u16, meaning: &'static str, theme: Theme) -> Line<'static> {
    Line::from(vec![Span::styled(fit_left(name, width + 1), theme.strong()), Span::raw(meaning)])
}
