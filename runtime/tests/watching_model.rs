//! Handles that watch descriptors, started, stopped, closed and unreferenced from within callbacks, their own included,
//! against the rules that hold in whatever order the kernel tells of events.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use loopscope_runtime::{EventLoop, Poll, Readiness, RunMode};
use proptest::prelude::*;

const HANDLES: usize = 6;

#[derive(Clone, Copy, Debug)]
enum Action {
    Start(usize),
    Stop(usize),
    Close(usize),
    Reference(usize),
    Unreference(usize),
}

fn action() -> impl Strategy<Value = Action> {
    let handle = 0..HANDLES;
    prop_oneof![
        4 => handle.clone().prop_map(Action::Start),
        3 => handle.clone().prop_map(Action::Stop),
        1 => handle.clone().prop_map(Action::Close),
        1 => handle.clone().prop_map(Action::Reference),
        1 => handle.prop_map(Action::Unreference),
    ]
}

#[derive(Clone, Copy, Default)]
struct Model {
    active: bool,
    unreferenced: bool,
    closed: bool,
    /// Whether it was active all the time since the iteration began.
    throughout: bool,
    called: usize,
}

struct World {
    handles: Vec<Poll>,
    models: [Model; HANDLES],
    /// What the next callbacks do, whoever they are.
    script: VecDeque<Vec<Action>>,
    closing: Vec<usize>,
    close_calls: Vec<usize>,
}

type Shared = Rc<RefCell<World>>;

fn act(world: &Shared, action: Action) {
    let handle = |number: usize| world.borrow().handles[number].clone();
    match action {
        Action::Start(number) => {
            let closed = world.borrow().models[number].closed;
            let (shared, poll) = (Rc::clone(world), handle(number));
            // The descriptor is always writable.
            let started = poll.start(Readiness::WRITABLE, move |_, _, ready| {
                assert!(ready.unwrap().writable);
                called(&shared, number);
            });
            assert_eq!(started.is_err(), closed);
            world.borrow_mut().models[number].active = !closed;
        }
        Action::Stop(number) => {
            handle(number).stop();
            let model = &mut world.borrow_mut().models[number];
            (model.active, model.throughout) = (false, false);
        }
        Action::Close(number) => {
            let shared = Rc::clone(world);
            let first = !world.borrow().models[number].closed;
            let poll = handle(number);
            poll.close_with(move |_| shared.borrow_mut().close_calls.push(number));
            let mut world = world.borrow_mut();
            let model = &mut world.models[number];
            (model.active, model.throughout, model.closed) = (false, false, true);
            if first {
                world.closing.push(number);
            }
        }
        Action::Reference(number) => {
            handle(number).reference();
            world.borrow_mut().models[number].unreferenced = false;
        }
        Action::Unreference(number) => {
            handle(number).unreference();
            world.borrow_mut().models[number].unreferenced = true;
        }
    }
}

fn called(world: &Shared, number: usize) {
    let actions = {
        let mut world = world.borrow_mut();
        let model = &mut world.models[number];
        assert!(model.active, "a handle that is stopped does not call back");
        model.called += 1;
        world.script.pop_front().unwrap_or_default()
    };
    actions.into_iter().for_each(|action| act(world, action));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn handles_follow_the_rules_whatever_callbacks_do(
        first in prop::collection::vec(action(), 1..10),
        script in prop::collection::vec(prop::collection::vec(action(), 0..4), 0..30),
    ) {
        let event_loop = EventLoop::builder().instruments(false).build().unwrap();
        let pairs: Vec<_> = (0..HANDLES).map(|_| UnixStream::pair().unwrap()).collect();
        let (ours, _theirs): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let handles = ours.into_iter().map(|ours| Poll::new(&event_loop, ours).unwrap()).collect();
        let world: Shared = Rc::new(RefCell::new(World {
            handles,
            models: [Model::default(); HANDLES],
            script: script.into(),
            closing: Vec::new(),
            close_calls: Vec::new(),
        }));
        first.into_iter().for_each(|action| act(&world, action));
        for _ in 0..20 {
            let (keeps_alive, closing) = {
                let mut world = world.borrow_mut();
                for model in &mut world.models {
                    (model.called, model.throughout) = (0, model.active);
                }
                let keeps_alive = world.models.iter().any(|model| model.active && !model.unreferenced);
                (keeps_alive, std::mem::take(&mut world.closing))
            };
            prop_assert_eq!(event_loop.is_alive(), keeps_alive || !closing.is_empty());
            let was_alive = event_loop.is_alive();
            event_loop.run(RunMode::NoWait);
            let mut world = world.borrow_mut();
            for (model, handle) in world.models.iter().zip(&world.handles) {
                prop_assert!(model.called <= 1, "once an iteration at most");
                prop_assert!(!was_alive || !model.throughout || model.called == 1, "and once if it was active");
                prop_assert_eq!(handle.is_active(), model.active);
                prop_assert_eq!(handle.is_closing(), model.closed);
                prop_assert_eq!(handle.has_ref(), !model.unreferenced);
            }
            // The close phase is behind the poll: what was closed before it, and in it, ends now, last first.
            let mut expected = [closing, std::mem::take(&mut world.closing)].concat();
            expected.reverse();
            prop_assert_eq!(std::mem::take(&mut world.close_calls), expected);
        }
        // Callbacks hold the world, and the world the handles.
        let handles = std::mem::take(&mut world.borrow_mut().handles);
        handles.iter().for_each(Poll::close);
    }
}
