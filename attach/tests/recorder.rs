//! Recording real processes: everything that a recorder promises, shown on programs that are started for it.
//!
//! Some of them are this test program itself, started again with a role (see `role`). What is compared is sums (samples
//! against CPU time), never wall-clock times, so that a busy machine cannot make a test fail.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs, thread};

use loopscope_attach::Error;
use loopscope_attach::sampler::event::Event;
use loopscope_attach::sampler::recorder::{Exit, Finished, Notice, RecordOptions, Recorder, Target};
use model::label::LossCause;
use model::time::Monotonic;
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

const POLL: Duration = Duration::from_millis(50);
const NOBODY: u32 = 65534;
const SLEEPERS_APART: Duration = Duration::from_millis(20);
/// Stands on the stack of the thread that [`spin_with_pattern`] runs in.
const PATTERN: [u64; 8] = [0x6c6f_6f70_7363_6f70; 8];

/// What a test wants to know of the events.
#[derive(Debug, Default)]
struct Seen {
    /// By process and thread.
    samples: BTreeMap<(u32, u32), u64>,
    weights: BTreeMap<(u32, u32), u64>,
    with_pattern: u64,
    in_kernel: u64,
    times: Vec<Monotonic>,
    times_by_thread: BTreeMap<u32, Vec<Monotonic>>,
    mapped: BTreeSet<(u32, String)>,
    names: BTreeSet<(u32, String)>,
    /// Processes, with those that they started.
    forked: BTreeSet<(u32, u32)>,
    /// Threads, in the order in which they were started.
    started: Vec<u32>,
    exited: BTreeSet<u32>,
    lost: BTreeMap<LossCause, u64>,
}

impl Seen {
    fn add(&mut self, event: Event<'_>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match event {
            Event::Sample(sample) => {
                *self.samples.entry((sample.pid, sample.tid)).or_default() += 1;
                *self.weights.entry((sample.pid, sample.tid)).or_default() += sample.weight;
                if let Some(registers) = sample.registers
                    && sample.kernel.is_empty()
                {
                    assert_eq!(sample.user_by_frame_pointer.first(), Some(&registers.ip));
                    assert!(!sample.stack.is_empty());
                }
                let pattern: Vec<u8> = PATTERN.iter().flat_map(|word| word.to_ne_bytes()).collect();
                self.with_pattern +=
                    u64::from(sample.stack.windows(pattern.len()).step_by(8).any(|w| w == pattern));
                self.in_kernel += u64::from(!sample.kernel.is_empty());
                self.times.push(sample.time);
                self.times_by_thread.entry(sample.tid).or_default().push(sample.time);
            }
            Event::Mapped(mapped) => {
                self.mapped.insert((mapped.pid, text(mapped.path)));
                self.times.push(mapped.time);
            }
            Event::Forked { time, pid, tid, parent_pid } => {
                self.started.push(tid);
                self.forked.insert((parent_pid, pid));
                self.times.push(time);
            }
            Event::Renamed { time, tid, name, .. } => {
                self.names.insert((tid, text(name)));
                self.times.push(time);
            }
            Event::Exited { time, tid, .. } => {
                self.exited.insert(tid);
                self.times.push(time);
            }
            Event::Lost { cause, count } => *self.lost.entry(cause).or_default() += count,
        }
    }

    fn samples_of(&self, pid: u32) -> u64 {
        self.samples.iter().filter(|((of, _), _)| *of == pid).map(|(_, count)| count).sum()
    }

    fn samples_and_losses(&self) -> u64 {
        self.samples.values().sum::<u64>() + self.lost.get(&LossCause::BufferFull).copied().unwrap_or(0)
    }
}

/// Records a command from its start to its end.
fn record(program: &str, arguments: &[&str], options: &RecordOptions) -> (Seen, Finished) {
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let mut recorder = Recorder::launch(program.as_ref(), &arguments, options).expect("launch");
    let mut seen = Seen::default();
    while recorder.poll(POLL, &mut |event| seen.add(event)).expect("poll") == Target::Runs {}
    let finished = recorder.finish(&mut |event| seen.add(event)).expect("finish");
    (seen, finished)
}

