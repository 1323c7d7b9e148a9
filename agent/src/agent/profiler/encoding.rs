//! From a profile of all targets to requests: by OTLP several processes in one, for Pyroscope a series each.

use formats::otlp::{Attribute, Profiles};
use formats::{pprof, pyroscope};
use model::profile::{Profile, Thread};

use super::roster::Wanted;
use crate::agent::otlp::Outbox;
use crate::config::Signal;

/// A request with so many samples is full: some hundred kilobytes as a rule.
const REQUEST_SAMPLES: u64 = 2000;

/// A request of so many bytes is full, too, before it is compressed: receivers take at least 4 MiB.
const REQUEST_BYTES: usize = 1 << 20;

/// A process, and what is told of it.
pub(super) struct Told {
    pub(super) wanted: Wanted,
    /// The attributes of its resource, as its metrics have them.
    pub(super) attributes: Vec<(&'static str, Attribute)>,
}

impl Told {
    fn loop_of(&self, thread: &Thread) -> Option<&str> {
        self.wanted.loops.iter().find(|(tid, _)| *tid == thread.tid).map(|(_, name)| name.as_str())
    }
}

/// Hands a profile over, as the signal has it.
pub(super) fn put<'a>(
    profile: &Profile,
    signal: Signal,
    told: impl Iterator<Item = &'a Told>,
    outbox: &Outbox,
) {
    match signal {
        Signal::Pyroscope => told.for_each(|told| put_pprof(profile, told, outbox)),
        Signal::Metrics | Signal::Profiles | Signal::Traces => put_otlp(profile, told, outbox),
    }
}

fn put_otlp<'a>(profile: &Profile, told: impl Iterator<Item = &'a Told>, outbox: &Outbox) {
    let mut request = Profiles::bounded(REQUEST_BYTES);
    let send = |request: &mut Profiles| {
        let (samples, full) =
            (request.samples(), std::mem::replace(request, Profiles::bounded(REQUEST_BYTES)));
        if samples > 0 {
            outbox.put(full.encode(), samples);
        }
    };
    for told in told {
        let of_thread = |thread: &Thread| (thread.pid == told.wanted.pid).then(|| told.loop_of(thread));
        let mut from = Some(0);
        while let Some(first) = from {
            let attributes = told.attributes.clone();
            from = request.push(attributes, env!("CARGO_PKG_VERSION"), profile, id(), of_thread, first);
            if from.is_some() || request.samples() >= REQUEST_SAMPLES {
                send(&mut request);
            }
        }
    }
    send(&mut request);
}

fn put_pprof(profile: &Profile, told: &Told, outbox: &Outbox) {
    let part = profile.part(|thread| thread.pid == told.wanted.pid);
    let samples = part.samples.len() as u64;
    if samples == 0 {
        return;
    }
    let mut bytes = Vec::new();
    pprof::encode_with_loops(&part, |thread| told.loop_of(thread), &mut bytes).expect("a vector grows");
    let text = |name: &str| {
        let found = told.attributes.iter().find(|(own, _)| *own == name);
        found.map(|(_, value)| match value {
            Attribute::Text(text) => text.clone(),
            Attribute::Integer(number) => number.to_string(),
        })
    };
    let labels = [("service_name", "service.name"), ("pid", "process.pid"), ("hostname", "host.name")];
    let labels = labels.into_iter().filter_map(|(label, name)| Some((label, text(name)?))).collect();
    outbox.put(pyroscope::push_request(vec![pyroscope::Series { labels, pprof: bytes, id: id() }]), samples);
}

fn id() -> [u8; 16] {
    std::array::from_fn(|_| fastrand::u8(..))
}
