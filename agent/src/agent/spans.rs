//! Slow iterations as spans, for a receiver of traces.
//!
//! A span is an iteration; within it are its phases. Of those the durations are known, and that they follow each other in libuv's order;
//! what the loop itself takes between them, some microseconds, is not, so they are told as if it took nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use attach::libuv::probes::SlowIteration;
use attach::target::{Figures, Host, Pid, Process};
use formats::otlp::{Attribute, Span, encode_spans};
use model::label::{LabelValue, Phase};
use model::snapshot::Trace;

use super::otlp::{Delivery, Outbox, Resources};
use super::own_metrics::OwnMetrics;
use super::slow_log::{Entry, unix_ns};
use crate::clock;
use crate::config::Export;
use crate::error::Error;

/// The phases in the order in which they follow each other after the poll.
const ORDER: [Phase; 7] = [
    Phase::PollCallbacks,
    Phase::Check,
    Phase::Close,
    Phase::Timers,
    Phase::Pending,
    Phase::Idle,
    Phase::Prepare,
];

/// Makes spans of slow iterations.
pub(super) struct Spans {
    outbox: Outbox,
    resources: Resources,
    host: Host,
    /// By process and service.
    waiting: BTreeMap<(u32, String), Vec<Span>>,
}

impl Spans {
    /// Starts what sends them.
    ///
    /// # Errors
    /// Where the certificates that were named cannot be used.
    pub(super) fn open(export: Export, own: &Arc<OwnMetrics>) -> Result<(Self, Delivery), Error> {
        let (outbox, delivery) = Outbox::open(export, own)?;
        let (resources, host) = (Resources::new(), Host::read());
        Ok((Self { outbox, resources, host, waiting: BTreeMap::new() }, delivery))
    }

    /// Takes an iteration, which gets identifiers.
    pub(super) fn push(&mut self, entry: &mut Entry) {
        let trace = Trace { trace_id: random(), span_id: random() };
        entry.trace = Some(trace);
        let now = (SystemTime::now(), clock::monotonic());
        let start_unix_ns = unix_ns(entry.iteration.started, now);
        let spans = self.waiting.entry((entry.pid.get(), entry.service.clone())).or_default();
        spans.extend(of_iteration(&entry.iteration, entry.loop_name.as_deref(), trace, start_unix_ns));
    }

    /// Hands over what was taken.
    pub(super) fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let (mut request, mut count) = (Vec::new(), 0);
        for ((pid, service), spans) in std::mem::take(&mut self.waiting) {
            let figures =
                Process::open(Pid::new(pid)).and_then(|process| Figures::read(&process, &self.host));
            let started = figures.ok().and_then(|figures| figures.started_unix_ns);
            // Of a process that is gone already, its start is not known.
            let attributes = match started {
                Some(started) => self.resources.of(pid, started, &service),
                None => vec![
                    ("service.name", Attribute::Text(service)),
                    ("process.pid", Attribute::Integer(pid.into())),
                ],
            };
            count += spans.len() as u64;
            encode_spans(attributes, env!("CARGO_PKG_VERSION"), spans, &mut request);
        }
        self.resources.forget_unused();
        self.outbox.put(request, count);
    }
}

/// The span of an iteration, and those of its phases.
fn of_iteration(
    iteration: &SlowIteration,
    loop_name: Option<&str>,
    trace: Trace,
    start_unix_ns: u64,
) -> Vec<Span> {
    let end_unix_ns = start_unix_ns + iteration.ended.since_ns(iteration.started);
    let text = |text: &str| Attribute::Text(text.to_owned());
    let mut attributes = vec![("thread.id", Attribute::Integer(iteration.tid.into()))];
    attributes.extend(loop_name.map(|name| ("loop", text(name))));
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
    use model::time::Monotonic;

    #[test]
    fn phases_follow_each_other_within_their_iteration() {
        let iteration = SlowIteration {
            slot: 0,
            tid: 18,
            loop_address: 1,
            started: Monotonic::from_ns(5_000),
            ended: Monotonic::from_ns(6_000),
            phases: vec![(Phase::Timers, 700), (Phase::PollCallbacks, 200), (Phase::Close, 0)],
        };
        let trace = Trace { trace_id: random(), span_id: random() };
        let spans = of_iteration(&iteration, Some("main"), trace, 100_000);
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
