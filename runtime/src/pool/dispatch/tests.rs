//! The decisions one by one, and then any number of them against a simple model.

use model::label::TaskKind::{self, Dns, Fs, Work};
use proptest::prelude::*;

use super::*;

const fn at(ns: u64) -> Monotonic {
    Monotonic::from_ns(ns)
}

/// Workers are numbers, tasks too.
fn dispatch(size: usize) -> Dispatch<u32, u32> {
    Dispatch::new(size, true)
}

fn submit(dispatch: &mut Dispatch<u32, u32>, kind: TaskKind, task: u32, ns: u64) -> Option<Call<u32>> {
    dispatch.submit(kind, task, at(ns)).expect("the pool is open").1
}

#[test]
fn each_task_calls_one_worker_and_no_more() {
    let mut dispatch = dispatch(2);
    assert_eq!(submit(&mut dispatch, Work, 1, 0), Some(Call::Start));
    assert_eq!(submit(&mut dispatch, Work, 2, 0), Some(Call::Start));
    assert_eq!(submit(&mut dispatch, Work, 3, 0), None, "there is no third thread");
    assert_eq!(dispatch.next(&1, From::Called), Next::Run(1));
    assert_eq!(dispatch.next(&2, From::Called), Next::Run(2));
    assert_eq!(dispatch.next(&1, From::Task(Work, at(1))), Next::Run(3));
}

#[test]
fn a_worker_that_is_on_its_way_serves_for_one_task() {
    let mut dispatch = dispatch(4);
    assert_eq!(submit(&mut dispatch, Work, 1, 0), Some(Call::Start));
    assert_eq!(dispatch.next(&1, From::Called), Next::Run(1));
    assert_eq!(dispatch.next(&1, From::Task(Work, at(1))), Next::Sleep);
    assert_eq!(submit(&mut dispatch, Work, 2, LINGER_NS + 1), Some(Call::Wake(1)));
    assert_eq!(submit(&mut dispatch, Work, 3, LINGER_NS + 1), Some(Call::Start));
}

#[test]
fn who_sleeps_goes_on_sleeping_until_called() {
    let mut dispatch = dispatch(1);
    submit(&mut dispatch, Work, 1, 0);
    dispatch.next(&1, From::Called);
    assert_eq!(dispatch.next(&1, From::Task(Work, at(1))), Next::Sleep);
    assert_eq!(dispatch.next(&1, From::Called), Next::Sleep, "woken by chance");
    assert_eq!(submit(&mut dispatch, Work, 2, LINGER_NS + 1), Some(Call::Wake(1)));
    assert_eq!(dispatch.next(&1, From::Called), Next::Run(2));
}

#[test]
fn the_last_to_sleep_is_the_first_to_be_called() {
    let mut dispatch = dispatch(2);
    submit(&mut dispatch, Work, 1, 0);
    submit(&mut dispatch, Work, 2, 0);
    for worker in [1, 2] {
        dispatch.next(&worker, From::Called);
    }
    for worker in [2, 1] {
        assert_eq!(dispatch.next(&worker, From::Task(Work, at(1))), Next::Sleep);
    }
    assert_eq!(submit(&mut dispatch, Work, 3, LINGER_NS + 1), Some(Call::Wake(1)));
}

#[test]
fn one_worker_lingers_after_a_short_dry_spell_and_none_after_a_long_one() {
    let mut dispatch = dispatch(2);
    submit(&mut dispatch, Work, 1, 0);
    dispatch.next(&1, From::Called);
    assert_eq!(dispatch.next(&1, From::Task(Work, at(100))), Next::Sleep, "nothing is known yet");
    submit(&mut dispatch, Work, 2, 100 + LINGER_NS - 1);
    submit(&mut dispatch, Work, 3, 100 + LINGER_NS);
    dispatch.next(&1, From::Called);
    dispatch.next(&2, From::Called);
    let end = 200 + LINGER_NS;
    assert_eq!(dispatch.next(&1, From::Task(Work, at(end))), Next::Linger);
    assert_eq!(dispatch.next(&2, From::Task(Work, at(end))), Next::Sleep, "one is enough");
    assert_eq!(submit(&mut dispatch, Work, 4, end + LINGER_NS), None, "whoever lingers need not be woken");
    assert_eq!(dispatch.next(&1, From::Lingering), Next::Run(4));
    assert_eq!(
        dispatch.next(&1, From::Task(Work, at(end + 2 * LINGER_NS))),
        Next::Sleep,
        "the last spell was long"
    );
}

