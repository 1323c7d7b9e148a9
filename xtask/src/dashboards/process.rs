//! One process in depth: from the symptom (do events wait?) to the phase (where does the time go?) to the cause (pool, memory, CPU).

use model::catalogue::EVENTLOOP_TIME;
use model::catalogue::{
    EVENTLOOP_AWAY, EVENTLOOP_EVENTS, EVENTLOOP_HANDLES, EVENTLOOP_ITERATIONS, EVENTLOOP_LAG,
    EVENTLOOP_PHASE_DURATION, EVENTLOOP_SLOW_ITERATIONS, EVENTLOOP_STALL_OBSERVED, EVENTLOOP_TIMER_LATENESS,
    GC_PAUSE, HEAP_ALLOCATED_BYTES, HEAP_LIVE_BYTES, Metric, PROCESS_CPU, PROCESS_OPEN_FDS,
    PROCESS_RESIDENT_MEMORY, PROCESS_START_TIME, PROCESS_THREADS, THREADPOOL_CLASS_RUN,
    THREADPOOL_CLASS_RUN_SAMPLED, THREADPOOL_COMPLETION_DELAY, THREADPOOL_COMPLETION_DELAY_SAMPLED,
    THREADPOOL_QUEUE_DEPTH, THREADPOOL_QUEUE_DEPTH_MAX, THREADPOOL_QUEUE_WAIT,
    THREADPOOL_QUEUE_WAIT_OBSERVED, THREADPOOL_QUEUE_WAIT_SAMPLED, THREADPOOL_RUN, THREADPOOL_RUN_SAMPLED,
    THREADPOOL_TASKS, THREADPOOL_THREADS,
};
use model::label::{GC_KIND, HANDLE_TYPE, PHASE, TASK_CLASS, TASK_KIND, THREAD_STATE, Tier};

use super::grafana::panel::{Panel, Unit, q};
use super::grafana::{Annotation, Dashboard, RATE_INTERVAL, Row, Variable};
use super::overview::{agent_variables, longest, pool_wait, service_variable, utilization};
use super::query::{Asker, LOOP, PROCESS, and};

/// Who asks: the chosen processes, and of what belongs to a loop, the chosen loops.
const ASKER: Asker = Asker {
    window: RATE_INTERVAL,
    agent: r#"job=~"$job", instance=~"$instance""#,
    process: r#"job=~"$job", instance=~"$instance", service=~"$service", pid=~"$pid""#,
    event_loop: r#"job=~"$job", instance=~"$instance", service=~"$service", pid=~"$pid", loop=~"$loop""#,
    runtime: r#"job=~"$job", instance=~"$instance", service=~"$service", pid=~"$pid""#,
};

/// How series of a loop and of a process are called: behind what tells them apart within the choice.
const OF_LOOP: &str = "{{pid}} {{loop}}";
const OF_PROCESS: &str = "{{pid}}";

pub(super) fn dashboard() -> Dashboard {
    let of_service = r#"job=~"$job", instance=~"$instance", service=~"$service""#;
    let of_process = r#"job=~"$job", instance=~"$instance", service=~"$service", pid=~"$pid""#;
    let mut variables = agent_variables();
    variables.push(service_variable());
    variables.push(Variable::of("pid", &PROCESS_START_TIME, of_service, "The process."));
    variables.push(Variable::of("loop", &EVENTLOOP_TIME, of_process, "The loop: main, or a worker's."));
    let row = |title, lines| Row { title: Some(title), is_collapsed: false, lines };
    Dashboard {
        uid: "loopscope-process",
        title: "Loopscope / Process",
        description: "One process in depth, from the symptom to the cause: do events wait, in which phase does the time go, and what makes it.",
        variables,
        annotations: vec![Annotation::alerts(ASKER), starts()],
        rows: vec![
            row("Symptom: do events wait?", vec![(4, stats()), (10, lag()), (8, blocks())]),
            row("Where: which phase takes the time?", vec![(10, phases()), (8, turns())]),
            row(
                "Cause: the thread pool",
                vec![(9, pool()), (9, tasks()), (8, classes()), (8, completions())],
            ),
            row("Cause: memory and garbage", vec![(9, memory()), (8, garbage())]),
            row("Cause: CPU, and what is open", vec![(8, kernel())]),
        ],
    }
}

