//! Tasks: futures that a loop runs.
//!
//! **Threads.** A task and everything about it belong to the loop's thread; only its [`Waker`] travels. A waker knows the
//! loop by number and the task by key. On the loop's own thread it finds the loop in a list that the thread keeps, and
//! queues the task as a microtask; [`super::wake_up`] has the argument for all others.
//!
//! A task that panics is gone; the panic leaves [`EventLoop::run`] as any callback's, and whoever joins is told.

use std::any::type_name;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};

use super::join::{Ending, JoinHandle, Outcome};
use super::wake_up::{Scheduled, Woken};
use crate::event_loop::{Core, EventLoop, RunMode};
use crate::inbox::InboxSender;
use crate::per_process::PerProcess;
use crate::ticks::Microtask;

/// A task, whatever it gives.
pub(crate) struct Task {
    /// `None` once it has ended, and while it runs.
    future: RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>>,
    name: &'static str,
    wake_up: Arc<WakeUp>,
    waker: Waker,
    core: Weak<Core>,
    life: Cell<Life>,
    /// Whether the loop stays alive for the task.
    referenced: Cell<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Alive,
    /// It was aborted while it ran.
    Aborted,
    Ended,
}

/// A task, by place and by which of those that had the place it is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    place: usize,
    generation: u64,
}

/// What a waker holds. Any thread may.
struct WakeUp {
    scheduled: Scheduled,
    key: Key,
    remote: Arc<Remote>,
}

/// What wakers of other threads need of the loop.
struct Remote {
    loop_number: u64,
    /// A forked child has its own: a thread of its parent may hold the lock.
    woken: PerProcess<Woken<Key>>,
    inbox: InboxSender,
}

/// The tasks of one loop.
pub(crate) struct Executor {
    remote: Arc<Remote>,
    tasks: RefCell<Slots>,
    /// Lent to one look at what other threads woke.
    woken: RefCell<Vec<Key>>,
}

#[derive(Default)]
struct Slots {
    tasks: Vec<Option<Rc<Task>>>,
    free: Vec<usize>,
    generations: u64,
}

thread_local! {
    /// The loops that this thread has made and that have not ended, by number.
    static LOOPS: RefCell<Vec<(u64, Weak<Core>)>> = const { RefCell::new(Vec::new()) };
}

impl Remote {
    fn woken(&self) -> &Woken<Key> {
        self.woken.get(|_| Woken::new()).0
    }
}

impl Executor {
    pub(crate) fn new(inbox: InboxSender) -> Self {
        static LOOPS_MADE: AtomicU64 = AtomicU64::new(0);
        let loop_number = LOOPS_MADE.fetch_add(1, Ordering::Relaxed);
        let remote = Arc::new(Remote { loop_number, woken: PerProcess::new(Woken::new()), inbox });
        Self { remote, tasks: RefCell::default(), woken: RefCell::default() }
    }

    /// Lets this thread's wakers find the loop.
    pub(crate) fn announce(&self, core: &Rc<Core>) {
        LOOPS.with_borrow_mut(|loops| loops.push((self.remote.loop_number, Rc::downgrade(core))));
    }

    /// Queues the tasks that other threads woke as microtasks. Gives whether there were any.
    pub(crate) fn take_woken(&self, core: &Core) -> bool {
        let mut woken = self.woken.take();
        self.remote.woken().take(&mut woken);
        let any = !woken.is_empty();
        for key in woken.drain(..) {
            self.schedule(core, key);
        }
        self.woken.replace(woken);
        any
    }

    /// In a forked child: what was waking a task just then is not there. So each looks for itself.
    pub(crate) fn renew(&self, core: &Core) {
        let tasks: Vec<_> = self.tasks.borrow().tasks.iter().flatten().cloned().collect();
        tasks.into_iter().for_each(|task| core.microtasks.push(Microtask::Task(task)));
    }

    fn schedule(&self, core: &Core, key: Key) {
        if let Some(task) = self.find(key) {
            core.microtasks.push(Microtask::Task(task));
        }
    }

    fn find(&self, key: Key) -> Option<Rc<Task>> {
        let slots = self.tasks.borrow();
        slots.tasks.get(key.place)?.as_ref().filter(|task| task.wake_up.key == key).cloned()
    }

    fn insert(&self, task: impl FnOnce(Key) -> Rc<Task>) -> Rc<Task> {
        let slots = &mut *self.tasks.borrow_mut();
        slots.generations += 1;
        let place = slots.free.pop().unwrap_or_else(|| {
            slots.tasks.push(None);
            slots.tasks.len() - 1
        });
        let task = task(Key { place, generation: slots.generations });
        slots.tasks[place] = Some(Rc::clone(&task));
        task
    }

    fn remove(&self, key: Key) {
        let Slots { tasks, free, .. } = &mut *self.tasks.borrow_mut();
        let vacated = tasks.get_mut(key.place).and_then(Option::take);
        if vacated.is_some() {
            free.push(key.place);
        }
    }

    /// Gives up all tasks: the loop ends.
    pub(crate) fn clear(&self) {
        // At the thread's end the list may be gone already.
        let _ = LOOPS.try_with(|loops| {
            loops.borrow_mut().retain(|(number, _)| *number != self.remote.loop_number);
        });
        let tasks: Vec<_> = self.tasks.borrow().tasks.iter().flatten().cloned().collect();
        tasks.iter().for_each(|task| task.abort());
    }
}

