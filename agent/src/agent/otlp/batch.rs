//! From a reading to requests: one resource a process, every series under its name in OpenTelemetry.

use std::collections::{BTreeMap, HashMap};

use attach::target::{Figures, Host, Pid, Process};
use formats::otlp::{Instrument, Number, Point, ResourceMetrics, Stream, Temporality};
use model::catalogue::{self, Metric, Unit, semantic};
use model::label::{LabelValue, LoopState};
use model::snapshot::{Exemplar, Series, Value};

use super::resource::Resources;
use super::series::{Key, Sums};
use super::timeline::Timeline;
use crate::agent::targets::ProcessNote;
use crate::agent::worker::Reading;
use crate::clock::{self, Moment};
use crate::config::Preference;

/// A request that is as large as this is full. Receivers take at least 4 MiB, gRPC's usual bound, and one part more still fits.
const REQUEST_BYTES: usize = 1 << 20;

/// Points of a process that stay together, some hundred bytes each.
const POINTS_TOGETHER: u64 = 2000;

/// The labels that a resource tells.
const OF_THE_RESOURCE: [&str; 2] = ["service", "pid"];

/// An encoded request.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) request: Vec<u8>,
    pub(super) points: u64,
}

/// Makes batches of readings, one reading after the other.
#[derive(Debug)]
pub(in super::super) struct Batcher {
    sums: Sums,
    timeline: Timeline,
    resources: Resources,
    /// Time that each loop of Node.js was active and idle up to the last reading.
    loop_times: HashMap<(u32, String), [u64; 2]>,
}

/// What is known of a process while its series are told.
struct Told<'a> {
    pid: Option<u32>,
    note: Option<&'a ProcessNote>,
    /// `None` where the kernel does not tell it.
    started_unix_ns: Option<u64>,
    now_unix_ns: u64,
    attributes: Vec<(&'static str, formats::otlp::Attribute)>,
}

impl Batcher {
    /// None has been made.
    pub(super) fn new(preference: Preference) -> Self {
        Self {
            sums: Sums::new(preference, own_start_unix_ns()),
            timeline: Timeline::default(),
            resources: Resources::new(),
            loop_times: HashMap::new(),
        }
    }

