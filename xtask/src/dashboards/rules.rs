//! Recording and alerting rules.
//!
//! Recorded series are called `level:metric:operations`, as Prometheus asks for: the labels that are left, the metric without `_total`, and what
//! was done, the newest first. Alerts are about symptoms, stay quiet without evidence, and carry their figure as the value. Each names its
//! page under `docs/runbooks`.

use std::fmt::Write;

use model::catalogue::{
    EVENTLOOP_AWAY, EVENTLOOP_LAG, EVENTLOOP_STALL_OBSERVED, EVENTLOOP_TIME, HEAP_LIVE_BYTES,
    LOOPSCOPE_BUILD_INFO, LOOPSCOPE_CONFIG_RELOAD_SUCCESSFUL, LOOPSCOPE_OTLP_DROPPED_POINTS,
    LOOPSCOPE_TIER_ACTIVE, Metric, PROCESS_RESIDENT_MEMORY, PROCESS_START_TIME, THREADPOOL_QUEUE_DEPTH,
    THREADPOOL_QUEUE_WAIT, THREADPOOL_QUEUE_WAIT_OBSERVED, THREADPOOL_QUEUE_WAIT_SAMPLED, THREADPOOL_THREADS,
    TOKIO_ALIVE_TASKS, TOKIO_BUSY,
};
use model::label::{EXPORT_LOSS, TIER};

use super::overview::utilization;
use super::query::{AGENT, Asker, LOOP, PROCESS, and};

/// Who asks: Prometheus itself, of everything.
const ASKER: Asker = Asker { window: "5m", agent: "", process: "", event_loop: "", runtime: "" };

const RUNBOOKS: &str = "https://github.com/loopscope/loopscope/blob/main/docs/runbooks";

/// The labels that tell one service on one host from all others.
const SERVICE: &str = "job, instance, service";

struct Recording {
    name: String,
    expression: String,
}

struct Alert {
    name: &'static str,
    expression: String,
    /// For how long it must hold.
    lasting: &'static str,
    severity: &'static str,
    summary: &'static str,
    /// With the figure.
    description: &'static str,
}

/// `rules.yml`.
pub(super) fn text() -> String {
    let mut text = String::from(
        "# Made by `cargo xtask generate` from the catalogue of metrics.\n\
         # Checked by `promtool check rules` and `promtool test rules`; what to do about an alert: docs/runbooks.\n\
         groups:\n  - name: loopscope.recording\n    rules:\n",
    );
    for Recording { name, expression } in recordings() {
        write!(text, "      - record: {name}\n{}", block(&expression)).expect(TEXT);
    }
    text.push_str("  - name: loopscope.alerting\n    rules:\n");
    for alert in alerts() {
        let Alert { name, expression, lasting, severity, summary, description } = alert;
        write!(
            text,
            "      - alert: {name}\n{}        for: {lasting}\n        labels:\n          severity: {severity}\n          \
             source: loopscope\n        annotations:\n          summary: '{summary}'\n          description: >-\n            \
             {description}\n          runbook_url: {RUNBOOKS}/{name}.md\n",
            block(&expression),
        )
        .expect(TEXT);
    }
    text
}

const TEXT: &str = "a string takes all text";

/// A block of text in YAML, with a line for each part that a set operator joins.
fn block(expression: &str) -> String {
    let mut text = String::from("        expr: |-\n          ");
    let mut depth = 0;
    for (at, c) in expression.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        let is_joined = [" or ", " and ", " unless "].iter().any(|word| expression[at..].starts_with(word));
        match c {
            '\n' => text.push_str("\n          "),
            ' ' if depth == 0 && is_joined => text.push_str("\n          "),
            c => text.push(c),
        }
    }
    text.push('\n');
    text
}

/// `level:metric:operations`.
fn recorded(level: &str, metric: &Metric, operations: &str) -> String {
    format!("{}:{}:{operations}", level.replace(", ", "_"), metric.family_name())
}

fn active_share() -> String {
    recorded(LOOP, &EVENTLOOP_TIME, "active_ratio_rate5m")
}

fn blocks() -> String {
    recorded(LOOP, &EVENTLOOP_LAG, "over125ms_rate5m")
}

fn queue_per_thread() -> String {
    recorded(PROCESS, &THREADPOOL_QUEUE_DEPTH, "per_thread_avg5m")
}

