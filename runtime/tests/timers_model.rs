//! Timers against the simplest thing that does the same: a list that is sorted.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use loopscope_runtime::{EventLoop, RunMode, Timer};
use proptest::prelude::*;

const TIMERS: usize = 12;

/// Each timer waits at least as long: none is to be due before all are started, for of those it could not be told any more in
/// which order they came due.
const LEAST: Duration = Duration::from_millis(2);

/// What is done to a timer before the loop runs.
#[derive(Clone, Debug)]
enum Step {
    /// `stops` is the timer that the callback stops.
    Start {
        timer: usize,
        timeout_us: u64,
        stops: usize,
    },
    Stop {
        timer: usize,
    },
    Close {
        timer: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..TIMERS, 0..4u64, 0..2 * TIMERS)
            .prop_map(|(timer, n, stops)| Step::Start { timer, timeout_us: 250 * n, stops }),
        2 => (0..TIMERS).prop_map(|timer| Step::Stop { timer }),
        1 => (0..TIMERS).prop_map(|timer| Step::Close { timer }),
    ];
    proptest::collection::vec(step, 0..60)
}

/// The timers that were started and not stopped, in the order of their starts, with whom they stop.
#[derive(Default)]
struct Model {
    started: Vec<(usize, usize)>,
    closed: [bool; TIMERS],
}

impl Model {
    fn apply(&mut self, step: &Step) {
        let (Step::Start { timer, .. } | Step::Stop { timer } | Step::Close { timer }) = *step;
        if self.closed[timer] {
            return;
        }
        self.started.retain(|&(started, _)| started != timer);
        match *step {
            Step::Start { timer, stops, .. } => self.started.push((timer, stops)),
            Step::Stop { .. } => {}
            Step::Close { timer } => self.closed[timer] = true,
        }
    }

    /// Sorting is stable: those due at the same time stay in the order of their starts.
    fn order(mut self, due_in: impl Fn(usize) -> Duration) -> Vec<usize> {
        self.started.sort_by_key(|&(timer, _)| due_in(timer));
        let mut order = Vec::new();
        while !self.started.is_empty() {
            let (timer, stops) = self.started.remove(0);
            self.started.retain(|&(other, _)| other != stops);
            order.push(timer);
        }
        order
    }
}

proptest! {
    #[test]
    fn timers_call_back_in_the_models_order(steps in steps()) {
        let event_loop = EventLoop::builder().instruments(false).build().unwrap();
        let timers: Rc<[Timer; TIMERS]> = Rc::new(std::array::from_fn(|_| Timer::new(&event_loop)));
        let called = Rc::new(RefCell::new(Vec::new()));
        let mut model = Model::default();
        for step in &steps {
            match *step {
                Step::Start { timer, timeout_us, stops } => {
                    let (all, called) = (Rc::clone(&timers), Rc::clone(&called));
                    let started = timers[timer].start(LEAST + Duration::from_micros(timeout_us), move |_, _| {
                        called.borrow_mut().push(timer);
                        if let Some(other) = all.get(stops) {
                            other.stop();
                        }
                    });
                    prop_assert_eq!(started.is_err(), model.closed[timer]);
                }
                Step::Stop { timer } => timers[timer].stop(),
                Step::Close { timer } => timers[timer].close(),
            }
            model.apply(step);
        }
        let due_in = |timer: usize| timers[timer].due_in().expect("the model's timers are active");
        // The machine may have stood still meanwhile.
        prop_assume!(model.started.iter().all(|&(timer, _)| !due_in(timer).is_zero()));
        let expected = model.order(due_in);
        event_loop.run(RunMode::Default);
        prop_assert_eq!(&*called.borrow(), &expected);
        prop_assert!(timers.iter().all(|timer| !timer.is_active()));
        timers.iter().for_each(Timer::close);
        event_loop.run(RunMode::Default);
    }
}