    /// The requests that tell a reading.
    pub(super) fn batches(&mut self, reading: &Reading, now: Moment) -> Vec<Batch> {
        // The agent's own loop has a pid as all loops do. It belongs to what else the agent tells of itself, unless the agent
        // lives in a process that is a target.
        let own_pid = Pid::new(std::process::id());
        let is_target =
            |pid: &u32| *pid != own_pid.get() || reading.notes.iter().any(|note| note.pid == own_pid);
        let mut processes: BTreeMap<Option<u32>, Vec<(&'static Metric, &Series)>> = BTreeMap::new();
        for family in reading.snapshot.families() {
            for series in family.series {
                let pid = series.label("pid").and_then(|pid| pid.parse().ok()).filter(is_target);
                processes.entry(pid).or_default().push((family.metric, series));
            }
        }
        let now_unix_ns = self.timeline.tell(now);
        self.sums.begin();
        let before = std::mem::take(&mut self.loop_times);
        let mut out = Requests::default();
        for (pid, series) in processes {
            let told = self.told(pid, &series, reading, now_unix_ns);
            let mut part = ResourceMetrics::new(told.attributes.clone());
            for (metric, one) in &series {
                if part.points() >= POINTS_TOGETHER {
                    let next = ResourceMetrics::new(told.attributes.clone());
                    out.push(std::mem::replace(&mut part, next));
                }
                self.tell(&told, metric, one, &mut part);
            }
            if told.note.is_some_and(|note| note.is_node) {
                self.tell_node(&told, &series, &before, &mut part);
            }
            out.push(part);
        }
        self.sums.end();
        self.resources.forget_unused();
        out.finish()
    }

    fn told<'a>(
        &mut self,
        pid: Option<u32>,
        series: &[(&'static Metric, &Series)],
        reading: &'a Reading,
        now_unix_ns: u64,
    ) -> Told<'a> {
        let started = series.iter().find(|(metric, _)| metric.id == catalogue::PROCESS_START_TIME.id);
        let started_unix_ns = started.and_then(|(_, series)| match series.value {
            Value::Gauge(ns) => u64::try_from(ns).ok(),
            _ => None,
        });
        let service = series.first().and_then(|(_, series)| series.label("service")).unwrap_or_default();
        Told {
            pid,
            note: reading.notes.iter().find(|note| Some(note.pid.get()) == pid),
            started_unix_ns,
            now_unix_ns,
            attributes: match pid {
                Some(pid) => self.resources.of((pid, started_unix_ns), service),
                None => self.resources.own(self.sums.began_unix_ns()),
            },
        }
    }

    /// Tells a series.
    fn tell(
        &mut self,
        told: &Told<'_>,
        metric: &'static Metric,
        series: &Series,
        part: &mut ResourceMetrics,
    ) {
        let attributes = attributes(metric, series);
        if metric.id == catalogue::PROCESS_START_TIME.id {
            let uptime_ns = told.started_unix_ns.map(|started| told.now_unix_ns.saturating_sub(started));
            let stream = Stream::derived(&semantic::PROCESS_UPTIME, Instrument::Gauge);
            if let Some(ns) = uptime_ns {
                part.push(stream, Temporality::Cumulative, told.reading(attributes, seconds(ns as f64)));
            }
            return;
        }
        let stream = Stream::of(metric);
        if let (true, Some(note)) = (metric.id == catalogue::PROCESS_CPU.id, told.note) {
            for (mode, ns) in [("user", note.user_ns), ("system", note.system_ns)] {
                let mut attributes = attributes.clone();
                attributes.push(("cpu.mode", mode.to_owned()));
                self.tell_sum(told, metric, stream, attributes, (&Value::Counter(ns), None), part);
            }
            return;
        }
        match &series.value {
            Value::Gauge(value) => {
                // An up-down counter is a sum, and began with its process.
                let start_unix_ns = match stream.instrument {
                    Instrument::UpDownCounter => self.zero_unix_ns(told, metric).min(told.now_unix_ns),
                    _ => 0,
                };
                let number = number(metric, &Value::Gauge(*value));
                let point = Point { start_unix_ns, ..told.reading(attributes, number) };
                part.push(stream, Temporality::Cumulative, point);
            }
            value => {
                let value = (value, series.exemplar.as_deref());
                self.tell_sum(told, metric, stream, attributes, value, part);
            }
        }
    }

    fn tell_sum(
        &mut self,
        told: &Told<'_>,
        metric: &'static Metric,
        stream: Stream,
        attributes: Vec<(&'static str, String)>,
        (value, exemplar): (&Value, Option<&Exemplar>),
        part: &mut ResourceMetrics,
    ) {
        let zero_unix_ns = self.zero_unix_ns(told, metric);
        let temporality = self.sums.temporality(value);
        let key = key(metric.id, stream.name, told, &attributes);
        if let Some(sum) = self.sums.tell(key, zero_unix_ns, told.now_unix_ns, value) {
            let point = Point {
                attributes,
                start_unix_ns: sum.start_unix_ns,
                time_unix_ns: told.now_unix_ns,
                value: number(metric, &sum.value),
                exemplar: exemplar.cloned(),
            };
            part.push(stream, temporality, point);
        }
    }

    /// A time when the sums of a metric were zero: what a process counts, since it started; what the agent counts, since both are there.
    fn zero_unix_ns(&self, told: &Told<'_>, metric: &Metric) -> u64 {
        let began = self.sums.began_unix_ns();
        let Some(started) = told.started_unix_ns else { return began };
        let accounting = catalogue::PROCESS_CPU.id..=catalogue::PROCESS_START_TIME.id;
        let of_the_agent = catalogue::LOOPSCOPE_BUILD_INFO.id..;
        // Slow is what the agent's threshold says.
        let is_counted_here = |metric: &Metric| {
            of_the_agent.contains(&metric.id) || metric.id == catalogue::EVENTLOOP_SLOW_ITERATIONS.id
        };
        let is_counted_there = accounting.contains(&metric.id)
            || (!is_counted_here(metric) && told.note.is_some_and(|note| !note.is_outside));
        if is_counted_there { started } else { started.max(began) }
    }

    /// Tells what OpenTelemetry has names for only in Node.js, under those names.
    fn tell_node(
        &mut self,
        told: &Told<'_>,
        series: &[(&'static Metric, &Series)],
        before: &HashMap<(u32, String), [u64; 2]>,
        part: &mut ResourceMetrics,
    ) {
        let times = series.iter().filter(|(metric, _)| metric.id == catalogue::EVENTLOOP_TIME.id);
        let mut utilizations = Vec::new();
        for (metric, series) in times {
            let (Some(pid), Value::Counter(ns)) = (told.pid, &series.value) else { continue };
            let name = series.label("loop").unwrap_or_default().to_owned();
            let state = series.label(LoopState::LABEL.name).unwrap_or_default();
            let attributes = vec![("loop", name.clone()), ("nodejs.eventloop.state", state.to_owned())];
            let stream = Stream::derived(&semantic::NODEJS_EVENTLOOP_TIME, Instrument::Counter);
            self.tell_sum(told, metric, stream, attributes, (&Value::Counter(*ns), None), part);
            let key = (pid, name);
            let is_idle = state == LoopState::Idle.as_str();
            self.loop_times.entry(key.clone()).or_default()[usize::from(is_idle)] = *ns;
            if !utilizations.contains(&key) {
                utilizations.push(key);
            }
        }
        for key in utilizations {
            let now = self.loop_times[&key];
            let then = before.get(&key).filter(|then| then[0] <= now[0] && then[1] <= now[1]);
            let [then_active, then_idle] = then.copied().unwrap_or_default();
            let (active, idle) = ((now[0] - then_active) as f64, (now[1] - then_idle) as f64);
            if active + idle > 0.0 {
                let stream = Stream::derived(&semantic::NODEJS_EVENTLOOP_UTILIZATION, Instrument::Gauge);
                let value = Number::Double(active / (active + idle));
                part.push(stream, Temporality::Cumulative, told.reading(vec![("loop", key.1)], value));
            }
        }
    }
}

impl Told<'_> {
    /// A point that is no sum.
    fn reading(&self, attributes: Vec<(&'static str, String)>, value: Number) -> Point {
        Point { attributes, start_unix_ns: 0, time_unix_ns: self.now_unix_ns, value, exemplar: None }
    }
}

/// Requests, filled one after the other.
#[derive(Default)]
struct Requests {
    full: Vec<Batch>,
    request: Vec<u8>,
    points: u64,
}

impl Requests {
    fn push(&mut self, part: ResourceMetrics) {
        if part.points() == 0 {
            return;
        }
        self.points += part.points();
        part.encode(env!("CARGO_PKG_VERSION"), &mut self.request);
        if self.request.len() >= REQUEST_BYTES {
            self.close();
        }
    }

    fn close(&mut self) {
        let (request, points) = (std::mem::take(&mut self.request), std::mem::take(&mut self.points));
        self.full.push(Batch { request, points });
    }

    fn finish(mut self) -> Vec<Batch> {
        if self.points > 0 {
            self.close();
        }
        self.full
    }
}

fn attributes(metric: &Metric, series: &Series) -> Vec<(&'static str, String)> {
    let own = series.labels().filter(|(name, _)| !OF_THE_RESOURCE.contains(name));
    own.map(|(name, value)| (Stream::attribute(metric, name), value.to_owned())).collect()
}

fn key(metric: u16, stream: &str, told: &Told<'_>, attributes: &[(&'static str, String)]) -> Key {
    let mut text = format!("{}\0{}\0{stream}", told.pid.unwrap_or(0), told.started_unix_ns.unwrap_or(0));
    for (name, value) in attributes {
        text.extend(["\0", name, "\0", value]);
    }
    (metric, text)
}

fn number(metric: &Metric, value: &Value) -> Number {
    let is_seconds = metric.unit == Unit::Seconds;
    match value {
        Value::Counter(ns) if is_seconds => seconds(*ns as f64),
        Value::Gauge(ns) if is_seconds => seconds(*ns as f64),
        Value::Counter(count) => Number::Integer(i64::try_from(*count).unwrap_or(i64::MAX)),
        Value::Gauge(reading) => Number::Integer(*reading),
        Value::Histogram(histogram) => Number::Histogram(histogram.clone()),
    }
}

fn seconds(ns: f64) -> Number {
    Number::Double(ns / 1e9)
}

/// When the agent started, as the kernel tells it. Another clock would tell another time, up to a second apart, and it would be unclear
/// which processes started after the agent.
fn own_start_unix_ns() -> u64 {
    let own = Process::open(Pid::new(std::process::id()));
    let figures = own.and_then(|own| Figures::read(&own, &Host::read()));
    let started = figures.ok().and_then(|figures| figures.started_unix_ns);
    started.unwrap_or_else(|| clock::now().unix_ns)
}

#[cfg(test)]
mod tests;