/// Records a process until `enough` says so.
fn record_until(recorder: &mut Recorder, seen: &mut Seen, enough: impl Fn(&Seen) -> bool) {
    while !enough(seen) {
        let target = recorder.poll(POLL, &mut |event| seen.add(event)).expect("poll");
        assert_eq!(target, Target::Runs, "the target ended early: {seen:?}");
    }
}

fn expect_about(actual: u64, expected: f64, tolerance: f64) {
    let (low, high) = (expected * (1.0 - tolerance), expected * (1.0 + tolerance));
    assert!((low..=high).contains(&(actual as f64)), "{actual} is not about {expected}");
}

/// A shell that counts to `n`, which takes it about a second for a million.
fn count_to(n: u64) -> String {
    format!("i=0; while [ $i -lt {n} ]; do i=$((i+1)); done")
}

#[test]
fn a_launched_command_is_sampled_for_the_cpu_time_that_it_takes() {
    for frequency_hz in [99, 999, 4_000] {
        let options = RecordOptions { frequency_hz, ..RecordOptions::default() };
        let (seen, finished) = record("sh", &["-c", &count_to(250_000)], &options);
        let ended = finished.launched.expect("launched").wait().expect("wait");
        expect_about(seen.samples_and_losses(), ended.cpu_time.as_secs_f64() * f64::from(frequency_hz), 0.2);
    }
}

#[test]
fn events_come_by_ascending_time_between_start_and_end() {
    let script = format!("for n in 1 2 3 4; do ({}) & done; wait", count_to(50_000));
    let (seen, finished) = record("sh", &["-c", &script], &RecordOptions::default());
    assert!(seen.times.len() > 100, "{seen:?}");
    assert!(seen.times.is_sorted());
    assert!(*seen.times.first().unwrap() >= finished.started);
    assert!(*seen.times.last().unwrap() <= finished.ended);
}

#[test]
fn children_are_recorded_with_their_mappings_names_and_ends() {
    let script = format!("{}; sh -c '{}' & wait", count_to(10_000), count_to(200_000));
    let (seen, finished) = record("sh", &["-c", &script], &RecordOptions::default());
    let parent = finished.launched.unwrap().pid();
    let Some(&(_, child)) = seen.forked.iter().find(|(from, to)| *from == parent && *to != parent) else {
        panic!("no child in {seen:?}")
    };
    assert!(seen.samples_of(child) > seen.samples_of(parent), "{seen:?}");
    assert!(seen.names.contains(&(child, "sh".into())), "{seen:?}");
    assert!(seen.mapped.iter().any(|(pid, path)| *pid == child && path.contains("libc")), "{seen:?}");
    assert!(seen.exited.contains(&child) && seen.exited.contains(&parent), "{seen:?}");
}

#[test]
fn children_are_left_out_on_request() {
    let script = format!("{}; sh -c '{}' & wait", count_to(100_000), count_to(100_000));
    let options = RecordOptions { children: false, ..RecordOptions::default() };
    let (seen, finished) = record("sh", &["-c", &script], &options);
    let parent = finished.launched.unwrap().pid();
    assert!(seen.samples_of(parent) > 0);
    assert_eq!(seen.samples_of(parent), seen.samples.values().sum::<u64>(), "{seen:?}");
}

#[test]
fn a_command_is_found_run_and_ended_as_by_a_shell() {
    let exit_of = |program: &str, arguments: &[&str]| {
        let (_, finished) = record(program, arguments, &RecordOptions::default());
        finished.launched.unwrap().wait().unwrap().exit
    };
    assert_eq!(exit_of("true", &[]), Exit::Code(0));
    assert_eq!(exit_of("/bin/sh", &["-c", "exit 42"]), Exit::Code(42));
    assert_eq!(exit_of("sh", &["-c", "kill -TERM $$"]), Exit::Signal(15));
    assert_eq!(Exit::Signal(15).shell_status(), 143);

    let script = scratch_file("script", b"exit 7\n", 0o755);
    assert_eq!(exit_of(script.to_str().unwrap(), &[]), Exit::Code(7), "a script without a first line");
}

