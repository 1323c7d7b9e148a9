//! The thread pool: where work runs that would block a loop.
//!
//! File-system operations, name look-ups and whatever else a program queues run on a few threads, 4 unless told
//! otherwise, and their completion callbacks on the loop that asked. All loops of a process share one pool,
//! [`Pool::shared`], unless they are built with one of their own. Threads start when there is work for them.
//!
//! **Locks.** The state of a pool is a [`dispatch::Dispatch`] behind one mutex, held for a few dozen instructions and
//! never while a task, a callback or a system call runs. A worker that sleeps is parked; it takes itself for called only
//! if the dispatch says so, under the lock. The one thing outside the lock is a flag that a lingering worker watches:
//! missing it costs the rest of the lingering, and nothing else.
//!
//! Refused: a lock-free queue (order, cancelling, libuv's limit for slow I/O and exact wake-ups need one view of the
//! whole), and one queue a thread with stealing (tasks that block are worth far more than the lock costs).

mod dispatch;
mod instruments;
mod size;
mod task;
mod worker;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::thread;

use model::label::TaskKind;

use self::dispatch::TaskNumber;
pub use self::size::PoolError;
pub(crate) use self::task::Task;
pub use self::task::TaskError;
use self::worker::Shared;

/// A pool of threads. Copies are the same pool.
///
/// When the last copy and the last loop built with it are gone, tasks that were submitted still run, then the threads
/// end; nobody waits for that. To wait, call [`Pool::shut_down`].
///
/// A forked child has none of its parent's threads: it must not use its parent's pools.
///
/// ```
/// use loopscope_runtime::{EventLoop, RunMode, TaskKind, pool::Pool};
///
/// let pool = Pool::builder().threads(2).build()?;
/// let event_loop = EventLoop::builder().pool(&pool).build()?;
/// event_loop.queue_work(TaskKind::Work, || 6 * 7, |_, answer| assert_eq!(answer, Ok(42)));
/// event_loop.run(RunMode::Default);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Pool {
    owner: Arc<Owner>,
}

/// Dropped with the last copy of a [`Pool`], while workers still hold what is shared.
struct Owner {
    shared: Arc<Shared>,
}

/// Options of a new pool.
#[derive(Clone, Debug)]
pub struct PoolBuilder {
    threads: usize,
    instruments: bool,
}

/// A task that was submitted.
pub(crate) struct Ticket {
    pool: Pool,
    kind: TaskKind,
    /// `None` of one that was refused.
    number: Option<TaskNumber>,
}

impl Pool {
    /// The pool that all loops share which were not built with another. The environment variable `UV_THREADPOOL_SIZE`
    /// gives its number of threads when it is first used, read as libuv reads it: 4 where it is not set, at least 1, at
    /// most 1024, and 1 where it is no number.
    pub fn shared() -> &'static Pool {
        static SHARED: OnceLock<Pool> = OnceLock::new();
        SHARED.get_or_init(|| Pool::with(size::from_environment(), true))
    }

    /// A pool with options.
    pub fn builder() -> PoolBuilder {
        PoolBuilder { threads: size::DEFAULT, instruments: true }
    }

    fn with(threads: usize, instruments: bool) -> Self {
        Self { owner: Arc::new(Owner { shared: Arc::new(Shared::new(threads, instruments)) }) }
    }

    /// The most threads that the pool starts.
    pub fn threads(&self) -> usize {
        self.owner.shared.size()
    }

    /// Runs what was submitted, takes nothing more, and waits until all threads have ended. What is submitted later
    /// comes back with [`TaskError::ShutDown`].
    ///
    /// Called on a thread of the pool itself, it does not wait for that one.
    pub fn shut_down(&self) {
        self.owner.shared.close();
        self.owner.shared.join();
    }

    /// Submits a task. If it cannot run, it ends with the reason.
    pub(crate) fn submit(&self, kind: TaskKind, task: Box<dyn Task>) -> Ticket {
        let number = worker::submit(&self.owner.shared, kind, task);
        Ticket { pool: self.clone(), kind, number }
    }

    /// What stands for a task that was not submitted.
    pub(crate) fn refused(&self, kind: TaskKind) -> Ticket {
        Ticket { pool: self.clone(), kind, number: None }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads()).finish_non_exhaustive()
    }
}

impl PoolBuilder {
    /// The most threads that the pool starts, from 1 to 1024; 4 unless told otherwise.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Whether the pool measures itself; it does unless told otherwise.
    pub fn instruments(mut self, on: bool) -> Self {
        self.instruments = on;
        self
    }

    /// Makes the pool. Its threads start when there is work for them.
    ///
    /// # Errors
    /// [`PoolError::ThreadCount`] of a number of threads that no pool has.
    pub fn build(self) -> Result<Pool, PoolError> {
        size::check(self.threads).map(|threads| Pool::with(threads, self.instruments))
    }
}

impl Ticket {
    /// Takes the task back if it has not started; it then ends with [`TaskError::Cancelled`]. Tells whether it did.
    pub(crate) fn cancel(&self) -> bool {
        self.number.is_some_and(|number| self.pool.owner.shared.cancel(self.kind, number))
    }
}

/// How many threads can run at a time on this machine, as far as the system tells.
fn parallelism() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
