//! One runtime that is published: its scopes, and what is sampled of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use model::segment::Scope;
use model::time::Monotonic;
use telemetry::{clock, publish};
use tokio::runtime::{Handle, Id, RuntimeFlavor, RuntimeMetrics};

use crate::blocking::Probe;
use crate::builder::loop_name;
use crate::extra::Extra;
use crate::figures::Figures;
use crate::hooks::Hooks;
use crate::observed::ObservedWorker;

/// A runtime, and where it is written down.
pub(crate) struct Published {
    id: Id,
    metrics: RuntimeMetrics,
    figures: Figures,
    extra: Extra,
    workers: Workers,
    probe: Option<Probe>,
    /// Set when the runtime has ended. Its scopes stay open until the next sample, for a hook that has just not seen it.
    ended: Arc<AtomicBool>,
    is_over: bool,
    /// Closed with this.
    _scopes: Vec<Scope>,
}

/// How the workers' loops are measured.
enum Workers {
    Hooked(Arc<Hooks>),
    Observed(Vec<ObservedWorker>),
}

impl Published {
    pub(crate) fn new(
        handle: &Handle,
        name: &str,
        probe_every: Option<Duration>,
        hooks: Option<Arc<Hooks>>,
    ) -> Self {
        let metrics = handle.metrics();
        let now = clock::monotonic();
        let runtime = publish::runtime_scope(name);
        let loops =
            (0..metrics.num_workers()).map(|worker| publish::moving_loop_scope(&loop_name(name, worker)));
        let mut scopes: Vec<Scope> = loops.collect();
        let ended = Arc::new(AtomicBool::new(false));
        let end = End { ended: Arc::clone(&ended), hooks: hooks.clone() };
        let workers = match hooks {
            Some(hooks) => {
                hooks.publish(&scopes, handle.runtime_flavor() == RuntimeFlavor::CurrentThread);
                Workers::Hooked(hooks)
            }
            None => {
                let observed = scopes.iter().enumerate();
                let observed =
                    observed.map(|(worker, scope)| ObservedWorker::new(scope, &metrics, worker, now));
                Workers::Observed(observed.collect())
            }
        };
        let published = Self {
            id: handle.id(),
            figures: Figures::new(&runtime),
            extra: Extra::new(&runtime, &metrics),
            probe: probe_every.map(|every| Probe::new(&runtime, handle, every, &ended, now)),
            workers,
            metrics,
            ended,
            is_over: false,
            _scopes: {
                scopes.push(runtime);
                scopes
            },
        };
        // Dropped with the runtime's other tasks; until then nothing wakes it.
        handle.spawn(async move {
            let _end = end;
            std::future::pending::<()>().await;
        });
        published
    }

    pub(crate) fn id(&self) -> Id {
        self.id
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    /// Copies what tokio tells now. False once there is nothing more to tell.
    pub(crate) fn sample(&mut self, now: Monotonic) -> bool {
        if self.has_ended() {
            return !std::mem::replace(&mut self.is_over, true);
        }
        self.figures.sample(&self.metrics, now);
        self.extra.sample(&self.metrics, now);
        match &mut self.workers {
            Workers::Hooked(hooks) => {
                let workers = 0..self.metrics.num_workers();
                let never_parked = workers.filter(|&worker| self.metrics.worker_park_count(worker) == 0);
                hooks.sample(now, never_parked.count());
            }
            Workers::Observed(workers) => {
                for (worker, observed) in workers.iter_mut().enumerate() {
                    observed.sample(&self.metrics, worker, now);
                }
            }
        }
        if let Some(probe) = &mut self.probe {
            probe.submit_if_due(now);
        }
        true
    }
}

/// Tells of the runtime's end by being dropped. It takes no lock: it may be dropped anywhere, also in a forked child.
struct End {
    ended: Arc<AtomicBool>,
    hooks: Option<Arc<Hooks>>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
        if let Some(hooks) = &self.hooks {
            hooks.end();
        }
    }
}
