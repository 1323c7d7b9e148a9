//! All loops of all hosts, the worst first. It answers "which process?", and leads to that process.

use model::catalogue::{
    EVENTLOOP_AWAY, EVENTLOOP_LAG, EVENTLOOP_PHASE_DURATION, EVENTLOOP_STALL_OBSERVED, EVENTLOOP_TIME,
    LOOPSCOPE_BUILD_INFO, LOOPSCOPE_TARGETS, PROCESS_CPU, PROCESS_RESIDENT_MEMORY, PROCESS_START_TIME,
    THREADPOOL_QUEUE_DEPTH_MAX, THREADPOOL_QUEUE_WAIT, THREADPOOL_QUEUE_WAIT_OBSERVED,
    THREADPOOL_QUEUE_WAIT_SAMPLED, TOKIO_ALIVE_TASKS,
};
use model::label::{LoopState, PHASE, Phase, TargetState};

use super::grafana::panel::{Column, Panel, Unit, q};
use super::grafana::{Annotation, Dashboard, RATE_INTERVAL, Row, Variable};
use super::query::{Asker, LOOP, PROCESS, and, is, is_not};

const SERVICE: &str = r#"job=~"$job", instance=~"$instance", service=~"$service""#;

/// Who asks: everything of the chosen services.
pub(super) const ASKER: Asker = Asker {
    window: RATE_INTERVAL,
    agent: r#"job=~"$job", instance=~"$instance""#,
    process: SERVICE,
    event_loop: SERVICE,
    runtime: SERVICE,
};

/// The choices that every dashboard begins with.
pub(super) fn agent_variables() -> Vec<Variable> {
    vec![
        Variable::of("job", &LOOPSCOPE_BUILD_INFO, "", "The job of Prometheus that scrapes the agents."),
        Variable::of(
            "instance",
            &LOOPSCOPE_BUILD_INFO,
            r#"job=~"$job""#,
            "The agent, and so the host: where Prometheus scrapes it.",
        ),
    ]
}

/// The choice of a service, behind them.
pub(super) fn service_variable() -> Variable {
    let of_agent = r#"job=~"$job", instance=~"$instance""#;
    Variable::of("service", &PROCESS_START_TIME, of_agent, "The service, as its processes are named.")
}

/// The share of its time that each loop is active.
///
/// Where the program measures itself, time is counted when a wait or a stretch ends. If none ended within the window, the loop is away or waits
/// all the time, and which of both is told by whether it is away now. A runtime of tokio without tasks may be away because nobody
/// drives it, which is no activity: of that one nothing is told.
pub(super) fn utilization(asker: Asker) -> String {
    let active = asker.sum_of_rates(LOOP, &EVENTLOOP_TIME, &[is(LoopState::Active)]);
    let all = asker.sum_of_rates(LOOP, &EVENTLOOP_TIME, &[]);
    let away = asker.series(&EVENTLOOP_AWAY, &[]);
    let tasks = asker.series(&TOKIO_ALIVE_TASKS, &[]);
    let by_time = format!("{active} / {all} >= 0");
    let by_state = format!("({all} == 0) + (max by ({LOOP}) ({away}) > bool 0)");
    format!("{by_time} or {by_state} unless on ({PROCESS}) (max by ({PROCESS}) ({tasks}) == 0)")
}

/// The longest time that a loop was away from its poll: of every iteration, else of what readings caught.
pub(super) fn longest(asker: Asker, by: &str) -> String {
    let measured = asker.distribution(by, &EVENTLOOP_LAG, &[]).longest();
    format!("{measured} or {}", asker.distribution(by, &EVENTLOOP_STALL_OBSERVED, &[]).longest())
}

/// A high quantile of how long tasks waited for a thread: of every task, else of a sample, else of what readings caught.
pub(super) fn pool_wait(asker: Asker, quantile: &str) -> String {
    [&THREADPOOL_QUEUE_WAIT, &THREADPOOL_QUEUE_WAIT_SAMPLED, &THREADPOOL_QUEUE_WAIT_OBSERVED]
        .map(|metric| asker.distribution(PROCESS, metric, &[]).quantile(quantile))
        .join(" or ")
}

