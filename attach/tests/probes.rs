//! Probes by either way of placing them: many in one call, and each as an event of its own, as kernels before 6.6 want it.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use loopscope_attach::libuv::locate::{Images, Located};
use loopscope_attach::libuv::probes::{Attachment, LoopMeasured, Measured, ProbeOptions, Probes};
use loopscope_attach::libuv::tiers::Tiers;
use loopscope_attach::target::{Pid, Process};
use model::label::Tier;

const PATIENCE: Duration = Duration::from_secs(30);

/// Ticks fifty times a second, and asks the pool for something each time.
const SCRIPT: &str =
    "const fs = require('fs'); setInterval(() => fs.stat('/', () => {}), 20); setTimeout(() => {}, 60000)";

struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A Node.js that ticks; `None` after saying that the test is skipped.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
fn start_node() -> Option<Node> {
    let may = rustix::process::geteuid().is_root();
    let started = Command::new("node").args(["-e", SCRIPT]).stdin(Stdio::null()).spawn();
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
    let Some(node) = start_node() else { return };
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
    let Some(node) = start_node() else { return };
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