#[test]
fn a_command_that_cannot_be_run_is_told_from_one_that_is_not_there() {
    let launch = |program: &str| match Recorder::launch(program.as_ref(), &[], &RecordOptions::default()) {
        Ok(_) => panic!("{program} runs"),
        Err(error) => error,
    };
    for missing in ["no-such-command-anywhere", "/no/such/command", ""] {
        let error = launch(missing);
        assert!(matches!(error, Error::CommandNotFound { .. }), "{missing}: {error}");
    }
    let plain = scratch_file("plain", b"text", 0o644);
    for unexecutable in [plain.to_str().unwrap(), "/"] {
        let error = launch(unexecutable);
        assert!(matches!(error, Error::CommandNotExecutable { .. }), "{unexecutable}: {error}");
    }
}

#[test]
fn a_running_process_is_recorded_on_all_its_threads_with_what_was_there_before() {
    let mut target = Role::start("spin-on-three-threads");
    let mut recorder = Recorder::attach(target.pid(), &RecordOptions::default()).expect("attach");
    let mut seen = Seen::default();
    let spinning = |seen: &Seen| -> Vec<u32> {
        seen.names.iter().filter(|(_, name)| name.starts_with("spinner")).map(|(tid, _)| *tid).collect()
    };
    record_until(&mut recorder, &mut seen, |seen| {
        let threads = spinning(seen);
        threads.len() == 3
            && threads.iter().all(|tid| seen.samples.get(&(target.pid(), *tid)).is_some_and(|n| *n > 20))
    });
    recorder.finish(&mut |event| seen.add(event)).expect("finish");
    assert!(seen.mapped.iter().any(|(_, path)| path.contains("libc")), "{seen:?}");
    assert!(seen.mapped.iter().any(|(_, path)| path == "[vdso]"), "{seen:?}");
    assert!(seen.times.is_sorted());
    assert!(seen.with_pattern > 20, "{} stacks hold the pattern", seen.with_pattern);
    assert!(target.is_alive(), "a recording does not end its target");
}

#[test]
fn threads_that_come_and_go_while_attaching_count_once() {
    let mut target = Role::start("spin-on-ever-new-threads");
    let mut twice = Vec::new();
    for _ in 0..3 {
        let outside = target.cpu_time();
        let mut recorder = Recorder::attach(target.pid(), &RecordOptions::default()).expect("attach");
        let inside = target.cpu_time();
        let mut seen = Seen::default();
        record_until(&mut recorder, &mut seen, |seen| seen.samples_and_losses() > 600);
        let inside = (target.cpu_time() - inside).as_secs_f64();
        recorder.finish(&mut |event| seen.add(event)).expect("finish");
        let outside = (target.cpu_time() - outside).as_secs_f64();
        let (least, most) = (inside * 999.0 * 0.8, outside * 999.0 * 1.2);
        let count = seen.samples_and_losses() as f64;
        assert!((least..=most).contains(&count), "{count} is not between {least} and {most}");

        // A thread with two events has two samples in each millisecond of its CPU time.
        for (thread, times) in seen.times_by_thread {
            let gaps = times.windows(2).map(|pair| pair[1].since_ns(pair[0]));
            let short = gaps.filter(|ns| *ns < 900_000).count();
            if times.len() > 10 && short > times.len() / 3 {
                twice.push((thread, times));
            }
        }
    }
    assert!(twice.is_empty(), "{} threads count twice: {twice:?}", twice.len());
    assert!(target.is_alive());
}

#[test]
fn a_target_that_ends_ends_the_recording_with_all_that_it_did() {
    let mut target = Role::start("spin-until-told");
    let mut recorder = Recorder::attach(target.pid(), &RecordOptions::default()).expect("attach");
    let mut seen = Seen::default();
    record_until(&mut recorder, &mut seen, |seen| seen.samples_of(target.pid()) > 20);
    target.tell_to_end();
    while recorder.poll(POLL, &mut |event| seen.add(event)).expect("poll") == Target::Runs {}
    let finished = recorder.finish(&mut |event| seen.add(event)).expect("finish");
    assert!(seen.exited.contains(&target.pid()), "{seen:?}");
    assert!(finished.launched.is_none());
}

