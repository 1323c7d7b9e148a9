//! Probes by either way of placing them: many in one call, and each as an event of its own, as kernels before 6.6 want it.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use loopscope_attach::libuv::locate::{Images, Located};
use loopscope_attach::libuv::observe::Observer;
use loopscope_attach::libuv::probes::{Attachment, LoopMeasured, Measured, ProbeOptions, Probes};
use loopscope_attach::libuv::tiers::Tiers;
use loopscope_attach::target::{Pid, Process};
use model::label::{Phase, Tier};
use model::time::Monotonic;

const PATIENCE: Duration = Duration::from_secs(30);

/// Ticks fifty times a second, and asks the pool for something each time.
const SCRIPT: &str =
    "const fs = require('fs'); setInterval(() => fs.stat('/', () => {}), 20); setTimeout(() => {}, 60000)";

/// Waits, and is busy for 300 ms at each line of input.
const BUSY_AT_INPUT: &str = "process.stdin.on('data', () => { const began = performance.now(); while (performance.now() - began < 300); }); \
     setTimeout(() => process.exit(), 60000)";

/// Waits, and runs a program for 300 ms now and then, within a timer: by a loop within the loop.
const NESTED: &str = "const { spawnSync } = require('child_process'); setInterval(() => spawnSync('sleep', ['0.3']), 1500); \
     setTimeout(() => process.exit(), 60000)";

const BUSY_NS: u64 = 300_000_000;

struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A Node.js; `None` after saying that the test is skipped.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
fn start_node(script: &str) -> Option<Node> {
    let may = rustix::process::geteuid().is_root();
    let started = Command::new("node").args(["-e", script]).stdin(Stdio::piped()).spawn();
    match started {
        Ok(node) if may => Some(Node(node)),
        other => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "it needs root, and node: {other:?}");
            eprintln!("SKIPPED: it needs root, and node");
            drop(other.map(Node));
            None
        }
    }
}

/// Finds libuv in it, once it has executed the program.
fn locate(node: &Node) -> Located {
    let began = Instant::now();
    loop {
        if let Ok(Some(located)) = Images::default().locate(&Process::open(Pid::new(node.0.id())).unwrap()) {
            return located;
        }
        assert!(began.elapsed() < PATIENCE, "node does not start");
    }
}

