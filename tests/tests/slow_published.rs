//! A program on our runtime publishes its slow iterations one by one: the agent lists them, makes them exemplars and spans, and `loopscope profile
//! --slow` shows their code.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant, UNIX_EPOCH};

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::example;
use loopscope_tests::folder::Folder;
use loopscope_tests::formats::folded;
use loopscope_tests::http;
use loopscope_tests::loopscope::{self, Agent, Demo};
use loopscope_tests::otlp::{Protocol, Receiver};
use loopscope_tests::process::run;
use loopscope_tests::recording::Sample;
use loopscope_tests::requirement;
use serde_json::Value;

/// A service that does nothing unless it is asked to.
const QUIET: [&str; 4] = ["--rate", "0", "--block", "250ms"];

/// How long it then blocks its loop, in seconds.
const BLOCK: f64 = 0.25;

fn unix_seconds() -> f64 {
    UNIX_EPOCH.elapsed().expect("a clock that is set").as_secs_f64()
}

/// Blocks the loop of the demo once; when it began to, and when it had, in seconds since the UNIX epoch.
fn block(demo: &Demo) -> (f64, f64) {
    let began = unix_seconds();
    let answer = http::get(demo.address(), "/block", &[]).expect("the demo answers");
    assert_eq!(answer.status, 200);
    // A later iteration answers: that of the block is over.
    http::get(demo.address(), "/", &[]).expect("the demo answers");
    (began, unix_seconds())
}

/// The slow iterations of a process that were long enough to be the block, the newest first.
fn blocks(agent: &Agent, pid: u32) -> Vec<Value> {
    let answer = agent.get("/slow", ("accept", "application/json"));
    let list: Value = serde_json::from_str(answer.text()).expect("JSON");
    let list = list["slow_iterations"].as_array().expect("a list").clone();
    let is_block = |entry: &Value| {
        entry["pid"].as_u64() == Some(pid.into()) && entry["duration_seconds"].as_f64() >= Some(BLOCK)
    };
    list.into_iter().filter(is_block).collect()
}

#[test]
fn a_block_is_listed_with_its_phase_and_is_the_exemplar_of_the_lag() {
    let demo = Demo::start(&QUIET);
    // Before the agent comes: the program itself remembers it.
    let (began, ended) = block(&demo);
    let agent = Agent::start_with(&["--slow", "150ms"]);
    let within = |entry: &Value, (began, ended): (f64, f64)| {
        let start = entry["started_unix_seconds"].as_f64().expect("a number");
        let length = entry["duration_seconds"].as_f64().expect("a number");
        // Two clocks are read, one after the other.
        start > began - 0.05 && start + length < ended + 0.05
    };
    wait_for("the block of before", SOON, || {
        blocks(&agent, demo.pid()).into_iter().find(|entry| within(entry, (began, ended)))
    });

    let asked = block(&demo);
    let entry = wait_for("the block", SOON, || {
        blocks(&agent, demo.pid()).into_iter().find(|entry| within(entry, asked))
    });
    let seconds = entry["duration_seconds"].as_f64().expect("a number");
    assert!((BLOCK..asked.1 - asked.0 + 0.01).contains(&seconds), "{entry}");
    let in_poll = entry["phase_seconds"]["poll_callbacks"].as_f64().expect("the phase that blocked");
    assert!((BLOCK..=seconds).contains(&in_poll), "{entry}");
    let thread = entry["thread"].as_u64().expect("a thread");
    assert!(fs::exists(format!("/proc/{}/task/{thread}", demo.pid())).unwrap(), "{entry}");
    assert_eq!(entry["loop"], "main", "{entry}");

    let answer = agent.get("/metrics", ("accept", "application/openmetrics-text"));
    let (of_process, of_loop) = (format!("pid=\"{}\"", demo.pid()), format!("service={}", entry["service"]));
    let is_it = |line: &&str| line.starts_with("eventloop_lag_seconds_bucket") && line.contains(" # {");
    let with_exemplar: Vec<&str> = answer.text().lines().filter(is_it).collect();
    let own = with_exemplar.iter().find(|line| line.contains(&of_process) && line.contains(&of_loop));
    let own = own.unwrap_or_else(|| panic!("no exemplar of {of_process}, {of_loop}: {with_exemplar:?}"));
    assert!(own.contains("phase=\"poll_callbacks\""), "{own}");
    assert!(own.contains(&format!("thread_id=\"{thread}\"")), "{own}");
    let (series, exemplar) = own.split_once(" # {").expect("an exemplar");
    let value: f64 = exemplar
        .split_once("} ")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
        .expect("a value");
    let bound = series.split_once("le=\"").and_then(|(_, rest)| rest.split('"').next()?.parse::<f64>().ok());
    assert!(value >= BLOCK && value <= bound.expect("a bound"), "{own}");
}

