//! Handles that callbacks start, stop, close, reference and unreference, their own included, against a simple model.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use loopscope_runtime::{Check, EventLoop, Idle, Prepare, RunMode};
use proptest::prelude::*;

const HANDLES: usize = 6;

/// What is done to a handle, or to the loop.
#[derive(Clone, Copy, Debug)]
enum Action {
    Start(usize),
    Stop(usize),
    Close(usize),
    Reference(usize),
    Unreference(usize),
    StopLoop,
}

fn action() -> impl Strategy<Value = Action> {
    let handle = 0..HANDLES;
    prop_oneof![
        5 => handle.clone().prop_map(Action::Start),
        3 => handle.clone().prop_map(Action::Stop),
        1 => handle.clone().prop_map(Action::Close),
        1 => handle.clone().prop_map(Action::Reference),
        1 => handle.prop_map(Action::Unreference),
        1 => Just(Action::StopLoop),
    ]
}

/// What callbacks do, in the order in which they are called, whoever they are.
type Script = VecDeque<Vec<Action>>;

/// Handle `number` is an idle, prepare or check handle, in turn.
fn phase_of(number: usize) -> usize {
    number % 3
}

/// What happens by the rules.
#[derive(Default)]
struct Model {
    handles: [Handle; HANDLES],
    starts: usize,
    closing: Vec<usize>,
    stopping: bool,
    script: Script,
    log: Vec<String>,
}

#[derive(Clone, Copy, Default)]
struct Handle {
    /// When it was started, of one that is active.
    started: Option<usize>,
    unreferenced: bool,
    closed: bool,
}

impl Model {
    fn act(&mut self, action: Action) {
        match action {
            Action::Start(number) => {
                let handle = &mut self.handles[number];
                if !handle.closed && handle.started.is_none() {
                    self.starts += 1;
                    handle.started = Some(self.starts);
                }
            }
            Action::Stop(number) => self.handles[number].started = None,
            Action::Close(number) => {
                let handle = &mut self.handles[number];
                if !handle.closed {
                    (handle.closed, handle.started) = (true, None);
                    self.closing.push(number);
                }
            }
            Action::Reference(number) => self.handles[number].unreferenced = false,
            Action::Unreference(number) => self.handles[number].unreferenced = true,
            Action::StopLoop => self.stopping = true,
        }
    }

    fn call(&mut self, what: String) {
        self.log.push(what);
        for action in self.script.pop_front().unwrap_or_default() {
            self.act(action);
        }
    }

    fn is_alive(&self) -> bool {
        let keeps = |handle: &Handle| handle.started.is_some() && !handle.unreferenced;
        self.handles.iter().any(keeps) || !self.closing.is_empty()
    }

    /// One iteration that does not wait.
    fn run(&mut self) -> bool {
        if self.is_alive() && !self.stopping {
            for phase in 0..3 {
                // Those that are active as the phase begins, the one that was started last first.
                let of_phase = (0..HANDLES).filter(|number| phase_of(*number) == phase);
                let mut turns: Vec<_> =
                    of_phase.filter_map(|number| Some((self.handles[number].started?, number))).collect();
                turns.sort_by(|one, other| other.cmp(one));
                for (started, number) in turns {
                    if self.handles[number].started == Some(started) {
                        self.call(format!("{number}"));
                    }
                }
            }
            let mut closing = std::mem::take(&mut self.closing);
            while let Some(number) = closing.pop() {
                self.call(format!("closed {number}"));
            }
        }
        self.stopping = false;
        self.is_alive()
    }
}

/// What happens.
#[derive(Clone)]
enum Real {
    Idle(Idle),
    Prepare(Prepare),
    Check(Check),
}

#[derive(Clone, Default)]
struct World {
    handles: Rc<RefCell<Vec<Real>>>,
    script: Rc<RefCell<Script>>,
    log: Rc<RefCell<Vec<String>>>,
}

macro_rules! on_any {
    ($real:expr, $handle:ident => $do:expr) => {
        match $real {
            Real::Idle($handle) => $do,
            Real::Prepare($handle) => $do,
            Real::Check($handle) => $do,
        }
    };
}

impl World {
    fn new(event_loop: &EventLoop, script: Script) -> Self {
        let handles = (0..HANDLES).map(|number| match phase_of(number) {
            0 => Real::Idle(Idle::new(event_loop)),
            1 => Real::Prepare(Prepare::new(event_loop)),
            _ => Real::Check(Check::new(event_loop)),
        });
        let handles = Rc::new(RefCell::new(handles.collect()));
        Self { handles, script: Rc::new(RefCell::new(script)), log: Rc::default() }
    }

    fn act(&self, event_loop: &EventLoop, action: Action) {
        let handle = |number: usize| self.handles.borrow()[number].clone();
        match action {
            Action::Start(number) => {
                let world = self.clone();
                // Starting one that is closed is refused.
                let _ = on_any!(handle(number), it => it.start(move |event_loop, _| {
                    world.call(event_loop, number.to_string());
                }));
            }
            Action::Stop(number) => on_any!(handle(number), it => it.stop()),
            Action::Close(number) => {
                let world = self.clone();
                on_any!(handle(number), it => it.close_with(move |event_loop| {
                    world.call(event_loop, format!("closed {number}"));
                }));
            }
            Action::Reference(number) => on_any!(handle(number), it => it.reference()),
            Action::Unreference(number) => on_any!(handle(number), it => it.unreference()),
            Action::StopLoop => event_loop.stop(),
        }
    }

    fn call(&self, event_loop: &EventLoop, what: String) {
        self.log.borrow_mut().push(what);
        let actions = self.script.borrow_mut().pop_front().unwrap_or_default();
        actions.into_iter().for_each(|action| self.act(event_loop, action));
    }
}

proptest! {
    #[test]
    fn callbacks_may_do_anything_to_any_handle(
        first in prop::collection::vec(action(), 1..12),
        script in prop::collection::vec(prop::collection::vec(action(), 0..4), 0..60),
        runs in 1..8usize,
    ) {
        let event_loop = EventLoop::builder().instruments(false).build().unwrap();
        let script: Script = script.into();
        let world = World::new(&event_loop, script.clone());
        let mut model = Model { script, ..Model::default() };
        for action in first {
            model.act(action);
            world.act(&event_loop, action);
        }
        for _ in 0..runs {
            prop_assert_eq!(event_loop.run(RunMode::NoWait), model.run());
            prop_assert_eq!(&*world.log.borrow(), &model.log);
        }
    }
}