#[test]
fn a_wait_counts_as_time_off_the_cpu_with_the_stack_that_it_began_with() {
    let script = "sleep 0.3; sleep 0.2; :";
    let (seen, finished) = record("sh", &["-c", script], &RecordOptions::off_cpu());
    let shell = finished.launched.as_ref().unwrap().pid();
    let recording_ns = finished.ended.since_ns(finished.started);
    let waited_ns = seen.weights[&(shell, shell)];
    assert!((500_000_000..=recording_ns).contains(&waited_ns), "{waited_ns} of {recording_ns} ns: {seen:?}");
    let sleeps = seen.weights.iter().filter(|((pid, _), _)| *pid != shell).map(|(_, ns)| *ns);
    let slept_ns = sleeps.sum::<u64>();
    assert!((500_000_000..=recording_ns).contains(&slept_ns), "{slept_ns} of {recording_ns} ns: {seen:?}");
    assert_eq!(seen.in_kernel, seen.samples.values().sum::<u64>(), "threads leave the CPU in the kernel");
    assert!(seen.times.is_sorted());
}

#[test]
fn a_thread_that_still_waits_at_the_end_counts_up_to_the_end() {
    let mut target = Role::start("sleep-on-ever-more-threads");
    let mut recorder = Recorder::attach(target.pid(), &RecordOptions::off_cpu()).expect("attach");
    let mut seen = Seen::default();
    // They come one after the other, so the first one sleeps while the others begin.
    let asleep = |seen: &Seen| -> Vec<u32> {
        seen.started.iter().filter(|tid| seen.names.contains(&(**tid, "asleep".into()))).copied().collect()
    };
    record_until(&mut recorder, &mut seen, |seen| asleep(seen).len() > 10);
    let finished = recorder.finish(&mut |event| seen.add(event)).expect("finish");
    let waited_ns = seen.weights[&(target.pid(), asleep(&seen)[0])];
    let at_least_ns = SLEEPERS_APART.as_nanos() as u64;
    let recording_ns = finished.ended.since_ns(finished.started);
    assert!((at_least_ns..=recording_ns).contains(&waited_ns), "{waited_ns} of {recording_ns} ns: {seen:?}");
    assert!(target.is_alive());
}

#[test]
fn a_process_that_is_not_there_is_told_so() {
    let mut child = Command::new("true").spawn().expect("spawn");
    child.wait().expect("wait");
    for pid in [child.id(), 0, u32::MAX] {
        let error = Recorder::attach(pid, &RecordOptions::default()).err().expect("nothing to attach to");
        assert!(matches!(error, Error::NoSuchProcess { pid: of } if of == pid), "{error}");
    }
}

#[test]
fn a_process_that_has_ended_and_was_not_waited_for_is_told_so() {
    let mut child = Command::new("true").stdout(Stdio::piped()).spawn().expect("spawn");
    // The end of its output is the end of the process, or just before.
    child.stdout.take().unwrap().read_to_end(&mut Vec::new()).expect("read");
    while fs::read_to_string(format!("/proc/{}/stat", child.id())).is_ok_and(|stat| !stat.contains(") Z ")) {
        thread::yield_now();
    }
    let error = Recorder::attach(child.id(), &RecordOptions::default()).err().expect("nothing to attach to");
    assert!(matches!(error, Error::ProcessEnded { .. }), "{error}");
    child.wait().expect("wait");
}

#[test]
fn a_frequency_out_of_range_is_refused() {
    for frequency_hz in [0, 10_001] {
        let options = RecordOptions { frequency_hz, ..RecordOptions::default() };
        let error = Recorder::launch("true".as_ref(), &[], &options).err().expect("refused");
        assert!(matches!(error, Error::Frequency { asked_hz } if asked_hz == frequency_hz), "{error}");
    }
}

#[test]
fn what_a_full_buffer_loses_is_counted() {
    let options = RecordOptions { frequency_hz: 10_000, ..RecordOptions::default() };
    let script = count_to(250_000);
    let mut recorder =
        Recorder::launch("sh".as_ref(), &["-c".into(), script.into()], &options).expect("launch");
    // Nobody reads while it runs.
    let target = rustix::event::PollFd::from_borrowed_fd(recorder.target_fd(), rustix::event::PollFlags::IN);
    rustix::event::poll(&mut [target], None).expect("poll");
    let mut seen = Seen::default();
    recorder.poll(POLL, &mut |event| seen.add(event)).expect("poll");
    let finished = recorder.finish(&mut |event| seen.add(event)).expect("finish");
    let ended = finished.launched.unwrap().wait().unwrap();
    assert!(seen.lost.get(&LossCause::BufferFull).is_some_and(|lost| *lost > 100), "{:?}", seen.lost);
    expect_about(seen.samples_and_losses(), ended.cpu_time.as_secs_f64() * 10_000.0, 0.2);
}

