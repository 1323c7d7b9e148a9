//! The options of publishing a runtime, and building one that measures itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::{self, Handle, Runtime};

use crate::error::Error;
use crate::hooks::Hooks;
use crate::published::Published;
use crate::sampler;

type Callback = Arc<dyn Fn() + Send + Sync>;

/// The name of the first runtime that is given none.
const NAME: &str = "tokio";

/// Bytes of a name that are kept: a worker's name is made of it, and has 32.
const NAME_BYTES_MAX: usize = 20;

/// How a runtime is published.
///
/// ```
/// use std::time::Duration;
/// use tokio::runtime;
///
/// let runtime = loopscope_tokio::Builder::new()
///     .name("api")
///     .probe_blocking_pool(Duration::from_secs(5))
///     .build(runtime::Builder::new_current_thread().enable_all())?;
/// # Ok::<(), loopscope_tokio::Error>(())
/// ```
#[derive(Default)]
pub struct Builder {
    name: Option<String>,
    probe_every: Option<Duration>,
    on_park: Option<Callback>,
    on_unpark: Option<Callback>,
}

impl Builder {
    /// The default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// The runtime's name: series of the runtime carry it as the label `runtime`, and those of its workers as a part of
    /// the label `loop`: `api-worker-0`. Without a name the first runtime is `tokio` and its workers `worker-0` and so on,
    /// the second `tokio-2`. At most 20 bytes are kept.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Submits an empty job to the runtime's blocking pool at this interval, or less often where the one before has not run
    /// yet, and records how long it waited, as `tokio_blocking_probe_wait_seconds`. Off unless asked for.
    ///
    /// Each job costs some microseconds and an allocation, and makes the pool start a thread where none is idle: at
    /// intervals below tokio's `thread_keep_alive`, ten seconds, a pool that is not used otherwise keeps one for it. Where
    /// all threads are busy the job takes its place in the queue like any other.
    pub fn probe_blocking_pool(mut self, every: Duration) -> Self {
        self.probe_every = Some(every);
        self
    }

    /// What to call before a worker parks, in place of tokio's `on_thread_park`, which [`build`](Self::build) takes for itself.
    pub fn on_thread_park(mut self, call: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_park = Some(Arc::new(call));
        self
    }

    /// What to call after a worker was parked, in place of tokio's `on_thread_unpark`; see [`on_thread_park`](Self::on_thread_park).
    pub fn on_thread_unpark(mut self, call: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_unpark = Some(Arc::new(call));
        self
    }

    /// Builds a runtime from tokio's options and publishes it, with every worker's `eventloop_lag_seconds`.
    ///
    /// What `options` called when threads park is replaced, for it cannot be read: give it to
    /// [`on_thread_park`](Self::on_thread_park). Afterwards `options` calls nothing of ours, and can build further runtimes.
    ///
    /// # Errors
    /// [`Error::Build`] where tokio cannot build it; [`Error::Thread`] where the system gives no thread.
    pub fn build(mut self, options: &mut runtime::Builder) -> Result<Runtime, Error> {
        let hooks = Arc::new(Hooks::default());
        let (on_park, on_unpark) = (self.on_park.take(), self.on_unpark.take());
        options.on_thread_park(with(&hooks, Hooks::parks, on_park.clone()));
        options.on_thread_unpark(with(&hooks, Hooks::unparked, on_unpark.clone()));
        let runtime = options.build();
        options.on_thread_park(move || call(&on_park));
        options.on_thread_unpark(move || call(&on_unpark));
        let runtime = runtime.map_err(Error::Build)?;
        self.publish_with(runtime.handle(), Some(hooks))?;
        Ok(runtime)
    }

    /// Publishes a runtime that is there already. One that is published already is left as it is.
    ///
    /// # Errors
    /// [`Error::Thread`] where the system gives no thread.
    pub fn publish(self, handle: &Handle) -> Result<(), Error> {
        self.publish_with(handle, None)
    }

    fn publish_with(self, handle: &Handle, hooks: Option<Arc<Hooks>>) -> Result<(), Error> {
        let Some(mut sampler) = sampler::of_this_process() else {
            return Ok(());
        };
        if !sampler.has(handle.id()) {
            let name = self.name.map_or_else(next_name, |name| cut(&name).to_owned());
            sampler.begin()?;
            sampler.add(Published::new(handle, &name, self.probe_every, hooks));
        }
        Ok(())
    }
}

/// A hook of ours, and then the program's own.
fn with(
    hooks: &Arc<Hooks>,
    ours: impl Fn(&Hooks) + Send + Sync + 'static,
    theirs: Option<Callback>,
) -> impl Fn() + Send + Sync + 'static {
    let hooks = Arc::clone(hooks);
    move || {
        ours(&hooks);
        call(&theirs);
    }
}

fn call(callback: &Option<Callback>) {
    if let Some(callback) = callback {
        callback();
    }
}

fn next_name() -> String {
    static UNNAMED: AtomicU64 = AtomicU64::new(1);
    match UNNAMED.fetch_add(1, Ordering::Relaxed) {
        1 => NAME.to_owned(),
        number => format!("{NAME}-{number}"),
    }
}

fn cut(name: &str) -> &str {
    let ends = name.char_indices().map(|(at, character)| at + character.len_utf8());
    &name[..ends.take_while(|&end| end <= NAME_BYTES_MAX).last().unwrap_or(0)]
}

/// What the loop of a runtime's worker is called.
pub(crate) fn loop_name(runtime: &str, worker: usize) -> String {
    match runtime {
        NAME => format!("worker-{worker}"),
        _ => format!("{runtime}-worker-{worker}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_cut_between_characters() {
        assert_eq!(cut("a-runtime-with-lots-ä"), "a-runtime-with-lots-");
        assert_eq!(cut("a-runtime-with-lotsä"), "a-runtime-with-lots");
        assert_eq!(cut("api"), "api");
    }

    #[test]
    fn loops_of_the_first_nameless_runtime_have_the_shortest_names() {
        assert_eq!(loop_name("tokio", 0), "worker-0");
        assert_eq!(loop_name("tokio-2", 1), "tokio-2-worker-1");
        assert_eq!(loop_name("api", 3), "api-worker-3");
    }
}
