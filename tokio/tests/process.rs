//! Runtimes beside each other, beside a loop of ours, at their end, and in a forked child.

mod support;

use std::io::{self, Read};
use std::time::Duration;

use loopscope_tokio::process::{contents, publication};
use loopscope_tokio::{Builder, publish_named};
use model::catalogue::{EVENTLOOP_ITERATIONS, EVENTLOOP_LAG, TOKIO_ALIVE_TASKS};
use model::segment::ScopeKind;
use runtime::{EventLoop, RunMode, Timer};
use support::{Of, hooked, multi, single, wait_until};
use tokio::time::sleep;

fn names(kind: ScopeKind) -> Vec<String> {
    contents().scopes.into_iter().filter(|scope| scope.kind == kind).map(|scope| scope.name).collect()
}

#[test]
fn runtimes_of_one_process_are_told_apart_and_go_with_their_end() {
    let one = hooked("one", single());
    let two = hooked("two", multi(2));
    let three = multi(1).build().unwrap();
    publish_named(three.handle(), "three").unwrap();
    for name in ["one", "two", "three"] {
        assert!(names(ScopeKind::Runtime).iter().any(|found| found == name));
    }
    for name in ["one-worker-0", "two-worker-0", "two-worker-1", "three-worker-0"] {
        assert!(names(ScopeKind::Loop).iter().any(|found| found == name), "{name}");
    }
    // One thread drives both: each counts for itself.
    let before = Of::Loop("one-worker-0").counter(&EVENTLOOP_ITERATIONS, &[]);
    two.block_on(async { sleep(Duration::from_millis(20)).await });
    assert_eq!(Of::Loop("one-worker-0").counter(&EVENTLOOP_ITERATIONS, &[]), before);
    one.block_on(async { sleep(Duration::from_millis(20)).await });
    assert!(Of::Loop("one-worker-0").counter(&EVENTLOOP_ITERATIONS, &[]) > before);

    // A handle that somebody keeps does not keep the series.
    let kept = (one.handle().clone(), two.handle().clone());
    drop(one);
    two.shutdown_background();
    drop(three);
    let ended = ["one", "two", "three"];
    wait_until("they are gone", || {
        let left = [names(ScopeKind::Runtime), names(ScopeKind::Loop)].concat();
        !left.iter().any(|name| ended.iter().any(|ended| name.split('-').next() == Some(ended)))
    });
    drop(kept);
    // And the place of one is another's, from zero.
    let _four = hooked("four", single());
    assert_eq!(Of::Loop("four-worker-0").histogram(&EVENTLOOP_LAG, &[]).count(), 0);
}

#[test]
fn a_loop_of_our_own_and_a_runtime_share_a_process() {
    let runtime = hooked("beside", single());
    let event_loop = EventLoop::builder().name("libuv-like").build().unwrap();
    let timer = Timer::new(&event_loop);
    timer.start(Duration::from_millis(5), |_, timer| timer.close()).unwrap();
    event_loop.run(RunMode::Default);
    runtime.block_on(async { sleep(Duration::from_millis(20)).await });
    for name in ["libuv-like", "beside-worker-0"] {
        assert!(Of::Loop(name).histogram(&EVENTLOOP_LAG, &[]).count() > 0, "{name}");
    }
}

#[test]
fn a_runtime_that_is_never_driven_is_published_too() {
    let runtime = hooked("still", single());
    assert_eq!(Of::Runtime("still").gauge(&TOKIO_ALIVE_TASKS, &[]), 0);
    drop(runtime);
    wait_until("it is gone", || Of::Runtime("still").value(&TOKIO_ALIVE_TASKS, &[]).is_none());
}

#[test]
fn a_forked_child_goes_on_for_itself_alone() {
    let runtime = hooked("forked", single());
    let iterations = || Of::Loop("forked-worker-0").counter(&EVENTLOOP_ITERATIONS, &[]);
    runtime.block_on(async { sleep(Duration::from_millis(5)).await });
    let before = iterations();
    let (mut reader, writer) = io::pipe().unwrap();
    let child = sys::fork(|| {
        // A runtime of the current thread works on; another can be built, and is left unpublished.
        runtime.block_on(async {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        });
        let new = Builder::new().name("new").build(&mut tokio::runtime::Builder::new_current_thread());
        let published = contents().scopes.iter().any(|scope| scope.name == "new");
        let is_own = matches!(publication(), loopscope_tokio::process::Publication::Unpublished(_));
        let told = [new.is_ok(), !published, is_own].map(|held| if held { b'y' } else { b'n' });
        io::Write::write_all(&mut &writer, &told).is_ok()
    });
    drop(writer);
    let mut told = String::new();
    reader.read_to_string(&mut told).unwrap();
    assert_eq!(told, "yyy", "a runtime, unpublished, and nobody reads along");
    assert!(sys::exited_well(child));
    assert_eq!(iterations(), before, "what the child did is not its parent's");
}

mod sys {
    #![allow(unsafe_code, reason = "system calls")]

    /// Forks; the child runs `body` and ends, well if that is true.
    pub(crate) fn fork(body: impl FnOnce() -> bool) -> i32 {
        // SAFETY: the child uses what its one thread has made, and allocates, which the C library's allocator allows after
        // a fork.
        match unsafe { libc::fork() } {
            0 => {
                let code = if body() { 0 } else { 1 };
                // SAFETY: never returns.
                unsafe { libc::_exit(code) }
            }
            child => {
                assert!(child > 0, "fork: {}", std::io::Error::last_os_error());
                child
            }
        }
    }

    pub(crate) fn exited_well(child: i32) -> bool {
        let mut status = 0;
        // SAFETY: `status` is a valid place for the answer.
        let waited = unsafe { libc::waitpid(child, &mut status, 0) };
        waited == child && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
    }
}