/// When the processes began: before it their series are another process's.
fn starts() -> Annotation {
    Annotation {
        name: "Starts",
        color: "blue",
        expression: format!("{} * 1000", ASKER.series(&PROCESS_START_TIME, &[])),
        title: "{{service}} started",
        text: "process {{pid}}",
        value_is_time: true,
    }
}

fn stats() -> Vec<Panel> {
    let asker = ASKER;
    let lag = asker.distribution("", &EVENTLOOP_LAG, &[]);
    let started = format!("time() - max({})", asker.series(&PROCESS_START_TIME, &[]));
    vec![
        Panel::stat("Away from the poll now", Unit::Seconds, q(format!("max({})", asker.series(&EVENTLOOP_AWAY, &[])), ""))
            .says("How long the loop has been away from the kernel's poll at the moment of the scrape. If it grows from scrape to scrape, the loop is stuck: nothing is served.")
            .absent("not told")
            .thresholds(0.5, 5.0),
        Panel::stat("Utilization", Unit::Share, q(format!("max({})", utilization(asker)), ""))
            .says("The share of its time that the busiest of the chosen loops is active.")
            .thresholds(0.7, 0.9),
        Panel::stat("Lag p99", Unit::Seconds, q(lag.quantile("0.99"), ""))
            .says("99% of all iterations kept ready events waiting for less than this. It counts iterations, not time: see the longest block beside it.")
            .needs(Tier::Loop)
            .thresholds(0.1, 0.5),
        Panel::stat("Longest block", Unit::Seconds, q(format!("max({})", longest(asker, LOOP)), ""))
            .says("The longest that a loop was away from its poll: the upper bound of the bucket; with the tier `observe` alone, the longest stall that a reading caught.")
            .absent("nothing caught")
            .thresholds(0.1, 0.5),
        Panel::stat("Wait for a pool thread, p99", Unit::Seconds, q(format!("max({})", pool_wait(asker, "0.99")), ""))
            .says("99% of all tasks waited for less than this before a thread of the pool took them; with the tier `observe` alone, of the waits that readings caught.")
            .absent("no task waited")
            .thresholds(0.1, 0.5),
        Panel::stat("Up for", Unit::Seconds, q(started, ""))
            .says("Since the youngest of the chosen processes was started. Short and shorter again: it restarts."),
    ]
}

fn lag() -> Vec<Panel> {
    let asker = ASKER;
    let lag = asker.distribution(LOOP, &EVENTLOOP_LAG, &[]);
    let all = asker.distribution("", &EVENTLOOP_LAG, &[]);
    let stalls = asker.distribution(LOOP, &EVENTLOOP_STALL_OBSERVED, &[]);
    vec![
        Panel::heat("Lag of iterations", all.heat())
            .says("How long iterations kept ready events waiting: the darker, the more iterations a second. Single cells far above the rest are blocks, however few; a band that climbs is a loop that slows down. Works with native and with classic histograms.")
            .needs(Tier::Loop),
        Panel::lines("Lag: median, p99 and longest", Unit::Seconds, vec![
            q(lag.quantile("0.5"), "median {{pid}} {{loop}}"),
            q(lag.quantile("0.99"), "p99 {{pid}} {{loop}}"),
            q(lag.longest(), "longest {{pid}} {{loop}}"),
            q(stalls.longest(), "longest caught {{pid}} {{loop}}"),
        ])
        .says("Of each iteration, the time away from the poll, to within a bucket. \"Longest caught\" is the estimate of the tier `observe`, from readings: shorter than the interval of readings is missed. The rest needs the tier `loop` of processes that are measured from outside.")
        .absent("needs tier loop")
        .thresholds(0.1, 0.5),
    ]
}