fn recordings() -> Vec<Recording> {
    let lag = |by| ASKER.distribution(by, &EVENTLOOP_LAG, &[]);
    let stalls = ASKER.distribution(LOOP, &EVENTLOOP_STALL_OBSERVED, &[]);
    let waits = [&THREADPOOL_QUEUE_WAIT, &THREADPOOL_QUEUE_WAIT_SAMPLED, &THREADPOOL_QUEUE_WAIT_OBSERVED]
        .map(|metric| ASKER.distribution(PROCESS, metric, &[]).quantile("0.99"));
    let depth = format!("avg_over_time({}[5m])", ASKER.series(&THREADPOOL_QUEUE_DEPTH, &[]));
    let threads = format!("sum by ({PROCESS}) ({})", ASKER.series(&THREADPOOL_THREADS, &[]));
    let record = |name, expression| Recording { name, expression };
    vec![
        record(active_share(), utilization(ASKER)),
        record(recorded(LOOP, &EVENTLOOP_LAG, "p99_rate5m"), lag(LOOP).quantile("0.99")),
        record(recorded("job, service", &EVENTLOOP_LAG, "p99_rate5m"), lag("job, service").quantile("0.99")),
        // Stalls that readings caught stand in for loops whose every iteration is not measured.
        record(blocks(), format!("{}\nor {}", lag(LOOP).count_of_long(), stalls.count_of_long())),
        record(recorded(PROCESS, &THREADPOOL_QUEUE_WAIT, "p99_rate5m"), waits.join("\nor ")),
        // A pool that no task has started has no threads.
        record(queue_per_thread(), format!("max by ({PROCESS}) ({depth}) / ({threads} > 0)")),
    ]
}

/// What memory a process kept through a whole hour, so that what a collector takes back does not count.
fn memory(hours_ago: u32) -> String {
    let offset = if hours_ago == 0 { String::new() } else { format!(" offset {hours_ago}h") };
    let lowest = |metric: &Metric| format!("min_over_time({}[1h]{offset})", ASKER.series(metric, &[]));
    format!("({} or {})", lowest(&HEAP_LIVE_BYTES), lowest(&PROCESS_RESIDENT_MEMORY))
}

