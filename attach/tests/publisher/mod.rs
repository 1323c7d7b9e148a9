//! A process that publishes telemetry on command, honest or hostile.
//!
//! It is the test's own executable, started again to run only the test `publisher`, which takes [`Command`]s from its
//! standard input, one a line, and answers each with a line. It ends with its input, so none outlives its test.

mod sys;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{self, Child, ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use model::catalogue::{
    EVENTLOOP_ITERATIONS, EVENTLOOP_LAG, LOOPSCOPE_CPU, PROCESS_CPU, THREADPOOL_QUEUE_WAIT,
};
use model::label::{LabelValue, TaskKind};
use model::segment::{Identity, ScopeKind, WORDS_DEFAULT, WORDS_MIN, Writer};

const ENVIRONMENT: &str = "LOOPSCOPE_TEST_PUBLISHER";
const DONE: &str = "publisher: done";

/// What the process can be told to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Command {
    /// Publish a loop named `main` with one iteration and one lag of 1 ms, and a task that waited 2 ms.
    Publish,
    /// Publish a segment that states another process's id, as a forked child inherits it.
    PublishForeign,
    /// Publish memory that can still shrink.
    PublishUnsealed,
    /// Publish a segment of a version to come.
    PublishNewer,
    /// Publish memory shorter than a header.
    PublishTooShort,
    /// Publish a gibibyte of nothing.
    PublishTooLong,
    /// Publish a header that is in order, and random words behind it.
    PublishGarbage,
    /// Publish as many full histograms as fit, all in the same cells.
    PublishBomb,
    /// Publish metrics that are not a target's to tell.
    PublishSpoof,
    /// Execute another program.
    Execute,
}

const ALL: [Command; 10] = [
    Command::Publish,
    Command::PublishForeign,
    Command::PublishUnsealed,
    Command::PublishNewer,
    Command::PublishTooShort,
    Command::PublishTooLong,
    Command::PublishGarbage,
    Command::PublishBomb,
    Command::PublishSpoof,
    Command::Execute,
];

/// A publisher that runs, until it is dropped.
pub(crate) struct Publisher {
    child: Child,
    pid: u32,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Publisher {
    /// Starts a publisher that publishes nothing yet, under the name of this service.
    pub(crate) fn start(service: &str) -> Self {
        Self::start_by(&[], service)
    }

    /// Starts a publisher through another program, such as `unshare`.
    pub(crate) fn start_by(wrapper: &[&str], service: &str) -> Self {
        let own = std::env::current_exe().unwrap();
        let mut words = wrapper.iter().map(|word| (*word).into()).chain([own.into_os_string()]);
        let mut command = process::Command::new(words.next().unwrap());
        command.args(words).args(["publisher", "--exact", "--ignored", "--nocapture"]);
        command.env(ENVIRONMENT, service).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the publisher starts");
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let pid = expect_line(&mut output, "publisher: pid ").parse().unwrap();
        Self { pid, input: child.stdin.take(), output, child }
    }

    /// Starts a publisher and has it do one thing.
    pub(crate) fn that_does(command: Command, service: &str) -> Self {
        let mut publisher = Self::start(service);
        publisher.tell(command);
        publisher
    }

    /// The process's id, in its own pid namespace.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Has the process do something, and waits until it is done.
    pub(crate) fn tell(&mut self, command: Command) {
        writeln!(self.input.as_mut().unwrap(), "{command:?}").unwrap();
        expect_line(&mut self.output, DONE);
    }

    /// Kills the process, without reaping it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // Ends with its input; a wrapper ends with what it wraps.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// Reads up to a line that begins with `prefix`, past what the test harness prints; gives the rest of that line.
fn expect_line(output: &mut impl BufRead, prefix: &str) -> String {
    let mut lines = output.lines().map(|line| line.expect("the publisher's output is text"));
    let found = lines.find_map(|line| line.split_once(prefix).map(|(_, rest)| rest.to_owned()));
    found.expect("the publisher answers before it ends")
}

/// The publisher's side. Call it from an ignored test named `publisher`.
pub(crate) fn run() {
    let Ok(service) = std::env::var(ENVIRONMENT) else { return };
    let identity = Identity { pid: process::id(), created_ns: 1, service, producer: "test".into() };
    // On a line of its own, whatever the harness has printed so far.
    answer(&format!("\npublisher: pid {}", process::id()));
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let command = ALL.into_iter().find(|command| format!("{command:?}") == line);
        obey(command.unwrap_or_else(|| panic!("no command {line}")), &identity);
        answer(DONE);
    }
}

fn answer(line: &str) {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).unwrap();
}