#[test]
fn without_stack_copies_there_are_frame_pointers() {
    let options = RecordOptions { stack_bytes: 0, ..RecordOptions::default() };
    let arguments = ["-c".into(), OsString::from(count_to(100_000))];
    let mut recorder = Recorder::launch("sh".as_ref(), &arguments, &options).expect("launch");
    let mut samples = 0;
    let mut check = |event: Event<'_>| {
        if let Event::Sample(sample) = event {
            assert!(sample.stack.is_empty() && !sample.stack_cut);
            assert!(!sample.user_by_frame_pointer.is_empty());
            samples += 1;
        }
    };
    while recorder.poll(POLL, &mut check).expect("poll") == Target::Runs {}
    recorder.finish(&mut check).expect("finish");
    assert!(samples > 20, "{samples}");
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that cannot run here says so")]
fn a_user_without_privileges_is_told_what_is_missing_and_gets_the_rest() {
    if !rustix::process::geteuid().is_root() {
        assert!(env::var_os("CI").is_none(), "this test must run as root, to have privileges to give up");
        eprintln!("skipped: needs root, to give up its privileges");
        return;
    }
    let target = Role::start("spin-until-told");
    let mut attempt = Role::command("attach-and-launch");
    attempt.env("LOOPSCOPE_TEST_TARGET", target.pid().to_string()).uid(NOBODY).gid(NOBODY);
    let output = attempt.output().expect("run");
    let output = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let paranoid: i32 =
        fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap().trim().parse().unwrap();
    let expect = |text: &str| assert!(output.contains(text), "no {text:?} in {output}");
    expect(&format!("attach: process {} belongs to user 0, not to user {NOBODY}", target.pid()));
    let mlock_kb: u64 =
        fs::read_to_string("/proc/sys/kernel/perf_event_mlock_kb").unwrap().trim().parse().unwrap();
    if (0..=2).contains(&paranoid) && mlock_kb < 1024 {
        expect("no memory: copying");
    }
    match paranoid {
        ..=1 => expect("launch: sampled"),
        2 => {
            expect("off-CPU: threads leave the CPU inside the kernel; seeing that needs CAP_PERFMON");
            expect("notice: time in the kernel is left out: seeing it needs CAP_PERFMON");
            expect("launch: sampled");
        }
        3.. => expect(&format!(
            "launch: sampling needs CAP_PERFMON or kernel.perf_event_paranoid at most 2; it is {paranoid}"
        )),
    }
}

#[test]
fn too_few_descriptors_are_told_with_the_limit() {
    let output = Role::command("launch-with-few-descriptors").output().expect("run");
    let output = String::from_utf8_lossy(&output.stdout);
    assert!(output.contains("sampling needs a descriptor for each thread on each CPU"), "{output}");
    assert!(output.contains("raise it (`ulimit -n`)"), "{output}");
}

/// A file with these contents and permissions, in a directory of the test run.
fn scratch_file(name: &str, contents: &[u8], mode: u32) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, contents).expect("write");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("permissions");
    path
}

/// This test program, started again in a role, until dropped.
struct Role(Child);

impl Role {
    fn command(role: &str) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command.args(["role", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env("LOOPSCOPE_TEST_ROLE", role).stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    /// Starts the role, and waits until it says that it plays.
    fn start(role: &str) -> Self {
        let mut child = Self::command(role).spawn().expect("start a role");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.expect("read").contains("playing")), "the role did not begin");
        Self(child)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().expect("wait").is_none()
    }

    fn tell_to_end(&mut self) {
        self.0.stdin.take();
    }