fn alerts() -> Vec<Alert> {
    let started = ASKER.series(&PROCESS_START_TIME, &[]);
    let agent = ASKER.series(&LOOPSCOPE_BUILD_INFO, &[]);
    let [now, one, two, three] = [0, 1, 2, 3].map(memory);
    vec![
        Alert {
            name: "EventLoopStuck",
            // A worker of tokio that always has work never parks, and one of a runtime that nobody drives is away as well; of the
            // first tokio's account of busy time goes on, and the second has no tasks.
            expression: format!(
                "max by ({LOOP}) ({}) > 10\nunless on ({PROCESS}) (\n  \
                 max by ({PROCESS}) (rate({}[2m])) > 0\n  or max by ({PROCESS}) ({}) == 0\n)",
                ASKER.series(&EVENTLOOP_AWAY, &[]),
                ASKER.series(&TOKIO_BUSY, &[]),
                ASKER.series(&TOKIO_ALIVE_TASKS, &[]),
            ),
            lasting: "30s",
            severity: "critical",
            summary: "An event loop of {{ $labels.service }} does not come back from a callback.",
            description: "Loop {{ $labels.loop }} of process {{ $labels.pid }} ({{ $labels.service }}, agent {{ $labels.instance }}) has been away from its poll for {{ $value | humanizeDuration }}. Nothing is served until it returns.",
        },
        Alert {
            name: "EventLoopBlocked",
            expression: format!("60 * {} > 3", blocks()),
            lasting: "5m",
            severity: "warning",
            summary: "An event loop of {{ $labels.service }} is blocked again and again.",
            description: "Loop {{ $labels.loop }} of process {{ $labels.pid }} ({{ $labels.service }}, agent {{ $labels.instance }}) was blocked for longer than 125 ms {{ $value | humanize }} times a minute over the last 5 minutes. Every event of that loop waited that long.",
        },
        Alert {
            name: "EventLoopUtilizationHigh",
            expression: format!("{} > 0.9", active_share()),
            lasting: "10m",
            severity: "warning",
            summary: "An event loop of {{ $labels.service }} has no reserve.",
            description: "Loop {{ $labels.loop }} of process {{ $labels.pid }} ({{ $labels.service }}, agent {{ $labels.instance }}) was active for {{ $value | humanizePercentage }} of the last 5 minutes. Events queue up behind each other.",
        },
        Alert {
            name: "ThreadPoolSaturated",
            expression: format!("{} > 1", queue_per_thread()),
            lasting: "5m",
            severity: "warning",
            summary: "The thread pool of {{ $labels.service }} does not keep up.",
            description: "In process {{ $labels.pid }} ({{ $labels.service }}, agent {{ $labels.instance }}) {{ $value | humanize }} tasks waited for each thread of the pool, on average over the last 5 minutes: tasks wait {{ $value | humanize }} times as long as they run.",
        },
        Alert {
            name: "HeapGrowing",
            expression: format!(
                "{now} - {three} > 67108864\nand {now} - {three} > 0.2 * {three}\nand {now} > 1.02 * {one}\nand {one} > 1.02 * {two}\nand {two} > 1.02 * {three}"
            ),
            lasting: "15m",
            severity: "warning",
            summary: "The memory of {{ $labels.service }} only grows.",
            description: "Process {{ $labels.pid }} ({{ $labels.service }}, agent {{ $labels.instance }}) holds {{ $value | humanize1024 }}B more than three hours ago, by the lowest figure of an hour, and grew by more than 2% in each of these hours.",
        },
        Alert {
            name: "TargetLost",
            expression: format!(
                "max by ({SERVICE}) (max_over_time((timestamp({started}) - {started})[30m:1m])) > 600\n\
                 unless max by ({SERVICE}) ({started})\nand on ({AGENT}) {agent}"
            ),
            lasting: "5m",
            severity: "warning",
            summary: "{{ $labels.service }} is gone.",
            description: "The agent {{ $labels.instance }} runs, and measures no process of {{ $labels.service }} any more. Within the last half hour one was there, which had been running for {{ $value | humanizeDuration }}.",
        },
        Alert {
            name: "LoopscopeAgentLost",
            expression: format!("time() - max by ({AGENT}) (max_over_time(timestamp({agent})[1h:1m])) > 240"),
            lasting: "1m",
            severity: "warning",
            summary: "The agent {{ $labels.instance }} is not scraped.",
            description: "The agent {{ $labels.instance }} ({{ $labels.job }}) was last scraped {{ $value | humanizeDuration }} ago. No alert about the event loops of its host can fire.",
        },
        Alert {
            name: "LoopscopeConfigurationRejected",
            expression: format!(
                "min by ({AGENT}) ({}) == 0",
                ASKER.series(&LOOPSCOPE_CONFIG_RELOAD_SUCCESSFUL, &[])
            ),
            lasting: "5m",
            severity: "warning",
            summary: "The agent {{ $labels.instance }} cannot use its configuration.",
            description: "The configuration or the web configuration of the agent {{ $labels.instance }} could not be used when it was last read ({{ $value }} instead of 1). What it had read before stays in use, until it is restarted.",
        },
        Alert {
            name: "LoopscopeExportsLost",
            expression: format!(
                "sum by ({}) (increase({}[15m])) > 0",
                and(AGENT, &EXPORT_LOSS),
                ASKER.series(&LOOPSCOPE_OTLP_DROPPED_POINTS, &[])
            ),
            lasting: "1m",
            severity: "warning",
            summary: "The agent {{ $labels.instance }} loses what it exports.",
            description: "{{ $value | humanize }} points of the agent {{ $labels.instance }} did not reach the OTLP receiver in the last 15 minutes: {{ $labels.cause }}.",
        },
        Alert {
            name: "LoopscopeTierInactive",
            expression: format!(
                "min by ({}) ({}) == 0",
                and(PROCESS, &TIER),
                ASKER.series(&LOOPSCOPE_TIER_ACTIVE, &[])
            ),
            lasting: "15m",
            severity: "info",
            summary: "{{ $labels.service }} is measured less deeply than was asked for.",
            description: "The tier {{ $labels.tier }} was asked for and does not measure process {{ $labels.pid }} ({{ $labels.service }}, agent {{ $labels.instance }}; {{ $value }} instead of 1): it is not possible there, or it cost more than the budget.",
        },
    ]
}
