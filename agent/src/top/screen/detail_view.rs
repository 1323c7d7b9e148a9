//! One loop in detail: phases, distributions, the pool, what is open, and how it is measured.
//!
//! A wide terminal shows two columns; a narrow one shows everything below each other, to scroll through.

use ratatui::buffer::Buffer;
use ratatui::text::{Line, Span};

use super::frame::{self, Key};
use super::sections;
use super::state::State;
use super::table_view;
use crate::top::detail::Detail;
use crate::top::table;
use crate::top::theme::Theme;

const KEYS: [Key; 6] =
    [("↑↓", "scroll"), ("←→", "other loops"), ("Esc", "back"), ("p", "pause"), ("?", "help"), ("q", "quit")];

/// From this width on there are two columns.
const TWO_COLUMNS_WIDTH: u16 = 120;

/// From this width on two distributions fit beside each other.
const TWO_CHARTS_WIDTH: u16 = 72;

const GAP: u16 = 3;

/// How high distributions are drawn.
const CHART_HEIGHT_MIN: u16 = 4;
const CHART_HEIGHT_MAX: u16 = 16;

/// Draws the chosen loop.
pub(super) fn draw(state: &mut State, theme: Theme, buffer: &mut Buffer) {
    let Some(detail) = state.detail() else {
        // It has ended, and so have all others.
        return table_view::draw(state, theme, buffer);
    };
    let width = buffer.area.width;
    let keys = frame::keys(&KEYS, width, theme);
    let paused = if state.is_paused { "PAUSED" } else { "" };
    let area = frame::draw(title(&detail, width, theme), Line::styled(paused, theme.notice()), keys, buffer);
    let mut lines = sections::summary(&detail, width, theme);
    lines.extend(sections::trends(&detail.row, &state.history, width, theme));
    lines.push(Line::default());
    let rest = area.height.saturating_sub(lines.len() as u16);
    lines.extend(match width >= TWO_COLUMNS_WIDTH {
        true => two_columns(&detail, width, rest, theme),
        false => one_column(&detail, width, rest, theme),
    });
    let scroll = frame::put_scrolled(&lines, state.scroll, area, buffer);
    (state.scroll, state.page) = (scroll, usize::from(area.height).max(1));
}

/// The service gives way to what tells one of its loops from another.
fn title(detail: &Detail, width: u16, theme: Theme) -> Line<'static> {
    const SERVICE_WIDTH_MIN: u16 = 8;
    let row = &detail.row;
    let name = row.key.loop_name.as_ref().map(|name| format!("  loop {}", table::cut_within(name, 24)));
    let rest = Span::raw(format!("  process {}{}", row.key.pid, name.unwrap_or_default()));
    let room = width.saturating_sub(rest.width() as u16).max(SERVICE_WIDTH_MIN);
    Line::from(vec![Span::styled(table::cut_within(&row.service, room), theme.strong()), rest])
}

fn two_columns(detail: &Detail, width: u16, height: u16, theme: Theme) -> Vec<Line<'static>> {
    let left_width = (width - GAP) / 2;
    let right_width = width - GAP - left_width;
    let phases = sections::phases(&detail.row, left_width, theme);
    // Two charts share what the phases leave, each with a title, an axis and an empty line.
    let chart_height = (height.saturating_sub(phases.len() as u16 + 1) / 2).saturating_sub(3);
    let chart_height = chart_height.clamp(CHART_HEIGHT_MIN, CHART_HEIGHT_MAX);
    let left = stack([
        phases,
        sections::lag(detail, left_width, chart_height, theme),
        sections::queue_wait(detail, left_width, chart_height, theme),
    ]);
    let right = stack(others(detail, right_width, theme));
    frame::beside(left, left_width, GAP, right)
}

fn one_column(detail: &Detail, width: u16, height: u16, theme: Theme) -> Vec<Line<'static>> {
    let phases = sections::phases(&detail.row, width, theme);
    let chart_height = height.saturating_sub(phases.len() as u16 + 3).clamp(CHART_HEIGHT_MIN, 5);
    let charts = if width >= TWO_CHARTS_WIDTH {
        let half = (width - GAP) / 2;
        let lag = sections::lag(detail, half, chart_height, theme);
        frame::beside(lag, half, GAP, sections::queue_wait(detail, half, chart_height, theme))
    } else {
        stack([
            sections::lag(detail, width, chart_height, theme),
            sections::queue_wait(detail, width, chart_height, theme),
        ])
    };
    stack([phases, charts].into_iter().chain(others(detail, width, theme)))
}

fn others(detail: &Detail, width: u16, theme: Theme) -> [Vec<Line<'static>>; 3] {
    let rest = [
        sections::open(detail, width, theme),
        sections::process(detail, width, theme),
        sections::measured_by(&detail.row, width, theme),
    ];
    [sections::pool(detail, width, theme), sections::delays(detail, theme), rest.concat()]
}

/// Sections below each other, with an empty line between them; those without lines are left out.
fn stack(sections: impl IntoIterator<Item = Vec<Line<'static>>>) -> Vec<Line<'static>> {
    let sections: Vec<_> = sections.into_iter().filter(|lines| !lines.is_empty()).collect();
    sections.join(&Line::default())
}
