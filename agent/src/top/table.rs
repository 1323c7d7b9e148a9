//! The table: which columns fit a width, and its lines.
//!
//! Columns are dropped by importance, and lines never wrap. What room is left goes to names that were cut, then to
//! wider gaps, then to the trend.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::chart;
use super::column::{Column, utilization_level};
use super::history::History;
use super::row::Row;
use super::theme::Theme;

/// The narrowest trend that tells something.
const TREND_WIDTH_MIN: u16 = 10;
const TREND_TITLE: &str = "TREND OF UTIL%";

/// A text that was cut ends so.
const CUT: &str = "…";

/// The columns that are shown, each with its width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    columns: Vec<(Column, u16)>,
    gap: u16,
    /// The width of the trend, where there is room for it.
    trend: Option<u16>,
}

impl Layout {
    /// The columns that fit a width.
    pub(super) fn fit(width: u16, rows: &[&Row]) -> Self {
        let mut columns = Vec::new();
        let mut used = 0;
        for &column in Column::BY_IMPORTANCE {
            let needed = column.width() + u16::from(used > 0);
            // The first one is there in any case, cut where it must be.
            if used > 0 && used + needed > width {
                break;
            }
            used += needed;
            columns.push((column, column.width()));
        }
        columns.sort_by_key(|(column, _)| *column as u8);
        let mut spare = width.saturating_sub(used);
        for (column, width) in &mut columns {
            let more = column.width_of_contents(rows).saturating_sub(*width).min(spare);
            *width += more;
            spare -= more;
        }
        let mut layout = Self { gap: 1, columns, trend: None };
        let gaps = layout.columns.len().saturating_sub(1) as u16;
        if layout.columns.len() == Column::ALL.len() && spare >= gaps + 2 + TREND_WIDTH_MIN {
            layout.gap = 2;
            layout.trend = Some(spare - gaps - layout.gap);
        }
        layout
    }

    /// All columns, as wide as their contents.
    pub(super) fn whole(rows: &[&Row]) -> Self {
        let columns =
            Column::ALL.iter().map(|&column| (column, column.width_of_contents(rows).max(column.width())));
        Self { columns: columns.collect(), gap: 2, trend: None }
    }

    /// The same without a trend, for who has no history.
    pub(super) fn without_trend(self) -> Self {
        Self { trend: None, ..self }
    }

    /// The columns that are shown.
    pub(super) fn columns(&self) -> Vec<Column> {
        self.columns.iter().map(|(column, _)| *column).collect()
    }

    /// The line of titles; that of the column which sorts stands out.
    pub(super) fn header(&self, sort: Column, theme: Theme) -> Line<'static> {
        let cells = self.columns.iter().map(|&(column, width)| {
            let style = if column == sort { theme.strong().patch(theme.chosen()) } else { theme.strong() };
            cell(column, width, column.title(), style)
        });
        let trend = self.trend.map(|width| vec![Span::styled(fit_left(TREND_TITLE, width), theme.strong())]);
        self.line(cells.collect(), trend)
    }

    /// The line of a row.
    pub(super) fn row(&self, row: &Row, history: &History, theme: Theme) -> Line<'static> {
        let cells = self.columns.iter().map(|&(column, width)| {
            let shown = column.cell(row);
            cell(column, width, &shown.text, theme.level(shown.level))
        });
        let trend = self.trend.map(|width| utilization_trend(row, history, width, theme));
        self.line(cells.collect(), trend)
    }

    fn line(&self, cells: Vec<Vec<Span<'static>>>, trend: Option<Vec<Span<'static>>>) -> Line<'static> {
        let gap = Span::raw(" ".repeat(usize::from(self.gap)));
        let parts: Vec<_> = cells.into_iter().chain(trend).collect();
        Line::from(parts.join(&gap))
    }
}

impl Column {
    /// How wide the column would like to be.
    fn width_of_contents(self, rows: &[&Row]) -> u16 {
        let widths = rows.iter().map(|row| Span::raw(self.cell(row).text).width() as u16);
        widths.max().unwrap_or(0).clamp(self.width(), self.width_max())
    }
}

/// The utilization of the last intervals, the latest at the right.
pub(super) fn utilization_trend(
    row: &Row,
    history: &History,
    width: u16,
    theme: Theme,
) -> Vec<Span<'static>> {
    let ratios = history.utilization(&row.key, usize::from(width));
    let bar = |ratio: Option<f64>| match ratio {
        Some(ratio) => Span::styled(chart::level(ratio), theme.bar(utilization_level(ratio))),
        None => Span::raw(" "),
    };
    let missing = usize::from(width) - ratios.len();
    std::iter::repeat_n(Span::raw(" "), missing).chain(ratios.into_iter().map(bar)).collect()
}

/// The padding is apart from the text, so that only the text stands out.
fn cell(column: Column, width: u16, text: &str, style: Style) -> Vec<Span<'static>> {
    let text = cut(text, width);
    let padding = Span::raw(" ".repeat(usize::from(width).saturating_sub(Span::raw(text.as_str()).width())));
    let text = Span::styled(text, style);
    if column.is_left() { vec![text, padding] } else { vec![padding, text] }
}

/// A text padded or cut to a width, on a terminal's terms.
pub(super) fn fit_left(text: &str, width: u16) -> String {
    let text = cut(text, width);
    let padding = usize::from(width).saturating_sub(Span::raw(text.as_str()).width());
    text + &" ".repeat(padding)
}

/// A text cut to a width. Control characters are left out: names are other processes' to choose.
pub(super) fn cut(text: &str, width: u16) -> String {
    let span = Span::raw(text);
    let graphemes: Vec<&str> = span.styled_graphemes(Style::new()).map(|grapheme| grapheme.symbol).collect();
    let widths = |graphemes: &[&str]| -> usize { graphemes.iter().map(|one| Span::raw(*one).width()).sum() };
    if widths(&graphemes) <= usize::from(width) {
        return graphemes.concat();
    }
    let mut kept = graphemes.as_slice();
    while let [rest @ .., _] = kept
        && widths(kept) + 1 > usize::from(width)
    {
        kept = rest;
    }
    if width == 0 { String::new() } else { kept.concat() + CUT }
}

/// A text on as many lines as it takes, broken between words.
pub(super) fn wrap(text: &str, width: u16) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if Span::raw(format!("{line} {word}")).width() <= usize::from(width) => {
                *line = format!("{line} {word}");
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A line as plain text.
pub(super) fn plain(line: &Line<'_>) -> String {
    line.to_string().trim_end().to_owned()
}
