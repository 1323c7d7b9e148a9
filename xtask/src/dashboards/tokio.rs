//! tokio's runtimes: are workers away, is there more work than workers, does the blocking pool keep up?

use model::catalogue::{
    EVENTLOOP_LAG, EVENTLOOP_STALL_OBSERVED, HEAP_LIVE_BYTES, Metric, PROCESS_CPU, PROCESS_RESIDENT_MEMORY,
    THREADPOOL_QUEUE_DEPTH, THREADPOOL_QUEUE_WAIT, THREADPOOL_RUN, TOKIO_ALIVE_TASKS,
    TOKIO_BLOCKING_PROBE_WAIT, TOKIO_BUSY, TOKIO_FORCED_YIELDS, TOKIO_GLOBAL_QUEUE_DEPTH,
    TOKIO_GLOBAL_QUEUE_DEPTH_MAX, TOKIO_IO_READY, TOKIO_LOCAL_QUEUE_DEPTH, TOKIO_LOCAL_SCHEDULES,
    TOKIO_OVERFLOWS, TOKIO_PARKS, TOKIO_POLL_TIME, TOKIO_POLLS, TOKIO_REMOTE_SCHEDULES, TOKIO_SPAWNED_TASKS,
    TOKIO_STOLEN_TASKS, TOKIO_WORKERS,
};
use model::label::{TASK_KIND, THREAD_STATE};

use super::grafana::panel::{Panel, Unit, q};
use super::grafana::{Annotation, Dashboard, RATE_INTERVAL, Row, Variable};
use super::overview::{agent_variables, longest, utilization};
use super::query::{Asker, LOOP, PROCESS, RUNTIME, and};

const SERVICE: &str = r#"job=~"$job", instance=~"$instance", service=~"$service""#;

/// Who asks: the chosen services, of which only those on tokio can be chosen, and their chosen runtimes.
const ASKER: Asker = Asker {
    window: RATE_INTERVAL,
    agent: r#"job=~"$job", instance=~"$instance""#,
    process: SERVICE,
    event_loop: SERVICE,
    runtime: r#"job=~"$job", instance=~"$instance", service=~"$service", runtime=~"$runtime""#,
};

/// Said where only a build with `tokio_unstable` tells.
const UNSTABLE: &str = " Only a program that was built with `--cfg tokio_unstable` tells it.";

pub(super) fn dashboard() -> Dashboard {
    let of_agent = r#"job=~"$job", instance=~"$instance""#;
    let mut variables = agent_variables();
    variables.push(Variable::of("service", &TOKIO_ALIVE_TASKS, of_agent, "The service, of those on tokio."));
    variables.push(Variable::of("runtime", &TOKIO_ALIVE_TASKS, SERVICE, "The runtime."));
    let row = |title, lines| Row { title: Some(title), is_collapsed: false, lines };
    Dashboard {
        uid: "loopscope-tokio",
        title: "Loopscope / tokio",
        description: "Runtimes of tokio: whether workers are away, whether there is more work than workers, and whether the blocking pool keeps up.",
        variables,
        annotations: vec![Annotation::alerts(ASKER)],
        rows: vec![
            Row { title: None, is_collapsed: false, lines: vec![(4, stats())] },
            row("Workers", vec![(9, workers()), (9, lag())]),
            row("Tasks", vec![(9, tasks())]),
            row("Blocking pool", vec![(9, blocking())]),
            row("Process", vec![(8, process())]),
            Row {
                title: Some("With tokio_unstable"),
                is_collapsed: true,
                lines: vec![(9, polls()), (9, schedules()), (8, trouble())],
            },
        ],
    }
}

fn gauge(metric: &Metric) -> String {
    format!("max by ({RUNTIME}) ({})", ASKER.series(metric, &[]))
}

/// The share of their time that workers are on tasks, by tokio's own account.
fn busy_share() -> String {
    let workers = format!("sum by ({RUNTIME}) ({})", ASKER.series(&TOKIO_WORKERS, &[]));
    format!("{} / {workers}", ASKER.sum_of_rates(RUNTIME, &TOKIO_BUSY, &[]))
}

fn stats() -> Vec<Panel> {
    let sum = |metric: &Metric| format!("sum({})", ASKER.series(metric, &[]));
    let probe = ASKER.distribution("", &TOKIO_BLOCKING_PROBE_WAIT, &[]);
    let waits = ASKER.distribution("", &THREADPOOL_QUEUE_WAIT, &[]);
    vec![
        Panel::stat("Busiest worker", Unit::Share, q(format!("max({})", utilization(ASKER)), ""))
            .says("The share of its time that the busiest worker is active, and not parked.")
            .thresholds(0.7, 0.9),
        Panel::stat("Longest block", Unit::Seconds, q(format!("max({})", longest(ASKER, LOOP)), ""))
            .says("The longest that a worker was away from its driver: the upper bound of the bucket. A task that blocks keeps a worker away; so does a worker that always has work.")
            .absent("nothing caught")
            .thresholds(0.1, 0.5),
        Panel::stat("Workers", Unit::Count, q(sum(&TOKIO_WORKERS), ""))
            .says("Worker threads of the chosen runtimes."),
        Panel::stat("Tasks alive", Unit::Count, q(sum(&TOKIO_ALIVE_TASKS), ""))
            .says("Tasks that were spawned and have not ended."),
        Panel::stat("Global queue", Unit::Count, q(format!("max({})", ASKER.series(&TOKIO_GLOBAL_QUEUE_DEPTH_MAX, &[])), ""))
            .says("The most tasks that waited in a global queue within the last minute, as far as it was sampled."),
        Panel::stat("Wait for the blocking pool, p99", Unit::Seconds, q(format!("{} or {}", waits.quantile("0.99"), probe.quantile("0.99")), ""))
            .says("What jobs of `loopscope_tokio::spawn_blocking` waited for a thread; where there is none, what the probe of the pool waited.")
            .absent("no job")
            .thresholds(0.1, 0.5),
    ]
}