    /// User and system time of the process, from the fields 14 and 15 of its accounts, in ticks of 10 ms.
    fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("accounts");
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = |field: usize| fields[field - 3].parse::<u64>().unwrap();
        Duration::from_millis((ticks(14) + ticks(15)) * 10)
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Not a test: what this program does when a test has started it again.
#[test]
#[ignore = "a role that other tests start"]
fn role() {
    let say = |text: &str| {
        let mut out = std::io::stdout();
        writeln!(out, "{text}").and_then(|()| out.flush()).expect("say");
    };
    match env::var("LOOPSCOPE_TEST_ROLE").as_deref() {
        Ok("spin-on-three-threads") => {
            let spin =
                |name: &str| thread::Builder::new().name(name.into()).spawn(spin_with_pattern).unwrap();
            let threads = ["spinner-a", "spinner-b", "spinner-c"].map(spin);
            say("playing");
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
        Ok("spin-on-ever-new-threads") => {
            // Many short ones, so that some begin just when others are found; a few that live long enough to be seen.
            let start_one_after_the_other = || {
                for n in 0u32.. {
                    let cpu_ns = if n.is_multiple_of(3) { 100_000_000 } else { 500_000 };
                    thread::spawn(move || spin_for(cpu_ns)).join().unwrap();
                }
            };
            (0..100).for_each(|_| _ = thread::spawn(start_one_after_the_other));
            say("playing");
            thread::sleep(Duration::MAX);
        }
        Ok("sleep-on-ever-more-threads") => {
            say("playing");
            // Until it is recorded nobody hears of new threads: so there is one after the other.
            loop {
                let asleep = || thread::sleep(Duration::from_secs(3600));
                thread::Builder::new().name("asleep".into()).spawn(asleep).unwrap();
                thread::sleep(SLEEPERS_APART);
            }
        }
        Ok("spin-until-told") => {
            say("playing");
            thread::spawn(spin_with_pattern);
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
            std::process::exit(0);
        }
        Ok("attach-and-launch") => {
            let pid = env::var("LOOPSCOPE_TEST_TARGET").unwrap().parse().unwrap();
            match Recorder::attach(pid, &RecordOptions::default()) {
                Ok(_) => say("attach: succeeded"),
                Err(error) => say(&format!("attach: {error}")),
            }
            let arguments = ["-c".into(), OsString::from(count_to(100_000))];
            match Recorder::launch("sh".as_ref(), &arguments, &RecordOptions::default()) {
                Ok(mut recorder) => {
                    recorder.notices().iter().for_each(|notice: &Notice| say(&format!("notice: {notice}")));
                    let mut seen = Seen::default();
                    while recorder.poll(POLL, &mut |event| seen.add(event)).unwrap() == Target::Runs {}
                    recorder.finish(&mut |event| seen.add(event)).unwrap();
                    let samples: u64 = seen.samples.values().sum();
                    let leaks = if seen.in_kernel > 0 { "sees the kernel" } else { "user only" };
                    say(&format!("launch: {} {leaks}", if samples > 20 { "sampled" } else { "missed" }));
                }
                Err(error) => say(&format!("launch: {error}")),
            }
            if let Err(error) = Recorder::launch("true".as_ref(), &[], &RecordOptions::off_cpu()) {
                say(&format!("off-CPU: {error}"));
            }
            let none = Rlimit { current: Some(0), maximum: Some(0) };
            setrlimit(Resource::Memlock, none).unwrap();
            match Recorder::launch("true".as_ref(), &[], &RecordOptions::default()) {
                Ok(recorder) => {
                    recorder.notices().iter().for_each(|notice| say(&format!("no memory: {notice}")))
                }
                Err(error) => say(&format!("no memory: {error}")),
            }
        }
        Ok("launch-with-few-descriptors") => {
            // Enough for the pipes to the command and the first of many events.
            let next = std::fs::File::open("/dev/null").unwrap().as_raw_fd() as u64;
            let few = Rlimit { current: Some(next + 4), maximum: Some(next + 4) };
            setrlimit(Resource::Nofile, few).unwrap();
            match Recorder::launch("true".as_ref(), &[], &RecordOptions::default()) {
                Ok(_) => say("succeeded"),
                Err(error) => say(&error.to_string()),
            }
        }
        // Started by hand, with all ignored tests.
        _ => {}
    }
}

fn spin_for(cpu_ns: i64) {
    let spent = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec * 1_000_000_000 + time.tv_nsec
    };
    while spent() < cpu_ns {}
}

fn spin_with_pattern() {
    let pattern = black_box(PATTERN);
    loop {
        black_box(&pattern);
    }
}
