//! `SIGHUP`: another address and another receiver for an agent that runs, with nothing missing in between.

use std::collections::HashMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::folder::Folder;
use loopscope_tests::http::{get, loopback};
use loopscope_tests::loopscope::command;
use loopscope_tests::metrics::Metrics;
use loopscope_tests::otlp::{Protocol, Receiver, Request, agent_command, free_port};
use loopscope_tests::process::Guarded;

/// An agent that a file alone configures.
struct Configured {
    agent: Guarded,
    file: PathBuf,
    _folder: Folder,
}

impl Configured {
    fn start(mut command: std::process::Command, text: &str) -> Self {
        let folder = Folder::new("reload");
        let file = folder.file("agent.toml");
        fs::write(&file, text).expect("our own file");
        let agent = Guarded::start(command.args(["agent", "--config"]).arg(&file));
        let configured = Self { agent, file, _folder: folder };
        configured.wait_for("serving metrics on ", 1);
        configured
    }

    fn wait_for(&self, word: &str, times: usize) {
        let told = || self.agent.stderr();
        wait_for(word, SOON, || (told().matches(word).count() >= times).then_some(()));
    }

    /// Makes it read this, and waits until it says so with this word.
    fn reload(&self, text: &str, word: &str) {
        fs::write(&self.file, text).expect("our own file");
        let before = self.agent.stderr().matches(word).count();
        self.agent.signal("HUP");
        self.wait_for(word, before + 1);
    }
}

fn is_served(address: SocketAddr) -> bool {
    get(address, "/-/healthy", &[]).is_ok_and(|answer| answer.status == 200)
}

#[test]
fn another_address_is_served_and_one_that_is_taken_changes_nothing() {
    let [first, second] = [(); 2].map(|()| loopback(free_port()));
    let configured = Configured::start(command(), &format!("listen = '{first}'\n"));
    assert!(is_served(first));
    configured.reload(&format!("listen = '{second}'\n"), "from now on");
    wait_for("the new address", SOON, || is_served(second).then_some(()));
    wait_for("the end of the old address", SOON, || (!is_served(first)).then_some(()));

    let holder = TcpListener::bind(loopback(0)).expect("a free port");
    let taken = holder.local_addr().expect("it has an address");
    configured.reload(&format!("listen = '{taken}'\nslow = '7ms'\n"), "stays in use");
    assert!(configured.agent.stderr().contains(&format!("cannot listen on {taken}")));
    assert!(is_served(second));
    let metrics = get(second, "/metrics", &[("accept", "text/plain")]).expect("it answers").text().to_owned();
    let successful = Metrics::new(metrics).value("loopscope_config_last_reload_successful", &[]);
    assert_eq!(successful, Some(0.0));
    drop(holder);
    configured.reload(&format!("listen = '{second}'\n"), "configuration read again");
    assert!(is_served(second));
}

/// The spans of the differences that were told, by series.
fn spans(request: &Request) -> HashMap<String, (u64, u64)> {
    let of = |point: loopscope_tests::otlp::Point<'_>| {
        let key = ["name", "resource", "attributes"].map(|field| point.field(field).to_string()).join(" ");
        (*point.field("temporality") == 1).then(|| (key, point.span()))
    };
    request.points().filter_map(of).collect()
}

#[test]
fn another_receiver_gets_what_comes_after_the_last_of_the_one_before() {
    let (Some(first), Some(second)) =
        (Receiver::start_at(Protocol::Http, 0, &[]), Receiver::start_at(Protocol::Http, 0, &[]))
    else {
        return;
    };
    let text = |receiver: &Receiver, more: &str| {
        format!(
            "listen = '127.0.0.1:0'\n[otlp]\nendpoint = '{}'\ntemporality = 'delta'\n{more}",
            receiver.endpoint()
        )
    };
    let configured = Configured::start(agent_command(Protocol::Http), &text(&first, ""));
    first.wait_for_requests(2);

    // What cannot be used changes nothing.
    let wrong = format!("listen = '127.0.0.1:0'\n[otlp]\nendpoint = 'https://localhost:{}'\n", free_port());
    configured.reload(&format!("{wrong}certificate = '/nowhere'\n"), "stays in use");
    let so_far = first.requests().len();
    first.wait_for_requests(so_far + 2);

    configured.reload(&text(&second, ""), "configuration read again");
    let after = second.wait_for_requests(1);
    let before = first.requests();
    let (told, goes_on) = (spans(before.last().expect("some came")), spans(&after[0]));
    let both: Vec<_> = goes_on.iter().filter_map(|(key, span)| Some((key, told.get(key)?, span))).collect();
    assert!(both.len() >= 5, "{told:?} {goes_on:?}");
    for (key, before, after) in both {
        assert_eq!(before.1, after.0, "{key}: a part is missing, or told twice");
    }
    let count = first.requests().len();
    second.wait_for_requests(after.len() + 2);
    assert_eq!(first.requests().len(), count, "the one before gets nothing any more");

    configured.reload("listen = '127.0.0.1:0'\n", "no longer exported");
    let count = second.requests().len();
    configured.reload(&text(&first, "flush = '1s'\n"), "exporting metrics by");
    first.wait_for_requests(before.len() + 1);
    assert_eq!(second.requests().len(), count);
}
