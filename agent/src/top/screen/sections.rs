//! The parts of the detail view, each as lines of a given width.

use model::histogram::Histogram;
use model::label::{LabelValue, Phase};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::top::chart;
use crate::top::column::{Column, Level, utilization_level, wait_level};
use crate::top::detail::{Detail, Distribution};
use crate::top::history::History;
use crate::top::row::{Pool, Row, TierState};
use crate::top::table::{self, fit_left};
use crate::top::theme::Theme;
use crate::top::wait::{Precision, Wait};
use crate::top::{missing as why, number, quantile};

const UNKNOWN: &str = "-";

/// The width of a column of figures.
const FIGURE: usize = 7;

/// The width of the names in front of figures.
const NAME: u16 = 15;
const NAME_MIN: u16 = 8;

/// The lags between which the trend rises from the lowest to the highest: powers of ten of a second.
const LAG_TREND: (f64, f64) = (-4.0, 1.0);

/// The loop at a glance: the figures of its row that no section below repeats.
pub(super) fn summary(detail: &Detail, width: u16, theme: Theme) -> Vec<Line<'static>> {
    let row = &detail.row;
    let figure = |column: Column| {
        let cell = column.cell(row);
        (column.title().to_owned(), cell.text, theme.level(cell.level))
    };
    let events =
        detail.events_per_second.map(|rate| ("EVENTS/S".to_owned(), number::count(rate), Style::new()));
    let slow = row.slow_iterations.map(|count| {
        let level = if count > 0 { Level::Warm } else { Level::Normal };
        ("SLOW".to_owned(), count.to_string(), theme.level(level))
    });
    let columns = [Column::Util, Column::Lag50, Column::Lag99, Column::Lagmax, Column::Iter];
    let away = row
        .away_seconds
        .filter(|&seconds| seconds > 0.0)
        .map(|seconds| ("AWAY NOW".to_owned(), number::duration(seconds), theme.level(wait_level(seconds))));
    flow(columns.map(figure).into_iter().chain(events).chain(slow).chain(away), width, theme)
}

/// How utilization and lag went over the last intervals.
pub(super) fn trends(row: &Row, history: &History, width: u16, theme: Theme) -> Vec<Line<'static>> {
    const TITLE: u16 = 7;
    let room = width.saturating_sub(TITLE);
    let line = |title: &str, bars: Vec<Span<'static>>| {
        let title = Span::styled(fit_left(title, TITLE), theme.dim());
        Line::from_iter(std::iter::once(title).chain(bars))
    };
    let lags = history.lag_max_seconds(&row.key, usize::from(room));
    let missing = std::iter::repeat_n(Span::raw(" "), usize::from(room) - lags.len());
    let lag = |seconds: Option<f64>| match seconds {
        Some(seconds) => {
            let (low, high) = LAG_TREND;
            let height = (seconds.log10() - low) / (high - low);
            Span::styled(chart::level(height), theme.bar(wait_level(seconds)))
        }
        None => Span::raw(" "),
    };
    vec![
        line(Column::Util.title(), table::utilization_trend(row, history, room, theme)),
        line(Column::Lagmax.title(), missing.chain(lags.into_iter().map(lag)).collect()),
    ]
}

/// The phases as bars of their share of the interval.
pub(super) fn phases(row: &Row, width: u16, theme: Theme) -> Vec<Line<'static>> {
    if row.phases.is_empty() {
        return vec![missing("PHASES", "not measured", theme)];
    }
    let bar_width = width.saturating_sub(NAME + 4 * FIGURE as u16 + 1);
    let titles = ["TIME%", "MEAN", "P99", "RUNS/S"];
    let mut lines = vec![Line::from_iter(
        [Span::styled(fit_left("PHASE", NAME + bar_width + 1), theme.strong())]
            .into_iter()
            .chain(titles.map(|title| figure(title, theme.strong()))),
    )];
    let busiest = row.busiest_phase().map(|(phase, _)| phase);
    let is_quiet = |share: f64, rate: f64| share == 0.0 && rate == 0.0;
    for time in row.phases.iter().filter(|time| !is_quiet(time.share, time.per_second)) {
        let is_waiting = time.phase == Phase::PollWait;
        let style = if Some(time.phase) == busiest { theme.strong() } else { Style::new() };
        let bar_style = if is_waiting { theme.dim() } else { theme.bar(Level::Normal) };
        let seconds = |seconds: Option<f64>| {
            let level = seconds.filter(|_| !is_waiting).map_or(Level::Normal, wait_level);
            let text = seconds.map_or(UNKNOWN.to_owned(), number::duration);
            figure(&text, theme.level(level))
        };
        lines.push(Line::from(vec![
            Span::styled(fit_left(time.phase.as_str(), NAME), style),
            Span::styled(fit_left(&chart::bar(time.share, bar_width), bar_width + 1), bar_style),
            figure(&number::percent(time.share), style),
            seconds(time.mean_seconds),
            seconds(time.p99_seconds),
            figure(&number::count(time.per_second), Style::new()),
        ]));
    }
    let quiet: Vec<&str> = row
        .phases
        .iter()
        .filter(|time| is_quiet(time.share, time.per_second))
        .map(|time| time.phase.as_str())
        .collect();
    if !quiet.is_empty() {
        let told = table::wrap(&format!("nothing in {}", quiet.join(", ")), width);
        lines.extend(told.into_iter().map(|line| Line::styled(line, theme.dim())));
    }
    lines
}