fn workers() -> Vec<Panel> {
    let workers = format!("sum by ({}) ({})", and(RUNTIME, &THREAD_STATE), ASKER.series(&TOKIO_WORKERS, &[]));
    vec![
        Panel::lines("Utilization of workers", Unit::Share, vec![q(utilization(ASKER), "{{pid}} {{loop}}")])
            .width(8)
            .says("The share of its time that each worker is active. One worker at 100% beside idle ones is a task that blocks.")
            .thresholds(0.7, 0.9),
        Panel::lines("Busy share, by tokio's account", Unit::Share, vec![q(busy_share(), "{{pid}} {{runtime}}")])
            .width(8)
            .says("The share of their time that all workers together spent on tasks. A worker writes it down when it parks: one that is blocked is missing until then."),
        Panel::stacked("Workers by state", Unit::Count, None, vec![q(workers, "{{state}} {{pid}} {{runtime}}")])
            .width(8)
            .says("Workers that run tasks and that are parked, as sampled. None idle for long: there is more work than workers."),
    ]
}

fn lag() -> Vec<Panel> {
    let lag = ASKER.distribution(LOOP, &EVENTLOOP_LAG, &[]);
    let stalls = ASKER.distribution(LOOP, &EVENTLOOP_STALL_OBSERVED, &[]);
    let all = ASKER.distribution("", &EVENTLOOP_LAG, &[]);
    vec![
        Panel::heat("Lag of workers", all.heat())
            .says("How long workers were away between two parks: the darker, the more often. Runtimes that were not built by `loopscope_tokio::Builder` do not tell it. Works with native and with classic histograms."),
        Panel::lines("Lag: p99 and longest", Unit::Seconds, vec![
            q(lag.quantile("0.99"), "p99 {{pid}} {{loop}}"),
            q(lag.longest(), "longest {{pid}} {{loop}}"),
            q(stalls.longest(), "longest caught {{pid}} {{loop}}"),
        ])
        .absent("nothing caught")
        .thresholds(0.1, 0.5)
        .says("Of each stretch between two parks, the time that a ready event may have waited. \"Longest caught\" is of runtimes that are only sampled: stalls that two samples saw."),
    ]
}

fn tasks() -> Vec<Panel> {
    vec![
        Panel::lines("Tasks alive by runtime", Unit::Count, vec![q(gauge(&TOKIO_ALIVE_TASKS), "{{pid}} {{runtime}}")])
            .width(8)
            .says("Tasks that were spawned and have not ended. What only grows is tasks that nobody ends."),
        Panel::lines("Global queue by runtime", Unit::Count, vec![
            q(gauge(&TOKIO_GLOBAL_QUEUE_DEPTH), "now {{pid}} {{runtime}}"),
            q(gauge(&TOKIO_GLOBAL_QUEUE_DEPTH_MAX), "highest of a minute {{pid}} {{runtime}}"),
        ])
        .width(8)
        .says("Tasks that wait in the runtime's global queue, as sampled. A queue that stays means that all workers are away."),
        Panel::lines("Parks", Unit::PerSecond, vec![q(ASKER.sum_of_rates(RUNTIME, &TOKIO_PARKS, &[]), "{{pid}} {{runtime}}")])
            .width(8)
            .says("How often workers park, a second. None at all under load: they never look up from their work."),
    ]
}

