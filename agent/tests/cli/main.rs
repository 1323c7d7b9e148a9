//! The program `loopscope` as its users meet it: the real binary, its answers, its messages, its exit statuses.

mod agent;
mod certificates;
mod demo;
mod http;
mod inspect;
mod profile;
mod program;
#[path = "../../../attach/tests/publisher/mod.rs"]
mod publisher;
mod secure;
mod terminal;
mod tls;
mod top;
mod usage;

#[test]
#[ignore = "not a test: the process that the tests here look at"]
fn publisher() {
    publisher::run();
}
