//! Metrics that OpenTelemetry's semantic conventions know and that follow from those of the catalogue: nothing is measured for them.
//!
//! Only OTLP exports them. What the catalogue's own metrics are called in OpenTelemetry stands with them
//! ([`otel_name`](super::Metric::otel_name)).

/// A metric that is made of others.
#[derive(Debug, PartialEq, Eq)]
pub struct Derived {
    /// The name.
    pub name: &'static str,
    /// The unit, in UCUM's notation.
    pub unit: &'static str,
    /// One sentence.
    pub help: &'static str,
}

/// [`EVENTLOOP_TIME`](super::EVENTLOOP_TIME) of Node.js, a counter.
pub static NODEJS_EVENTLOOP_TIME: Derived = Derived {
    name: "nodejs.eventloop.time",
    unit: "s",
    help: "Time the loop spent active (running callbacks) and idle (waiting in the kernel's poll).",
};

/// The active share of [`EVENTLOOP_TIME`](super::EVENTLOOP_TIME) of Node.js, a gauge.
pub static NODEJS_EVENTLOOP_UTILIZATION: Derived = Derived {
    name: "nodejs.eventloop.utilization",
    unit: "1",
    help: "The share of its time that the loop was active since the last export.",
};

/// From [`PROCESS_START_TIME`](super::PROCESS_START_TIME) to the present, a gauge.
pub static PROCESS_UPTIME: Derived =
    Derived { name: "process.uptime", unit: "s", help: "The time the process has been running." };

/// Every metric that is made of others.
pub static DERIVED: &[&Derived] = &[&NODEJS_EVENTLOOP_TIME, &NODEJS_EVENTLOOP_UTILIZATION, &PROCESS_UPTIME];
