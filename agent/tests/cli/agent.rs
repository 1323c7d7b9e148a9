//! `loopscope agent`: targets that come and go, honest and hostile, and clients of every kind.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;

use flate2::read::GzDecoder;
use rustix::process::Signal;

use super::http::{get, request, send};
use super::program::{PATIENCE, Running, loopscope, run, stderr, stdout, wait_until};
use super::publisher::{Command, Publisher};

const PROTOBUF: &str =
    "accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

/// An agent on a free port.
fn start_agent() -> (Running, SocketAddr) {
    started(&mut loopscope(&["agent", "--listen", "127.0.0.1:0"]))
}

fn started(command: &mut std::process::Command) -> (Running, SocketAddr) {
    let mut agent = Running::start(command);
    let line = agent.expect_line("serving metrics on http://");
    let address = line.split("http://").nth(1).unwrap().trim_end_matches("/metrics").parse().unwrap();
    (agent, address)
}

fn scrape(address: SocketAddr) -> String {
    let answer = get(address, "/metrics", &[]);
    assert_eq!(answer.status, 200);
    answer.text().to_owned()
}

/// The value of the series whose name and labels these are.
fn value(metrics: &str, series: &str) -> Option<f64> {
    let rest = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(rest.parse().expect("a number"))
}

fn labels(publisher: &Publisher, service: &str) -> String {
    format!("service=\"{service}\",pid=\"{}\"", publisher.pid())
}

#[test]
fn a_target_appears_and_disappears_with_its_process() {
    let (_agent, address) = start_agent();
    let mut publisher = Publisher::that_does(Command::Publish, "comes-and-goes");
    let labels = labels(&publisher, "comes-and-goes");
    wait_until("the target appears", || scrape(address).contains(&labels));

    let metrics = scrape(address);
    let series = |name: &str, own: &str| value(&metrics, &format!("{name}{{{labels}{own}}}"));
    assert_eq!(series("eventloop_iterations_total", ",loop=\"main\""), Some(1.0));
    assert_eq!(series("eventloop_lag_seconds_sum", ",loop=\"main\""), Some(0.001));
    assert_eq!(series("threadpool_queue_wait_seconds_count", ",kind=\"fs\""), Some(1.0));
    assert!(series("process_resident_memory_bytes", "").unwrap() > 100_000.0);
    assert!(series("process_open_fds", "").unwrap() >= 4.0);
    assert!(series("process_start_time_seconds", "").unwrap() > 1.6e9);
    assert!(value(&metrics, "loopscope_targets{state=\"measured\"}").unwrap() >= 1.0);

    // Killed and not even reaped: at the next scrape it is gone.
    publisher.kill();
    wait_until("the process has ended", || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", publisher.pid())).unwrap();
        stat.rsplit(')').next().unwrap().trim_start().starts_with('Z')
    });
    assert!(!scrape(address).contains(&labels));
}

#[test]
fn the_agent_tells_of_its_own_loop_and_heap_and_is_no_target() {
    let (agent, address) = start_agent();
    let labels = format!("service=\"loopscope\",pid=\"{}\"", agent.pid());
    let first = scrape(address);
    let iterations = format!("eventloop_iterations_total{{{labels},loop=\"worker-0\"}}");
    assert!(value(&first, &format!("eventloop_lag_seconds_count{{{labels},loop=\"worker-0\"}}")).is_some());
    assert!(value(&first, &format!("tokio_alive_tasks{{{labels},runtime=\"tokio\"}}")).is_some());
    assert!(value(&first, &format!("heap_live_bytes{{{labels}}}")).unwrap() > 0.0);
    let before = value(&first, &iterations).unwrap();
    wait_until("it has served more", || value(&scrape(address), &iterations).unwrap() > before);
    // Another agent of the host does not find it.
    let (_other, other) = start_agent();
    assert!(!scrape(other).contains(&labels));
    assert!(!first.contains(&format!("process_cpu_seconds_total{{{labels}}}")));
}

