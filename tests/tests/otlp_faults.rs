//! Receivers that are down, slow, overloaded or unwilling: nothing is lost silently, and nobody else has to wait.

use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::folder::Folder;
use loopscope_tests::http::Load;
use loopscope_tests::loopscope::{Agent, Demo};
use loopscope_tests::otlp::{Protocol, Receiver, agent_command, free_port};

fn dropped(agent: &Agent, cause: &str) -> f64 {
    agent.scrape().value("loopscope_otlp_dropped_points_total", &[("cause", cause)]).unwrap()
}

fn exports(agent: &Agent, outcome: &str) -> f64 {
    agent.scrape().value("loopscope_otlp_exports_total", &[("outcome", outcome)]).unwrap()
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Load that ends by itself, and the number of hashes that came of it.
fn hashes(demo: &Demo) -> f64 {
    let load = Load::start(demo.address(), &["/hash"], 2, Duration::from_millis(5));
    load.wait_for_answers(20);
    load.stop();
    demo.truth()["requests"]["hash"].as_f64().unwrap()
}

fn tasks_at(receiver: &Receiver, pid: u32) -> Option<f64> {
    let request = receiver.requests().pop()?;
    request.value(Some(pid), "threadpool.tasks", &[("kind", "crypto"), ("outcome", "done")])
}

fn a_receiver_that_comes_back_gets_everything(protocol: Protocol) {
    let demo = Demo::start(&["--rate", "0"]);
    let port = free_port();
    let endpoint = format!("http://127.0.0.1:{port}");
    let agent = Agent::start_by(&mut agent_command(protocol), &["--otlp-endpoint", &endpoint]);
    wait_for("the failure to be told", SOON, || agent.told().contains("it is tried again").then_some(()));
    let done = hashes(&demo);
    wait_for("batches to wait", SOON, || {
        let queue = agent.scrape().value("loopscope_otlp_queue_bytes", &[])?;
        (exports(&agent, "retried") >= 2.0 && queue > 0.0).then_some(())
    });
    let came_back = unix_seconds();
    let Some(receiver) = Receiver::start_at(protocol, port, &[]) else { return };
    wait_for("the sums at the receiver", SOON, || {
        (tasks_at(&receiver, demo.pid()) == Some(done)).then_some(())
    });
    // Readings from the time when it was down are there, in order, each once.
    let requests = receiver.requests();
    let times: Vec<u64> = requests.iter().map(|request| request.points().next().unwrap().span().1).collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    let early = times.iter().filter(|&&time| (time as f64) < came_back * 1e9).count();
    assert!(early >= 2, "{early} of {} before {came_back}", times.len());
    wait_for("the queue to be empty", SOON, || {
        (agent.scrape().value("loopscope_otlp_queue_bytes", &[]) == Some(0.0)).then_some(())
    });
    assert!(agent.told().contains("takes points again"), "{}", agent.told());
    for cause in ["queue_full", "refused", "partial", "shutdown"] {
        assert_eq!(dropped(&agent, cause), 0.0, "{cause}");
    }

    // Down once more, and up again: a new process on the same port.
    drop(receiver);
    let done = hashes(&demo);
    wait_for("another failure", SOON, || {
        (agent.told().matches("it is tried again").count() >= 2).then_some(())
    });
    let receiver = Receiver::start_at(protocol, port, &[]).expect("it started before");
    wait_for("the sums, again", SOON, || (tasks_at(&receiver, demo.pid()) == Some(done)).then_some(()));
}

#[test]
fn over_grpc_a_receiver_that_comes_back_gets_everything() {
    a_receiver_that_comes_back_gets_everything(Protocol::Grpc);
}

#[test]
fn over_http_a_receiver_that_comes_back_gets_everything() {
    a_receiver_that_comes_back_gets_everything(Protocol::Http);
}

fn a_receiver_is_not_asked_before_the_time_that_it_gives(protocol: Protocol, order: &str) {
    let Some(mut receiver) = Receiver::start(protocol) else { return };
    receiver.answer(order);
    let agent = receiver.agent(&[]);
    let requests = receiver.wait_for_requests(2);
    let [first, second, ..] = &*requests else { unreachable!() };
    let waited = second.at() - first.at();
    assert!((3.0..8.0).contains(&waited), "{waited} s");
    let time = |request: &loopscope_tests::otlp::Request| request.points().next().unwrap().span().1;
    assert_eq!(time(first), time(second), "the same batch");
    assert!(!first.is_accepted() && second.is_accepted());
    assert_eq!(exports(&agent, "retried"), 1.0);
    assert_eq!(dropped(&agent, "refused"), 0.0);
}

#[test]
fn retry_after_is_honoured() {
    a_receiver_is_not_asked_before_the_time_that_it_gives(Protocol::Http, "1 http 503 3");
    a_receiver_is_not_asked_before_the_time_that_it_gives(Protocol::Http, "1 http 429 3");
}

#[test]
fn retry_info_is_honoured() {
    a_receiver_is_not_asked_before_the_time_that_it_gives(Protocol::Grpc, "1 grpc 14 3");
    a_receiver_is_not_asked_before_the_time_that_it_gives(Protocol::Grpc, "1 grpc 8 3");
}

fn what_is_refused_is_counted_and_not_sent_again(protocol: Protocol, order: &str, told: &str) {
    let Some(mut receiver) = Receiver::start(protocol) else { return };
    receiver.answer(order);
    let agent = receiver.agent(&[]);
    let requests = receiver.wait_for_requests(3);
    let points = requests[0].points().count() as f64;
    wait_for("the points to be counted", SOON, || (dropped(&agent, "refused") == points).then_some(()));
    let times: Vec<_> = requests.iter().map(|request| request.points().next().unwrap().span().1).collect();
    assert!(times[0] < times[1], "the batch after it");
    assert_eq!((exports(&agent, "refused"), exports(&agent, "retried")), (1.0, 0.0));
    assert!(agent.told().contains(told) && agent.told().contains("would not help"), "{}", agent.told());
}

#[test]
fn what_is_refused_for_good_is_counted_and_not_sent_again() {
    let told = "400 Bad Request: as it was told to";
    what_is_refused_is_counted_and_not_sent_again(Protocol::Http, "1 http 400", told);
    let told = "INVALID_ARGUMENT: as it was told to";
    what_is_refused_is_counted_and_not_sent_again(Protocol::Grpc, "1 grpc 3", told);
    let told = "RESOURCE_EXHAUSTED: as it was told to";
    what_is_refused_is_counted_and_not_sent_again(Protocol::Grpc, "1 grpc 8", told);
}

#[test]
fn points_that_were_not_taken_are_counted_and_told_of_once() {
    for protocol in [Protocol::Http, Protocol::Grpc] {
        let Some(mut receiver) = Receiver::start(protocol) else { return };
        receiver.answer("2 partial 3 too old by far");
        let agent = receiver.agent(&[]);
        receiver.wait_for_requests(3);
        wait_for("the points to be counted", SOON, || (dropped(&agent, "partial") == 6.0).then_some(()));
        assert_eq!((exports(&agent, "partial"), exports(&agent, "retried")), (2.0, 0.0));
        assert_eq!(agent.told().matches("too old by far").count(), 1, "{}", agent.told());
    }
}

#[test]
fn nobody_waits_for_a_receiver_that_hangs_or_hangs_up() {
    let Some(mut receiver) = Receiver::start(Protocol::Http) else { return };
    receiver.answer("1 slow 20");
    receiver.answer("2 reset");
    let mut command = receiver.agent_command();
    let agent = receiver.agent_by(command.env("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"), &[]);
    receiver.wait_for_requests(1);
    // It is waiting for the answer now.
    let began = Instant::now();
    agent.scrape();
    assert_eq!(agent.get("/-/healthy", ("accept", "*/*")).status, 200);
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
    receiver.wait_for_requests(3);
    assert!(agent.told().contains("did not answer within 1s 500ms"), "{}", agent.told());
    assert!(agent.told().contains("the connection broke"), "{}", agent.told());
    assert_eq!(exports(&agent, "retried"), 3.0);
}

#[test]
fn a_full_queue_drops_the_oldest_and_cumulative_sums_are_right_nevertheless() {
    let demo = Demo::start(&["--rate", "0"]);
    let folder = Folder::new("otlp-queue");
    let (config, port) = (folder.file("agent.toml"), free_port());
    fs::write(&config, format!("[otlp]\nendpoint = 'http://127.0.0.1:{port}'\nqueue = '24KiB'\n")).unwrap();
    let config = config.to_str().unwrap();
    let mut command = agent_command(Protocol::Http);
    let agent = Agent::start_by(command.env("OTEL_METRIC_EXPORT_INTERVAL", "50"), &["--config", config]);
    wait_for("the queue to be full", SOON, || (dropped(&agent, "queue_full") > 0.0).then_some(()));
    let queue = agent.scrape().value("loopscope_otlp_queue_bytes", &[]).unwrap();
    assert!(queue <= 24.0 * 1024.0, "{queue}");
    let done = hashes(&demo);
    let Some(receiver) = Receiver::start_at(Protocol::Http, port, &[]) else { return };
    wait_for("the sums at the receiver", Duration::from_secs(60), || {
        (tasks_at(&receiver, demo.pid()) == Some(done)).then_some(())
    });
}

#[test]
fn what_an_agent_kept_on_disk_the_next_one_sends() {
    let demo = Demo::start(&["--rate", "0"]);
    let folder = Folder::new("otlp-buffer");
    let (config, port, buffer) = (folder.file("agent.toml"), free_port(), folder.file("buffer"));
    let text = format!("[otlp]\nendpoint = 'http://127.0.0.1:{port}'\nbuffer = '{}'\n", buffer.display());
    fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let agent = Agent::start_by(&mut agent_command(Protocol::Http), &["--config", config]);
    let kept = || {
        let files = fs::read_dir(&buffer).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|file| file.extension().is_some_and(|it| it == "otlp")).collect::<Vec<_>>()
    };
    wait_for("batches on the disk", SOON, || (kept().len() >= 4).then_some(()));
    // A second agent has no business there.
    let mut second = agent_command(Protocol::Http);
    let second = second.args(["agent", "--listen", "127.0.0.1:0", "--config", config]).output().unwrap();
    assert!(String::from_utf8_lossy(&second.stderr).contains("another agent keeps its batches"));
    assert_eq!(second.status.code(), Some(2));
    agent.kill();
    let killed = unix_seconds();
    let mut files = kept();
    files.sort();
    fs::write(&files[1], &fs::read(&files[1]).unwrap()[..100]).unwrap();

    // The next one speaks gRPC, even.
    let done = hashes(&demo);
    let Some(receiver) = Receiver::start_at(Protocol::Grpc, port, &[]) else { return };
    let agent = Agent::start_by(&mut agent_command(Protocol::Grpc), &["--config", config]);
    assert!(agent.told().contains("1 files in") && agent.told().contains("not whole"), "{}", agent.told());
    wait_for("the sums at the receiver", SOON, || {
        (tasks_at(&receiver, demo.pid()) == Some(done)).then_some(())
    });
    let requests = receiver.requests();
    let times: Vec<u64> = requests.iter().map(|request| request.points().next().unwrap().span().1).collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    let early = times.iter().filter(|&&time| (time as f64) < killed * 1e9).count();
    assert_eq!(early, files.len() - 1);
    wait_for("the disk to be empty", SOON, || kept().is_empty().then_some(()));
}