/// The distribution of lag.
pub(super) fn lag(detail: &Detail, width: u16, height: u16, theme: Theme) -> Vec<Line<'static>> {
    let nothing = Precision::Below { caught_seconds: None };
    if let Some(Wait { seconds, .. }) = detail.row.lag.max.filter(|max| max.precision == nothing) {
        let seconds = number::duration(seconds);
        return vec![missing(
            "STALLS",
            &format!("none was caught; those missed took less than {seconds}"),
            theme,
        )];
    }
    drawn("LAG", "STALLS", detail.lag.as_ref(), width, height, theme)
}

/// The distribution of the time that tasks wait for a thread of the pool.
pub(super) fn queue_wait(detail: &Detail, width: u16, height: u16, theme: Theme) -> Vec<Line<'static>> {
    if detail.queue_wait.is_none() && detail.row.pool.is_some_and(Pool::is_unused) {
        return vec![missing("POOL WAIT", "nothing yet", theme)];
    }
    drawn("POOL WAIT", "POOL WAITS", detail.queue_wait.as_ref(), width, height, theme)
}

/// The pool: its threads and queue, and the tasks by kind.
pub(super) fn pool(detail: &Detail, width: u16, theme: Theme) -> Vec<Line<'static>> {
    let row = &detail.row;
    if row.pool.is_none() && row.queue_depth.is_none() && detail.tasks.is_empty() {
        return vec![missing("POOL", "not measured", theme)];
    }
    if row.pool.is_some_and(Pool::is_unused) && detail.tasks.is_empty() {
        return vec![missing("POOL", "not used yet: its threads start with the first task", theme)];
    }
    let [threads, queue] = [Column::Pool, Column::Queue].map(|column| column.cell(row));
    let mut pairs = vec![
        ("POOL".to_owned(), threads.text, theme.level(threads.level)),
        ("queued".to_owned(), queue.text, theme.level(queue.level)),
    ];
    if let Some(most) = detail.queue_depth_max {
        pairs.push(("most in a minute".to_owned(), number::count(most as f64), Style::new()));
    }
    let mut lines = flow_titled(pairs, width, theme);
    if detail.tasks.is_empty() {
        return lines;
    }
    let titles = ["TASK/S", "FAILED", "WAIT50", "WAIT99", "RUN50", "RUN99", "LATE99"];
    // On a narrow terminal the last figures are left out whole: half a figure is another one.
    let name_width = NAME.min(width.saturating_sub((titles.len() * FIGURE) as u16)).max(NAME_MIN);
    let fitting = usize::from(width.saturating_sub(name_width)) / FIGURE;
    let line = |name: &str, figures: [Span<'static>; 7], style: Style| {
        let name = Span::styled(fit_left(name, name_width), style);
        Line::from_iter(std::iter::once(name).chain(figures.into_iter().take(fitting)))
    };
    lines.push(line("TASKS", titles.map(|title| figure(title, theme.strong())), theme.strong()));
    for tasks in &detail.tasks {
        let rate = tasks.per_second.map_or(UNKNOWN.to_owned(), number::count);
        let failed = tasks.failed.map_or(UNKNOWN.to_owned(), |failed| number::count(failed as f64));
        let failed_level =
            if tasks.failed.is_some_and(|failed| failed > 0) { Level::Warm } else { Level::Normal };
        // How long a task runs delays nobody but those behind it.
        let run = |q| seconds_figure(tasks.run.as_ref(), q, |_| Style::new(), theme);
        let figures = [
            figure(&rate, Style::new()),
            figure(&failed, theme.level(failed_level)),
            quantile(tasks.wait.as_ref(), 0.5, theme),
            quantile(tasks.wait.as_ref(), 0.99, theme),
            run(0.5),
            run(0.99),
            quantile(tasks.delay.as_ref(), 0.99, theme),
        ];
        lines.push(line(tasks.kind.as_str(), figures, Style::new()));
    }
    lines
}