#[test]
fn a_block_is_the_exemplar_of_the_export_that_comes_right_after_it() {
    let demo = Demo::start(&QUIET);
    let agent = Agent::start_with(&["--slow", "150ms"]);
    let of_process = [("pid", &*demo.pid().to_string())];
    wait_for("the demo", SOON, || agent.scrape().value("eventloop_iterations_total", &of_process));
    let pid = format!("pid=\"{}\"", demo.pid());
    // One that is looked for some times a second comes in time by chance, and not five times.
    for _ in 0..5 {
        agent.get("/metrics", ("accept", "application/openmetrics-text"));
        block(&demo);
        let answer = agent.get("/metrics", ("accept", "application/openmetrics-text"));
        let mut lines = answer.text().lines();
        let is_it = |line: &str| line.contains(&pid) && line.contains(" # {") && line.contains("thread_id=");
        assert!(lines.any(is_it), "{}", answer.text());
    }
}

#[test]
fn the_last_block_of_a_process_that_ends_is_listed() {
    let agent = Agent::start_with(&["--slow", "150ms"]);
    let demo = Demo::start(&QUIET);
    let (pid, text) = (demo.pid(), demo.pid().to_string());
    wait_for("the demo", SOON, || agent.scrape().value("eventloop_iterations_total", &[("pid", &*text)]));
    let known = blocks(&agent, pid).len();
    assert_eq!(known, 0);
    block(&demo);
    drop(demo);
    wait_for("the block", SOON, || blocks(&agent, pid).into_iter().next());
}

#[test]
fn the_thread_of_a_program_in_another_pid_namespace_is_told_by_our_number() {
    let (true, Some(unshare)) = (requirement::root(), requirement::program("unshare")) else { return };
    let mut command = Command::new(unshare);
    command.args(["--pid", "--fork", "--kill-child"]).arg(loopscope::program());
    let demo = Demo::start_by(&mut command, &QUIET);
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", demo.pid())).expect("it runs");
    let pid: u32 = children.trim().parse().expect("one child");
    let agent = Agent::start_with(&["--slow", "150ms"]);
    block(&demo);
    let entry = wait_for("the block", SOON, || blocks(&agent, pid).into_iter().next());
    let thread = entry["thread"].as_u64().expect("a thread");
    let status = fs::read_to_string(format!("/proc/{pid}/task/{thread}/status")).expect("a thread of it");
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).expect("the kernel tells it");
    let ids: Vec<u64> = ids.split_whitespace().map(|id| id.parse().expect("a number")).collect();
    assert!(ids.len() == 2 && ids[0] == thread && ids[1] < thread, "{entry} {ids:?}");
}

