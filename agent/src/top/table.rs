//! The table: which columns fit a width, and its lines.
//!
//! The names come first, as whole as they can be beside utilization and lag: who is slow is worth more than one more
//! figure. Then columns follow by importance, those in which nothing is measured last, and lines never wrap. What room is
//! left goes to names that were cut, then to wider gaps, then to the trend.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::chart;
use super::column::{Column, utilization_level};
use super::history::History;
use super::needs::Needs;
use super::row::Row;
use super::theme::Theme;

const TREND_TITLE: &str = "UTIL% TREND";

/// The narrowest trend that tells something.
const TREND_WIDTH_MIN: u16 = TREND_TITLE.len() as u16;

/// The narrowest that names are drawn, if they need it.
const SERVICE_WIDTH_MIN: u16 = 10;
const LOOP_WIDTH_MIN: u16 = 8;

/// What stands where a text was cut.
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
    /// The columns that fit a width, for a table that is sorted by one of them.
    pub(super) fn fit(width: u16, needs: &Needs, sort: Column) -> Self {
        let mut wanted = Column::BY_IMPORTANCE.to_vec();
        wanted.sort_by_key(|&column| match column {
            column if column.is_essential() => 0,
            column if column == sort => 1,
            column if needs.has_figures(column) => 2,
            _ => 3,
        });
        let mut columns = Vec::new();
        let mut used = 0;
        for column in wanted {
            let claim = claim(column, width, needs);
            let needed = claim + u16::from(used > 0);
            // The first one is there in any case, cut where it must be.
            if used > 0 && used + needed > width {
                break;
            }
            used += needed;
            columns.push((column, claim));
        }
        columns.sort_by_key(|(column, _)| *column as u8);
        let mut spare = width.saturating_sub(used);
        for (column, width) in &mut columns {
            let more = needs.width(*column).saturating_sub(*width).min(spare);
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
    pub(super) fn whole(needs: &Needs) -> Self {
        let columns = Column::ALL.iter().map(|&column| (column, needs.width(column)));
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

    /// How wide the columns are together, without the trend.
    pub(super) fn width_of_columns(&self) -> u16 {
        let gaps = self.gap * self.columns.len().saturating_sub(1) as u16;
        gaps + self.columns.iter().map(|(_, width)| width).sum::<u16>()
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

/// What a column gets before it is decided which others there are: names share what utilization and lag leave.
fn claim(column: Column, width: u16, needs: &Needs) -> u16 {
    let (need, least) = (needs.width(column), column.width());
    let others = Column::Util.width() + Column::Lagmax.width() + 3;
    let room = width.saturating_sub(others);
    let of_loop = needs.width(Column::Loop).min((room / 3).max(LOOP_WIDTH_MIN));
    match column {
        Column::Loop => of_loop,
        Column::Service => need.min(room.saturating_sub(of_loop).min(width / 2).max(SERVICE_WIDTH_MIN)),
        _ => need.max(least),
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
    let text = if column.is_name() { cut_within(text, width) } else { cut(text, width) };
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
    cut_before(text, width, 0)
}

/// A name cut to a width within: names of the same kind often differ at their end only.
pub(super) fn cut_within(text: &str, width: u16) -> String {
    cut_before(text, width, width / 2 - width / 8)
}

/// A text cut to a width, so that up to so much of its end is kept.
fn cut_before(text: &str, width: u16, end_width: u16) -> String {
    let (span, width) = (Span::raw(text), usize::from(width));
    let graphemes: Vec<&str> = span.styled_graphemes(Style::new()).map(|grapheme| grapheme.symbol).collect();
    let widths: Vec<usize> = graphemes.iter().map(|one| Span::raw(*one).width()).collect();
    if widths.iter().sum::<usize>() <= width {
        return graphemes.concat();
    }
    if width == 0 {
        return String::new();
    }
    let fitting = |widths: &mut dyn Iterator<Item = &usize>, room: usize| {
        let sums = widths.scan(0, |sum, width| {
            *sum += width;
            Some(*sum)
        });
        let fitting: Vec<usize> = sums.take_while(|sum| *sum <= room).collect();
        (fitting.len(), fitting.last().copied().unwrap_or(0))
    };
    let room = width - Span::raw(CUT).width();
    let (ends, end_width) = fitting(&mut widths.iter().rev(), usize::from(end_width).min(room));
    let (begins, _) = fitting(&mut widths.iter(), room - end_width);
    graphemes[..begins].concat() + CUT + &graphemes[graphemes.len() - ends..].concat()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::testing::{expect_golden, rows};
    use crate::top::wait::Lag;

    #[test]
    fn a_script_gets_all_columns_and_every_name_whole() {
        let rows = rows();
        let rows: Vec<&Row> = rows.iter().collect();
        let (layout, theme, history) =
            (Layout::whole(&Needs::of(&rows)), Theme::new(true), History::default());
        let header = plain(&layout.header(Column::Util, theme));
        let lines: Vec<String> = rows.iter().map(|row| plain(&layout.row(row, &history, theme))).collect();
        expect_golden("plain.txt", &format!("{header}\n{}\n", lines.join("\n")));
        let words = |line: &str| line.split_whitespace().count();
        assert!(lines.iter().all(|line| words(line) == words(&header)), "one word a column");
    }

    #[test]
    fn no_line_is_wider_than_what_it_was_made_for() {
        let rows = rows();
        let rows: Vec<&Row> = rows.iter().collect();
        let (theme, mut history) = (Theme::new(true), History::default());
        history.push(&crate::top::testing::rows());
        for width in 10..260 {
            let layout = Layout::fit(width, &Needs::of(&rows), Column::Util);
            let lines = rows.iter().map(|row| layout.row(row, &history, theme));
            for line in lines.chain([layout.header(Column::Util, theme)]) {
                assert!(line.width() <= usize::from(width), "{width}: {line}");
            }
        }
    }

    #[test]
    fn a_wider_terminal_never_shows_fewer_columns() {
        let rows = rows();
        let rows: Vec<&Row> = rows.iter().collect();
        let count = |width| Layout::fit(width, &Needs::of(&rows), Column::Util).columns().len();
        assert!((10..250).all(|width| count(width) <= count(width + 1)));
        assert_eq!(count(250), Column::ALL.len());
    }

    #[test]
    fn loops_of_a_process_with_a_long_name_can_be_told_apart_on_a_narrow_terminal() {
        let mut rows = rows();
        rows.truncate(4);
        for (number, row) in rows.iter_mut().enumerate() {
            row.service = "payments-gateway-production-eu".to_owned();
            row.key.loop_name = Some(format!("worker-{number}"));
        }
        let rows: Vec<&Row> = rows.iter().collect();
        let (theme, history) = (Theme::new(false), History::default());
        for width in [40, 60, 80] {
            let layout = Layout::fit(width, &Needs::of(&rows), Column::Util);
            for (number, row) in rows.iter().enumerate() {
                let line = plain(&layout.row(row, &history, theme));
                assert!(line.contains(&format!("worker-{number}")), "{width}: {line}");
                assert!(width < 60 || line.contains("payments-gateway-production-eu "), "{width}: {line}");
            }
        }
    }

    #[test]
    fn columns_in_which_nothing_is_measured_leave_first() {
        let mut rows = rows();
        for row in &mut rows {
            (row.lag, row.service) = (Lag::default(), "shop".to_owned());
        }
        let rows: Vec<&Row> = rows.iter().collect();
        let columns = Layout::fit(80, &Needs::of(&rows), Column::Util).columns();
        assert!(!columns.contains(&Column::Lag99) && columns.contains(&Column::Wait99), "{columns:?}");
        assert!(columns.contains(&Column::Lagmax), "what the table is for stays in its place");
    }

    #[test]
    fn the_column_that_sorts_is_shown_where_any_but_the_essential_are() {
        let rows = rows();
        let rows: Vec<&Row> = rows.iter().collect();
        for &column in Column::ALL {
            let columns = Layout::fit(80, &Needs::of(&rows), column).columns();
            assert!(columns.contains(&column), "{column:?}: {columns:?}");
        }
    }

    #[test]
    fn a_name_that_is_cut_keeps_its_end() {
        assert_eq!(cut_within("image-renderer-worker-12", 12), "image-…er-12");
        assert_eq!(cut_within("short", 5), "short");
        assert_eq!(cut_within("集計サービス-1", 9), "集計サ…-1");
        assert_eq!((cut_within("anything", 1), cut_within("anything", 0)), ("…".to_owned(), String::new()));
    }

    #[test]
    fn names_are_cut_by_their_width_and_never_bring_control_characters() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("too long", 5), "too …");
        assert_eq!(cut("集計サービス", 7), "集計サ…");
        assert_eq!(cut("a\x1b[31m\nb", 10), "a[31mb");
        assert_eq!(cut("anything", 0), "");
    }
}
