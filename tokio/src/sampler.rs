//! The one thread that copies tokio's counters into the telemetry segment.
//!
//! tokio keeps its counters where only the process itself can read them. Refused: a task that samples, which wakes
//! workers and is late exactly when the runtime is blocked; and sampling from the hooks, which do not run then.
//!
//! **Threads.** The list of runtimes is behind a lock that the program takes only to publish a runtime. The thread begins
//! with the first runtime and ends with the last. A forked child has no such thread, and the lock may be held in it for ever:
//! the process's id is looked at first.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use telemetry::clock;
use tokio::runtime::Id;

use crate::error::Error;
use crate::published::Published;

/// Short enough to see a stall that a person would notice, for a fortieth of a per cent of a CPU with eight workers.
const EVERY: Duration = Duration::from_millis(100);

/// As far as a thread's stack goes that calls a few functions.
const STACK_BYTES: usize = 256 * 1024;

/// The process whose list this is; zero before there is one.
static PROCESS: AtomicU32 = AtomicU32::new(0);

static LIST: Mutex<List> = Mutex::new(List { runtimes: Vec::new(), is_sampled: false });

struct List {
    runtimes: Vec<Published>,
    /// Whether the thread runs.
    is_sampled: bool,
}

/// The list of this process's runtimes.
pub(crate) struct Sampler(MutexGuard<'static, List>);

/// `None` in a child that was forked from a process with runtimes.
pub(crate) fn of_this_process() -> Option<Sampler> {
    let own = process::id();
    match PROCESS.compare_exchange(0, own, Ordering::Relaxed, Ordering::Relaxed) {
        Err(other) if other != own => None,
        _ => Some(Sampler(lock())),
    }
}

impl Sampler {
    /// Whether a runtime is published and has not ended.
    pub(crate) fn has(&self, id: Id) -> bool {
        self.0.runtimes.iter().any(|runtime| runtime.id() == id && !runtime.has_ended())
    }

    /// Sees to it that there is a thread. It finds what is added before this list is given back.
    pub(crate) fn begin(&mut self) -> Result<(), Error> {
        if !self.0.is_sampled {
            let sampler = thread::Builder::new().name("loopscope".to_owned()).stack_size(STACK_BYTES);
            sampler.spawn(sample).map_err(Error::Thread)?;
            self.0.is_sampled = true;
        }
        Ok(())
    }

    /// Samples a runtime from now on.
    pub(crate) fn add(&mut self, mut runtime: Published) {
        let _ = runtime.sample(clock::monotonic());
        self.0.runtimes.push(runtime);
    }
}

fn sample() {
    loop {
        thread::sleep(EVERY);
        let mut list = lock();
        let now = clock::monotonic();
        list.runtimes.retain_mut(|runtime| runtime.sample(now));
        if list.runtimes.is_empty() {
            list.is_sampled = false;
            return;
        }
    }
}

/// A panic of this crate's own leaves the list as it was.
fn lock() -> MutexGuard<'static, List> {
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}