#[test]
fn a_loop_that_is_quicker_than_the_threshold_is_not_listed() {
    let demo = Demo::start(&["--rate", "0", "--block", "40ms"]);
    let agent = Agent::start_with(&["--slow", "30s"]);
    (0..3).for_each(|_| {
        let _ = block(&demo);
    });
    // Its figures have come, and with them whatever there was to list.
    wait_for("the program's iterations", SOON, || {
        let of_process = [("pid", &*demo.pid().to_string())];
        agent.scrape().value("eventloop_iterations_total", &of_process).filter(|count| *count > 3.0)
    });
    std::thread::sleep(Duration::from_secs(1));
    let answer = agent.get("/slow", ("accept", "application/json"));
    let list: Value = serde_json::from_str(answer.text()).expect("JSON");
    let is_own = |entry: &&Value| entry["pid"].as_u64() == Some(demo.pid().into());
    assert_eq!(list["slow_iterations"].as_array().expect("a list").iter().find(is_own), None);
}

#[test]
fn a_loop_that_does_not_come_back_is_told_to_be_away_until_its_process_is_gone() {
    let demo = Demo::start(&["--rate", "0", "--block", "10m"]);
    let agent = Agent::start();
    let pid = demo.pid().to_string();
    let away = || agent.scrape().value("eventloop_away_seconds", &[("pid", &pid), ("loop", "main")]);
    wait_for("the loop to wait in its poll", SOON, || away().filter(|seconds| *seconds == 0.0));

    let began = Instant::now();
    let mut stuck = TcpStream::connect(demo.address()).expect("the demo listens");
    stuck.write_all(b"GET /block HTTP/1.1\r\nHost: demo\r\n\r\n").expect("the demo listens");
    let timed = || {
        let began = Instant::now();
        Some((began, away().filter(|seconds| *seconds > 1.0)?, Instant::now()))
    };
    let first = wait_for("the loop to be stuck", SOON, timed);
    let (second, seconds, _) = (Instant::now(), away().expect("it is still there"), Instant::now());
    // As long as it has been, and not as long as a reading of some time before.
    assert!(seconds <= began.elapsed().as_secs_f64(), "{seconds}");
    assert!(seconds - first.1 >= (second - first.2).as_secs_f64(), "{first:?}, then {seconds}");

    let top = ["top", "--once", "--json", "--interval", "500ms", "--pid", &pid];
    let shown = run(loopscope::command().args(top), SOON).stdout;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let shown = &shown["loops"][0];
    assert!(shown["away_seconds"].as_f64() > Some(seconds), "{shown}");
    assert!(shown["lag_max_seconds"].as_f64() > Some(seconds), "{shown}");
    assert!(shown["utilization_ratio"].as_f64() > Some(0.99), "{shown}");

    // Nobody has asked for its status yet: its number is still there, and so is its memory, for the agent holds it.
    run(Command::new("kill").args(["-KILL", &pid]), SOON);
    wait_for("its series to end", SOON, || away().is_none().then_some(()));
    assert!(fs::exists(format!("/proc/{pid}")).unwrap());
}

/// The slow iterations of a process that are counted, and those that are listed.
fn counted_and_listed(agent: &Agent, pid: u32) -> Option<(f64, usize)> {
    let of_process = [("pid", &*pid.to_string()), ("loop", "main")];
    let counted = agent.scrape().value("eventloop_slow_iterations_total", &of_process)?;
    let answer = agent.get("/slow", ("accept", "application/json"));
    let list: Value = serde_json::from_str(answer.text()).expect("JSON");
    let is_own = |entry: &&Value| entry["pid"].as_u64() == Some(pid.into());
    Some((counted, list["slow_iterations"].as_array().expect("a list").iter().filter(is_own).count()))
}

