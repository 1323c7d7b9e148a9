//! What the catalogue's metrics are in OpenTelemetry: their instruments, their units in UCUM's notation, and their attributes.
//!
//! Where the semantic conventions know a metric, its instrument and its attributes are theirs. Everywhere else attributes
//! have the names of our labels: receivers that turn them into labels again get the series that a scrape would give.

use model::catalogue::semantic::Derived;
use model::catalogue::{self, Kind, Metric, Unit};
use model::label;

/// How a metric's points add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instrument {
    /// A sum that only grows.
    Counter,
    /// A sum that grows and shrinks: added up over processes, it means something.
    UpDownCounter,
    /// A reading.
    Gauge,
    /// A distribution of durations.
    Histogram,
}

/// A metric as OpenTelemetry knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The name.
    pub name: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// The unit, in UCUM's notation.
    pub unit: &'static str,
    /// How points add up.
    pub instrument: Instrument,
}

/// The things that metrics without a unit count, as annotations. A metric that is not here has no unit.
static COUNTED: &[(&[&Metric], &str)] = &[
    (&[&catalogue::EVENTLOOP_ITERATIONS, &catalogue::EVENTLOOP_SLOW_ITERATIONS], "{iteration}"),
    (&[&catalogue::EVENTLOOP_CALLBACKS], "{callback}"),
    (&[&catalogue::EVENTLOOP_HANDLES], "{handle}"),
    (&[&catalogue::EVENTLOOP_REQUESTS], "{request}"),
    (&[&catalogue::EVENTLOOP_EVENTS, &catalogue::TOKIO_IO_READY], "{event}"),
    (&[&catalogue::THREADPOOL_THREADS, &catalogue::PROCESS_THREADS, &catalogue::TOKIO_WORKERS], "{thread}"),
    (
        &[
            &catalogue::THREADPOOL_QUEUE_DEPTH,
            &catalogue::THREADPOOL_QUEUE_DEPTH_MAX,
            &catalogue::THREADPOOL_TASKS,
            &catalogue::TOKIO_ALIVE_TASKS,
            &catalogue::TOKIO_SPAWNED_TASKS,
            &catalogue::TOKIO_STOLEN_TASKS,
            &catalogue::TOKIO_GLOBAL_QUEUE_DEPTH,
            &catalogue::TOKIO_GLOBAL_QUEUE_DEPTH_MAX,
            &catalogue::TOKIO_LOCAL_QUEUE_DEPTH,
        ],
        "{task}",
    ),
    (&[&catalogue::TOKIO_PARKS, &catalogue::TOKIO_UNPARKS, &catalogue::TOKIO_NOOPS], "{park}"),
    (&[&catalogue::TOKIO_POLLS], "{poll}"),
    (&[&catalogue::TOKIO_LOCAL_SCHEDULES, &catalogue::TOKIO_REMOTE_SCHEDULES], "{schedule}"),
    (&[&catalogue::TOKIO_STEALS], "{steal}"),
    (&[&catalogue::TOKIO_OVERFLOWS], "{overflow}"),
    (&[&catalogue::TOKIO_FORCED_YIELDS], "{yield}"),
    (&[&catalogue::HEAP_ALLOCATIONS], "{allocation}"),
    (&[&catalogue::HEAP_LIVE_OBJECTS], "{object}"),
    (
        &[&catalogue::PROCESS_OPEN_FDS, &catalogue::PROCESS_MAX_FDS, &catalogue::TOKIO_IO_DESCRIPTORS],
        "{file_descriptor}",
    ),
    (&[&catalogue::LOOPSCOPE_TARGETS, &catalogue::LOOPSCOPE_PROFILED_PROCESSES], "{process}"),
    (&[&catalogue::LOOPSCOPE_TARGET_ERRORS], "{error}"),
    (&[&catalogue::LOOPSCOPE_SCRAPES_REJECTED], "{scrape}"),
    (
        &[
            &catalogue::LOOPSCOPE_SAMPLES,
            &catalogue::LOOPSCOPE_SAMPLES_LOST,
            &catalogue::LOOPSCOPE_PROFILE_EXPORTED_SAMPLES,
            &catalogue::LOOPSCOPE_PROFILE_DROPPED_SAMPLES,
        ],
        "{sample}",
    ),
    (&[&catalogue::LOOPSCOPE_PROFILE_REJECTED_PROFILES], "{profile}"),
    (&[&catalogue::LOOPSCOPE_TRACE_EXPORTED_SPANS, &catalogue::LOOPSCOPE_TRACE_DROPPED_SPANS], "{span}"),
    (&[&catalogue::LOOPSCOPE_PROBE_HITS], "{hit}"),
    (&[&catalogue::LOOPSCOPE_PROBE_LOSSES], "{measurement}"),
    (
        &[
            &catalogue::LOOPSCOPE_OTLP_EXPORTS,
            &catalogue::LOOPSCOPE_PROFILE_EXPORTS,
            &catalogue::LOOPSCOPE_TRACE_EXPORTS,
        ],
        "{attempt}",
    ),
    (&[&catalogue::LOOPSCOPE_OTLP_DROPPED_POINTS], "{point}"),
];

