//! Slow iterations as spans, for a receiver of traces.
//!
//! A span is an iteration; within it are its phases. Of those the durations are known, and that they follow each other in libuv's order;
//! what the loop itself takes between them, some microseconds, is not, so they are told as if it took nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use formats::otlp::{Attribute, Span, encode_spans};
use model::label::{LabelValue, Phase};
use model::snapshot::Trace;

use super::otlp::{Delivery, Outbox, ProcessKey, Resources};
use super::own_metrics::OwnMetrics;
use super::slow_log::Entry;
use crate::clock::Moment;
use crate::config::Export;
use crate::error::Error;

/// The phases in the order in which they follow each other after the poll.
const ORDER: [Phase; 9] = [
    Phase::PollCallbacks,
    Phase::Check,
    Phase::Close,
    Phase::Timers,
    Phase::Pending,
    Phase::Idle,
    Phase::Prepare,
    // Of the runtime: they run between callbacks of all the others, and are told behind them.
    Phase::Ticks,
    Phase::Microtasks,
];

/// Makes spans of slow iterations.
pub(super) struct Spans {
    outbox: Outbox,
    resources: Resources,
    /// By process and service.
    waiting: BTreeMap<(ProcessKey, String), Vec<Span>>,
}

impl Spans {
    /// Starts what sends them.
    ///
    /// # Errors
    /// Where the certificates that were named cannot be used.
    pub(super) fn open(export: Export, own: &Arc<OwnMetrics>) -> Result<(Self, Delivery), Error> {
        let (outbox, delivery) = Outbox::open(export, own)?;
        Ok((Self { outbox, resources: Resources::new(), waiting: BTreeMap::new() }, delivery))
    }

    /// Takes an iteration, which gets identifiers.
    pub(super) fn push(&mut self, entry: &mut Entry, now: Moment) {
        let trace = Trace { trace_id: random(), span_id: random() };
        entry.trace = Some(trace);
        let process = (entry.pid.get(), entry.process_started_unix_ns);
        let spans = self.waiting.entry((process, entry.service.clone())).or_default();
        spans.extend(of_iteration(entry, trace, now.unix_ns_of(entry.started)));
    }

    /// Hands over what was taken.
    pub(super) fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let (mut request, mut count) = (Vec::new(), 0);
        for ((process, service), spans) in std::mem::take(&mut self.waiting) {
            let attributes = self.resources.of(process, &service);
            count += spans.len() as u64;
            encode_spans(attributes, env!("CARGO_PKG_VERSION"), spans, &mut request);
        }
        self.resources.forget_unused();
        self.outbox.put(request, count);
    }
}

/// The span of an iteration, and those of its phases.
fn of_iteration(iteration: &Entry, trace: Trace, start_unix_ns: u64) -> Vec<Span> {
    let end_unix_ns = start_unix_ns + iteration.duration_ns();
    let text = |text: &str| Attribute::Text(text.to_owned());
    let thread = iteration.tid.map(|tid| ("thread.id", Attribute::Integer(tid.into())));
    let name = iteration.loop_name.as_deref().map(|name| ("loop", text(name)));
    let attributes: Vec<_> = thread.into_iter().chain(name).collect();
    let whole = Span {
        name: "eventloop slow iteration",
        trace,
        parent: None,
        start_unix_ns,
        end_unix_ns,
        attributes: attributes.clone(),
    };
    let mut spans = vec![whole];
    let mut begins = start_unix_ns;
    for phase in ORDER {
        let known = iteration.phases.iter().find(|(own, _)| *own == phase);
        let Some(&(_, ns)) = known.filter(|(_, ns)| *ns > 0) else { continue };
        let ends = begins.saturating_add(ns).min(end_unix_ns);
        let mut attributes = attributes.clone();
        attributes.push(("phase", text(phase.as_str())));
        spans.push(Span {
            name: phase.as_str(),
            trace: Trace { span_id: random(), ..trace },
            parent: Some(trace.span_id),
            start_unix_ns: begins,
            end_unix_ns: ends,
            attributes,
        });
        begins = ends;
    }
    spans
}

/// Not all zeros, which would be no identifier.
fn random<const N: usize>() -> [u8; N] {
    std::array::from_fn(|at| fastrand::u8(u8::from(at == 0)..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use attach::target::Pid;
    use model::time::Monotonic;

    #[test]
    fn phases_follow_each_other_within_their_iteration() {
        let iteration = Entry {
            service: "shop".into(),
            pid: Pid::new(17),
            process_started_unix_ns: None,
            loop_name: Some("main".into()),
            tid: Some(18),
            trace: None,
            started: Monotonic::from_ns(5_000),
            ended: Monotonic::from_ns(6_000),
            phases: vec![(Phase::Timers, 700), (Phase::PollCallbacks, 200), (Phase::Close, 0)],
        };
        let trace = Trace { trace_id: random(), span_id: random() };
        let spans = of_iteration(&iteration, trace, 100_000);
        let told: Vec<_> = spans.iter().map(|it| (it.name, it.start_unix_ns, it.end_unix_ns)).collect();
        assert_eq!(
            told,
            [
                ("eventloop slow iteration", 100_000, 101_000),
                ("poll_callbacks", 100_000, 100_200),
                ("timers", 100_200, 100_900)
            ]
        );
        assert!(spans[1..].iter().all(|span| span.parent == Some(trace.span_id)));
        assert!(spans.iter().all(|span| span.trace.trace_id == trace.trace_id));
        assert_ne!(spans[1].trace.span_id, spans[2].trace.span_id);
    }
}
