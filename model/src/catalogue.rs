//! Every metric, once.
//!
//! A metric exists only if it stands in [`CATALOGUE`]. Exporters, dashboards, rules and reference pages iterate the
//! catalogue; nothing else spells a metric's name. Each row gives, in order: the identifier in a telemetry segment, the
//! Rust name, the Prometheus name, the kind, the unit, the labels, the OpenTelemetry name, and the help text.
//!
//! Identifiers are part of the segment's layout: give a new metric the next free one of its block, and never reuse one.
//!
//! [`prom_client`] holds further names for what is measured, which a scrape can ask for, and [`semantic`] those that OpenTelemetry
//! has for what follows from it.
//!
//! Every series also carries the labels of its target: `service`, `pid` and, where the metric belongs to a loop or a
//! runtime, `loop` or `runtime`. They are not listed here.

use crate::label::{self, Label};

/// How a metric's value behaves over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A sum that only grows, until its process restarts.
    Counter,
    /// A reading that goes up and down.
    Gauge,
    /// A distribution of durations in the exponential buckets of [`crate::histogram`].
    Histogram,
}

/// What a metric's number counts at the edge. Inside, durations are integer nanoseconds and everything else a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Durations and points in time: nanoseconds inside, seconds at the edge.
    Seconds,
    /// Bytes.
    Bytes,
    /// A plain number of things.
    Count,
}

/// Where a metric's values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One event loop; its series carry the label `loop`.
    Loop,
    /// The whole target process: its thread pool, its heap, its accounting in the kernel.
    Process,
    /// One runtime with several loops, such as one of tokio's; its series carry the label `runtime`.
    Runtime,
    /// The agent itself.
    Agent,
    /// The collector itself.
    Collector,
}

/// One metric: what it is called, what it means and in which shape it comes.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// The identifier in a telemetry segment; never reused.
    pub id: u16,
    /// The name in Prometheus, with its unit and, for counters, `_total`.
    pub name: &'static str,
    /// How the value behaves over time.
    pub kind: Kind,
    /// What the number counts at the edge.
    pub unit: Unit,
    /// Whose value it is.
    pub scope: Scope,
    /// The labels besides those of the target.
    pub labels: &'static [&'static Label],
    /// The name in OpenTelemetry.
    pub otel_name: &'static str,
    /// One sentence: the meaning, and what it leaves out.
    pub help: &'static str,
}

impl Metric {
    /// The metric with this identifier.
    pub fn by_id(id: u16) -> Option<&'static Metric> {
        CATALOGUE.binary_search_by_key(&id, |metric| metric.id).ok().map(|at| CATALOGUE[at])
    }

    /// The metric with this Prometheus name.
    pub fn by_name(name: &str) -> Option<&'static Metric> {
        CATALOGUE.iter().copied().find(|metric| metric.name == name)
    }

    /// The name of the metric's family in OpenMetrics: without `_total`.
    pub fn family_name(&self) -> &'static str {
        match self.kind {
            Kind::Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            Kind::Gauge | Kind::Histogram => self.name,
        }
    }
}

