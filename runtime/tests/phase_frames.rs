//! That a profiler finds the phase on the stack of whatever runs in it.

mod common;

use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use common::after;
use loopscope_runtime::{Async, Check, EventLoop, Idle, Prepare, RunMode, TcpListener, TcpStream};
use model::label::{LabelValue, Phase};

/// The innermost phase on the calling stack: the first frame in the file of the phases that is named like one. (Where a
/// build has debug information for lines only, a backtrace has no paths of modules.)
fn phase_on_stack() -> String {
    let stack = Backtrace::force_capture().to_string();
    let lines: Vec<&str> = stack.lines().collect();
    let in_file = lines.windows(2).filter(|pair| pair[1].contains("src/event_loop/phases.rs:"));
    let mut names = in_file.filter_map(|pair| pair[0].rsplit([' ', ':']).next());
    let phase = names.find(|name| Phase::ALL.iter().any(|phase| phase.as_str() == *name));
    phase.unwrap_or_else(|| panic!("no phase on the stack:\n{stack}")).to_owned()
}

#[test]
fn the_innermost_marker_on_a_callbacks_stack_is_its_phase() {
    let event_loop = EventLoop::new().unwrap();
    let seen: Rc<RefCell<Vec<(&str, String)>>> = Rc::default();
    let see = |phase: &'static str| {
        let seen = Rc::clone(&seen);
        move || seen.borrow_mut().push((phase, phase_on_stack()))
    };

    let (timer, tick, microtask) = (see("timers"), see("ticks"), see("microtasks"));
    after(&event_loop, Duration::ZERO, move |event_loop| {
        timer();
        event_loop.next_tick(move |_| tick());
        event_loop.queue_microtask(move |_| microtask());
    });
    let idle_seen = see("idle");
    Idle::new(&event_loop)
        .start(move |_, idle| {
            idle_seen();
            idle.close();
        })
        .unwrap();
    let prepare_seen = see("prepare");
    Prepare::new(&event_loop)
        .start(move |_, prepare| {
            prepare_seen();
            prepare.close();
        })
        .unwrap();
    let (poll, close) = (see("poll_callbacks"), Rc::new(see("close")));
    let wake = Async::new(&event_loop, move |_, wake| {
        poll();
        let close = Rc::clone(&close);
        wake.close_with(move |_| close());
    });
    wake.sender().send();
    let (check_seen, immediate) = (see("check"), see("check"));
    Check::new(&event_loop)
        .start(move |_, check| {
            check_seen();
            check.close();
        })
        .unwrap();
    event_loop.set_immediate(move |_| immediate());
    let listener = TcpListener::bind(&event_loop, "127.0.0.1:0".parse().unwrap()).unwrap();
    listener.listen(1, |_, listener, _| listener.close()).unwrap();
    let pending = see("pending");
    TcpStream::connect(&event_loop, listener.local_address().unwrap(), move |_, stream, _| {
        stream
            .write("data", move |_, stream, _| {
                pending();
                stream.close();
            })
            .unwrap();
    })
    .unwrap();
    event_loop.run(RunMode::Default);

    let seen = seen.borrow();
    assert_eq!(seen.len(), 10, "{seen:?}");
    for (expected, found) in &*seen {
        assert_eq!(expected, found);
    }
}