#[test]
fn every_family_is_described_once_and_every_series_told_once() {
    let (_agent, address) = start_agent();
    let both = [1, 2].map(|number| Publisher::that_does(Command::Publish, &format!("twin-{number}")));
    wait_until("both targets appear", || {
        let metrics = scrape(address);
        both.iter()
            .zip([1, 2])
            .all(|(twin, number)| metrics.contains(&labels(twin, &format!("twin-{number}"))))
    });
    let metrics = scrape(address);
    let mut names: Vec<_> = metrics.lines().map(|line| line.rsplit_once(' ').unwrap().0).collect();
    let described = names.iter().filter(|name| name.starts_with("# TYPE eventloop_lag_seconds")).count();
    assert_eq!(described, 1);
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn hostile_targets_are_counted_and_spoil_nothing() {
    use Command::{
        PublishBomb, PublishGarbage, PublishNewer, PublishSpoof, PublishTooLong, PublishTooShort,
        PublishUnsealed,
    };
    let (mut agent, address) = start_agent();
    let commands =
        [PublishBomb, PublishGarbage, PublishNewer, PublishTooLong, PublishTooShort, PublishUnsealed];
    let hostile = commands.map(|command| Publisher::that_does(command, "hostile"));
    let spoof = Publisher::that_does(PublishSpoof, "spoof");
    let honest = Publisher::that_does(Command::Publish, "honest");
    wait_until("honest and spoofing targets appear", || {
        let metrics = scrape(address);
        metrics.contains(&labels(&honest, "honest")) && metrics.contains(&labels(&spoof, "spoof"))
    });
    for publisher in &hostile {
        agent.expect_line(&format!("process {}: ", publisher.pid()));
    }
    let metrics = scrape(address);
    assert!(!metrics.contains("service=\"hostile\""));
    let errors =
        |cause| value(&metrics, &format!("loopscope_target_errors_total{{cause=\"{cause}\"}}")).unwrap();
    assert!(errors("invalid") >= 5.0 && errors("version") >= 1.0);
    assert!(value(&metrics, "loopscope_targets{state=\"unmeasurable\"}").unwrap() >= 6.0);
    // Nobody is believed who talks about the kernel's or the agent's figures.
    let cpu = value(&metrics, &format!("process_cpu_seconds_total{{{}}}", labels(&spoof, "spoof")));
    assert!(cpu.unwrap() < 1000.0);
    assert!(value(&metrics, "loopscope_cpu_seconds_total").unwrap() < 1000.0);
    assert_eq!(metrics.matches("\nloopscope_cpu_seconds_total").count(), 1);
}

#[test]
fn the_format_is_the_one_that_the_scraper_asks_for() {
    let (_agent, address) = start_agent();
    let text = get(address, "/metrics", &[]);
    assert_eq!(text.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let open = get(address, "/metrics", &["accept: application/openmetrics-text;version=1.0.0"]);
    assert!(open.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(open.text().ends_with("# EOF\n"));
    let protobuf = get(address, "/metrics", &[PROTOBUF]);
    assert!(protobuf.header("content-type").unwrap().starts_with("application/vnd.google.protobuf"));
    assert!(protobuf.body.windows(20).any(|bytes| bytes == b"loopscope_build_info"));
    let metrics = scrape(address);
    for format in ["text", "openmetrics", "protobuf"] {
        let series = format!("loopscope_scrape_duration_seconds_count{{format=\"{format}\"}}");
        assert_eq!(value(&metrics, &series), Some(1.0), "{metrics}");
    }
}

#[test]
fn names_are_those_that_a_scrape_asks_for() {
    let (_agent, address) = start_agent();
    let publisher = Publisher::that_does(Command::Publish, "no-node");
    let labels = labels(&publisher, "no-node");
    wait_until("the target appears", || scrape(address).contains(&labels));
    let names = |names: &str| get(address, &format!("/metrics?names={names}"), &[]);
    assert!(names("loopscope").text().contains(&labels));
    let both = names("loopscope,prom-client");
    assert!(both.text().contains(&labels) && both.text().contains("loopscope_build_info"));
    // What is no Node.js has no names of Node.js's.
    let other = names("prom-client");
    assert_eq!(other.status, 200);
    assert!(!other.text().contains(&labels) && !other.text().contains("loopscope_"), "{}", other.text());
    let unknown = names("statsd");
    assert_eq!(unknown.status, 400);
    assert!(unknown.text().contains("prom-client"), "{}", unknown.text());
}

#[test]
fn the_configuration_is_checked() {
    let folder = std::env::temp_dir().join(format!("loopscope-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let config = folder.join("agent.toml");
    let path = config.to_str().unwrap();
    std::fs::write(&config, "slow = '20ms'\n[[rule]]\nname = 'node'\ninclude = false\n").unwrap();
    let output = run(&["agent", "--config", path, "--check", "--budget", "3%"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let told = stdout(&output);
    for line in
        ["slow     20ms", "budget   3% of a core", "names    loopscope", "rule 1   name 'node': left out"]
    {
        assert!(told.contains(line), "{told}");
    }

    std::fs::write(&config, "[[rule]]\nname = 'node'\nteir = 'all'\n").unwrap();
    let output = run(&["agent", "--config", path]);
    assert_eq!(output.status.code(), Some(2));
    let message = stderr(&output);
    for part in [path, "line 3", "unknown field `teir`", "did you mean `tier`?"] {
        assert!(message.contains(part), "{message}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn an_answer_is_compressed_only_for_who_asks() {
    let (_agent, address) = start_agent();
    let plain = get(address, "/metrics", &[]);
    assert_eq!(plain.header("content-encoding"), None);
    let packed = get(address, "/metrics", &["accept-encoding: gzip"]);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let mut unpacked = String::new();
    GzDecoder::new(&packed.body[..]).read_to_string(&mut unpacked).unwrap();
    assert!(unpacked.contains("loopscope_build_info{version="));
    assert!(packed.body.len() < unpacked.len());
}

#[test]
fn health_and_readiness_and_a_landing_page_are_served() {
    let (_agent, address) = start_agent();
    assert_eq!(get(address, "/-/healthy", &[]).status, 200);
    wait_until("the agent is ready", || get(address, "/-/ready", &[]).status == 200);
    assert!(get(address, "/", &[]).text().contains("href=\"/metrics\""));
    assert_eq!(get(address, "/nothing", &[]).status, 404);
    let head = request(address, "HEAD", "/metrics", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    let post = request(address, "POST", "/metrics", &["content-length: 0"]);
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn what_is_no_http_is_refused_and_harms_nobody() {
    let (_agent, address) = start_agent();
    assert_eq!(send(address, b"\x16\x03\x01 hello\r\n\r\n").status, 400);
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(100_000));
    assert!(matches!(send(address, long.as_bytes()).status, 400 | 431));
    assert_eq!(get(address, "/-/healthy", &[]).status, 200);
}

#[test]
fn a_client_that_never_finishes_its_request_is_cut_off() {
    let (_agent, address) = start_agent();
    let mut slow = TcpStream::connect(address).unwrap();
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nhost: te").unwrap();
    let mut answer = Vec::new();
    // The connection ends by itself, with or without an answer.
    let ended = slow.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200") && ended.is_ok(), "{ended:?}");
}

#[test]
fn more_scrapes_than_can_be_served_are_rejected_and_counted() {
    let (_agent, address) = start_agent();
    let statuses = || {
        let clients: Vec<_> =
            (0..24).map(|_| std::thread::spawn(move || get(address, "/metrics", &[]).status)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>()
    };
    wait_until("a scrape is rejected", || {
        let statuses = statuses();
        assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
        statuses.contains(&503)
    });
    assert!(value(&scrape(address), "loopscope_scrapes_rejected_total").unwrap() >= 1.0);
}

#[test]
fn an_occupied_port_is_told_with_what_to_do() {
    let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = occupied.local_addr().unwrap().to_string();
    let output = run(&["agent", "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains(&address) && message.contains("--listen"), "{message}");
}

#[test]
fn a_signal_ends_the_agent_gracefully() {
    for signal in [Signal::TERM, Signal::INT] {
        let (mut agent, address) = start_agent();
        // A connection that is idle does not hold it up.
        let idle = TcpStream::connect(address).unwrap();
        agent.signal(signal);
        assert_eq!(agent.wait().code(), Some(0));
        // Not always the last line: a search for targets may still have something to tell.
        agent.expect_line("loopscope: stopped");
        drop(idle);
        assert!(TcpStream::connect(address).is_err());
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that cannot run here says so")]
fn an_agent_of_another_user_says_what_it_lacks() {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "this test needs root");
        eprintln!(
            "SKIPPED: an_agent_of_another_user_says_what_it_lacks needs root, to start a program as another user"
        );
        return;
    }
    let publisher = Publisher::that_does(Command::Publish, "of-root");
    // From a place that everybody may read.
    let copy = std::env::temp_dir().join(format!("loopscope-{}", std::process::id()));
    std::fs::copy(env!("CARGO_BIN_EXE_loopscope"), &copy).unwrap();
    let mut command = std::process::Command::new(&copy);
    let (mut agent, address) =
        started(command.args(["agent", "--listen", "127.0.0.1:0"]).uid(65534).gid(65534));
    std::fs::remove_file(&copy).unwrap();
    agent.expect_line("CAP_SYS_PTRACE");
    let metrics = scrape(address);
    assert!(!metrics.contains(&labels(&publisher, "of-root")));
    assert!(value(&metrics, "loopscope_target_errors_total{cause=\"permission\"}").unwrap() >= 1.0);
}
