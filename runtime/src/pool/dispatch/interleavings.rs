//! The way in which threads use the decisions, in miniature, in every interleaving: whoever submits calls after the lock is
//! released, and whoever is told to sleep parks after it is.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p loopscope-runtime --lib interleavings`.

use loom::sync::{Arc, Mutex};
use loom::thread::{self, JoinHandle, Thread};
use model::label::TaskKind::Work;
use model::time::Monotonic;

use super::{Call, Dispatch, From, Next, Order};

const NOW: Monotonic = Monotonic::from_ns(0);

struct Pool {
    dispatch: Mutex<Dispatch<u32, usize>>,
    /// By the number of the worker.
    workers: Mutex<Vec<Thread>>,
    joins: Mutex<Vec<JoinHandle<()>>>,
    ran: Mutex<Vec<u32>>,
}

impl Pool {
    fn new(size: usize) -> Arc<Self> {
        Arc::new(Self {
            dispatch: Mutex::new(Dispatch::new(size, Order::Submission, false)),
            workers: Mutex::new(Vec::new()),
            joins: Mutex::new(Vec::new()),
            ran: Mutex::new(Vec::new()),
        })
    }

    /// Closes the pool, waits for its threads, and gives what ran.
    fn end(&self) -> Vec<u32> {
        let asleep = self.dispatch.lock().unwrap().close();
        asleep.into_iter().for_each(|worker| self.workers.lock().unwrap()[worker].unpark());
        while let Some(join) = { self.joins.lock().unwrap().pop() } {
            join.join().unwrap();
        }
        let mut ran = std::mem::take(&mut *self.ran.lock().unwrap());
        ran.sort_unstable();
        ran
    }
}

fn submit(pool: &Arc<Pool>, task: u32) {
    let (_, call) = pool.dispatch.lock().unwrap().submit(Work, task, NOW).unwrap();
    follow(pool, call);
}

fn follow(pool: &Arc<Pool>, call: Option<Call<usize>>) {
    match call {
        None => {}
        Some(Call::Wake(worker)) => pool.workers.lock().unwrap()[worker].unpark(),
        Some(Call::Start) => {
            let of_thread = Arc::clone(pool);
            let join = thread::spawn(move || work(&of_thread));
            pool.joins.lock().unwrap().push(join);
        }
    }
}

fn work(pool: &Arc<Pool>) {
    let me = {
        let mut workers = pool.workers.lock().unwrap();
        workers.push(thread::current());
        workers.len() - 1
    };
    let mut from = From::Called;
    loop {
        let next = pool.dispatch.lock().unwrap().next(&me, from);
        from = match next {
            Next::Run(task) => {
                pool.ran.lock().unwrap().push(task);
                From::Task(Work, NOW)
            }
            Next::Sleep => {
                thread::park();
                From::Called
            }
            Next::Linger => unreachable!("lingering is off"),
            Next::End => break,
        };
    }
    let call = pool.dispatch.lock().unwrap().worker_ended();
    follow(pool, call);
}

/// Every interleaving with up to so many switches of threads that need not switch.
fn model(switches: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(switches);
    builder.check(body);
}

#[test]
fn no_task_is_lost_between_a_submission_and_a_worker_that_falls_asleep() {
    model(3, || {
        let pool = Pool::new(1);
        submit(&pool, 1);
        submit(&pool, 2);
        assert_eq!(pool.end(), [1, 2]);
    });
}

#[test]
fn no_task_is_lost_between_two_who_submit() {
    model(2, || {
        let pool = Pool::new(1);
        let other = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || submit(&pool, 2))
        };
        submit(&pool, 1);
        other.join().unwrap();
        assert_eq!(pool.end(), [1, 2]);
    });
}

#[test]
fn no_task_is_lost_when_the_pool_shrinks_meanwhile() {
    model(2, || {
        let pool = Pool::new(2);
        submit(&pool, 1);
        submit(&pool, 2);
        let calls = pool.dispatch.lock().unwrap().resize(1);
        calls.into_iter().for_each(|call| follow(&pool, Some(call)));
        submit(&pool, 3);
        assert_eq!(pool.end(), [1, 2, 3]);
    });
}