impl EventLoop {
    /// Runs a future on the loop, beginning with its next microtasks. The loop stays alive until it has ended, unless
    /// [`JoinHandle::unreference`] says otherwise.
    ///
    /// ```
    /// use loopscope_runtime::{EventLoop, RunMode};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let sum = event_loop.spawn_local(async { 40 + 2 });
    /// event_loop.spawn_local(async { assert_eq!(sum.await, Ok(42)) });
    /// event_loop.run(RunMode::Default);
    /// # Ok::<(), loopscope_runtime::Error>(())
    /// ```
    pub fn spawn_local<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        let outcome = Rc::new(RefCell::new(Outcome::Running(None)));
        let ending = Ending { outcome: Rc::clone(&outcome) };
        let future = async move {
            // Taken along: if the future is dropped before its end, that is told, too.
            let ending = ending;
            let result = future.await;
            Outcome::end(&ending.outcome, Ok(result));
        };
        let executor = &self.core.executor;
        let task = executor.insert(|key| {
            let (scheduled, remote) = (Scheduled::new(), Arc::clone(&executor.remote));
            let wake_up = Arc::new(WakeUp { scheduled, key, remote });
            Rc::new(Task {
                future: RefCell::new(Some(Box::pin(future))),
                name: type_name::<F>(),
                waker: Waker::from(Arc::clone(&wake_up)),
                wake_up,
                core: Rc::downgrade(&self.core),
                life: Cell::new(Life::Alive),
                referenced: Cell::new(true),
            })
        });
        if self.core.has_ended() {
            task.abort();
        } else {
            self.core.active_requests.set(self.core.active_requests.get() + 1);
            task.waker.wake_by_ref();
        }
        JoinHandle { task, outcome }
    }

    /// Runs a future on the loop, and the loop until the future has ended. Whatever else the loop has to do runs
    /// meanwhile; what is not done by then stays with the loop. [`EventLoop::stop`] does not end this.
    ///
    /// # Panics
    /// If the loop is running already, or has ended, or ends meanwhile: then nobody is left to run the future. A panic in the
    /// future, or in any callback, comes out here.
    pub fn block_on<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> T {
        let handle = self.handle();
        let task = self.spawn_local(async move {
            let result = future.await;
            handle.stop();
            result
        });
        loop {
            self.run(RunMode::Default);
            match task.outcome.replace(Outcome::Taken) {
                Outcome::Ended(Ok(result)) => return result,
                Outcome::Ended(Err(error)) => panic!("the loop has ended, and the future did not: {error}"),
                running => drop(task.outcome.replace(running)),
            }
        }
    }
}

impl Task {
    /// The name of the future's type.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Goes on with the task; a microtask.
    pub(crate) fn run(self: Rc<Self>) {
        self.wake_up.scheduled.lower();
        let future = self.future.take();
        let Some(future) = future else { return };
        let mut running = RunningTask { task: &self, future: Some(future) };
        let polled = match &mut running.future {
            Some(future) => future.as_mut().poll(&mut Context::from_waker(&self.waker)),
            None => return,
        };
        if polled.is_pending() && self.life.get() == Life::Alive {
            self.future.replace(running.future.take());
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.life.get() == Life::Ended
    }

    /// Ends the task. If it is running, it ends where it waits next.
    pub(super) fn abort(&self) {
        let future = self.future.take();
        if future.is_some() {
            self.end();
        } else if self.life.get() == Life::Alive {
            self.life.set(Life::Aborted);
        }
        drop(future);
    }

    fn end(&self) {
        if self.life.replace(Life::Ended) == Life::Ended {
            return;
        }
        if let Some(core) = self.core.upgrade() {
            self.set_referenced(false);
            core.executor.remove(self.wake_up.key);
        }
    }

    pub(super) fn set_referenced(&self, referenced: bool) {
        if let Some(core) = self.core.upgrade()
            && !core.has_ended()
            && self.referenced.replace(referenced) != referenced
        {
            let change = if referenced { 1 } else { -1 };
            core.active_requests.set(core.active_requests.get().wrapping_add_signed(change));
        }
    }
}

/// A task that is being polled. What is left in it when it is dropped has ended: returned, panicked, or been aborted.
struct RunningTask<'a> {
    task: &'a Task,
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Drop for RunningTask<'_> {
    fn drop(&mut self) {
        let future = self.future.take();
        if future.is_some() {
            self.task.end();
        }
        drop(future);
    }
}

impl Wake for WakeUp {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.scheduled.raise() {
            return;
        }
        let number = self.remote.loop_number;
        let here = LOOPS.try_with(|loops| {
            loops.borrow().iter().find(|(loop_number, _)| *loop_number == number)?.1.upgrade()
        });
        match here {
            Ok(Some(core)) => core.executor.schedule(&core, self.key),
            // Another thread, or the loop has ended and nobody reads this.
            Ok(None) | Err(_) => {
                self.remote.woken().push(self.key);
                self.remote.inbox.notify();
            }
        }
    }
}