/// What is measured, once that is enough.
fn wait_until(probes: &Probes, attachment: &Attachment, is_enough: impl Fn(&Measured) -> bool) -> Measured {
    let began = Instant::now();
    loop {
        let measured = probes.collect().unwrap().of(attachment);
        if is_enough(&measured) {
            return measured;
        }
        assert!(began.elapsed() < PATIENCE, "nothing is measured: {measured:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn main_loop<'a>(node: &Node, measured: &'a Measured) -> Option<&'a LoopMeasured> {
    measured.loops.iter().find(|it| it.tid == node.0.id())
}

/// Places all probes and waits until enough was measured.
fn measure(node: &Node, options: &ProbeOptions) -> (Measured, Probes) {
    let mut probes = Probes::load(options).unwrap();
    assert_eq!(probes.is_multi(), !options.single);
    let attachment = probes.attach(Pid::new(node.0.id()), &locate(node), Tiers::ALL, 1).unwrap();
    assert_eq!((attachment.tiers(), attachment.refused()), (Tiers::ALL.probes(), &[][..]));
    let tasks = |measured: &Measured| measured.pool.run.values().map(|run| run.count()).sum::<u64>();
    (wait_until(&probes, &attachment, |measured| tasks(measured) >= 20), probes)
}

fn expect_sound(options: &ProbeOptions) {
    let Some(node) = start_node(SCRIPT) else { return };
    let (measured, mut probes) = measure(&node, options);
    let main = main_loop(&node, &measured).expect("the main thread's loop");
    assert!(main.iterations.abs_diff(main.lag.count()) <= 1, "{main:?}");
    assert!(main.idle_ns > main.active_ns, "it mostly waits: {main:?}");
    let of_phases: u64 = main.phases.values().map(|phase| phase.sum_ns()).sum();
    assert!(of_phases <= 2 * (main.active_ns + main.idle_ns), "{main:?}");
    let delays: u64 = main.completion_delay.values().map(|delay| delay.count()).sum();
    let run: u64 = measured.pool.run.values().map(|run| run.count()).sum();
    assert!(run.abs_diff(delays) <= 2, "{run} ran, {delays} were noticed");
    assert_eq!(probes.losses(), [0; 4]);

    // Every iteration is longer than a nanosecond.
    let mut slow = Vec::new();
    probes.slow_iterations(|iteration| slow.push(iteration));
    assert!(slow.iter().any(|it| it.tid == node.0.id() && it.ended > it.started), "{slow:?}");
    let of_main: Vec<_> = slow.iter().filter(|it| it.tid == node.0.id()).collect();
    assert!(of_main.windows(2).all(|pair| pair[0].ended <= pair[1].started), "iterations do not overlap");
}

#[test]
fn probes_that_are_placed_in_one_call_measure() {
    expect_sound(&ProbeOptions::default());
}

#[test]
fn probes_that_are_placed_one_by_one_measure_the_same() {
    expect_sound(&ProbeOptions { single: true });
}

#[test]
fn time_without_probes_belongs_to_no_iteration() {
    let Some(node) = start_node(SCRIPT) else { return };
    let located = locate(&node);
    let mut probes = Probes::load(&ProbeOptions::default()).unwrap();
    let mut attachment = probes.attach(Pid::new(node.0.id()), &located, Tiers::only(Tier::Loop), 1).unwrap();
    let main = |measured: &Measured| main_loop(&node, measured).cloned().unwrap_or_default();
    wait_until(&probes, &attachment, |measured| main(measured).iterations >= 5);
    probes.detach_tier(&mut attachment, Tier::Loop);
    let before = main(&probes.collect().unwrap().of(&attachment));
    std::thread::sleep(Duration::from_secs(1));
    let placed = Instant::now();
    probes.attach_tier(&mut attachment, &located, Tier::Loop).unwrap();
    let is_enough = |measured: &Measured| main(measured).iterations >= before.iterations + 5;
    let after = main(&wait_until(&probes, &attachment, is_enough));
    let measured_ns = after.active_ns + after.idle_ns - before.active_ns - before.idle_ns;
    assert!(u128::from(measured_ns) <= placed.elapsed().as_nanos(), "{before:?} {after:?}");
}

/// Reads the process until its main loop is there and waits.
fn observe(node: &Node, located: &Located) -> Observer {
    let process = Process::open(Pid::new(node.0.id())).unwrap();
    let began = Instant::now();
    let mut observer = Observer::new(&process, located.clone(), Monotonic::from_ns(1)).unwrap();
    let waits = |observer: &Observer| observer.loops().count() > 0 && observer.away().count() == 0;
    // One that starts is busy: twice it is seen to wait.
    let mut seen = 0;
    while seen < 20 {
        assert!(began.elapsed() < PATIENCE, "its loop does not come to wait");
        std::thread::sleep(Duration::from_millis(20));
        observer.read(Monotonic::from_ns(1 + began.elapsed().as_nanos() as u64)).unwrap();
        seen = if waits(&observer) { seen + 1 } else { 0 };
    }
    observer
}

#[test]
fn an_iteration_that_is_under_way_when_probes_are_placed_is_measured_whole() {
    let Some(mut node) = start_node(BUSY_AT_INPUT) else { return };
    let located = locate(&node);
    let observer = observe(&node, &located);
    let mut probes = Probes::load(&ProbeOptions::default()).unwrap();
    let tiers = Tiers::only(Tier::Loop);
    let mut attachment = observer.attach(&mut probes, tiers, BUSY_NS).unwrap();
    let tid = node.0.id();
    let main =
        |measured: &Measured| measured.loops.iter().find(|it| it.tid == tid).cloned().unwrap_or_default();
    for placed in 1..=2 {
        let before = main(&probes.collect().unwrap().of(&attachment));
        node.0.stdin.as_mut().unwrap().write_all(b"now\n").unwrap();
        let is_enough = |measured: &Measured| main(measured).slow_iterations == placed;
        let after = main(&wait_until(&probes, &attachment, is_enough));
        assert!(after.lag.sum_ns() - before.lag.sum_ns() >= BUSY_NS, "placed {placed} times: {after:?}");
        // Away from the next poll on, too.
        probes.detach_tier(&mut attachment, Tier::Loop);
        observer.attach_tier(&mut probes, &mut attachment, Tier::Loop).unwrap();
    }
    let mut slow = Vec::new();
    probes.slow_iterations(|iteration| slow.push(iteration.ended.since_ns(iteration.started)));
    assert!(slow.len() == 2 && slow.iter().all(|&ns| ns >= BUSY_NS), "{slow:?}");
}

#[test]
fn a_loop_within_the_first_iteration_counts_to_the_phase_that_it_runs_in() {
    let Some(node) = start_node(NESTED) else { return };
    let located = locate(&node);
    let observer = observe(&node, &located);
    let mut probes = Probes::load(&ProbeOptions::default()).unwrap();
    let attachment = observer.attach(&mut probes, Tiers::ALL, BUSY_NS).unwrap();
    let phase_ns = |measured: &Measured, phase| {
        let main = main_loop(&node, measured);
        main.and_then(|main| main.phases.get(&phase)).map_or(0, |phase| phase.sum_ns())
    };
    let is_enough = |measured: &Measured| phase_ns(measured, Phase::Timers) >= BUSY_NS;
    let measured = wait_until(&probes, &attachment, is_enough);
    assert!(phase_ns(&measured, Phase::PollCallbacks) < BUSY_NS / 2, "{measured:?}");
    let main = main_loop(&node, &measured).unwrap();
    assert_eq!(Some(main.address), observer.loops().map(|(address, _)| address).next());
}
