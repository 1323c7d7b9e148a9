//! Drawing with characters: bars, and distributions over a logarithmic axis.

use model::histogram::{Bucket, Histogram, upper_bound_seconds};
use ratatui::text::{Line, Span};

use super::column::wait_level;
use super::number;
use super::theme::Theme;

/// Columns filled by so many eighths.
const COLUMNS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// Rows filled by so many eighths.
const ROWS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// A decade this wide has ticks at its 2 and its 5, too.
const TICKS_WIDTH: f64 = 24.0;

/// A column of one character for a share of the whole; nothing is drawn as a line, so that it is seen to be measured.
pub(super) fn level(share: f64) -> &'static str {
    COLUMNS[(share.clamp(0.0, 1.0) * 8.0).ceil().max(1.0) as usize]
}

/// A bar of this share of a width.
pub(super) fn bar(share: f64, width: u16) -> String {
    let eighths = (share.clamp(0.0, 1.0) * f64::from(width) * 8.0).round() as usize;
    // Little is not nothing.
    let eighths = if share > 0.0 { eighths.max(1) } else { eighths };
    "█".repeat(eighths / 8) + ROWS[eighths % 8]
}

/// A distribution as columns, with the axis below: `height` lines and one.
pub(super) fn distribution(
    histogram: &Histogram,
    width: u16,
    height: u16,
    theme: Theme,
) -> Vec<Line<'static>> {
    let Some(axis) = Axis::of(histogram, width) else { return Vec::new() };
    let densities = axis.densities(histogram);
    let highest = densities.iter().copied().fold(0.0, f64::max);
    let eighths = |density: f64| (density / highest * f64::from(height) * 8.0).ceil() as usize;
    let mut lines: Vec<Line<'static>> = (0..usize::from(height))
        .rev()
        .map(|below| {
            let character = |(column, &density): (usize, &f64)| {
                let filled = eighths(density).saturating_sub(below * 8).min(8);
                let style = theme.bar(wait_level(axis.seconds(column as f64 + 0.5)));
                Span::styled(COLUMNS[filled], style)
            };
            Line::from_iter(densities.iter().enumerate().map(character))
        })
        .collect();
    lines.push(Line::styled(axis.labels(), theme.dim()));
    lines
}

/// Whole decades of durations over a number of columns.
#[derive(Clone, Copy, Debug)]
struct Axis {
    /// Powers of ten of a second.
    from: i32,
    to: i32,
    width: u16,
}

impl Axis {
    /// The axis on which all of a distribution lies; `None` where it is empty.
    fn of(histogram: &Histogram, width: u16) -> Option<Self> {
        let (first, last) = (histogram.buckets().first()?, histogram.buckets().last()?);
        // A bucket across the border of two decades is drawn where its middle lies.
        let middle = |bucket: &Bucket| {
            (upper_bound_seconds(bucket.index).log10() + upper_bound_seconds(bucket.index - 1).log10()) / 2.0
        };
        let (from, to) = (middle(first).floor() as i32, middle(last).ceil() as i32);
        Some(Self { from, to: to.max(from + 1), width: width.max(1) })
    }

    /// Where a duration lies, in columns.
    fn position(&self, seconds: f64) -> f64 {
        (seconds.log10() - f64::from(self.from)) * self.columns_a_decade()
    }

    /// Which duration lies there.
    fn seconds(&self, position: f64) -> f64 {
        10f64.powf(f64::from(self.from) + position / self.columns_a_decade())
    }

    fn columns_a_decade(&self) -> f64 {
        f64::from(self.width) / f64::from(self.to - self.from)
    }

    /// How much lies in each column. A bucket that covers several counts in each by its share.
    fn densities(&self, histogram: &Histogram) -> Vec<f64> {
        let mut columns = vec![0.0; usize::from(self.width)];
        let end = f64::from(self.width);
        for bucket in histogram.buckets() {
            let left = self.position(upper_bound_seconds(bucket.index - 1)).clamp(0.0, end);
            let right = self.position(upper_bound_seconds(bucket.index)).clamp(0.0, end);
            let density = bucket.count as f64 / (right - left).max(f64::EPSILON);
            for (column, sum) in columns.iter_mut().enumerate() {
                let column = column as f64;
                *sum += density * (right.min(column + 1.0) - left.max(column)).max(0.0);
            }
        }
        // Zero lies left of every axis.
        columns[0] += histogram.zero_count() as f64;
        columns
    }

    /// Round durations, each below where it lies; those for which there is no room are left out.
    fn labels(&self) -> String {
        let mut text = String::new();
        let mut end = 0;
        let ticks: &[u32] = if self.columns_a_decade() >= TICKS_WIDTH { &[1, 2, 5] } else { &[1] };
        let decades = self.from..=self.to;
        for (decade, tick) in decades.flat_map(|decade| ticks.iter().map(move |tick| (decade, *tick))) {
            let label = number::duration(tick_seconds(decade, tick));
            let length = label.chars().count();
            let at = (f64::from(decade - self.from) + f64::from(tick).log10()) * self.columns_a_decade();
            // The last one stands at the right edge.
            let at = (at as usize).min(usize::from(self.width).saturating_sub(length));
            if (end == 0 || at > end) && at + length <= usize::from(self.width) {
                text.extend(std::iter::repeat_n(' ', at - end));
                text += &label;
                end = at + length;
            }
        }
        text
    }
}

/// Parsed, because the powers that are computed are not exact.
fn tick_seconds(decade: i32, tick: u32) -> f64 {
    format!("{tick}e{decade}").parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(histogram: &Histogram, width: u16, height: u16) -> Vec<String> {
        let lines = distribution(histogram, width, height, Theme::new(false));
        lines.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_rare_is_drawn_small_and_not_left_out() {
        let durations = std::iter::repeat_n(41_000, 10_000).chain([53_000_000]);
        let lines = drawn(&Histogram::from_ns(durations), 40, 3);
        assert_eq!(lines.len(), 4);
        assert!(lines[0].contains('█') && lines[2].trim_end().ends_with('▁'), "{lines:#?}");
        assert_eq!(lines[3], "10µs      100µs     1ms       10ms 100ms");
    }

    #[test]
    fn a_narrow_distribution_fills_its_decade_without_gaps() {
        let lines = drawn(&Histogram::from_ns((1_000_000..=10_000_000).step_by(9_001)), 60, 1);
        assert!(!lines[0].trim().contains(' '), "{lines:#?}");
        assert!(lines[1].starts_with("1ms") && lines[1].ends_with("10ms"), "{lines:#?}");
    }

    #[test]
    fn every_distribution_fits_its_width() {
        for durations in [vec![0], vec![1], vec![0, 1, u64::MAX], vec![5, 500, 5_000_000_000]] {
            let histogram = Histogram::from_ns(durations);
            for width in [0, 1, 7, 200] {
                for line in drawn(&histogram, width, 2) {
                    assert!(line.chars().count() <= usize::from(width.max(1)), "{width}: {line:?}");
                }
            }
        }
    }

    #[test]
    fn a_bar_shows_a_share_and_little_is_not_nothing() {
        assert_eq!(bar(0.5, 4), "██");
        assert_eq!(bar(0.0, 4), "");
        assert_eq!(bar(0.0001, 4), "▏");
        assert_eq!(bar(7.0, 3), "███");
        assert_eq!((level(0.0), level(0.5), level(1.0)), ("▁", "▄", "█"));
    }
}
