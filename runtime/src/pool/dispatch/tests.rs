//! The decisions one by one, and then any number of them against a simple model.

use model::label::TaskKind::{self, Dns, Fs, Work, Zlib};
use proptest::prelude::*;

use super::*;

const fn at(ns: u64) -> Monotonic {
    Monotonic::from_ns(ns)
}

/// Workers are numbers, tasks too.
fn dispatch(size: usize) -> Dispatch<u32, u32> {
    Dispatch::new(size, Order::Submission, true)
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

#[test]
fn in_the_fair_order_the_kinds_take_turns() {
    let mut dispatch: Dispatch<u32, u32> = Dispatch::new(2, Order::Fair, true);
    for (task, kind) in [(1, Work), (2, Work), (3, Work), (4, Zlib), (5, Fs)].into_iter() {
        submit(&mut dispatch, kind, task, 0);
    }
    // One thread is for files, so what is no file operation has the other alone.
    let mut order = Vec::new();
    let mut from = From::Called;
    for kind in [Fs, Zlib, Work, Work, Work] {
        let Next::Run(task) = dispatch.next(&1, from) else { panic!("there is something to run") };
        order.push(task);
        from = From::Task(kind, at(1));
    }
    assert_eq!(order, [5, 4, 1, 2, 3]);
}

#[test]
fn in_the_fair_order_one_thread_is_free_for_files() {
    let mut dispatch: Dispatch<u32, u32> = Dispatch::new(2, Order::Fair, true);
    assert_eq!(submit(&mut dispatch, Work, 1, 0), Some(Call::Start));
    assert_eq!(submit(&mut dispatch, Work, 2, 0), None, "nobody is called for a task that may not start");
    assert_eq!(dispatch.next(&1, From::Called), Next::Run(1));
    assert_eq!(submit(&mut dispatch, Fs, 3, 0), Some(Call::Start));
    assert_eq!(dispatch.next(&2, From::Called), Next::Run(3));
    assert_eq!(dispatch.next(&2, From::Task(Fs, at(1))), Next::Sleep);
    assert_eq!(dispatch.next(&1, From::Task(Work, at(1))), Next::Run(2));
    let mut alone: Dispatch<u32, u32> = Dispatch::new(1, Order::Fair, true);
    assert_eq!(submit(&mut alone, Work, 1, 0), Some(Call::Start), "a single thread is for all");
    assert_eq!(alone.next(&1, From::Called), Next::Run(1));
}

#[test]
fn a_pool_that_grows_calls_workers_for_what_waits() {
    let mut dispatch = dispatch(1);
    for task in 1..=3 {
        submit(&mut dispatch, Work, task, 0);
    }
    assert_eq!(dispatch.resize(2), [Call::Start]);
    assert_eq!(dispatch.resize(8), [Call::Start]);
    assert_eq!(dispatch.next(&1, From::Called), Next::Run(1));
    assert_eq!(dispatch.next(&2, From::Called), Next::Run(2));
    assert_eq!(dispatch.next(&3, From::Called), Next::Run(3));
}

#[test]
fn a_pool_that_shrinks_ends_its_workers_and_loses_no_task() {
    let mut dispatch = dispatch(3);
    for task in 1..=3 {
        submit(&mut dispatch, Work, task, 0);
    }
    for worker in [1, 2, 3] {
        dispatch.next(&worker, From::Called);
    }
    assert_eq!(dispatch.next(&3, From::Task(Work, at(1))), Next::Sleep);
    assert_eq!(dispatch.resize(1), [Call::Wake(3)], "who sleeps is woken to end");
    submit(&mut dispatch, Work, 4, 0);
    assert_eq!(dispatch.next(&1, From::Task(Work, at(2))), Next::End, "two were too many");
    assert_eq!(dispatch.worker_ended(), None);
    assert_eq!(dispatch.next(&3, From::Called), Next::End);
    assert_eq!(dispatch.worker_ended(), None, "the last one works");
    assert_eq!(dispatch.next(&2, From::Task(Work, at(3))), Next::Run(4));
}

#[test]
fn short_file_operations_wait_for_a_worker_that_is_awake() {
    let mut dispatch = dispatch(4);
    dispatch.ran(Fs, 0);
    assert_eq!(submit(&mut dispatch, Fs, 1, 0), Some(Call::Start));
    for task in 2..=5 {
        assert_eq!(submit(&mut dispatch, Fs, task, 0), None);
    }
    assert_eq!(dispatch.next(&1, From::Called), Next::Run(1));
    assert_eq!(dispatch.call_deferred(), Some(Call::Start), "before whoever submitted waits");
    assert_eq!(dispatch.next(&2, From::Called), Next::Run(2));
    assert_eq!(dispatch.after_take(From::Called, Fs), [Call::Start], "more than it can take is left");
    assert_eq!(dispatch.next(&1, From::Task(Fs, at(1))), Next::Run(3));
    assert_eq!(dispatch.after_take(From::Task(Fs, at(1)), Fs), [], "it comes back soon");
}

#[test]
fn nothing_is_deferred_for_long_file_operations_or_behind_other_tasks() {
    let mut dispatch = dispatch(4);
    submit(&mut dispatch, Fs, 1, 0);
    assert_eq!(submit(&mut dispatch, Fs, 2, 0), Some(Call::Start), "nothing is known yet");
    (0..50).for_each(|_| dispatch.ran(Fs, 0));
    assert_eq!(submit(&mut dispatch, Fs, 3, 0), None);
    submit(&mut dispatch, Work, 4, 0);
    assert_eq!(dispatch.call_all_deferred(), [Call::Start], "the second of what may start beside it");
    (0..50).for_each(|_| dispatch.ran(Fs, 1_000_000));
    assert_eq!(submit(&mut dispatch, Fs, 5, 0), None, "there is no fifth thread");
    assert!(!dispatch.is_deferring());
}

/// What a step of the model does; the numbers choose among what is possible.
#[derive(Clone, Copy, Debug)]
enum Step {
    Submit(TaskKind),
    Withdraw(usize),
    Move(usize),
    Resize(usize),
    Order(Order),
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => prop_oneof![Just(Work), Just(Zlib), Just(Fs), Just(Dns)].prop_map(Step::Submit),
        4 => any::<usize>().prop_map(Step::Withdraw),
        24 => any::<usize>().prop_map(Step::Move),
        1 => (1..6usize).prop_map(Step::Resize),
        3 => Just(Step::Wait),
        1 => prop_oneof![Just(Order::Submission), Just(Order::Fair)].prop_map(Step::Order),
    ]
}