#[test]
fn who_lingered_in_vain_sleeps() {
    let mut dispatch = dispatch(1);
    submit(&mut dispatch, Work, 1, 0);
    dispatch.next(&1, From::Called);
    dispatch.next(&1, From::Task(Work, at(1)));
    submit(&mut dispatch, Work, 2, 2);
    dispatch.next(&1, From::Called);
    assert_eq!(dispatch.next(&1, From::Task(Work, at(3))), Next::Linger);
    assert_eq!(dispatch.next(&1, From::Lingering), Next::Sleep);
    assert_eq!(submit(&mut dispatch, Work, 3, 2 * LINGER_NS), Some(Call::Wake(1)));
}

#[test]
fn slow_tasks_beyond_half_of_the_threads_wait_and_are_passed() {
    let mut dispatch = dispatch(3);
    for task in 1..=3 {
        let call = submit(&mut dispatch, Dns, task, 0);
        assert_eq!(
            call,
            (task <= 2).then_some(Call::Start),
            "nobody is called for a task that may not start"
        );
    }
    assert_eq!(submit(&mut dispatch, Fs, 4, 0), Some(Call::Start));
    let started = [1, 2, 3].map(|worker| dispatch.next(&worker, From::Called));
    assert_eq!(started, [Next::Run(1), Next::Run(2), Next::Run(4)]);
    assert_eq!(dispatch.next(&1, From::Task(Dns, at(1))), Next::Run(3), "a place became free");
}

#[test]
fn a_place_that_becomes_free_for_a_slow_task_is_used_by_whoever_sleeps() {
    let mut dispatch = dispatch(2);
    submit(&mut dispatch, Dns, 1, 0);
    submit(&mut dispatch, Fs, 2, 0);
    dispatch.next(&1, From::Called);
    dispatch.next(&2, From::Called);
    submit(&mut dispatch, Fs, 3, 0);
    submit(&mut dispatch, Dns, 4, 0);
    assert_eq!(dispatch.next(&2, From::Task(Fs, at(1))), Next::Run(3));
    assert_eq!(dispatch.next(&2, From::Task(Fs, at(2))), Next::Sleep, "the slow one may not start yet");
    submit(&mut dispatch, Fs, 5, 2 * LINGER_NS);
    assert_eq!(dispatch.next(&1, From::Task(Dns, at(3))), Next::Run(4));
    assert_eq!(dispatch.next(&2, From::Called), Next::Run(5));
}

#[test]
fn a_closed_pool_runs_what_it_has_and_ends_its_workers() {
    let mut dispatch = dispatch(2);
    submit(&mut dispatch, Work, 1, 0);
    submit(&mut dispatch, Work, 2, 0);
    dispatch.next(&1, From::Called);
    dispatch.next(&2, From::Called);
    assert_eq!(dispatch.next(&2, From::Task(Work, at(1))), Next::Sleep);
    assert_eq!(dispatch.close(), [2]);
    assert!(dispatch.submit(Work, 3, at(2)).is_err());
    assert_eq!(dispatch.next(&2, From::Called), Next::End);
    assert_eq!(dispatch.next(&1, From::Task(Work, at(3))), Next::End);
}

/// What a step of the model does; the numbers choose among what is possible.
#[derive(Clone, Copy, Debug)]
enum Step {
    Submit(TaskKind),
    Withdraw(usize),
    Move(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop_oneof![Just(Work), Just(Fs), Just(Dns)].prop_map(Step::Submit),
        1 => any::<usize>().prop_map(Step::Withdraw),
        6 => any::<usize>().prop_map(Step::Move),
    ]
}