#[test]
fn slow_iterations_are_counted_from_when_the_agent_came_where_the_program_tells_all_of_them() {
    let demo = Demo::start(&QUIET);
    block(&demo);
    let agent = Agent::start_with(&["--slow", "150ms"]);
    let before = wait_for("the demo", SOON, || counted_and_listed(&agent, demo.pid()));
    assert!(before.0 + 1.0 <= before.1 as f64, "the block of before is not counted: {before:?}");
    for _ in 0..3 {
        block(&demo);
    }
    wait_for("as many as are listed", SOON, || {
        let (counted, listed) = counted_and_listed(&agent, demo.pid())?;
        let (counted, listed) = (counted - before.0, listed - before.1);
        (listed >= 3 && counted == listed as f64).then_some(())
    });
    // From 10 ms on its loop tells of them: how many there are of 5 ms, nobody knows.
    let agent = Agent::start_with(&["--slow", "5ms"]);
    let of_process = [("pid", &*demo.pid().to_string())];
    let scrape = wait_for("the demo", SOON, || {
        let scrape = agent.scrape();
        scrape.value("eventloop_iterations_total", &of_process).map(|_| scrape)
    });
    assert_eq!(scrape.value("eventloop_slow_iterations_total", &of_process), None);
}

#[test]
fn over_otlp_a_block_is_a_span_to_which_the_exemplar_of_the_lag_leads() {
    let Some(receiver) = Receiver::start(Protocol::Http) else { return };
    let demo = Demo::start(&QUIET);
    let before = block(&demo);
    let agent = receiver.agent(&["--otlp-traces", "--slow", "150ms"]);
    // The agent has come when it lists what was before.
    wait_for("the block of before", SOON, || (!blocks(&agent, demo.pid()).is_empty()).then_some(()));
    let pid = u64::from(demo.pid());
    let deadline = Instant::now() + 3 * SOON;
    let (exemplar, span) = loop {
        block(&demo);
        let requests = receiver.requests();
        let points = requests.iter().flat_map(|request| request.points());
        let of_lag = points.filter(|point| {
            point.name() == "eventloop.lag" && point.resource("process.pid").as_u64() == Some(pid)
        });
        let mut exemplars = of_lag.filter_map(|point| point.field("exemplars").get(0).cloned());
        let spans = receiver.spans();
        let found = exemplars.find_map(|exemplar| {
            let span = spans.iter().find(|span| span["span"] == exemplar["span"])?;
            Some((exemplar.clone(), span.clone()))
        });
        if let Some(found) = found {
            break found;
        }
        assert!(Instant::now() < deadline, "no exemplar leads to a span: {spans:?}");
    };
    let time = |value: &Value| value.as_u64().expect("a time") as f64 / 1e9;
    let length = time(&span["end"]) - time(&span["start"]);
    assert!(length >= BLOCK, "{span}");
    assert!((length - exemplar["value"].as_f64().expect("a number")).abs() < 1e-6, "{span} {exemplar}");
    assert_eq!(exemplar["attributes"]["phase"], "poll_callbacks");
    let spans = receiver.spans();
    let child = spans.iter().find(|child| child["parent"] == span["span"]).expect("the phase's span");
    assert_eq!(child["name"], "poll_callbacks");
    // It may have been told by an agent before this one.
    let of_before = spans.iter().find(|span| time(&span["start"]) < before.1);
    assert_eq!(of_before, None, "what was before the agent is no span");
    // One start time of a process, whatever the signal.
    let created = |resource: &Value| resource["process.creation.time"].clone();
    let requests = receiver.requests();
    let mut points = requests.iter().flat_map(|request| request.points());
    let point = points.find(|point| point.resource("process.pid").as_u64() == Some(pid)).expect("a point");
    assert_eq!(created(&span["resource"]), *point.resource("process.creation.time"));
}

