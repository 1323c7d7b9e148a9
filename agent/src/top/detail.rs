//! Everything that is known of one loop over one interval: what the detail view shows beyond the row.

use model::catalogue::{
    EVENTLOOP_EVENTS, EVENTLOOP_HANDLES, EVENTLOOP_LAG, EVENTLOOP_REQUESTS, EVENTLOOP_STALL_OBSERVED,
    EVENTLOOP_TIMER_LATENESS, GC_PAUSE, PROCESS_MAX_FDS, PROCESS_OPEN_FDS, PROCESS_THREADS,
    THREADPOOL_COMPLETION_DELAY, THREADPOOL_QUEUE_DEPTH_MAX, THREADPOOL_QUEUE_WAIT,
    THREADPOOL_QUEUE_WAIT_OBSERVED, THREADPOOL_RUN, THREADPOOL_TASKS,
};
use model::histogram::Histogram;
use model::label::{GcKind, HandleType, LabelValue, Outcome, RequestType, TaskKind};

use super::row::{Row, Span};

/// A loop in detail. What is not measured is `None` or left out.
#[derive(Debug)]
pub(super) struct Detail {
    pub(super) row: Row,
    pub(super) lag: Option<Distribution>,
    pub(super) queue_wait: Option<Distribution>,
    pub(super) timer_lateness: Option<Histogram>,
    pub(super) gc_pauses: Vec<(GcKind, Histogram)>,
    pub(super) events_per_second: Option<f64>,
    /// Kinds of which a task ended or waits for its completion.
    pub(super) tasks: Vec<Tasks>,
    pub(super) queue_depth_max: Option<u64>,
    /// Types of which there is any, with how many; `None` where that is not measured.
    pub(super) handles: Option<Vec<(HandleType, u64)>>,
    pub(super) requests: Option<Vec<(RequestType, u64)>>,
    pub(super) threads: Option<u64>,
    pub(super) open_fds: Option<u64>,
    pub(super) max_fds: Option<u64>,
}

/// A distribution, and whether it is only estimated.
#[derive(Clone, Debug)]
pub(super) struct Distribution {
    pub(super) histogram: Histogram,
    pub(super) is_estimate: bool,
}

/// What the pool did for tasks of one kind.
#[derive(Debug)]
pub(super) struct Tasks {
    pub(super) kind: TaskKind,
    pub(super) per_second: Option<f64>,
    /// Of these, how many failed or were cancelled.
    pub(super) failed: Option<u64>,
    pub(super) wait: Option<Histogram>,
    pub(super) run: Option<Histogram>,
    /// From a task's end to its callback on this loop.
    pub(super) delay: Option<Histogram>,
}

impl Detail {
    /// The detail of a row, of the interval that the row is of.
    pub(super) fn of(row: Row, span: Span<'_>) -> Self {
        let Span { seconds, process, of_loop, .. } = span;
        let own = |metric| of_loop?.distribution(metric, &[]);
        let measured = |histogram| Distribution { histogram, is_estimate: false };
        let estimate = |histogram| Distribution { histogram, is_estimate: true };
        let kinds = || TaskKind::ALL.iter().map(|kind| kind.position());
        Self {
            lag: own(&EVENTLOOP_LAG).map(measured).or_else(|| own(&EVENTLOOP_STALL_OBSERVED).map(estimate)),
            queue_wait: process
                .distributions(&THREADPOOL_QUEUE_WAIT, kinds())
                .filter(|waits| waits.count() > 0)
                .map(measured)
                .or_else(|| process.distribution(&THREADPOOL_QUEUE_WAIT_OBSERVED, &[]).map(estimate)),
            timer_lateness: own(&EVENTLOOP_TIMER_LATENESS),
            gc_pauses: GcKind::ALL
                .iter()
                .filter_map(|&kind| Some((kind, of_loop?.distribution(&GC_PAUSE, &[kind.position()])?)))
                .collect(),
            events_per_second: of_loop
                .and_then(|of_loop| Some(of_loop.growth(&EVENTLOOP_EVENTS, &[])? as f64 / seconds?)),
            tasks: TaskKind::ALL.iter().filter_map(|&kind| Tasks::of(kind, span)).collect(),
            queue_depth_max: process.amount(&THREADPOOL_QUEUE_DEPTH_MAX, &[]),
            handles: of_loop.filter(|of_loop| of_loop.later.has(&EVENTLOOP_HANDLES)).map(|of_loop| {
                present(HandleType::ALL, |label| of_loop.amount(&EVENTLOOP_HANDLES, &[label]))
            }),
            requests: of_loop.filter(|of_loop| of_loop.later.has(&EVENTLOOP_REQUESTS)).map(|of_loop| {
                present(RequestType::ALL, |label| of_loop.amount(&EVENTLOOP_REQUESTS, &[label]))
            }),
            threads: process.amount(&PROCESS_THREADS, &[]),
            open_fds: process.amount(&PROCESS_OPEN_FDS, &[]),
            max_fds: process.amount(&PROCESS_MAX_FDS, &[]),
            row,
        }
    }
}

impl Tasks {
    fn of(kind: TaskKind, span: Span<'_>) -> Option<Self> {
        let Span { seconds, process, of_loop, .. } = span;
        let label = kind.position();
        let ended = |outcome: Outcome| process.growth(&THREADPOOL_TASKS, &[label, outcome.position()]);
        let failed = [Outcome::Failed, Outcome::Cancelled].into_iter().filter_map(ended);
        let failed = failed.reduce(|a, b| a + b);
        let all = ended(Outcome::Done).map(|done| done + failed.unwrap_or(0));
        let tasks = Self {
            kind,
            per_second: all.zip(seconds).map(|(all, seconds)| all as f64 / seconds),
            failed,
            wait: process.distribution(&THREADPOOL_QUEUE_WAIT, &[label]),
            run: process.distribution(&THREADPOOL_RUN, &[label]),
            delay: of_loop.and_then(|of_loop| of_loop.distribution(&THREADPOOL_COMPLETION_DELAY, &[label])),
        };
        let is_any = |histogram: &Option<Histogram>| histogram.as_ref().is_some_and(|some| some.count() > 0);
        let distributions = [&tasks.wait, &tasks.run, &tasks.delay];
        (all.is_some_and(|all| all > 0) || distributions.into_iter().any(is_any)).then_some(tasks)
    }
}

/// The values of a label of which there is any, the most first.
fn present<L: LabelValue>(labels: &[L], amount: impl Fn(u8) -> Option<u64>) -> Vec<(L, u64)> {
    let amounts = labels.iter().map(|&label| (label, amount(label.position()).unwrap_or(0)));
    let mut present: Vec<_> = amounts.filter(|(_, amount)| *amount > 0).collect();
    present.sort_by_key(|(_, amount)| std::cmp::Reverse(*amount));
    present
}