fn obey(command: Command, identity: &Identity) {
    match command {
        Command::Publish => publish_honestly(identity),
        Command::PublishForeign => publish_honestly(&Identity { pid: identity.pid - 1, ..identity.clone() }),
        Command::PublishUnsealed => drop(Writer::create(sys::publish(WORDS_MIN, false), identity)),
        Command::PublishNewer => {
            let words = sys::publish(WORDS_MIN, true);
            Writer::create(words, identity);
            words[1].store(9 << 32, Ordering::Relaxed);
        }
        Command::PublishTooShort => drop(sys::publish(4, true)),
        Command::PublishTooLong => drop(Writer::create(sys::publish(1 << 27, true), identity)),
        Command::PublishGarbage => publish_garbage(identity),
        Command::PublishBomb => publish_bomb(identity),
        Command::PublishSpoof => {
            let writer = Writer::create(sys::publish(WORDS_DEFAULT, true), identity);
            let scope = writer.open_scope(ScopeKind::Process, 0, 0, "");
            scope.counter(&PROCESS_CPU, &[]).add(1 << 50);
            scope.counter(&LOOPSCOPE_CPU, &[]).add(1 << 50);
            std::mem::forget(scope);
        }
        Command::Execute => {
            // The answer must come before: there is nobody to give it afterwards.
            answer(DONE);
            panic!("{}", process::Command::new("cat").exec());
        }
    }
}

fn publish_honestly(identity: &Identity) {
    let writer = Writer::create(sys::publish(WORDS_DEFAULT, true), identity);
    let (main, process) =
        (writer.open_scope(ScopeKind::Loop, 0, 0, "main"), writer.open_scope(ScopeKind::Process, 0, 0, ""));
    main.counter(&EVENTLOOP_ITERATIONS, &[]).add(1);
    main.histogram(&EVENTLOOP_LAG, &[]).record_ns(1_000_000);
    process.histogram(&THREADPOOL_QUEUE_WAIT, &[TaskKind::Fs.position()]).record_ns(2_000_000);
    // Open for good.
    std::mem::forget((main, process));
}

/// Words from a fixed sequence, behind a header that is in order.
fn publish_garbage(identity: &Identity) {
    let words = sys::publish(WORDS_DEFAULT, true);
    Writer::create(words, identity);
    words[6].store(u64::MAX, Ordering::Relaxed);
    words[8].store(u64::MAX, Ordering::Relaxed);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for word in &words[32..] {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        word.store(state, Ordering::Relaxed);
    }
}

fn publish_bomb(identity: &Identity) {
    let words = sys::publish(2 * WORDS_DEFAULT, true);
    let writer = Writer::create(words, identity);
    let loops = || (0..512).map(|index| writer.open_scope(ScopeKind::Loop, index, 0, &"\"\\\n".repeat(10)));
    loops().for_each(|scope| {
        TaskKind::ALL.iter().for_each(|kind| {
            scope.histogram(&THREADPOOL_QUEUE_WAIT, &[kind.position()]);
        });
        std::mem::forget(scope);
    });
    words[WORDS_MIN..].iter().for_each(|cell: &AtomicU64| cell.store(u64::MAX / 3, Ordering::Relaxed));
}
