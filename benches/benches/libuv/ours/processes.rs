//! Processes.

use runtime::{Command, EventLoop, RunMode};

pub(super) fn spawn(event_loop: &EventLoop, count: u64) {
    spawn_next(event_loop, count);
    event_loop.run(RunMode::Default);
}

fn spawn_next(event_loop: &EventLoop, left: u64) {
    let ended = Command::new("/bin/true").spawn(event_loop, move |_, process, exit| {
        assert_eq!(exit.status, Some(0));
        process.close_with(move |event_loop| {
            if left > 1 {
                spawn_next(event_loop, left - 1);
            }
        });
    });
    ended.expect("a process that is started");
}