/// What the semantic conventions have as up-down counters: readings of amounts.
static UP_DOWN: &[&Metric] = &[
    &catalogue::PROCESS_RESIDENT_MEMORY,
    &catalogue::PROCESS_VIRTUAL_MEMORY,
    &catalogue::PROCESS_OPEN_FDS,
    &catalogue::PROCESS_THREADS,
];

impl Stream {
    /// A metric of the catalogue.
    pub fn of(metric: &'static Metric) -> Self {
        let is_up_down = UP_DOWN.iter().any(|listed| listed.id == metric.id);
        Self {
            name: metric.otel_name,
            description: metric.help,
            unit: match metric.unit {
                Unit::Seconds => "s",
                Unit::Bytes => "By",
                Unit::Count => counted(metric),
            },
            instrument: match metric.kind {
                Kind::Counter => Instrument::Counter,
                Kind::Gauge if is_up_down => Instrument::UpDownCounter,
                Kind::Gauge => Instrument::Gauge,
                Kind::Histogram => Instrument::Histogram,
            },
        }
    }

    /// A metric that is made of others.
    pub fn derived(derived: &'static Derived, instrument: Instrument) -> Self {
        Self { name: derived.name, description: derived.help, unit: derived.unit, instrument }
    }

    /// What a label of a catalogue's metric is called as an attribute.
    pub fn attribute(metric: &Metric, label: &'static str) -> &'static str {
        if metric.id == catalogue::GC_PAUSE.id && label == label::GC_KIND.name {
            return "v8js.gc.type";
        }
        label
    }
}

fn counted(metric: &Metric) -> &'static str {
    let has = |metrics: &&[&Metric]| metrics.iter().any(|listed| listed.id == metric.id);
    COUNTED.iter().find(|(metrics, _)| has(metrics)).map_or("", |(_, annotation)| annotation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::catalogue::{CATALOGUE, Scope, semantic};

    /// The collector serves its own metrics to whoever scrapes it, and exports nothing.
    fn exported() -> impl Iterator<Item = &'static Metric> {
        CATALOGUE.iter().copied().filter(|metric| metric.scope != Scope::Collector)
    }

    #[test]
    fn what_is_counted_is_named_unless_it_is_a_flag() {
        for metric in exported().filter(|metric| Stream::of(metric).unit.is_empty()) {
            let flags = [
                &catalogue::LOOPSCOPE_BUILD_INFO,
                &catalogue::LOOPSCOPE_TIER_ACTIVE,
                &catalogue::LOOPSCOPE_CONFIG_RELOAD_SUCCESSFUL,
            ];
            assert!(flags.iter().any(|flag| flag.id == metric.id), "{}", metric.name);
        }
    }

    #[test]
    fn labels_are_attributes_unless_the_conventions_have_a_name() {
        assert_eq!(Stream::attribute(&catalogue::GC_PAUSE, "kind"), "v8js.gc.type");
        assert_eq!(Stream::attribute(&catalogue::GC_PAUSE, "loop"), "loop");
        assert_eq!(Stream::attribute(&catalogue::THREADPOOL_RUN, "kind"), "kind");
    }

    #[test]
    fn every_metric_is_documented() {
        let document = include_str!("../../../docs/otlp.md");
        let told = |name: &str, unit: &str| {
            let line = document.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
            let line = line.unwrap_or_else(|| panic!("docs/otlp.md does not tell of {name}"));
            assert!(unit.is_empty() || line.contains(&format!("`{unit}`")), "{name} in {unit}: {line}");
        };
        // Told as process.uptime.
        for metric in exported().filter(|metric| metric.id != catalogue::PROCESS_START_TIME.id) {
            told(metric.otel_name, Stream::of(metric).unit);
        }
        for derived in semantic::DERIVED {
            told(derived.name, derived.unit);
        }
    }
}
