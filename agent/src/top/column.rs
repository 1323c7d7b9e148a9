//! The columns of the table: what each is called, how wide it is, what it shows of a row, and how rows sort by it.

use std::cmp::Ordering;

use clap::ValueEnum;
use model::label::LabelValue;

use super::number;
use super::row::Row;
use super::wait::Wait;

/// What stands for a figure that is not measured.
pub(super) const UNKNOWN: &str = "-";

/// Of the time, from which on a loop has little left, and too little.
const UTILIZATION_WARM: f64 = 0.7;
const UTILIZATION_HOT: f64 = 0.9;

/// Waiting that a user begins to notice, and that is too long.
const WAIT_WARM_SECONDS: f64 = 0.02;
const WAIT_HOT_SECONDS: f64 = 0.1;

/// A column. On the command line it has its title's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Column {
    Service,
    Pid,
    Loop,
    Util,
    Lag50,
    Lag99,
    Lagmax,
    Phase,
    Share,
    Iter,
    Pool,
    Queue,
    Wait99,
    Cpu,
    Mem,
}

/// How much a figure should worry the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Not measured, or a repetition of another row's.
    Dim,
    Normal,
    Warm,
    Hot,
}

/// What a column shows of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) level: Level,
}

/// What rows are sorted by.
enum SortKey<'a> {
    Text(&'a str),
    Number(Option<f64>),
}

impl Column {
    /// Every column, from left to right.
    pub(super) const ALL: &'static [Self] = &[
        Self::Service,
        Self::Pid,
        Self::Loop,
        Self::Util,
        Self::Lag50,
        Self::Lag99,
        Self::Lagmax,
        Self::Phase,
        Self::Share,
        Self::Iter,
        Self::Pool,
        Self::Queue,
        Self::Wait99,
        Self::Cpu,
        Self::Mem,
    ];

    /// Every column, from the one that a narrow terminal keeps longest.
    pub(super) const BY_IMPORTANCE: &'static [Self] = &[
        Self::Service,
        Self::Util,
        Self::Lagmax,
        Self::Loop,
        Self::Lag99,
        Self::Pid,
        Self::Phase,
        Self::Cpu,
        Self::Pool,
        Self::Wait99,
        Self::Mem,
        Self::Queue,
        Self::Iter,
        Self::Lag50,
        Self::Share,
    ];

    /// The title: one word, so that scripts can split a header, too.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Service => "SERVICE",
            Self::Pid => "PID",
            Self::Loop => "LOOP",
            Self::Util => "UTIL%",
            Self::Lag50 => "LAG50",
            Self::Lag99 => "LAG99",
            Self::Lagmax => "LAGMAX",
            Self::Phase => "PHASE",
            Self::Share => "SHARE%",
            Self::Iter => "ITER/S",
            Self::Pool => "POOL",
            Self::Queue => "QUEUE",
            Self::Wait99 => "WAIT99",
            Self::Cpu => "CPU%",
            Self::Mem => "MEM",
        }
    }

    /// What the column shows.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Service => "name that the process gives itself, or its program's",
            Self::Pid => "process",
            Self::Loop => "event loop of the process",
            Self::Util => "share of the time that the loop was busy",
            Self::Lag50 => "half of the iterations kept ready events waiting no longer",
            Self::Lag99 => "99% of the iterations did",
            Self::Lagmax => "the longest that ready events may have waited; ~ estimated, < less",
            Self::Phase => "the phase that took most of the busy time",
            Self::Share => "its share of the busy time",
            Self::Iter => "iterations a second",
            Self::Pool => "threads of the pool: busy/all; none before its first task",
            Self::Queue => "tasks that wait for a thread of the pool",
            Self::Wait99 => "99% of the tasks waited no longer for a thread",
            Self::Cpu => "CPU time of the process; 100 is a whole core",
            Self::Mem => "resident memory of the process",
        }
    }

    /// The narrowest that the column is drawn. Figures that change all the time have the room that they may come to need.
    pub(super) fn width(self) -> u16 {
        match self {
            Self::Cpu => 5,
            Self::Lag50 | Self::Lag99 | Self::Mem => 6,
            _ => self.title().len() as u16,
        }
    }

    /// The widest that the column is drawn, where its contents need it.
    pub(super) fn width_max(self) -> u16 {
        match self {
            Self::Service => 40,
            Self::Loop => 24,
            Self::Phase => 14,
            Self::Pool => 9,
            Self::Pid => 7,
            _ => self.width(),
        }
    }

    /// Whether the table is not worth much without it.
    pub(super) fn is_essential(self) -> bool {
        matches!(self, Self::Service | Self::Util | Self::Lagmax | Self::Loop)
    }

    /// Whether it shows names, which tell one row from another.
    pub(super) fn is_name(self) -> bool {
        matches!(self, Self::Service | Self::Loop)
    }

    /// Whether text stands at the left: names do, numbers do not.
    pub(super) fn is_left(self) -> bool {
        matches!(self, Self::Service | Self::Loop | Self::Phase)
    }

    /// What the column shows of a row.
    pub(super) fn cell(self, row: &Row) -> Cell {
        let cell = match self {
            Self::Service => Cell::normal(row.service.clone()),
            Self::Pid => Cell::normal(row.key.pid.to_string()),
            Self::Loop => Cell::of(row.key.loop_name.clone(), |name| (name, Level::Normal)),
            Self::Util => {
                Cell::of(row.utilization, |ratio| (number::percent(ratio), utilization_level(ratio)))
            }
            Self::Lag50 => Cell::wait(measured(row.lag.p50_seconds)),
            Self::Lag99 => Cell::wait(measured(row.lag.p99_seconds)),
            Self::Lagmax => Cell::wait(row.lag.max),
            Self::Phase => Cell::of(row.busiest_phase(), |(phase, _)| (phase.to_string(), Level::Normal)),
            Self::Share => {
                Cell::of(row.busiest_phase(), |(_, share)| (number::percent(share), Level::Normal))
            }
            Self::Iter => Cell::of(row.iterations_per_second, |rate| (number::count(rate), Level::Normal)),
            Self::Pool => Cell::of(row.pool, |pool| {
                let is_full = pool.busy >= pool.size && pool.size > 0;
                (format!("{}/{}", pool.busy, pool.size), if is_full { Level::Warm } else { Level::Normal })
            }),
            Self::Queue => Cell::of(row.queue_depth, |depth| {
                (number::count(depth as f64), if depth > 0 { Level::Warm } else { Level::Normal })
            }),
            Self::Wait99 => Cell::wait(row.queue_wait_p99_seconds),
            Self::Cpu => Cell::of(row.cpu_ratio, |ratio| (number::percent(ratio), Level::Normal)),
            Self::Mem => Cell::of(row.resident_bytes, |bytes| (number::bytes(bytes), Level::Normal)),
        };
        if self.is_of_the_process() && !row.is_first { Cell { level: Level::Dim, ..cell } } else { cell }
    }

    /// How two rows sort: names ascending, numbers descending, unless `reversed`; what is not measured comes last.
    pub(super) fn compare(self, a: &Row, b: &Row, reversed: bool) -> Ordering {
        let turned = |ordering: Ordering| if reversed { ordering.reverse() } else { ordering };
        let by_column = match (self.sort_key(a), self.sort_key(b)) {
            (SortKey::Number(Some(a)), SortKey::Number(Some(b))) => turned(b.total_cmp(&a)),
            (SortKey::Number(a), SortKey::Number(b)) => b.is_some().cmp(&a.is_some()),
            (SortKey::Text(a), SortKey::Text(b)) => turned(numbered(a).cmp(&numbered(b))),
            _ => Ordering::Equal,
        };
        by_column
            .then_with(|| (&a.service, a.key.pid).cmp(&(&b.service, b.key.pid)))
            .then_with(|| numbered(a.loop_name()).cmp(&numbered(b.loop_name())))
    }

    /// The next column to the right that is among these, round the end.
    pub(super) fn next_among(self, shown: &[Self], forward: bool) -> Self {
        let at = shown.iter().position(|&column| column == self);
        let step = if forward { 1 } else { shown.len().saturating_sub(1) };
        let next = at.map_or(0, |at| (at + step) % shown.len());
        shown.get(next).copied().unwrap_or(self)
    }

    fn is_of_the_process(self) -> bool {
        matches!(self, Self::Pool | Self::Queue | Self::Wait99 | Self::Cpu | Self::Mem)
    }

    fn sort_key(self, row: &Row) -> SortKey<'_> {
        let rank = |wait: Option<Wait>| wait.map(Wait::rank);
        SortKey::Number(match self {
            Self::Service => return SortKey::Text(&row.service),
            Self::Loop => return SortKey::Text(row.loop_name()),
            Self::Phase => {
                return SortKey::Text(row.busiest_phase().map_or("", |(phase, _)| phase.as_str()));
            }
            // Ascending, as the names that it stands among.
            Self::Pid => Some(-f64::from(row.key.pid.get())),
            Self::Util => row.utilization,
            Self::Lag50 => row.lag.p50_seconds,
            Self::Lag99 => row.lag.p99_seconds,
            Self::Lagmax => rank(row.lag.max),
            Self::Share => row.busiest_phase().map(|(_, share)| share),
            Self::Iter => row.iterations_per_second,
            Self::Pool => row.pool.map(|pool| pool.busy as f64 / pool.size.max(1) as f64),
            Self::Queue => row.queue_depth.map(|depth| depth as f64),
            Self::Wait99 => rank(row.queue_wait_p99_seconds),
            Self::Cpu => row.cpu_ratio,
            Self::Mem => row.resident_bytes.map(|bytes| bytes as f64),
        })
    }
}

