//! Spans that wait for their receiver outlive the agent where there is a directory for what waits.

use std::fs;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::folder::Folder;
use loopscope_tests::http;
use loopscope_tests::loopscope::{Agent, Demo};
use loopscope_tests::otlp::{Protocol, Receiver, agent_command, free_port};

#[test]
fn what_an_agent_could_not_send_the_next_one_sends_once() {
    let demo = Demo::start(&["--rate", "0", "--block", "200ms"]);
    let (folder, port) = (Folder::new("spans-on-disk"), free_port());
    let (config, buffer) = (folder.file("agent.toml"), folder.file("buffer"));
    let text = format!(
        "slow = '150ms'\n[otlp]\nendpoint = 'http://127.0.0.1:{port}'\ntraces = true\ncompression = 'none'\nbuffer = '{}'\n",
        buffer.display()
    );
    fs::write(&config, text).expect("our own file");
    let start = || {
        let options = ["--config", config.to_str().expect("UTF-8")];
        Agent::start_by(&mut agent_command(Protocol::Http), &options)
    };
    let kept = || {
        let files = fs::read_dir(buffer.join("traces")).expect("the agent makes it");
        files.filter(|file| file.as_ref().is_ok_and(|it| it.path().extension().is_some())).count()
    };
    let agent = start();
    wait_for("the demo to be a target", SOON, || {
        agent.scrape().value("eventloop_iterations_total", &[("pid", &demo.pid().to_string())])
    });
    http::get(demo.address(), "/block", &[]).expect("the demo answers");
    // Other programs may be slow, too: it is the span whose resource has the demo's id, a whole number of protocol buffers.
    let pid = [&[0x18][..], &varint(demo.pid())].concat();
    let is_of_demo = |content: Vec<u8>| content.windows(pid.len()).any(|bytes| bytes == pid);
    wait_for("the span on the disk", SOON, || {
        let mut files = fs::read_dir(buffer.join("traces")).expect("the agent makes it");
        files.any(|file| file.is_ok_and(|it| fs::read(it.path()).is_ok_and(is_of_demo))).then_some(())
    });
    agent.kill();

    let Some(receiver) = Receiver::start_at(Protocol::Http, port, &[]) else { return };
    let agent = start();
    let of_demo = || {
        let is_own = |span: &serde_json::Value| {
            span["resource"]["process.pid"] == demo.pid() && span["name"] == "eventloop slow iteration"
        };
        receiver.spans().into_iter().filter(is_own).count()
    };
    wait_for("the span at the receiver", SOON, || (of_demo() >= 1).then_some(()));
    wait_for("the disk to be empty", SOON, || (kept() == 0).then_some(()));
    // The next agent lists the block as well, and does not tell it again.
    let sent = of_demo();
    agent.stop(SOON);
    assert_eq!(of_demo(), sent);
}

fn varint(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}
