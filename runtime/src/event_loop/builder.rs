//! The options of a loop.

use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

use super::{Core, EventLoop};
use crate::error::Error;
use crate::observe::{LoopInstruments, SLOW};
use crate::pool::Pool;
use telemetry::publish;

/// Options for a new loop.
///
/// ```
/// use loopscope_runtime::EventLoop;
///
/// let event_loop = EventLoop::builder().name("main").build()?;
/// # Ok::<(), loopscope_runtime::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    name: String,
    instruments: bool,
    pool: Option<Pool>,
    counts_waiting: bool,
    slow: Duration,
}

impl Default for Builder {
    fn default() -> Self {
        Self { name: String::new(), instruments: true, pool: None, counts_waiting: false, slow: SLOW }
    }
}

impl Builder {
    /// The loop's name, which its series carry as the label `loop`; without one it is the loop's number. At most 32 bytes
    /// are kept.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Whether the loop measures itself; it does unless told otherwise.
    pub fn instruments(mut self, on: bool) -> Self {
        self.instruments = on;
        self
    }

    /// From when on an iteration is slow, so that [`EventLoop::slow_iterations`] tells of it, and the telemetry that others read: 10 ms
    /// unless told otherwise.
    pub fn slow_iteration(mut self, from: Duration) -> Self {
        self.slow = from;
        self
    }

    /// Whether the loop counts the events that have arrived before it comes to its poll, as
    /// [`LoopInfo::events_waiting`](super::LoopInfo::events_waiting). It does not unless told otherwise, for it costs one
    /// more system call in each iteration that waits.
    pub fn count_waiting_events(mut self, on: bool) -> Self {
        self.counts_waiting = on;
        self
    }

    /// The thread pool that the loop's requests run on; without one it is [`Pool::shared`].
    pub fn pool(mut self, pool: &Pool) -> Self {
        self.pool = Some(pool.clone());
        self
    }

    /// Makes the loop. It belongs to the calling thread.
    ///
    /// # Errors
    /// Where the system gives no more descriptors: a loop needs two.
    pub fn build(self) -> Result<EventLoop, Error> {
        let instruments = match self.instruments {
            true => LoopInstruments::new(publish::loop_scope(&self.name), self.slow),
            false => LoopInstruments::off(),
        };
        let core = Rc::new(Core::new(instruments, self.pool, self.counts_waiting)?);
        core.executor.announce(&core);
        Ok(EventLoop { core, owns: true, _one_thread: PhantomData })
    }
}