fn the_end_of_the_agent_is_told_what_there_is(protocol: Protocol) {
    let Some(receiver) = Receiver::start(protocol) else { return };
    let demo = Demo::start(&["--rate", "0"]);
    let mut command = receiver.agent_command();
    // Only the beginning and the end are exported.
    let agent = receiver.agent_by(command.env("OTEL_METRIC_EXPORT_INTERVAL", "3600000"), &[]);
    receiver.wait_for_requests(1);
    let done = hashes(&demo);
    let ended = agent.stop(SOON);
    assert!(ended.stderr.contains("stopped") && !ended.stderr.contains("lost"), "{}", ended.stderr);
    assert_eq!(receiver.requests().len(), 2);
    assert_eq!(tasks_at(&receiver, demo.pid()), Some(done));
}

#[test]
fn an_agent_that_ends_exports_what_there_is() {
    the_end_of_the_agent_is_told_what_there_is(Protocol::Grpc);
    the_end_of_the_agent_is_told_what_there_is(Protocol::Http);
}

#[test]
fn an_agent_that_ends_does_not_wait_for_long_and_tells_what_is_lost() {
    let Some(mut receiver) = Receiver::start(Protocol::Grpc) else { return };
    receiver.answer("* slow 60");
    let agent = receiver.agent(&[]);
    receiver.wait_for_requests(1);
    let began = Instant::now();
    let ended = agent.stop(SOON);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(ended.stderr.contains("points could not be handed over within 5s"), "{}", ended.stderr);
}

#[test]
fn an_agent_that_ends_tries_a_receiver_that_was_down_once_more() {
    let (port, demo) = (free_port(), Demo::start(&["--rate", "0"]));
    let endpoint = format!("http://127.0.0.1:{port}");
    let mut command = agent_command(Protocol::Http);
    // One batch that fails until its waits are long.
    command.env("OTEL_METRIC_EXPORT_INTERVAL", "3600000");
    let agent = Agent::start_by(&mut command, &["--otlp-endpoint", &endpoint]);
    wait_for("three failures", SOON, || (exports(&agent, "retried") >= 3.0).then_some(()));
    let Some(receiver) = Receiver::start_at(Protocol::Http, port, &[]) else { return };
    let ended = agent.stop(SOON);
    assert!(!ended.stderr.contains("lost"), "{}", ended.stderr);
    let requests = receiver.requests();
    assert_eq!(requests.len(), 2, "that of the beginning and that of the end");
    assert!(requests[1].value(Some(demo.pid()), "eventloop.iterations", &[]).is_some());
}
