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
    ("/", "filter"),
    ("r", "reverse"),
    ("p", "pause"),
    ("?", "help"),
    ("q", "quit"),
];

/// Draws the table.
pub(super) fn draw(state: &mut State, theme: Theme, buffer: &mut Buffer) {
    let width = buffer.area.width;
    let keys = if state.is_typing() { typing(state, theme) } else { frame::keys(&KEYS, width, theme) };
    let (shown, chosen) = state.shown();
    let title = title(state, width, theme);
    let places = if shown.is_empty() { Vec::new() } else { positions(state, chosen, shown.len(), theme) };
    let place = frame::beside_of(&title, places, width);
    let area = frame::draw(title, place, keys, buffer);

    let needs = state.needs.then(&shown);
    let layout = Layout::fit(width, &needs, state.order.sort);
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
    (state.page, state.columns, state.needs) = (page, columns, needs);
}

/// What is shown of what there is, and how: as much of it as has room beside the place.
fn title(state: &State, width: u16, theme: Theme) -> Line<'static> {
    const PLACE_WIDTH: usize = 16;
    let processes: std::collections::BTreeSet<_> = state.rows().iter().map(|row| row.key.pid).collect();
    let loops = state.rows().len();
    let counted =
        |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let name = Span::styled("loopscope top", theme.strong());
    let found = state.has_read().then(|| {
        let processes = counted(processes.len(), "process", "processes");
        Span::raw(format!("{} in {processes}", counted(loops, "loop", "loops")))
    });
    let is_filtered = !state.order.filter.is_empty() && !state.is_typing();
    let filter =
        is_filtered.then(|| Span::styled(format!("filter {:?}", state.order.filter), theme.notice()));
    let paused = state.is_paused.then(|| Span::styled("PAUSED", theme.notice()));
    let every = Span::styled(format!("every {}", humantime::format_duration(state.interval)), theme.dim());
    // From the one that gives way first.
    let parts = [(0, Some(every)), (1, Some(name)), (2, found), (3, filter), (4, paused)];
    let mut parts: Vec<(u8, Span<'static>)> =
        parts.into_iter().filter_map(|(rank, part)| Some((rank, part?))).collect();
    let width_of =
        |parts: &[(u8, Span<'static>)]| parts.iter().map(|(_, part)| part.width() + 2).sum::<usize>();
    while parts.len() > 1 && width_of(&parts) + PLACE_WIDTH > usize::from(width) {
        parts.remove(0);
    }
    // On the screen the name comes first, and the interval behind what was found.
    parts.sort_by_key(|(rank, _)| match rank {
        0 => 25,
        rank => rank * 10,
    });
    let parts: Vec<_> = parts.into_iter().map(|(_, part)| vec![part]).collect();
    Line::from(parts.join(&Span::raw("  ")))
}

/// How it is sorted and which row is chosen, the most telling first.
fn positions(state: &State, chosen: usize, shown: usize, theme: Theme) -> Vec<Line<'static>> {
    let messages = match state.messages.len() {
        0 => String::new(),
        1 => "1 message (m)  ".to_owned(),
        count => format!("{count} messages (m)  "),
    };
    let arrow = if state.order.is_reversed { "▲" } else { "▼" };
    let sorted = format!("by {} {arrow}  ", state.order.sort.title());
    let place = format!("{}/{shown}", chosen + 1);
    let candidates = [format!("{messages}{sorted}{place}"), format!("{sorted}{place}"), place];
    candidates.map(|text| Line::styled(text, theme.dim())).to_vec()
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
    let reasons = empty::reasons(&state.only, &state.ended, &state.order, !state.rows().is_empty(), &told);
    let lines = reasons.iter().flat_map(|reason| table::wrap(reason, width));
    lines.map(Line::raw).collect()
}
