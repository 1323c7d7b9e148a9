//! The table, or why there is nothing in it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::frame::{self, Key};
use super::state::State;
use crate::top::empty;
use crate::top::table::{self, Layout};
use crate::top::theme::Theme;

const KEYS: [Key; 8] = [
    ("↑↓", "choose"),
    ("Enter", "detail"),
    ("s", "sort"),
    ("r", "reverse"),
    ("/", "filter"),
    ("p", "pause"),
    ("?", "help"),
    ("q", "quit"),
];

/// Draws the table.
pub(super) fn draw(state: &mut State, theme: Theme, buffer: &mut Buffer) {
    let width = buffer.area.width;
    let keys = if state.is_typing() { typing(state, theme) } else { frame::keys(&KEYS, width, theme) };
    let (shown, chosen) = state.shown();
    let place = if shown.is_empty() { Line::default() } else { position(state, chosen, shown.len(), theme) };
    let area = frame::draw(title(state, theme), place, keys, buffer);

    let layout = Layout::fit(width, &shown);
    let columns = layout.columns();
    frame::put(&layout.header(state.order.sort, theme), frame::row(area, 0), buffer);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let page = usize::from(body.height).max(1);
    if shown.is_empty() {
        let body = Rect { y: body.y + 1, height: body.height.saturating_sub(1), ..body };
        frame::put_scrolled(&reasons(state, width, theme), 0, body, buffer);
    }
    // The chosen row is always in sight.
    let first = (chosen + 1).saturating_sub(page);
    for ((at, row), place) in shown.iter().enumerate().skip(first).zip(body.rows()) {
        frame::put(&layout.row(row, &state.history, theme), place, buffer);
        if at == chosen {
            let width = layout.width_of_columns().min(place.width);
            buffer.set_style(Rect { width, ..place }, theme.chosen());
        }
    }
    (state.page, state.columns) = (page, columns);
}

/// What is shown of what there is, and how.
pub(super) fn title(state: &State, theme: Theme) -> Line<'static> {
    let processes: std::collections::BTreeSet<_> = state.rows().iter().map(|row| row.key.pid).collect();
    let loops = state.rows().len();
    let counted =
        |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let mut parts = vec![Span::styled("loopscope top", theme.strong())];
    if state.has_read() {
        let found = format!(
            "  {} in {}",
            counted(loops, "loop", "loops"),
            counted(processes.len(), "process", "processes")
        );
        parts.push(Span::raw(found));
    }
    parts.push(Span::styled(format!("  every {}", humantime::format_duration(state.interval)), theme.dim()));
    if !state.order.filter.is_empty() && !state.is_typing() {
        parts.push(Span::styled(format!("  filter {:?}", state.order.filter), theme.notice()));
    }
    if state.is_paused {
        parts.push(Span::styled("  PAUSED", theme.notice()));
    }
    Line::from(parts)
}

fn position(state: &State, chosen: usize, shown: usize, theme: Theme) -> Line<'static> {
    let messages = match state.messages.len() {
        0 => String::new(),
        1 => "1 message (m)  ".to_owned(),
        count => format!("{count} messages (m)  "),
    };
    let arrow = if state.order.is_reversed { "▲" } else { "▼" };
    let sorted = format!("by {} {arrow}  ", state.order.sort.title());
    Line::styled(format!("{messages}{sorted}{}/{shown}", chosen + 1), theme.dim())
}

fn typing(state: &State, theme: Theme) -> Line<'static> {
    Line::from(vec![
        Span::styled("filter ", theme.strong()),
        Span::raw(state.order.filter.clone()),
        Span::styled(" ", theme.chosen()),
        Span::styled("  Enter keeps it, Escape does not", theme.dim()),
    ])
}

/// Why the table is empty.
fn reasons(state: &State, width: u16, theme: Theme) -> Vec<Line<'static>> {
    if !state.has_read() {
        return vec![Line::styled("looking for event loops", theme.dim())];
    }
    let told: Vec<String> = state.messages.iter().cloned().collect();
    let reasons = empty::reasons(&state.only, &state.order, !state.rows().is_empty(), &told);
    let lines = reasons.iter().flat_map(|reason| table::wrap(reason, width));
    lines.map(Line::raw).collect()
}