#[test]
fn a_profile_of_slow_iterations_shows_the_function_that_blocks() {
    if !requirement::root() {
        return;
    }
    let demo = Demo::start(&["--rate", "300", "--block", "60ms"]);
    let folder = Folder::new("slow-published");
    let output = folder.file("slow.folded");
    let profile = |options: &[&str]| {
        let mut command = loopscope::command();
        command.args(["profile", "--duration", "4s", "--pid", &demo.pid().to_string(), "--output"]);
        let told = run(command.arg(&output).args(options), Duration::from_secs(60)).stderr;
        let recording = folded::read(&fs::read_to_string(&output).expect("the profile was written"));
        let blocks =
            |sample: &&Sample| sample.frames.iter().any(|frame| frame.function.contains("block_the_loop"));
        let total: u64 = recording.samples.iter().map(|sample| sample.weight).sum();
        let of_function: u64 = recording.samples.iter().filter(blocks).map(|sample| sample.weight).sum();
        assert!(total > 0, "nothing was recorded: {told}");
        (of_function as f64 / total as f64, told)
    };
    let ((all, _), (slow, told)) = (profile(&[]), profile(&["--slow", "50ms"]));
    assert!(all < 0.8 && slow > 0.9, "{all} of all, {slow} of the slow: {told}");
    assert!(told.contains("iterations were longer than 50ms"), "{told}");
    // From 10 ms on its loop tells of them.
    let (_, told) = profile(&["--slow", "1ms"]);
    assert!(told.contains("only iterations of 10ms or longer"), "{told}");
}

/// Once the figures of a loop were gone when another one began right after its end.
#[test]
fn a_loop_that_ends_just_before_another_begins_has_its_slow_iteration_in_the_profile() {
    if !requirement::root() {
        return;
    }
    let folder = Folder::new("slow-primes");
    let output = folder.file("slow.folded");
    let mut command = loopscope::command();
    command.args(["profile", "--slow", "50ms", "--output"]).arg(&output).arg("--");
    let primes = example::command("loopscope-runtime", "primes");
    let told = run(command.arg(primes.get_program()).arg("1000000"), Duration::from_secs(300)).stderr;
    let slow: u64 = told
        .lines()
        .find_map(|line| {
            line.split_once(" of ").filter(|(_, rest)| rest.contains("iterations were longer"))?;
            line.split_whitespace().find_map(|word| word.parse().ok())
        })
        .unwrap_or_else(|| panic!("{told}"));
    assert!(slow >= 1, "{told}");
    let recording = folded::read(&fs::read_to_string(&output).expect("the profile was written"));
    let computes = |sample: &&Sample| sample.frames.iter().any(|frame| frame.function.contains("is_prime"));
    let total: u64 = recording.samples.iter().map(|sample| sample.weight).sum();
    let of_function: u64 = recording.samples.iter().filter(computes).map(|sample| sample.weight).sum();
    assert!(of_function > 0 && of_function as f64 > 0.5 * total as f64, "{of_function} of {total}: {told}");
}

#[test]
fn an_iteration_that_does_not_end_is_in_the_profile_though_it_began_before() {
    if !requirement::root() {
        return;
    }
    let demo = Demo::start(&["--rate", "0", "--block", "40s"]);
    let (address, pid) = (demo.address(), demo.pid());
    // It is never answered.
    std::thread::spawn(move || http::get(address, "/block", &[]));
    let folder = Folder::new("slow-endless");
    let output = folder.file("slow.folded");
    let deadline = Instant::now() + Duration::from_secs(30);
    // It may take a while until the request has come.
    let (recording, told) = loop {
        let mut command = loopscope::command();
        command.args(["profile", "--duration", "2s", "--slow", "1s", "--pid", &pid.to_string(), "--output"]);
        let told = run(command.arg(&output), Duration::from_secs(60)).stderr;
        if told.contains("had not ended when the recording did") {
            break (folded::read(&fs::read_to_string(&output).expect("the profile was written")), told);
        }
        assert!(Instant::now() < deadline, "{told}");
    };
    let blocks =
        |sample: &&Sample| sample.frames.iter().any(|frame| frame.function.contains("block_the_loop"));
    let total: u64 = recording.samples.iter().map(|sample| sample.weight).sum();
    let of_function: u64 = recording.samples.iter().filter(blocks).map(|sample| sample.weight).sum();
    assert!(total > 0 && of_function as f64 > 0.9 * total as f64, "{of_function} of {total}: {told}");
    assert!(told.contains("1 of "), "{told}");
}