macro_rules! catalogue {
    ($(#[$list_doc:meta])* $list:ident: $($id:literal $constant:ident $name:literal $kind:ident $unit:ident $scope:ident [$($label:ident),*] $otel:literal $help:literal)+) => {
        $(
            #[doc = concat!("`", $name, "`: ", $help)]
            pub static $constant: Metric = Metric {
                id: $id,
                name: $name,
                kind: Kind::$kind,
                unit: Unit::$unit,
                scope: Scope::$scope,
                labels: &[$(&label::$label),*],
                otel_name: $otel,
                help: $help,
            };
        )+

        $(#[$list_doc])*
        pub static $list: &[&Metric] = &[$(&$constant),+];
    };
}

pub mod prom_client;
pub mod semantic;

catalogue! {
    /// Every metric, by ascending identifier.
    CATALOGUE:

    // The event loop: 1 to 31.
    1 EVENTLOOP_LAG "eventloop_lag_seconds" Histogram Seconds Loop [] "eventloop.lag"
        "Per iteration, the time the loop was away from the kernel's poll: the longest that a ready event had to wait."
    2 EVENTLOOP_TIMER_LATENESS "eventloop_timer_lateness_seconds" Histogram Seconds Loop [] "eventloop.timer.lateness"
        "From the time a timer was due to the start of its callback."
    3 EVENTLOOP_PHASE_DURATION "eventloop_phase_duration_seconds" Histogram Seconds Loop [PHASE] "eventloop.phase.duration"
        "Time in one phase of one iteration, recorded where the phase had something to run or, for poll_wait, waited."
    4 EVENTLOOP_TIME "eventloop_time_seconds_total" Counter Seconds Loop [LOOP_STATE] "eventloop.time"
        "Time the loop spent active (running callbacks) and idle (waiting in the kernel's poll)."
    5 EVENTLOOP_ITERATIONS "eventloop_iterations_total" Counter Count Loop [] "eventloop.iterations"
        "Iterations of the loop."
    6 EVENTLOOP_CALLBACKS "eventloop_callbacks_total" Counter Count Loop [PHASE] "eventloop.callbacks"
        "Callbacks that the loop ran, by the phase in which they ran."
    7 EVENTLOOP_HANDLES "eventloop_handles" Gauge Count Loop [HANDLE_TYPE] "eventloop.handles"
        "Handles that are open, by type."
    8 EVENTLOOP_REQUESTS "eventloop_requests" Gauge Count Loop [REQUEST_TYPE] "eventloop.requests"
        "Requests that are under way, by type."
    9 EVENTLOOP_EVENTS "eventloop_events_total" Counter Count Loop [] "eventloop.events"
        "Events that the kernel's poll returned to the loop, and completions of the thread pool."
    10 EVENTLOOP_AWAY "eventloop_away_seconds" Gauge Seconds Loop [] "eventloop.away"
        "How long the loop has been away from the kernel's poll at the moment of reading; zero while it waits there."
    11 EVENTLOOP_STALL_OBSERVED "eventloop_stall_observed_seconds" Histogram Seconds Loop [] "eventloop.stall.observed"
        "Estimate: stretches away from the poll that readings from outside caught; shorter than the interval of readings they are missed."
    12 EVENTLOOP_SLOW_ITERATIONS "eventloop_slow_iterations_total" Counter Count Loop [] "eventloop.slow_iterations"
        "Iterations away from the poll for longer than the agent's threshold, 50 ms unless configured."

    // The thread pool: 32 to 63.
    32 THREADPOOL_THREADS "threadpool_threads" Gauge Count Process [THREAD_STATE] "threadpool.threads"
        "Threads of the pool, by whether they run a task."
    33 THREADPOOL_QUEUE_DEPTH "threadpool_queue_depth" Gauge Count Process [] "threadpool.queue.depth"
        "Tasks that were submitted and have not started."
    34 THREADPOOL_QUEUE_DEPTH_MAX "threadpool_queue_depth_max" Gauge Count Process [] "threadpool.queue.depth.max"
        "The highest queue depth within the last minute, whoever reads it and how often."
    35 THREADPOOL_QUEUE_WAIT "threadpool_queue_wait_seconds" Histogram Seconds Process [TASK_KIND] "threadpool.queue.wait"
        "From a task's submission to its start."
    36 THREADPOOL_RUN "threadpool_run_seconds" Histogram Seconds Process [TASK_KIND] "threadpool.run"
        "From a task's start to its end."
    37 THREADPOOL_COMPLETION_DELAY "threadpool_completion_delay_seconds" Histogram Seconds Loop [TASK_KIND] "threadpool.completion.delay"
        "From a task's end to the start of its completion callback on the loop."
    38 THREADPOOL_TASKS "threadpool_tasks_total" Counter Count Process [TASK_KIND, OUTCOME] "threadpool.tasks"
        "Tasks that ended, by kind and outcome."
    39 THREADPOOL_QUEUE_WAIT_OBSERVED "threadpool_queue_wait_observed_seconds" Histogram Seconds Process [] "threadpool.queue.wait.observed"
        "Estimate: queue waits of tasks that readings from outside found waiting, each to within an interval of readings; shorter waits are missed."
    40 THREADPOOL_QUEUE_WAIT_SAMPLED "threadpool_queue_wait_sampled_seconds" Histogram Seconds Process [TASK_KIND] "threadpool.queue.wait.sampled"
        "Sample: from a task's submission to its start, of tasks within some seconds now and then, where measuring every task would cost more than the budget."
    41 THREADPOOL_RUN_SAMPLED "threadpool_run_sampled_seconds" Histogram Seconds Process [TASK_KIND] "threadpool.run.sampled"
        "Sample: from a task's start to its end, of the same tasks."
    42 THREADPOOL_COMPLETION_DELAY_SAMPLED "threadpool_completion_delay_sampled_seconds" Histogram Seconds Loop [TASK_KIND] "threadpool.completion.delay.sampled"
        "Sample: from a task's end to the start of its completion callback on the loop, of the same tasks."
    43 THREADPOOL_CLASS_RUN "threadpool_class_run_seconds" Histogram Seconds Process [TASK_CLASS] "threadpool.class.run"
        "From a task's start to its end, of those tasks of Node.js whose C++ class is known, by its short name."
    44 THREADPOOL_CLASS_RUN_SAMPLED "threadpool_class_run_sampled_seconds" Histogram Seconds Process [TASK_CLASS] "threadpool.class.run.sampled"
        "Sample: from a task's start to its end, of the same tasks as the other samples, by C++ class."

    // The native heap: 64 to 79.
    64 HEAP_ALLOCATED_BYTES "heap_allocated_bytes_total" Counter Bytes Process [] "heap.allocated"
        "Bytes that the program asked the native allocator for."
    65 HEAP_FREED_BYTES "heap_freed_bytes_total" Counter Bytes Process [] "heap.freed"
        "Bytes that the program gave back to the native allocator."
    66 HEAP_ALLOCATIONS "heap_allocations_total" Counter Count Process [] "heap.allocations"
        "Allocations; a reallocation counts as one allocation and one release."
    67 HEAP_LIVE_BYTES "heap_live_bytes" Gauge Bytes Process [] "heap.live"
        "Bytes allocated and not yet freed, without the allocator's own overhead."
    68 HEAP_LIVE_OBJECTS "heap_live_objects" Gauge Count Process [] "heap.live.objects"
        "Allocations not yet freed."

    // A managed heap: 80 to 95.
    80 GC_PAUSE "gc_pause_seconds" Histogram Seconds Loop [GC_KIND] "v8js.gc.duration"
        "Garbage-collector pauses of a managed target."
    81 MANAGED_HEAP_BYTES "managed_heap_bytes" Gauge Bytes Loop [HEAP_SPACE, HEAP_STATE] "v8js.memory.heap"
        "A managed target's heap spaces."

    // The process, as the kernel accounts for it: 96 to 127. The names are the Prometheus client libraries'.
    96 PROCESS_CPU "process_cpu_seconds_total" Counter Seconds Process [] "process.cpu.time"
        "Total user and system CPU time spent in seconds."
    97 PROCESS_RESIDENT_MEMORY "process_resident_memory_bytes" Gauge Bytes Process [] "process.memory.usage"
        "Resident memory size in bytes."
    98 PROCESS_VIRTUAL_MEMORY "process_virtual_memory_bytes" Gauge Bytes Process [] "process.memory.virtual"
        "Virtual memory size in bytes."
    99 PROCESS_OPEN_FDS "process_open_fds" Gauge Count Process [] "process.unix.file_descriptor.count"
        "Number of open file descriptors."
    100 PROCESS_MAX_FDS "process_max_fds" Gauge Count Process [] "process.unix.file_descriptor.limit"
        "Maximum number of open file descriptors."
    101 PROCESS_THREADS "process_threads" Gauge Count Process [] "process.thread.count"
        "Number of OS threads in the process."
    102 PROCESS_START_TIME "process_start_time_seconds" Gauge Seconds Process [] "process.start_time"
        "Start time of the process since unix epoch in seconds."

    // The agent on itself: 128 to 191.
    128 LOOPSCOPE_BUILD_INFO "loopscope_build_info" Gauge Count Agent [VERSION] "loopscope.build.info"
        "One, labelled with the version of the agent."
    129 LOOPSCOPE_CPU "loopscope_cpu_seconds_total" Counter Seconds Agent [] "loopscope.cpu.time"
        "User and system CPU time that the agent itself spent."
    130 LOOPSCOPE_RESIDENT_MEMORY "loopscope_resident_memory_bytes" Gauge Bytes Agent [] "loopscope.memory.usage"
        "Resident memory of the agent itself."
    131 LOOPSCOPE_TARGETS "loopscope_targets" Gauge Count Agent [TARGET_STATE] "loopscope.targets"
        "Processes that publish telemetry or run on libuv, by whether the agent measures them."
    132 LOOPSCOPE_TARGET_ERRORS "loopscope_target_errors_total" Counter Count Agent [TARGET_ERROR] "loopscope.target.errors"
        "Failures to find or read a target, by cause."
    133 LOOPSCOPE_DISCOVERY_DURATION "loopscope_discovery_duration_seconds" Histogram Seconds Agent [] "loopscope.discovery.duration"
        "Time that one search for targets took."
    134 LOOPSCOPE_SCRAPE_DURATION "loopscope_scrape_duration_seconds" Histogram Seconds Agent [SCRAPE_FORMAT] "loopscope.scrape.duration"
        "Time from a scrape's request to its encoded answer; a scrape shows up in the next one."
    135 LOOPSCOPE_SCRAPES_REJECTED "loopscope_scrapes_rejected_total" Counter Count Agent [] "loopscope.scrapes.rejected"
        "Scrapes refused because too many were under way."
    136 LOOPSCOPE_SAMPLES "loopscope_samples_total" Counter Count Agent [] "loopscope.samples"
        "Stack samples taken."
    137 LOOPSCOPE_SAMPLES_LOST "loopscope_samples_lost_total" Counter Count Agent [LOSS_CAUSE] "loopscope.samples.lost"
        "Stack samples lost, by cause."
    141 LOOPSCOPE_TIER_ACTIVE "loopscope_tier_active" Gauge Count Process [TIER] "loopscope.tier.active"
        "One for a tier that measures the target; zero for one that was asked for and is not possible, was shed, or only samples."
    142 LOOPSCOPE_PROBE_HITS "loopscope_probe_hits_total" Counter Count Process [TIER] "loopscope.probe.hits"
        "Probes that the target ran into, by the tier that needs them."
    143 LOOPSCOPE_PROBE_COST "loopscope_probe_cost_seconds_total" Counter Seconds Process [TIER] "loopscope.probe.cost"
        "Estimate: CPU time that probes added to the target, by hits and the cost of one."
    144 LOOPSCOPE_PROBE_LOSSES "loopscope_probe_losses_total" Counter Count Agent [PROBE_LOSS] "loopscope.probe.losses"
        "Measurements of probes that were lost, by cause."
    145 LOOPSCOPE_CONFIG_RELOAD_SUCCESSFUL "loopscope_config_last_reload_successful" Gauge Count Agent [] "loopscope.config.last_reload.successful"
        "One if the configuration and the web configuration could be used when they were last read; zero if what was read before stays in use."
    146 LOOPSCOPE_CONFIG_RELOAD_TIME "loopscope_config_last_reload_success_timestamp_seconds" Gauge Seconds Agent [] "loopscope.config.last_reload.success.time"
        "When a configuration was last read that could be used, since unix epoch."
    147 LOOPSCOPE_OTLP_EXPORTS "loopscope_otlp_exports_total" Counter Count Agent [EXPORT_OUTCOME] "loopscope.otlp.exports"
        "Attempts to hand a batch of points to the OTLP receiver, by what came of them."
    148 LOOPSCOPE_OTLP_EXPORT_DURATION "loopscope_otlp_export_duration_seconds" Histogram Seconds Agent [] "loopscope.otlp.export.duration"
        "Time that one attempt to export took, from its connection to the receiver's answer or the time-out."
    149 LOOPSCOPE_OTLP_QUEUE_BYTES "loopscope_otlp_queue_bytes" Gauge Bytes Agent [] "loopscope.otlp.queue"
        "Encoded batches that wait for the OTLP receiver, the one on its way included."
    150 LOOPSCOPE_OTLP_DROPPED_POINTS "loopscope_otlp_dropped_points_total" Counter Count Agent [EXPORT_LOSS] "loopscope.otlp.dropped_points"
        "Points that the OTLP receiver did not get or did not take, by cause."

    160 LOOPSCOPE_PROFILED_PROCESSES "loopscope_profiled_processes" Gauge Count Agent [] "loopscope.profiled_processes"
        "Processes that the continuous profiler samples."
    161 LOOPSCOPE_PROFILE_EXPORTS "loopscope_profile_exports_total" Counter Count Agent [EXPORT_OUTCOME] "loopscope.profile.exports"
        "Attempts to hand a batch of profiles to the receiver, by what came of them."
    162 LOOPSCOPE_PROFILE_QUEUE_BYTES "loopscope_profile_queue_bytes" Gauge Bytes Agent [] "loopscope.profile.queue"
        "Encoded profiles that wait for the receiver, the ones on their way included."
    163 LOOPSCOPE_PROFILE_EXPORTED_SAMPLES "loopscope_profile_exported_samples_total" Counter Count Agent [] "loopscope.profile.exported_samples"
        "Samples in requests that the receiver took, those of profiles among it that it rejected included."
    164 LOOPSCOPE_PROFILE_DROPPED_SAMPLES "loopscope_profile_dropped_samples_total" Counter Count Agent [EXPORT_LOSS] "loopscope.profile.dropped_samples"
        "Samples of profiles that the receiver did not get or did not take, by cause."
    165 LOOPSCOPE_TRACE_EXPORTS "loopscope_trace_exports_total" Counter Count Agent [EXPORT_OUTCOME] "loopscope.trace.exports"
        "Attempts to hand a batch of spans to the receiver, by what came of them."
    166 LOOPSCOPE_TRACE_QUEUE_BYTES "loopscope_trace_queue_bytes" Gauge Bytes Agent [] "loopscope.trace.queue"
        "Encoded spans that wait for the receiver, the ones on their way included."
    167 LOOPSCOPE_TRACE_EXPORTED_SPANS "loopscope_trace_exported_spans_total" Counter Count Agent [] "loopscope.trace.exported_spans"
        "Spans of slow iterations that the receiver took."
    168 LOOPSCOPE_TRACE_DROPPED_SPANS "loopscope_trace_dropped_spans_total" Counter Count Agent [EXPORT_LOSS] "loopscope.trace.dropped_spans"
        "Spans of slow iterations that the receiver did not get or did not take, by cause."
    169 LOOPSCOPE_PROFILE_REJECTED_PROFILES "loopscope_profile_rejected_profiles_total" Counter Count Agent [] "loopscope.profile.rejected_profiles"
        "Profiles that the receiver rejected from requests that it took, by its own count."

    // A tokio runtime: 192 to 255. From 208 on, what only a build with `--cfg tokio_unstable` tells.
    192 TOKIO_WORKERS "tokio_workers" Gauge Count Runtime [THREAD_STATE] "tokio.workers"
        "Worker threads of the runtime, by whether they run tasks or are parked."
    193 TOKIO_ALIVE_TASKS "tokio_alive_tasks" Gauge Count Runtime [] "tokio.alive_tasks"
        "Tasks that were spawned and have not ended, without the one by which Loopscope learns of the runtime's end."
    194 TOKIO_GLOBAL_QUEUE_DEPTH "tokio_global_queue_depth" Gauge Count Runtime [] "tokio.global_queue.depth"
        "Tasks that wait in the runtime's global queue."
    195 TOKIO_GLOBAL_QUEUE_DEPTH_MAX "tokio_global_queue_depth_max" Gauge Count Runtime [] "tokio.global_queue.depth.max"
        "The highest depth of the global queue within the last minute, as far as it was sampled."
    196 TOKIO_BUSY "tokio_worker_busy_seconds_total" Counter Seconds Runtime [] "tokio.worker.busy"
        "Time that all workers together spent on tasks, by tokio's own account, which a worker writes when it parks."
    197 TOKIO_PARKS "tokio_worker_parks_total" Counter Count Runtime [] "tokio.worker.parks"
        "How often workers parked."
    198 TOKIO_UNPARKS "tokio_worker_unparks_total" Counter Count Runtime [] "tokio.worker.unparks"
        "How often workers came back from being parked."
    199 TOKIO_BLOCKING_PROBE_WAIT "tokio_blocking_probe_wait_seconds" Histogram Seconds Runtime [] "tokio.blocking_probe.wait"
        "From the submission of an empty job to the blocking pool, one at a time and at a low rate, to its start."
    208 TOKIO_SPAWNED_TASKS "tokio_spawned_tasks_total" Counter Count Runtime [] "tokio.spawned_tasks"
        "Tasks spawned, without Loopscope's own."
    209 TOKIO_POLLS "tokio_polls_total" Counter Count Runtime [] "tokio.polls"
        "Polls of tasks; one that a worker runs right behind the task that woke it belongs to that one's poll."
    210 TOKIO_LOCAL_QUEUE_DEPTH "tokio_local_queue_depth" Gauge Count Runtime [] "tokio.local_queue.depth"
        "Tasks that wait in the queues of all workers together."
    211 TOKIO_LOCAL_SCHEDULES "tokio_local_schedules_total" Counter Count Runtime [] "tokio.local_schedules"
        "Tasks that workers put into their own queues."
    212 TOKIO_REMOTE_SCHEDULES "tokio_remote_schedules_total" Counter Count Runtime [] "tokio.remote_schedules"
        "Tasks that other threads put into the global queue."
    213 TOKIO_STOLEN_TASKS "tokio_stolen_tasks_total" Counter Count Runtime [] "tokio.stolen_tasks"
        "Tasks that workers took from each other's queues."
    214 TOKIO_STEALS "tokio_steals_total" Counter Count Runtime [] "tokio.steals"
        "How often a worker took tasks from another's queue."
    215 TOKIO_OVERFLOWS "tokio_overflows_total" Counter Count Runtime [] "tokio.overflows"
        "How often a worker's queue was full, and half of it went to the global one."
    216 TOKIO_NOOPS "tokio_worker_noops_total" Counter Count Runtime [] "tokio.worker.noops"
        "How often workers came back from being parked, found nothing to do and parked again."
    217 TOKIO_FORCED_YIELDS "tokio_forced_yields_total" Counter Count Runtime [] "tokio.forced_yields"
        "How often a task had to yield because it had used up its budget."
    218 TOKIO_POLL_TIME "tokio_poll_seconds" Histogram Seconds Runtime [] "tokio.poll"
        "Estimate: duration of polls, each taken as the middle of its bucket in tokio's own histogram, which has to be enabled."
    219 TOKIO_IO_DESCRIPTORS "tokio_io_descriptors" Gauge Count Runtime [] "tokio.io.descriptors"
        "Descriptors that are registered with the runtime's I/O driver."
    220 TOKIO_IO_READY "tokio_io_ready_events_total" Counter Count Runtime [] "tokio.io.ready_events"
        "Readiness events that the I/O driver processed."

    // The collector on itself: 256 to 319.
    256 LOOPSCOPE_COLLECTOR_REQUESTS "loopscope_collector_ingest_requests_total" Counter Count Collector [INGEST_OUTCOME] "loopscope.collector.ingest.requests"
        "Requests that brought profiles or metrics, by what came of them."
    257 LOOPSCOPE_COLLECTOR_INGEST_DURATION "loopscope_collector_ingest_duration_seconds" Histogram Seconds Collector [] "loopscope.collector.ingest.duration"
        "Time from a request's body to its place on the disk, of those that were stored."
    258 LOOPSCOPE_COLLECTOR_ROWS "loopscope_collector_rows_total" Counter Count Collector [] "loopscope.collector.rows"
        "Rows that were stored: stacks of profiles with what was spent in them."
    259 LOOPSCOPE_COLLECTOR_QUERY_DURATION "loopscope_collector_query_duration_seconds" Histogram Seconds Collector [] "loopscope.collector.query.duration"
        "Time that a query took, without the wait for its turn."
    260 LOOPSCOPE_COLLECTOR_BLOCKS "loopscope_collector_blocks" Gauge Count Collector [] "loopscope.collector.blocks"
        "Blocks in the store."
    261 LOOPSCOPE_COLLECTOR_BLOCK_BYTES "loopscope_collector_block_bytes" Gauge Bytes Collector [] "loopscope.collector.block.size"
        "Disk that blocks take."
    262 LOOPSCOPE_COLLECTOR_LOG_BYTES "loopscope_collector_log_bytes" Gauge Bytes Collector [] "loopscope.collector.log.size"
        "Disk that the log takes: profiles that are not in blocks yet."
    263 LOOPSCOPE_COLLECTOR_HEAD_BYTES "loopscope_collector_head_bytes" Gauge Bytes Collector [] "loopscope.collector.head.size"
        "Estimate: memory that profiles take which are not in blocks yet."
    264 LOOPSCOPE_COLLECTOR_HEAD_SERIES "loopscope_collector_head_series" Gauge Count Collector [] "loopscope.collector.head.series"
        "Series of profiles that are not in blocks yet."
    265 LOOPSCOPE_COLLECTOR_CORRUPTED_BLOCKS "loopscope_collector_corrupted_blocks_total" Counter Count Collector [] "loopscope.collector.corrupted_blocks"
        "Blocks that could not be read and were set aside."
    266 LOOPSCOPE_COLLECTOR_POINTS "loopscope_collector_points_total" Counter Count Collector [POINT_OUTCOME] "loopscope.collector.points"
        "Points of metrics that came by OTLP: those of event loops' lag are kept, all others are left out."
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn identifiers_ascend_so_that_by_id_can_search() {
        assert!(CATALOGUE.windows(2).all(|pair| pair[0].id < pair[1].id));
        for metric in CATALOGUE {
            assert_eq!(Metric::by_id(metric.id), Some(*metric));
            assert_eq!(Metric::by_name(metric.name), Some(*metric));
        }
        assert_eq!(Metric::by_id(0), None);
    }

    #[test]
    fn names_are_unique_in_both_worlds() {
        let names: HashSet<_> = CATALOGUE.iter().map(|metric| metric.name).collect();
        let otel: HashSet<_> = CATALOGUE.iter().map(|metric| metric.otel_name).collect();
        assert_eq!(names.len(), CATALOGUE.len());
        assert_eq!(otel.len(), CATALOGUE.len());
    }

    #[test]
    fn names_end_in_their_unit_as_prometheus_asks() {
        for metric in CATALOGUE {
            let stem = metric.family_name();
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            match metric.unit {
                Unit::Seconds => assert!(stem.ends_with("_seconds"), "{}", metric.name),
                Unit::Bytes => assert!(stem.ends_with("_bytes"), "{}", metric.name),
                Unit::Count => {}
            }
            assert!(metric.kind != Kind::Histogram || metric.unit == Unit::Seconds, "{}", metric.name);
        }
    }

    #[test]
    fn help_is_one_sentence() {
        for metric in CATALOGUE {
            assert!(metric.help.ends_with('.') && !metric.help.contains('\n'), "{}", metric.name);
        }
    }
}