/// What belongs to a process, in the row of each of its loops.
fn at_each_loop(asker: Asker, of_process: &str) -> String {
    // A rate, because counters are not to be shown as they are; of it only the labels are used.
    let loops = asker.sum_of_rates(LOOP, &EVENTLOOP_TIME, &[is(LoopState::Active)]);
    format!("{loops} * 0 + on ({PROCESS}) group_left () ({of_process})")
}

pub(super) fn dashboard() -> Dashboard {
    let mut variables = agent_variables();
    variables.push(service_variable());
    Dashboard {
        uid: "loopscope-overview",
        title: "Loopscope / Overview",
        description: "Every event loop that the agents measure, the worst first.",
        variables,
        annotations: vec![Annotation::alerts(ASKER)],
        rows: vec![
            Row { title: None, is_collapsed: false, lines: vec![(4, stats()), (12, vec![loops()])] },
            Row {
                title: Some("Over time"),
                is_collapsed: false,
                lines: vec![(9, lines_of_loops()), (9, lines_of_pools()), (9, lines_of_processes())],
            },
        ],
    }
}

fn stats() -> Vec<Panel> {
    let asker = ASKER;
    let measured = asker.series(&LOOPSCOPE_TARGETS, &[is(TargetState::Measured)]);
    let loops = asker.sum_of_rates(LOOP, &EVENTLOOP_TIME, &[is(LoopState::Active)]);
    let firing = format!("count(ALERTS{{{}, alertstate=\"firing\", source=\"loopscope\"}})", asker.agent);
    vec![
        Panel::stat("Alerts firing", Unit::Count, q(format!("{firing} or vector(0)"), ""))
            .says("Alerts of ours that fire now, of the chosen agents. Zero also where the rules are not installed (dashboards/prometheus/rules.yml).")
            .thresholds(1.0, 5.0),
        Panel::stat("Busiest loop", Unit::Share, q(format!("max({})", utilization(asker)), ""))
            .says("The utilization of the loop that is active for the largest share of its time. A loop near 100% has no reserve: events queue up behind each other.")
            .thresholds(0.7, 0.9),
        Panel::stat("Longest block", Unit::Seconds, q(format!("max({})", longest(asker, LOOP)), ""))
            .says("The longest that any loop was away from its poll, and so the longest that a ready event waited: the upper bound of the bucket. Where only the tier `observe` measures, the longest stall that a reading caught.")
            .absent("nothing caught")
            .thresholds(0.1, 0.5),
        Panel::stat("Longest wait for a pool thread", Unit::Seconds, q(format!("max({})", pool_wait(asker, "1")), ""))
            .says("The longest that a task of any thread pool waited for a thread. Where only the tier `observe` measures, the longest wait that a reading caught.")
            .absent("nothing caught")
            .thresholds(0.1, 0.5),
        Panel::stat("Loops", Unit::Count, q(format!("count({loops})"), ""))
            .says("Event loops that are measured: main loops, worker threads' and workers of tokio."),
        Panel::stat("Processes", Unit::Count, q(format!("sum({measured})"), ""))
            .says("Processes that the chosen agents measure, of all services. Those that they found and cannot measure are told by the dashboard of the agents."),
    ]
}