fn blocks() -> Vec<Panel> {
    let asker = ASKER;
    let lag = asker.distribution(LOOP, &EVENTLOOP_LAG, &[]);
    let stalls = asker.distribution(LOOP, &EVENTLOOP_STALL_OBSERVED, &[]);
    let lateness = asker.distribution(LOOP, &EVENTLOOP_TIMER_LATENESS, &[]);
    vec![
        Panel::lines("Utilization of loops", Unit::Share, vec![q(utilization(asker), OF_LOOP)])
            .width(8)
            .says("The share of its time that each loop is active. High with a low lag is a loop that is used well; high with a high one needs less work, or more processes.")
            .thresholds(0.7, 0.9),
        Panel::lines("Blocks", Unit::PerMinute, vec![
            q(format!("60 * ({} or {})", lag.count_of_long(), stalls.count_of_long()), "over 125 ms {{pid}} {{loop}}"),
            q(format!("60 * {}", asker.sum_of_rates(LOOP, &EVENTLOOP_SLOW_ITERATIONS, &[])), "slow {{pid}} {{loop}}"),
        ])
        .width(8)
        .says("Iterations a minute that are longer than 125 ms, which the alert EventLoopBlocked counts, and those longer than the agent's own threshold (`--slow`, 50 ms unless told otherwise; tier `loop`, and programs on our runtime), which the agent lists one by one at /slow. With the tier `observe` alone, stalls that readings caught."),
        Panel::lines("Timer lateness, p99", Unit::Seconds, vec![q(lateness.quantile("0.99"), OF_LOOP)])
            .width(8)
            .says("How late timers fire. It follows from the lag: a timer that is due within a block fires after it.")
            .needs(Tier::Phases)
            .thresholds(0.1, 0.5),
    ]
}

fn phases() -> Vec<Panel> {
    let asker = ASKER;
    let phases = asker.distribution(&and(LOOP, &PHASE), &EVENTLOOP_PHASE_DURATION, &[]);
    vec![
        Panel::stacked("Time by phase", Unit::Share, None, vec![q(phases.sum(), "{{phase}} {{pid}} {{loop}}")])
            .width(16)
            .says("Where each loop's time goes, in seconds a second: `poll_wait` is idle, all else is work. For one loop it adds up to nearly 100%; what is missing is between the phases, or in an iteration that has not ended. timers: due timers. poll_callbacks: sockets, files, completions of the pool. check: `setImmediate`. A phase that grew with the lag holds the code that blocks: `loopscope profile --pid PID --slow 50ms` names it.")
            .needs(Tier::Phases),
        Panel::lines("Longest stretch in one phase", Unit::Seconds, vec![q(phases.longest(), "{{phase}} {{pid}} {{loop}}")])
            .width(8)
            .says("The longest that one iteration stayed in each phase: the upper bound of the bucket. `poll_wait` is waiting, and no harm.")
            .needs(Tier::Phases),
    ]
}

fn turns() -> Vec<Panel> {
    let asker = ASKER;
    vec![
        Panel::lines("Iterations", Unit::PerSecond, vec![q(asker.sum_of_rates(LOOP, &EVENTLOOP_ITERATIONS, &[]), OF_LOOP)])
            .says("Turns of the loop a second. Few turns at a high utilization are long ones; many at a low one are a loop that is woken often for little."),
        Panel::lines("Events", Unit::PerSecond, vec![q(asker.sum_of_rates(LOOP, &EVENTLOOP_EVENTS, &[]), OF_LOOP)])
            .absent("not told")
            .says("Events a second that the kernel's poll returned, and completions of the pool: how much there is to do. Programs on our own runtime and on tokio do not tell it."),
    ]
}

