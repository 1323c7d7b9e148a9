//! The thread pool: where work runs that would block a loop.
//!
//! File-system operations, name look-ups and whatever else a program queues run on a few threads, 4 unless told
//! otherwise, and their completion callbacks on the loop that asked. All loops of a process share one pool,
//! [`Pool::shared`], unless they are built with one of their own. Threads start when there is work for them.
//!
//! **Locks.** The state of a pool is a `Dispatch` behind one mutex, held for a few dozen instructions and
//! never while a task, a callback or a system call runs. A worker that sleeps is parked; it takes itself for called only
//! if the dispatch says so, under the lock. What is read outside of the lock is written under it: a flag that a lingering
//! worker watches (missing it costs the rest of the lingering, and nothing else), one that tells a loop whether workers are
//! still to be called for what it submitted itself, and what the pool was told to be, which a forked child needs where the
//! lock may be held for ever. The handles of threads have a mutex of their own.
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

use model::label::TaskKind;

pub use self::dispatch::Order;
use self::dispatch::TaskNumber;
pub use self::size::PoolError;
pub(crate) use self::task::Task;
pub use self::task::TaskError;
use self::worker::{Settings, Shared};
use crate::per_process::PerProcess;

const DEFAULTS: Settings = Settings { threads: size::DEFAULT, order: Order::Submission, instruments: true };

static SHARED: OnceLock<Pool> = OnceLock::new();

/// A pool of threads. Copies are the same pool.
///
/// When the last copy and the last loop built with it are gone, tasks that were submitted still run, then the threads
/// end; nobody waits for that. To wait, call [`Pool::shut_down`].
///
/// A forked child has none of its parent's threads. There each pool begins anew, empty, with the first task that the child
/// submits; what waited or ran when it was forked is its parent's business alone.
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
    shared: PerProcess<Arc<Shared>>,
}

/// Options of a new pool.
#[derive(Clone, Debug)]
pub struct PoolBuilder {
    settings: Settings,
}

/// A task that was submitted.
pub(crate) struct Ticket {
    pool: Pool,
    kind: TaskKind,
    /// `None` of one that was refused.
    number: Option<TaskNumber>,
    forks: usize,
}

impl Owner {
    /// What is shared in this process, and how many forks lie before it.
    #[inline]
    fn shared(&self) -> (&Arc<Shared>, usize) {
        self.shared.get(|of_parent| Arc::new(Shared::new(of_parent.settings())))
    }
}

impl Pool {
    /// The pool that all loops share which were not built with another. The environment variable `UV_THREADPOOL_SIZE`
    /// gives its number of threads when it is first used, read as libuv reads it: 4 where it is not set, at least 1, at
    /// most 1024, and 1 where it is no number.
    pub fn shared() -> &'static Pool {
        SHARED.get_or_init(|| Pool::with(Settings { threads: size::from_environment(), ..DEFAULTS }))
    }

    /// A pool with options.
    pub fn builder() -> PoolBuilder {
        PoolBuilder { settings: DEFAULTS }
    }

    fn with(settings: Settings) -> Self {
        let shared = PerProcess::new(Arc::new(Shared::new(settings)));
        Self { owner: Arc::new(Owner { shared }) }
    }

    #[inline]
    fn shared_state(&self) -> &Arc<Shared> {
        self.owner.shared().0
    }

    /// The most threads that the pool starts.
    pub fn threads(&self) -> usize {
        self.shared_state().settings().threads
    }

    /// Changes the most threads that the pool starts, from 1 to 1024, while it runs. A pool that grows starts threads as
    /// they are needed. One that shrinks lets those go that have nothing to do, and others when they have ended their task.
    ///
    /// # Errors
    /// [`PoolError::ThreadCount`] of a number of threads that no pool has; nothing changes.
    ///
    /// ```
    /// use loopscope_runtime::pool::Pool;
    ///
    /// let pool = Pool::builder().threads(2).build()?;
    /// pool.set_threads(8)?;
    /// assert_eq!(pool.threads(), 8);
    /// # Ok::<(), loopscope_runtime::pool::PoolError>(())
    /// ```
    pub fn set_threads(&self, threads: usize) -> Result<(), PoolError> {
        worker::resize(self.shared_state(), size::check(threads)?);
        Ok(())
    }

    /// In which order tasks start.
    pub fn order(&self) -> Order {
        self.shared_state().settings().order
    }

    /// Changes the order in which tasks start, those too that wait already.
    pub fn set_order(&self, order: Order) {
        worker::set_order(self.shared_state(), order);
    }

    /// Runs what was submitted, takes nothing more, and waits until all threads have ended. What is submitted later
    /// comes back with [`TaskError::ShutDown`].
    ///
    /// Called on a thread of the pool itself, it does not wait for that one.
    pub fn shut_down(&self) {
        self.shared_state().close();
        self.shared_state().join();
    }

    /// The shared pool, if it was made.
    #[inline]
    pub(crate) fn shared_if_made() -> Option<&'static Pool> {
        SHARED.get()
    }

    /// Calls the workers that were not called yet for what was submitted: before a loop waits.
    #[inline]
    pub(crate) fn call_deferred(&self) {
        worker::call_deferred(self.shared_state());
    }

    /// Submits a task. If it cannot run, it ends with the reason.
    pub(crate) fn submit(&self, kind: TaskKind, task: Box<dyn Task>) -> Ticket {
        let (shared, forks) = self.owner.shared();
        let number = worker::submit(shared, kind, task);
        Ticket { pool: self.clone(), kind, number, forks }
    }

    /// What stands for a task that was not submitted.
    pub(crate) fn refused(&self, kind: TaskKind) -> Ticket {
        Ticket { pool: self.clone(), kind, number: None, forks: 0 }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // Those of other processes are not to be touched.
        if let Some(shared) = self.shared.get_if_made() {
            shared.close();
        }
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
        self.settings.threads = threads;
        self
    }

    /// In which order tasks start; that of their submission unless told otherwise.
    pub fn order(mut self, order: Order) -> Self {
        self.settings.order = order;
        self
    }

    /// Whether the pool measures itself; it does unless told otherwise.
    pub fn instruments(mut self, on: bool) -> Self {
        self.settings.instruments = on;
        self
    }

    /// Makes the pool. Its threads start when there is work for them.
    ///
    /// # Errors
    /// [`PoolError::ThreadCount`] of a number of threads that no pool has.
    pub fn build(self) -> Result<Pool, PoolError> {
        size::check(self.settings.threads)?;
        Ok(Pool::with(self.settings))
    }
}

impl Ticket {
    /// Takes the task back if it has not started; it then ends with [`TaskError::Cancelled`]. Tells whether it did.
    pub(crate) fn cancel(&self) -> bool {
        let (shared, forks) = self.pool.owner.shared();
        // In a forked child the number may be that of another task.
        let number = self.number.filter(|_| self.forks == forks);
        number.is_some_and(|number| shared.cancel(self.kind, number))
    }
}