fn blocking() -> Vec<Panel> {
    let by_kind = and(PROCESS, &TASK_KIND);
    let wait = ASKER.distribution(&by_kind, &THREADPOOL_QUEUE_WAIT, &[]);
    let run = ASKER.distribution(&by_kind, &THREADPOOL_RUN, &[]);
    let probe = ASKER.distribution(RUNTIME, &TOKIO_BLOCKING_PROBE_WAIT, &[]);
    let depth = format!("max by ({PROCESS}) ({})", ASKER.series(&THREADPOOL_QUEUE_DEPTH, &[]));
    vec![
        Panel::lines("Wait and run time of jobs, p99", Unit::Seconds, vec![
            q(wait.quantile("0.99"), "wait {{pid}}"),
            q(run.quantile("0.99"), "run {{pid}}"),
        ])
        .width(8)
        .absent("no job")
        .thresholds(0.1, 0.5)
        .says("Of jobs of `loopscope_tokio::spawn_blocking`: how long they waited for a thread of the blocking pool, and how long they ran."),
        Panel::lines("Wait of the probe, p99", Unit::Seconds, vec![q(probe.quantile("0.99"), "{{pid}} {{runtime}}")])
            .width(8)
            .absent("probe_blocking_pool is not asked for")
            .thresholds(0.1, 0.5)
            .says("How long an empty job waited for a thread, at the interval that the program asked for with `probe_blocking_pool`: it stands for `tokio::fs` and name look-ups, too."),
        Panel::lines("Queue of the blocking pool", Unit::Count, vec![q(depth, "{{pid}}")])
            .width(8)
            .says("Jobs that wait for a thread: those of `loopscope_tokio::spawn_blocking`, and with `tokio_unstable` all."),
    ]
}

fn process() -> Vec<Panel> {
    let gauge = |metric: &Metric| format!("max by ({PROCESS}) ({})", ASKER.series(metric, &[]));
    vec![
        Panel::lines("CPU", Unit::Count, vec![q(ASKER.sum_of_rates(PROCESS, &PROCESS_CPU, &[]), "{{service}} {{pid}}")])
            .says("Cores that the process uses, all its threads together. Workers that are active without CPU block in the kernel."),
        Panel::lines("Memory", Unit::Bytes, vec![
            q(gauge(&PROCESS_RESIDENT_MEMORY), "resident {{service}} {{pid}}"),
            q(gauge(&HEAP_LIVE_BYTES), "native heap {{service}} {{pid}}"),
        ])
        .says("Memory in RAM by the kernel's account, and, with our counting allocator, bytes allocated and not yet freed."),
    ]
}

fn polls() -> Vec<Panel> {
    let poll = ASKER.distribution(RUNTIME, &TOKIO_POLL_TIME, &[]);
    vec![
        Panel::lines("Polls and spawns", Unit::PerSecond, vec![
            q(ASKER.sum_of_rates(RUNTIME, &TOKIO_POLLS, &[]), "polls {{pid}} {{runtime}}"),
            q(ASKER.sum_of_rates(RUNTIME, &TOKIO_SPAWNED_TASKS, &[]), "spawned {{pid}} {{runtime}}"),
        ])
        .absent("needs tokio_unstable")
        .says(&format!("Polls of tasks, and tasks spawned, a second.{UNSTABLE}")),
        Panel::lines("Poll time", Unit::Seconds, vec![
            q(poll.quantile("0.5"), "median {{pid}} {{runtime}}"),
            q(poll.quantile("0.99"), "p99 {{pid}} {{runtime}}"),
        ])
        .absent("needs tokio_unstable and its histogram")
        .says(&format!("How long polls take, by tokio's own histogram, which has to be enabled. Polls above 100 ms block a worker.{UNSTABLE}")),
    ]
}

fn schedules() -> Vec<Panel> {
    vec![
        Panel::lines("Where tasks are put", Unit::PerSecond, vec![
            q(ASKER.sum_of_rates(RUNTIME, &TOKIO_LOCAL_SCHEDULES, &[]), "own queue {{pid}} {{runtime}}"),
            q(ASKER.sum_of_rates(RUNTIME, &TOKIO_REMOTE_SCHEDULES, &[]), "global queue {{pid}} {{runtime}}"),
            q(ASKER.sum_of_rates(RUNTIME, &TOKIO_STOLEN_TASKS, &[]), "stolen {{pid}} {{runtime}}"),
        ])
        .absent("needs tokio_unstable")
        .says(&format!("Tasks that workers put into their own queues, that other threads put into the global one, and that workers took from each other.{UNSTABLE}")),
        Panel::lines("Local queues", Unit::Count, vec![q(gauge(&TOKIO_LOCAL_QUEUE_DEPTH), "{{pid}} {{runtime}}")])
            .absent("needs tokio_unstable")
            .says(&format!("Tasks that wait in the queues of all workers together.{UNSTABLE}")),
    ]
}

fn trouble() -> Vec<Panel> {
    vec![
        Panel::lines("Overflows and forced yields", Unit::PerSecond, vec![
            q(ASKER.sum_of_rates(RUNTIME, &TOKIO_OVERFLOWS, &[]), "overflows {{pid}} {{runtime}}"),
            q(ASKER.sum_of_rates(RUNTIME, &TOKIO_FORCED_YIELDS, &[]), "forced yields {{pid}} {{runtime}}"),
        ])
        .absent("needs tokio_unstable")
        .says(&format!("How often a worker's queue was full, and how often a task used up its budget and had to yield.{UNSTABLE}")),
        Panel::lines("Readiness events", Unit::PerSecond, vec![q(ASKER.sum_of_rates(RUNTIME, &TOKIO_IO_READY, &[]), "{{pid}} {{runtime}}")])
            .absent("needs tokio_unstable")
            .says(&format!("Readiness events that the I/O driver processed, a second.{UNSTABLE}")),
    ]
}