fn pool() -> Vec<Panel> {
    let asker = ASKER;
    let by_kind = and(PROCESS, &TASK_KIND);
    let wait = asker.distribution(&by_kind, &THREADPOOL_QUEUE_WAIT, &[]);
    let sampled = asker.distribution(&by_kind, &THREADPOOL_QUEUE_WAIT_SAMPLED, &[]);
    let observed = asker.distribution(PROCESS, &THREADPOOL_QUEUE_WAIT_OBSERVED, &[]);
    let gauge = |metric: &Metric| format!("max by ({PROCESS}) ({})", asker.series(metric, &[]));
    let threads =
        format!("max by ({}) ({})", and(PROCESS, &THREAD_STATE), asker.series(&THREADPOOL_THREADS, &[]));
    vec![
        Panel::lines("Pool: threads and queue", Unit::Count, vec![
            q(threads, "threads {{state}} {{pid}}"),
            q(gauge(&THREADPOOL_QUEUE_DEPTH), "queue {{pid}}"),
            q(gauge(&THREADPOOL_QUEUE_DEPTH_MAX), "queue, highest of a minute {{pid}}"),
        ])
        .says("Threads of the pool that run a task and that are idle, tasks that wait for one, and the most that waited within the last minute. No idle thread and a queue that stays: the pool is saturated, and everything that needs it waits (files, name look-ups, crypto, compression)."),
        Panel::lines("Wait for a pool thread by kind", Unit::Seconds, vec![
            q(wait.quantile("0.5"), "median {{kind}} {{pid}}"),
            q(wait.quantile("0.99"), "p99 {{kind}} {{pid}}"),
            q(sampled.quantile("0.99"), "p99 of a sample {{kind}} {{pid}}"),
            q(observed.quantile("0.99"), "p99 of those caught {{pid}}"),
        ])
        .absent("needs tier pool")
        .thresholds(0.1, 0.5)
        .says("From a task's submission to its start, by kind of task. Kinds share the pool, so the kind that waits is rarely the one that fills it: look at the run time beside it. A sample is what the tier `pool` takes where every task would cost more than the budget. \"Those caught\" is the estimate of the tier `observe`; kinds need the tier `pool` of processes that are measured from outside."),
    ]
}

fn tasks() -> Vec<Panel> {
    let asker = ASKER;
    let by_kind = and(PROCESS, &TASK_KIND);
    let run = asker.distribution(&by_kind, &THREADPOOL_RUN, &[]);
    let sampled = asker.distribution(&by_kind, &THREADPOOL_RUN_SAMPLED, &[]);
    vec![
        Panel::stacked("Threads that each kind keeps busy", Unit::Count, None, vec![q(run.sum(), "{{kind}} {{pid}}")])
            .says("Seconds a second that tasks of each kind run: so many threads each kind keeps busy on average. The highest is what fills the pool. Four threads are Node.js's default (UV_THREADPOOL_SIZE).")
            .needs(Tier::Pool),
        Panel::lines("Run time by kind, p99", Unit::Seconds, vec![
            q(run.quantile("0.99"), "{{kind}} {{pid}}"),
            q(sampled.quantile("0.99"), "of a sample {{kind}} {{pid}}"),
        ])
            .says("From a task's start to its end on its thread. Long ones of `dns` wait for a name server, of `fs` for a disk, of `crypto` and `zlib` for a CPU.")
            .needs(Tier::Pool),
    ]
}

fn classes() -> Vec<Panel> {
    let asker = ASKER;
    let by_class = and(PROCESS, &TASK_CLASS);
    let run = asker.distribution(&by_class, &THREADPOOL_CLASS_RUN, &[]);
    let sampled = asker.distribution(&by_class, &THREADPOOL_CLASS_RUN_SAMPLED, &[]);
    vec![
        Panel::stacked("Threads that each class keeps busy", Unit::Count, None, vec![q(run.sum(), "{{class}} {{pid}}")])
            .says("Seconds a second that tasks of each C++ class of Node.js run: which of its functions fills the pool, such as PBKDF2 or ZlibStream. Requests to files and name servers are libuv's own and have none: see the kinds above.")
            .needs(Tier::Pool),
        Panel::lines("Run time by class, p99", Unit::Seconds, vec![
            q(run.quantile("0.99"), "{{class}} {{pid}}"),
            q(sampled.quantile("0.99"), "of a sample {{class}} {{pid}}"),
        ])
            .says("From a task's start to its end on its thread, by the C++ class of Node.js whose task it is.")
            .needs(Tier::Pool),
    ]
}