fn loops() -> Panel {
    let asker = ASKER;
    let lag = asker.distribution(LOOP, &EVENTLOOP_LAG, &[]);
    let stalls = asker.distribution(LOOP, &EVENTLOOP_STALL_OBSERVED, &[]);
    let phases =
        asker.distribution(&and(LOOP, &PHASE), &EVENTLOOP_PHASE_DURATION, &[is_not(Phase::PollWait)]);
    let column = |title, unit, expression, thresholds| Column { title, unit, expression, thresholds };
    let depth = format!("max by ({PROCESS}) ({})", asker.series(&THREADPOOL_QUEUE_DEPTH_MAX, &[]));
    let columns = vec![
        column("Utilization", Unit::Share, utilization(asker), Some((0.7, 0.9))),
        column("Longest block", Unit::Seconds, longest(asker, LOOP), Some((0.1, 0.5))),
        column(
            "Blocks over 125 ms",
            Unit::PerMinute,
            format!("60 * ({} or {})", lag.count_of_long(), stalls.count_of_long()),
            Some((3.0, 30.0)),
        ),
        column("Lag p99", Unit::Seconds, lag.quantile("0.99"), Some((0.1, 0.5))),
        column(
            "Pool wait p99",
            Unit::Seconds,
            at_each_loop(asker, &pool_wait(asker, "0.99")),
            Some((0.1, 0.5)),
        ),
        column("Pool queue, highest", Unit::Count, at_each_loop(asker, &depth), None),
        column("Share of that phase", Unit::Share, format!("topk by ({LOOP}) (1, {})", phases.sum()), None),
    ];
    let labels = vec![
        ("service", "Service"),
        ("pid", "Process"),
        ("loop", "Loop"),
        ("phase", "Busiest phase"),
        ("instance", "Agent"),
        ("job", "Job"),
    ];
    let mut address = String::from("/d/loopscope-process?${__url_time_range}&${datasource:queryparam}");
    for (variable, column) in
        [("job", "Job"), ("instance", "Agent"), ("service", "Service"), ("pid", "Process"), ("loop", "Loop")]
    {
        address += &format!("&var-{variable}=${{__data.fields.{column}:percentencode}}");
    }
    Panel::table("Event loops, the worst first", labels, columns)
        .link("This process in depth", address)
        .absent("–")
        .says("One row a loop; a click leads to its process. Read it from the left: how much of its time the loop is active, how long events had to wait at most, how often a block was longer than 125 ms, then the pool. A high \"Lag p99\" means that most events wait; a low one beside a long block, that few iterations are long. \"Lag p99\" needs the tier `loop`, the busiest phase the tier `phases`; what stands there without them is what readings caught.")
}

fn lines_of_loops() -> Vec<Panel> {
    let asker = ASKER;
    let name = "{{service}} {{pid}} {{loop}}";
    vec![
        Panel::lines("Utilization of loops", Unit::Share, vec![q(utilization(asker), name)])
            .says("The share of its time that each loop is active: running callbacks, and not waiting in the kernel's poll. Above 90% events queue up.")
            .thresholds(0.7, 0.9),
        Panel::lines("Longest block of each loop", Unit::Seconds, vec![q(longest(asker, LOOP), name)])
            .says("The longest that each loop was away from its poll within a step: the upper bound of the bucket. Where only the tier `observe` measures, the longest stall that a reading caught, and nothing where there was none.")
            .thresholds(0.1, 0.5),
    ]
}

fn lines_of_pools() -> Vec<Panel> {
    let asker = ASKER;
    let name = "{{service}} {{pid}}";
    let depth = format!("max by ({PROCESS}) ({})", asker.series(&THREADPOOL_QUEUE_DEPTH_MAX, &[]));
    vec![
        Panel::lines("Wait for a pool thread, p99", Unit::Seconds, vec![q(pool_wait(asker, "0.99"), name)])
            .says("From the submission of a task to its start on a thread of the pool: what files, name look-ups, crypto and compression wait before anything happens. Where only the tier `observe` measures, waits that readings caught.")
            .absent("no task waited")
            .thresholds(0.1, 0.5),
        Panel::lines("Pool queue, highest of the last minute", Unit::Count, vec![q(depth, name)])
            .says("The most tasks that waited for a thread within the last minute, whoever reads and how often. A queue alone is no harm: the wait is."),
    ]
}

fn lines_of_processes() -> Vec<Panel> {
    let asker = ASKER;
    let name = "{{service}} {{pid}}";
    vec![
        Panel::lines("CPU", Unit::Count, vec![q(asker.sum_of_rates(PROCESS, &PROCESS_CPU, &[]), name)])
            .says("Cores that each process uses, all its threads together. An event loop alone can use one."),
        Panel::lines(
            "Resident memory",
            Unit::Bytes,
            vec![q(format!("max by ({PROCESS}) ({})", asker.series(&PROCESS_RESIDENT_MEMORY, &[])), name)],
        )
        .says("Memory of each process that is in RAM, by the kernel's account."),
    ]
}
