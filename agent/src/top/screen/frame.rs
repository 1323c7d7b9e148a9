//! What all views have in common: a title above, keys below, and lines between.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::top::theme::Theme;

/// Terminals lower than this show no keys: the rest is worth more.
const HEIGHT_WITH_KEYS: u16 = 5;

/// A key and what it does.
pub(super) type Key = (&'static str, &'static str);

/// Draws title and keys, and gives the area between them. The title's right part gives way to the left one.
pub(super) fn draw(
    title: Line<'static>,
    right: Line<'static>,
    keys: Line<'static>,
    buffer: &mut Buffer,
) -> Rect {
    let area = buffer.area;
    let (left_width, right_width) = (title.width() as u16, right.width() as u16);
    put(&title, row(area, 0), buffer);
    if left_width + 2 + right_width <= area.width {
        let place = Rect { x: area.right() - right_width, width: right_width, ..row(area, 0) };
        put(&right, place, buffer);
    }
    let has_keys = area.height >= HEIGHT_WITH_KEYS;
    if has_keys {
        put(&keys, row(area, area.height - 1), buffer);
    }
    let lost = 1 + u16::from(has_keys);
    Rect { y: area.y + 1, height: area.height.saturating_sub(lost), ..area }
}

/// As many of the keys as there is room for. The last two lead on and out: the others give way to them.
pub(super) fn keys(keys: &[Key], width: u16, theme: Theme) -> Line<'static> {
    const GAP: &str = "  ";
    let drawn = |(key, meaning): &Key| {
        [Span::styled(*key, theme.strong()), Span::styled(format!(" {meaning}"), theme.dim())]
    };
    let width_of = |keys: &[Key]| -> usize {
        keys.iter().flat_map(drawn).map(|span| span.width()).sum::<usize>() + GAP.len() * keys.len()
    };
    let (others, last) = keys.split_at(keys.len().saturating_sub(2));
    let room = usize::from(width) + GAP.len();
    let fitting = (0..=others.len()).rev().find(|&count| width_of(&others[..count]) + width_of(last) <= room);
    let shown = others[..fitting.unwrap_or(0)].iter().chain(last);
    let spans: Vec<_> = shown.map(|key| drawn(key).to_vec()).collect();
    Line::from(spans.join(&Span::raw(GAP)))
}

/// The first of some lines that fits beside another, the most telling first; nothing where none does.
pub(super) fn beside_of(
    left: &Line<'_>,
    candidates: impl IntoIterator<Item = Line<'static>>,
    width: u16,
) -> Line<'static> {
    let room = usize::from(width).saturating_sub(left.width() + 2);
    candidates.into_iter().find(|line| line.width() <= room).unwrap_or_default()
}

/// Draws a line, cut where the area ends.
pub(super) fn put(line: &Line<'_>, area: Rect, buffer: &mut Buffer) {
    if area.height > 0 {
        buffer.set_line(area.x, area.y, line, area.width);
    }
}

/// Draws lines from the one at `scroll`, at most so far that the last one stands at the bottom; gives where that is.
pub(super) fn put_scrolled(lines: &[Line<'_>], scroll: usize, area: Rect, buffer: &mut Buffer) -> usize {
    let scroll = scroll.min(lines.len().saturating_sub(usize::from(area.height)));
    for (line, place) in lines[scroll..].iter().zip(area.rows()) {
        put(line, place, buffer);
    }
    scroll
}

/// A row of an area, counted from its top; empty where there is none.
pub(super) fn row(area: Rect, at: u16) -> Rect {
    let height = u16::from(at < area.height);
    Rect { y: area.y + at.min(area.height), height, ..area }
}

/// Two columns of lines beside each other.
pub(super) fn beside(
    left: Vec<Line<'static>>,
    width: u16,
    gap: u16,
    right: Vec<Line<'static>>,
) -> Vec<Line<'static>> {
    let mut right = right.into_iter();
    let mut lines: Vec<Line<'static>> = left
        .into_iter()
        .map(|line| match right.next() {
            Some(beside) => join(line, width + gap, beside),
            None => line,
        })
        .collect();
    lines.extend(right.map(|beside| join(Line::default(), width + gap, beside)));
    lines
}

fn join(left: Line<'static>, at: u16, right: Line<'static>) -> Line<'static> {
    let padding = Span::raw(" ".repeat(usize::from(at).saturating_sub(left.width())));
    let flatten = |line: Line<'static>| {
        let style = line.style;
        line.spans.into_iter().map(move |span| span.patch_style(style))
    };
    Line::from_iter(flatten(left).chain([padding]).chain(flatten(right)))
}