fn completions() -> Vec<Panel> {
    let asker = ASKER;
    let ended = asker.sum_of_rates(&and(PROCESS, &TASK_KIND), &THREADPOOL_TASKS, &[]);
    let delay = asker.distribution(&and(LOOP, &TASK_KIND), &THREADPOOL_COMPLETION_DELAY, &[]);
    let sampled = asker.distribution(&and(LOOP, &TASK_KIND), &THREADPOOL_COMPLETION_DELAY_SAMPLED, &[]);
    vec![
        Panel::lines("Tasks", Unit::PerSecond, vec![q(ended, "{{kind}} {{pid}}")])
            .says("Tasks of the pool that ended, a second, by kind.")
            .needs(Tier::Pool),
        Panel::lines("Completion delay by kind, p99", Unit::Seconds, vec![
            q(delay.quantile("0.99"), "{{kind}} {{pid}} {{loop}}"),
            q(sampled.quantile("0.99"), "of a sample {{kind}} {{pid}} {{loop}}"),
        ])
            .says("From a task's end to the start of its callback. It is the loop that is late here, and not the pool.")
            .needs(Tier::Pool)
            .thresholds(0.1, 0.5),
    ]
}

fn memory() -> Vec<Panel> {
    let asker = ASKER;
    let gauge = |metric: &Metric| format!("max by ({PROCESS}) ({})", asker.series(metric, &[]));
    vec![
        Panel::lines("Memory", Unit::Bytes, vec![
            q(gauge(&PROCESS_RESIDENT_MEMORY), "resident {{pid}}"),
            q(gauge(&HEAP_LIVE_BYTES), "native heap {{pid}}"),
        ])
        .says("Memory in RAM by the kernel's account, and, of programs with our allocator, bytes allocated and not yet freed. What only grows, also after load has gone, is a leak. Node.js's own heap is part of the resident memory."),
        Panel::lines("Native allocation", Unit::BytesPerSecond, vec![q(asker.sum_of_rates(PROCESS, &HEAP_ALLOCATED_BYTES, &[]), OF_PROCESS)])
            .absent("needs our allocator in the program")
            .says("Bytes a second that the program asks the native allocator for. Only programs with our counting allocator tell it: Rust on `loopscope-runtime` or `loopscope-tokio`."),
    ]
}

fn garbage() -> Vec<Panel> {
    let asker = ASKER;
    let pauses = asker.distribution(&and(LOOP, &GC_KIND), &GC_PAUSE, &[]);
    vec![
        Panel::stacked("Time in garbage collection", Unit::Share, None, vec![q(pauses.sum(), "{{kind}} {{pid}} {{loop}}")])
            .says("The share of its time that the garbage collector stops each loop's thread. Beyond a tenth the heap is too small for what lives in it, or there is a leak.")
            .needs(Tier::Loop)
            .thresholds(0.05, 0.1),
        Panel::lines("Longest garbage-collector pause", Unit::Seconds, vec![q(pauses.longest(), "{{kind}} {{pid}} {{loop}}")])
            .says("The longest pause of each kind: the upper bound of the bucket. A block of the loop that is as long as a pause is the collector's.")
            .needs(Tier::Loop)
            .thresholds(0.05, 0.2),
    ]
}

fn kernel() -> Vec<Panel> {
    let asker = ASKER;
    let gauge = |metric: &Metric| format!("max by ({PROCESS}) ({})", asker.series(metric, &[]));
    let handles =
        format!("sum by ({}) ({}) > 0", and(LOOP, &HANDLE_TYPE), asker.series(&EVENTLOOP_HANDLES, &[]));
    vec![
        Panel::lines("CPU", Unit::Count, vec![q(asker.sum_of_rates(PROCESS, &PROCESS_CPU, &[]), OF_PROCESS)])
            .width(8)
            .says("Cores that the process uses, all its threads together. A loop that is active and uses no CPU waits within a callback: a synchronous call, or a host that has no CPU to give."),
        Panel::lines("Descriptors and threads", Unit::Count, vec![
            q(gauge(&PROCESS_OPEN_FDS), "descriptors {{pid}}"),
            q(gauge(&PROCESS_THREADS), "threads {{pid}}"),
        ])
        .width(8)
        .says("Open file descriptors and threads of the process, by the kernel's account. Descriptors that only grow are connections or files that nobody closes."),
        Panel::lines("Handles by type", Unit::Count, vec![q(handles, "{{type}} {{pid}} {{loop}}")])
            .width(8)
            .absent("not told")
            .says("Long-lived objects that are open on the loop: sockets, timers, watchers. What only grows is not closed."),
    ]
}
