//! The phase of an event loop that a stack fell in, told from the functions on it.
//!
//! Every loop runs each phase inside a function of its own: ours inside markers that are made for it, libuv inside
//! `uv__run_timers` and its like. The innermost such function on a stack is the phase. That is exact, needs no
//! clock, and works for programs that know nothing of us. Refused: joining the times of samples with the times of phase
//! transitions, which needs both and blurs at the edges.
//!
//! Where libuv has only the symbols of its public functions, the shape of the code tells which ones these are (x86-64 only), as it does for probes.
//!
//! What an optimizer put into `uv_run` itself (in usual builds: pending and closing) leaves no function, and so no phase.

use model::label::{LabelValue as _, Phase};

/// What is known after walking a stack from its outermost frame to some frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhaseWalk {
    phase: Option<Phase>,
    /// The frame is the function that polls, so what it calls next tells whether it waits.
    polling: bool,
}

/// What a frame says about the phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Everything inside runs in this phase.
    Marker(Phase),
    /// The function waits if it calls the wait or the kernel, else it runs callbacks.
    Poll,
    /// The function waits, if it is called by the one that polls.
    Wait,
    /// Nothing.
    Other,
}

/// The path of our runtime's markers.
const RUNTIME_MARKERS: &str = "loopscope_runtime::event_loop::phases::";

/// V8's functions that drain the microtask queue, and Node's that ask for it.
const MICROTASK_FUNCTIONS: [&str; 6] = [
    "v8::internal::MicrotaskQueue::RunMicrotasks",
    "v8::internal::MicrotaskQueue::PerformCheckpointInternal",
    "node::task_queue::RunMicrotasks",
    "Builtins_RunMicrotasks",
    "RunMicrotasks",
    "runMicrotasks",
];

/// The kernel's waits, as C libraries and libuv name the functions that call them, but for leading underscores.
const WAITS: [&str; 6] =
    ["epoll_wait", "epoll_pwait", "epoll_pwait2", "GI_epoll_wait", "GI_epoll_pwait", "uv__io_uring_enter"];

/// Node's functions that drain the tick queue: the one in JavaScript, and what calls it after each callback.
const TICK_FUNCTIONS: [&str; 2] = ["processTicksAndRejections", "node::InternalCallbackScope::Close"];

impl PhaseWalk {
    /// The phase that the frame runs in; `None` outside of all phases.
    pub fn phase(self) -> Option<Phase> {
        self.phase
    }

    /// Steps inwards to the next frame.
    #[must_use]
    pub fn enter(self, step: Step) -> Self {
        match step {
            Step::Marker(phase) => Self { phase: Some(phase), polling: false },
            Step::Poll => Self { phase: Some(Phase::PollCallbacks), polling: true },
            Step::Wait if self.polling => Self { phase: Some(Phase::PollWait), polling: false },
            Step::Wait | Step::Other => Self { polling: false, ..self },
        }
    }
}

/// The name of a phase's frame.
pub fn frame_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Timers => "[timers]",
        Phase::Pending => "[pending]",
        Phase::Idle => "[idle]",
        Phase::Prepare => "[prepare]",
        Phase::PollWait => "[poll wait]",
        Phase::PollCallbacks => "[poll callbacks]",
        Phase::Check => "[check]",
        Phase::Close => "[close]",
        Phase::Ticks => "[ticks]",
        Phase::Microtasks => "[microtasks]",
    }
}

impl Step {
    /// The step to a frame of the kernel.
    pub const KERNEL: Step = Step::Wait;

    /// The step to a frame of this function.
    pub fn of(function: &str) -> Self {
        if let Some(at) = function.find(RUNTIME_MARKERS) {
            let rest = &function[at + RUNTIME_MARKERS.len()..];
            let end = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let phase = Phase::ALL.iter().find(|phase| phase.as_str() == &rest[..end]);
            return phase.map_or(Step::Other, |&phase| Step::Marker(phase));
        }
        // Without parameters, what an optimizer appended (`.cold`), and V8's mark for the compiler.
        let end = function.find(['(', '.']).unwrap_or(function.len());
        let name = function[..end].trim_start_matches(['*', '+', '^', '~']);
        match name {
            "uv__io_poll" => Step::Poll,
            "uv__run_timers" => Step::Marker(Phase::Timers),
            "uv__run_pending" => Step::Marker(Phase::Pending),
            "uv__run_idle" => Step::Marker(Phase::Idle),
            "uv__run_prepare" => Step::Marker(Phase::Prepare),
            "uv__run_check" => Step::Marker(Phase::Check),
            "uv__run_closing_handles" | "uv__finish_close" => Step::Marker(Phase::Close),
            _ if MICROTASK_FUNCTIONS.contains(&name) => Step::Marker(Phase::Microtasks),
            _ if TICK_FUNCTIONS.contains(&name) => Step::Marker(Phase::Ticks),
            _ if WAITS.contains(&name.trim_start_matches('_')) => Step::Wait,
            _ => Step::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn expect(stack: &[&str], phase: Option<Phase>) {
        let walk = stack.iter().fold(PhaseWalk::default(), |walk, function| walk.enter(Step::of(function)));
        assert_eq!(walk.phase(), phase);
    }

    #[test]
    fn the_innermost_marker_is_the_phase() {
        expect(&["main", "uv_run", "uv__run_timers", "callback"], Some(Phase::Timers));
        expect(
            &["main", "uv_run", "uv__run_check", "on_check", "*processTicksAndRejections"],
            Some(Phase::Ticks),
        );
        expect(
            &[
                "uv_run",
                "uv__io_poll",
                "read",
                "node::InternalCallbackScope::Close()",
                "Builtins_RunMicrotasks",
                "f",
            ],
            Some(Phase::Microtasks),
        );
    }

    #[test]
    fn outside_of_all_markers_there_is_no_phase() {
        expect(&["main", "uv_run", "uv__hrtime"], None);
        expect(&[], None);
    }

    #[test]
    fn a_poll_waits_only_where_it_calls_the_wait_itself() {
        expect(&["uv__io_poll", "epoll_pwait"], Some(Phase::PollWait));
        expect(&["uv__io_poll", "__epoll_wait"], Some(Phase::PollWait));
        expect(&["uv__io_poll", "uv__async_io", "callback"], Some(Phase::PollCallbacks));
        expect(&["uv__io_poll", "on_readable", "epoll_wait"], Some(Phase::PollCallbacks));
        expect(&["uv__io_poll.cold"], Some(Phase::PollCallbacks));
        let polling = PhaseWalk::default().enter(Step::Poll);
        assert_eq!(polling.enter(Step::KERNEL).phase(), Some(Phase::PollWait));
        assert_eq!(polling.enter(Step::Other).enter(Step::KERNEL).phase(), Some(Phase::PollCallbacks));
    }

    #[test]
    fn every_phase_of_our_runtime_has_its_marker() {
        for &phase in Phase::ALL {
            let name = format!("{RUNTIME_MARKERS}{}", phase.as_str());
            expect(&["main", &name, "callback"], Some(phase));
            expect(&[&format!("{name}::<demo::main::{{closure#0}}>")], Some(phase));
        }
        expect(&[&format!("{RUNTIME_MARKERS}something_else")], None);
    }

    #[test]
    fn every_phase_has_a_frame_of_its_own() {
        let names: std::collections::HashSet<_> = Phase::ALL.iter().map(|&phase| frame_name(phase)).collect();
        assert_eq!(names.len(), Phase::ALL.len());
    }
}