/// A pool in slow motion: each worker is somewhere, and moves when the model says so.
struct Model {
    dispatch: Dispatch<u32, u32>,
    size: usize,
    /// Where each worker is: what it comes from when it asks next, or `None` of one that sleeps.
    workers: Vec<Option<From>>,
    /// By number, which is the order of submission.
    waiting: Vec<(u32, TaskKind, TaskNumber)>,
    running_slow: usize,
    next_task: u32,
    ns: u64,
}

impl Model {
    fn follow(&mut self, call: Option<Call<u32>>) {
        match call {
            None => {}
            Some(Call::Start) => self.workers.push(Some(From::Called)),
            Some(Call::Wake(worker)) => {
                let place = &mut self.workers[worker as usize];
                assert_eq!(*place, None, "only who sleeps is woken");
                *place = Some(From::Called);
            }
        }
        assert!(self.workers.len() <= self.size);
    }

    fn submit(&mut self, kind: TaskKind) {
        let task = self.next_task;
        self.next_task += 1;
        let (number, call) = self.dispatch.submit(kind, task, at(self.ns)).expect("the pool is open");
        self.waiting.push((task, kind, number));
        self.follow(call);
    }

    fn withdraw(&mut self, choice: usize) {
        if !self.waiting.is_empty() {
            let (task, kind, number) = self.waiting.remove(choice % self.waiting.len());
            assert_eq!(self.dispatch.withdraw(kind, number), Some(task));
            assert_eq!(self.dispatch.withdraw(kind, number), None);
        }
    }

    /// One worker that is awake asks what is next.
    fn advance(&mut self, choice: usize) -> bool {
        let awake: Vec<_> =
            (0..self.workers.len()).filter(|&worker| self.workers[worker].is_some()).collect();
        if awake.is_empty() {
            return false;
        }
        let worker = awake[choice % awake.len()];
        let from = match self.workers[worker].expect("one that is awake") {
            From::Task(kind, _) => {
                self.running_slow -= usize::from(kind == Dns);
                From::Task(kind, at(self.ns))
            }
            from => from,
        };
        self.workers[worker] = match self.dispatch.next(&(worker as u32), from) {
            Next::Run(task) => {
                let first = self.first_startable().expect("a task that may start");
                let (expected, kind, _) = self.waiting.remove(first);
                assert_eq!(task, expected, "in the order of submission");
                self.running_slow += usize::from(kind == Dns);
                Some(From::Task(kind, at(0)))
            }
            Next::Linger => Some(From::Lingering),
            Next::Sleep => None,
            Next::End => unreachable!("the pool is open"),
        };
        true
    }

    fn slow_capacity(&self) -> usize {
        self.size.div_ceil(2) - self.running_slow
    }

    fn first_startable(&self) -> Option<usize> {
        self.waiting.iter().position(|(_, kind, _)| *kind != Dns || self.slow_capacity() > 0)
    }

    /// A worker is on its way to each task that may start, as far as there are any to be called.
    fn check(&self) {
        let slow = self.waiting.iter().filter(|(_, kind, _)| *kind == Dns).count();
        let startable = self.waiting.len() - slow + slow.min(self.slow_capacity());
        let searching = self.workers.iter().flatten().filter(|from| !matches!(from, From::Task(..))).count();
        let all_called = self.workers.len() == self.size && self.workers.iter().all(Option::is_some);
        assert!(searching >= startable || all_called, "{searching} on their way to {startable} tasks");
    }
}

proptest! {
    #[test]
    fn whatever_happens_no_task_is_lost_or_late(size in 1..6usize, steps in prop::collection::vec((step(), 0..2 * LINGER_NS), 1..300)) {
        let dispatch = dispatch(size);
        let mut model =
            Model { dispatch, size, workers: Vec::new(), waiting: Vec::new(), running_slow: 0, next_task: 0, ns: 0 };
        for (step, passes_ns) in steps {
            model.ns += passes_ns;
            match step {
                Step::Submit(kind) => model.submit(kind),
                Step::Withdraw(choice) => model.withdraw(choice),
                Step::Move(choice) => drop(model.advance(choice)),
            }
            model.check();
        }
        while model.advance(0) {
            model.check();
        }
        prop_assert!(model.waiting.is_empty(), "all tasks have run");
    }
}