/// Where a worker is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Worker {
    Asleep,
    /// What it comes from when it asks next.
    Awake(From),
    Ended,
}

/// A pool in slow motion: each worker is somewhere, and moves when the model says so.
struct Model {
    dispatch: Dispatch<u32, u32>,
    size: usize,
    order: Order,
    /// The kind whose turn it is.
    turn: usize,
    workers: Vec<Worker>,
    /// By number, which is the order of submission.
    waiting: Vec<(u32, TaskKind, TaskNumber)>,
    running: Vec<TaskKind>,
    next_task: u32,
    ns: u64,
    /// How long file operations take.
    file_run_ns: u64,
}

impl Model {
    fn follow(&mut self, call: Option<Call<u32>>) {
        match call {
            None => {}
            Some(Call::Start) => {
                self.workers.push(Worker::Awake(From::Called));
                assert!(self.alive() <= self.size, "no more workers than there may be");
            }
            Some(Call::Wake(worker)) => {
                let place = &mut self.workers[worker as usize];
                assert_eq!(*place, Worker::Asleep, "only who sleeps is woken");
                *place = Worker::Awake(From::Called);
            }
        }
    }

    fn alive(&self) -> usize {
        self.workers.iter().filter(|worker| **worker != Worker::Ended).count()
    }

    fn submit(&mut self, kind: TaskKind) {
        let task = self.next_task;
        self.next_task += 1;
        let (number, call) = self.dispatch.submit(kind, task, at(self.ns)).expect("the pool is open");
        self.waiting.push((task, kind, number));
        self.follow(call);
        if kind != Fs {
            self.dispatch.call_all_deferred().into_iter().for_each(|call| self.follow(Some(call)));
            assert!(!self.dispatch.is_deferring());
        }
    }

    /// Whoever submitted waits from now on.
    fn wait(&mut self) {
        let call = self.dispatch.call_deferred();
        self.follow(call);
    }

    fn withdraw(&mut self, choice: usize) {
        if !self.waiting.is_empty() {
            let (task, kind, number) = self.waiting.remove(choice % self.waiting.len());
            assert_eq!(self.dispatch.withdraw(kind, number), Some(task));
            assert_eq!(self.dispatch.withdraw(kind, number), None);
        }
    }

    fn resize(&mut self, size: usize) {
        self.size = size;
        self.dispatch.resize(size).into_iter().for_each(|call| self.follow(Some(call)));
    }

    fn set_order(&mut self, order: Order) {
        self.order = order;
        self.dispatch.set_order(order).into_iter().for_each(|call| self.follow(Some(call)));
    }