/// What else delays callbacks: timers that come late, pauses of the collector.
pub(super) fn delays(detail: &Detail, theme: Theme) -> Vec<Line<'static>> {
    let timers = detail.timer_lateness.as_ref().map(|lateness| ("timers late by".to_owned(), lateness));
    let pauses = detail.gc_pauses.iter().map(|(kind, pauses)| (format!("gc {kind}"), pauses));
    let rows: Vec<_> = timers.into_iter().chain(pauses).collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let titles = ["COUNT", "P50", "P99", "MAX", "SUM"];
    let mut lines =
        vec![table_line("DELAYS", titles.map(|title| figure(title, theme.strong())), theme.strong())];
    for (name, histogram) in rows {
        let sum = number::duration(histogram.sum_ns() as f64 / 1e9);
        let figures = [
            figure(&number::count(histogram.count() as f64), Style::new()),
            quantile(Some(histogram), 0.5, theme),
            quantile(Some(histogram), 0.99, theme),
            quantile(Some(histogram), 1.0, theme),
            figure(&sum, Style::new()),
        ];
        lines.push(table_line(&name, figures, Style::new()));
    }
    lines
}

/// Handles that are open and requests that are under way.
pub(super) fn open(detail: &Detail, width: u16, theme: Theme) -> Vec<Line<'static>> {
    let line = |title: &str, counts: Vec<(String, u64)>| {
        let none = counts.is_empty();
        let counts = counts.into_iter().map(|(name, count)| (name, count.to_string(), Style::new()));
        let title = (title.to_owned(), if none { "none" } else { "" }.to_owned(), Style::new());
        flow_titled(std::iter::once(title).chain(counts).collect(), width, theme)
    };
    let named = |text: &str, count: u64| (text.to_owned(), count);
    let handles = detail.handles.as_ref().map(|handles| {
        line("HANDLES", handles.iter().map(|&(kind, count)| named(kind.as_str(), count)).collect())
    });
    let requests = detail.requests.as_ref().map(|requests| {
        line("REQUESTS", requests.iter().map(|&(kind, count)| named(kind.as_str(), count)).collect())
    });
    handles.into_iter().chain(requests).flatten().collect()
}

/// The process.
pub(super) fn process(detail: &Detail, width: u16, theme: Theme) -> Vec<Line<'static>> {
    let row = &detail.row;
    let threads = detail.threads.map_or(UNKNOWN.to_owned(), |threads| threads.to_string());
    let limit = detail.max_fds.map_or(String::new(), |limit| format!("/{limit}"));
    let fds = detail.open_fds.map_or(UNKNOWN.to_owned(), |open| format!("{open}{limit}"));
    let plain = |name: &str, text: String| (name.to_owned(), text, Style::new());
    let pairs = vec![
        plain("PROCESS", String::new()),
        plain("cpu%", Column::Cpu.cell(row).text),
        plain("memory", Column::Mem.cell(row).text),
        plain("threads", threads),
        plain("descriptors", fds),
    ];
    flow_titled(pairs, width, theme)
}

/// The tiers that measure the process, and what they cost it.
pub(super) fn measured_by(row: &Row, width: u16, theme: Theme) -> Vec<Line<'static>> {
    let Some(TierState { active, missing: given_up, cost_ratio }) = row.tiers else {
        return vec![missing("MEASURED", "by the program's own telemetry", theme)];
    };
    let mut pairs = vec![("MEASURED".to_owned(), String::new(), Style::new())];
    pairs.extend(active.iter().map(|tier| (String::new(), tier.to_string(), Style::new())));
    for tier in given_up.iter() {
        pairs.push((tier.to_string(), "no".to_owned(), theme.level(Level::Warm)));
    }
    if let Some(ratio) = cost_ratio {
        let cost = format!("~{}% of a core", number::percent(ratio));
        let level = utilization_level(ratio * 10.0);
        pairs.push(("probes cost".to_owned(), cost, theme.level(level)));
    }
    let mut lines = flow_titled(pairs, width, theme);
    for (tiers, reason) in why::by_reason(&row.missing) {
        let told = table::wrap(&format!("no {tiers}: {reason}"), width);
        lines.extend(told.into_iter().map(|line| Line::styled(line, theme.dim())));
    }
    lines
}

