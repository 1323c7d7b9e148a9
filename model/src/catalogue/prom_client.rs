//! The names that the Node.js library prom-client gives its default metrics, of what can be told from outside.
//!
//! Dashboards and alerts for Node.js ask for these names. They say what [`CATALOGUE`](super::CATALOGUE) says, in other
//! words: their series are made from its measurements when a scrape asks for them, and belong to no telemetry segment.
//! Names that both lists have (`process_cpu_seconds_total` and the like) stand in the catalogue only.

use super::{Kind, Metric, Scope, Unit};
use crate::label;

catalogue! {
    /// Every metric that only prom-client names so, by ascending identifier.
    PROM_CLIENT:

    4096 PROCESS_CPU_USER "process_cpu_user_seconds_total" Counter Seconds Process [] "process.cpu.time"
        "Total user CPU time spent in seconds."
    4097 PROCESS_CPU_SYSTEM "process_cpu_system_seconds_total" Counter Seconds Process [] "process.cpu.time"
        "Total system CPU time spent in seconds."
    4098 PROCESS_HEAP "process_heap_bytes" Gauge Bytes Process [] "process.memory.data"
        "Size of the data segment (VmData) in bytes, which is far more than any heap uses."

    4112 NODEJS_EVENTLOOP_LAG "nodejs_eventloop_lag_seconds" Gauge Seconds Process [] "nodejs.eventloop.lag"
        "How long the main loop has been away from its poll at the moment of reading."
    4113 NODEJS_EVENTLOOP_LAG_MIN "nodejs_eventloop_lag_min_seconds" Gauge Seconds Process [] "nodejs.eventloop.delay.min"
        "The shortest time of an iteration away from the poll in the last minute, or up to 9% less."
    4114 NODEJS_EVENTLOOP_LAG_MAX "nodejs_eventloop_lag_max_seconds" Gauge Seconds Process [] "nodejs.eventloop.delay.max"
        "The longest time of an iteration away from the poll in the last minute, or up to 9% more."
    4115 NODEJS_EVENTLOOP_LAG_MEAN "nodejs_eventloop_lag_mean_seconds" Gauge Seconds Process [] "nodejs.eventloop.delay.mean"
        "The mean time of an iteration away from the poll in the last minute."
    4116 NODEJS_EVENTLOOP_LAG_STDDEV "nodejs_eventloop_lag_stddev_seconds" Gauge Seconds Process [] "nodejs.eventloop.delay.stddev"
        "The standard deviation of iterations' times away from the poll in the last minute."
    4117 NODEJS_EVENTLOOP_LAG_P50 "nodejs_eventloop_lag_p50_seconds" Gauge Seconds Process [] "nodejs.eventloop.delay.p50"
        "The 50th percentile of iterations' times away from the poll in the last minute."
    4118 NODEJS_EVENTLOOP_LAG_P90 "nodejs_eventloop_lag_p90_seconds" Gauge Seconds Process [] "nodejs.eventloop.delay.p90"
        "The 90th percentile of iterations' times away from the poll in the last minute."
    4119 NODEJS_EVENTLOOP_LAG_P99 "nodejs_eventloop_lag_p99_seconds" Gauge Seconds Process [] "nodejs.eventloop.delay.p99"
        "The 99th percentile of iterations' times away from the poll in the last minute."

    4128 NODEJS_ACTIVE_HANDLES "nodejs_active_handles" Gauge Count Process [HANDLE_TYPE] "v8js.resource.active"
        "Handles that keep the main loop alive, by libuv's names of their types."
    4129 NODEJS_ACTIVE_HANDLES_TOTAL "nodejs_active_handles_total" Gauge Count Process [] "nodejs.handles"
        "Handles that keep the main loop alive."
    4130 NODEJS_VERSION_INFO "nodejs_version_info" Gauge Count Process [VERSION, MAJOR, MINOR, PATCH] "process.runtime.version"
        "One, labelled with the version of Node.js."
    4131 NODEJS_GC_DURATION "nodejs_gc_duration_seconds" Histogram Seconds Process [GC_KIND] "v8js.gc.duration"
        "Garbage-collector pauses of the main thread, by kind."
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::CATALOGUE;

    #[test]
    fn identifiers_and_names_are_none_of_the_catalogues() {
        assert!(PROM_CLIENT.windows(2).all(|pair| pair[0].id < pair[1].id));
        for metric in PROM_CLIENT {
            assert_eq!(Metric::by_id(metric.id), None, "a telemetry segment holds no {}", metric.name);
            assert!(CATALOGUE.iter().all(|own| own.name != metric.name && own.id < metric.id));
        }
    }
}