    /// One worker that is awake asks what is next.
    fn advance(&mut self, choice: usize) -> bool {
        let is_awake = |worker: &usize| matches!(self.workers[*worker], Worker::Awake(_));
        let awake: Vec<_> = (0..self.workers.len()).filter(is_awake).collect();
        if awake.is_empty() {
            return false;
        }
        let worker = awake[choice % awake.len()];
        let from = match self.workers[worker] {
            Worker::Awake(From::Task(kind, _)) => {
                self.dispatch.ran(kind, self.file_run_ns);
                let at_index = self.running.iter().position(|running| *running == kind);
                self.running.swap_remove(at_index.expect("it runs"));
                From::Task(kind, at(self.ns))
            }
            Worker::Awake(from) => from,
            Worker::Asleep | Worker::Ended => unreachable!("one that is awake was chosen"),
        };
        self.workers[worker] = match self.dispatch.next(&(worker as u32), from) {
            Next::Run(task) => {
                let first = self.first_startable().expect("a task that may start");
                let (expected, kind, _) = self.waiting.remove(first);
                assert_eq!(task, expected, "the one whose turn it is");
                self.turn = (kind as usize + 1) % TaskKind::ALL.len();
                self.running.push(kind);
                let calls = self.dispatch.after_take(from, kind);
                calls.into_iter().for_each(|call| self.follow(Some(call)));
                Worker::Awake(From::Task(kind, at(0)))
            }
            Next::Linger => Worker::Awake(From::Lingering),
            Next::Sleep => Worker::Asleep,
            Next::End => {
                assert!(self.alive() > self.size, "nobody ends without reason");
                Worker::Ended
            }
        };
        if self.workers[worker] == Worker::Ended {
            let call = self.dispatch.worker_ended();
            self.follow(call);
        }
        true
    }

    fn slow_capacity(&self) -> usize {
        let running = self.running.iter().filter(|kind| **kind == Dns).count();
        self.size.div_ceil(2).saturating_sub(running)
    }

    fn others_capacity(&self) -> usize {
        let running = self.running.iter().filter(|kind| **kind != Fs).count();
        let most = if self.order == Order::Fair { (self.size - 1).max(1) } else { usize::MAX };
        most.saturating_sub(running)
    }

    fn first_startable(&self) -> Option<usize> {
        let may_start = |kind: TaskKind| {
            (kind != Dns || self.slow_capacity() > 0) && (kind == Fs || self.others_capacity() > 0)
        };
        let candidates = self.waiting.iter().enumerate().filter(|(_, (_, kind, _))| may_start(*kind));
        let kinds = TaskKind::ALL.len();
        let distance = |kind: TaskKind| match self.order {
            Order::Submission => 0,
            Order::Fair => (kind as usize + kinds - self.turn) % kinds,
        };
        candidates.min_by_key(|(at, (_, kind, _))| (distance(*kind), *at)).map(|(at, _)| at)
    }

    /// A worker is on its way to each task that may start, as far as there are any to be called; but if calls are deferred one
    /// that is awake will do.
    fn check(&self) {
        let waiting =
            |kinds: &[TaskKind]| self.waiting.iter().filter(|(_, kind, _)| kinds.contains(kind)).count();
        let others = waiting(&[Work, Zlib]) + waiting(&[Dns]).min(self.slow_capacity());
        let startable = waiting(&[Fs]) + others.min(self.others_capacity());
        let searching = |worker: &&Worker| matches!(worker, Worker::Awake(From::Called | From::Lingering));
        let searching = self.workers.iter().filter(searching).count();
        let all_called = self.alive() >= self.size && !self.workers.contains(&Worker::Asleep);
        let comes = |worker: &Worker| matches!(worker, Worker::Awake(from) if !matches!(from, From::Task(kind, _) if *kind != Fs));
        let deferred = self.dispatch.is_deferring() && self.workers.iter().any(comes);
        assert!(
            searching >= startable || all_called || deferred,
            "{searching} on their way to {startable} tasks"
        );
    }
}

proptest! {
    #[test]
    #[cfg_attr(miri, ignore = "hundreds of cases take an interpreter too long; the steps one by one are above")]
    fn whatever_happens_no_task_is_lost_or_late(
        size in 1..6usize,
        fair: bool,
        file_run_ns in 0..2 * SHORT_NS,
        steps in prop::collection::vec((step(), 0..2 * LINGER_NS), 1..300),
    ) {
        let order = if fair { Order::Fair } else { Order::Submission };
        let mut model = Model {
            dispatch: Dispatch::new(size, order, true),
            size,
            order,
            turn: 0,
            workers: Vec::new(),
            waiting: Vec::new(),
            running: Vec::new(),
            next_task: 0,
            ns: 0,
            file_run_ns,
        };
        model.dispatch.ran(Fs, file_run_ns);
        for (step, passes_ns) in steps {
            model.ns += passes_ns;
            match step {
                Step::Submit(kind) => model.submit(kind),
                Step::Withdraw(choice) => model.withdraw(choice),
                Step::Move(choice) => drop(model.advance(choice)),
                Step::Resize(size) => model.resize(size),
                Step::Order(order) => model.set_order(order),
                Step::Wait => model.wait(),
            }
            model.check();
        }
        while model.advance(0) {
            model.check();
        }
        prop_assert!(model.waiting.is_empty(), "all tasks have run");
        prop_assert!(model.alive() <= model.size, "no more workers than there may be");
    }
}