impl Cell {
    fn normal(text: String) -> Self {
        Self { text, level: Level::Normal }
    }

    fn of<T>(figure: Option<T>, show: impl FnOnce(T) -> (String, Level)) -> Self {
        let (text, level) = figure.map_or_else(|| (UNKNOWN.to_owned(), Level::Dim), show);
        Self { text, level }
    }

    fn wait(wait: Option<Wait>) -> Self {
        let level = |wait: Wait| wait.seen_seconds().map_or(Level::Normal, wait_level);
        Self::of(wait, |wait| (wait.to_string(), level(wait)))
    }
}

/// How worrying it is that a loop is that busy.
pub(super) fn utilization_level(ratio: f64) -> Level {
    level(ratio, UTILIZATION_WARM, UTILIZATION_HOT)
}

/// How worrying it is that something waits that long.
pub(super) fn wait_level(seconds: f64) -> Level {
    level(seconds, WAIT_WARM_SECONDS, WAIT_HOT_SECONDS)
}

fn level(figure: f64, warm: f64, hot: f64) -> Level {
    match figure {
        figure if figure >= hot => Level::Hot,
        figure if figure >= warm => Level::Warm,
        _ => Level::Normal,
    }
}

/// A name and the number that it ends with: `worker-2` comes before `worker-10`.
fn numbered(name: &str) -> (&str, Option<u64>, &str) {
    let stem = name.trim_end_matches(|character: char| character.is_ascii_digit());
    (stem, name[stem.len()..].parse().ok(), name)
}

fn measured(seconds: Option<f64>) -> Option<Wait> {
    seconds.map(Wait::measured)
}