fn drawn(
    title: &'static str,
    estimate_title: &'static str,
    distribution: Option<&Distribution>,
    width: u16,
    height: u16,
    theme: Theme,
) -> Vec<Line<'static>> {
    let Some(Distribution { histogram, is_estimate }) = distribution else {
        return vec![missing(title, "not measured", theme)];
    };
    let (title, mark) = if *is_estimate { (estimate_title, "~") } else { (title, "") };
    let count = histogram.count();
    if count == 0 {
        return vec![missing(title, "none in this interval", theme)];
    }
    let pair = |name: &str, q| {
        let seconds = quantile::seconds(histogram, q).unwrap_or(0.0);
        (name.to_owned(), format!("{mark}{}", number::duration(seconds)), theme.level(wait_level(seconds)))
    };
    let title = (title.to_owned(), String::new(), Style::new());
    // What readings caught are mostly the long ones, so only the longest of them says something.
    let pairs = match is_estimate {
        true => vec![title, ("seen".to_owned(), number::count(count as f64), Style::new()), pair("max", 1.0)],
        false => vec![title, pair("p50", 0.5), pair("p99", 0.99), pair("max", 1.0)],
    };
    let mut lines = flow_titled(pairs, width, theme);
    lines.extend(chart::distribution(histogram, width, height, theme));
    lines
}

fn missing(title: &'static str, why: &str, theme: Theme) -> Line<'static> {
    Line::from(vec![Span::styled(title, theme.strong()), Span::styled(format!("  {why}"), theme.dim())])
}

/// A quantile of what delays something.
fn quantile(histogram: Option<&Histogram>, q: f64, theme: Theme) -> Span<'static> {
    seconds_figure(histogram, q, |seconds| theme.level(wait_level(seconds)), theme)
}

fn seconds_figure(
    histogram: Option<&Histogram>,
    q: f64,
    style: impl Fn(f64) -> Style,
    theme: Theme,
) -> Span<'static> {
    match histogram.and_then(|histogram| quantile::seconds(histogram, q)) {
        Some(seconds) => figure(&number::duration(seconds), style(seconds)),
        None => figure(UNKNOWN, theme.dim()),
    }
}

/// A figure at the right of its column.
fn figure(text: &str, style: Style) -> Span<'static> {
    Span::styled(format!(" {text:>width$}", width = FIGURE - 1), style)
}

fn table_line(name: &str, figures: impl IntoIterator<Item = Span<'static>>, style: Style) -> Line<'static> {
    Line::from_iter([Span::styled(fit_left(name, NAME), style)].into_iter().chain(figures))
}

/// A name, what it is, and how that looks.
type Pair = (String, String, Style);

/// Names and figures one after the other, on as many lines as it takes.
fn flow(pairs: impl IntoIterator<Item = Pair>, width: u16, theme: Theme) -> Vec<Line<'static>> {
    let spans = pairs.into_iter().map(|(name, text, style)| {
        let space = if name.is_empty() || text.is_empty() { "" } else { " " };
        vec![Span::styled(name + space, theme.dim()), Span::styled(text, style)]
    });
    fill(spans, width)
}

/// The same, but the first name is a title.
fn flow_titled(pairs: Vec<Pair>, width: u16, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = flow(pairs, width, theme);
    if let Some(title) = lines.first_mut().and_then(|line| line.spans.first_mut()) {
        title.style = theme.strong();
    }
    lines
}

fn fill(groups: impl Iterator<Item = Vec<Span<'static>>>, width: u16) -> Vec<Line<'static>> {
    let groups: Vec<_> = groups.collect();
    let widths = groups.iter().flatten().map(Span::width).sum::<usize>();
    // Closer together, where that saves a line.
    let gap = if widths + 2 * groups.len() > usize::from(width) + 2 { " " } else { "  " };
    let mut lines: Vec<Line<'static>> = Vec::new();
    for group in groups {
        let needed: usize = group.iter().map(Span::width).sum();
        match lines.last_mut() {
            Some(line) if line.width() + gap.len() + needed <= usize::from(width) => {
                line.spans.push(Span::raw(gap));
                line.spans.extend(group);
            }
            _ => lines.push(Line::from(group)),
        }
    }
    lines
}
