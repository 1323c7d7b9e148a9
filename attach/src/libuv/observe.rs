//! Reading libuv's own state from outside, some times a second: at no cost to the process.
//!
//! One call into the kernel copies what all loops and the pool say of themselves; libuv keeps count of its idle time and its
//! iterations anyway. What it does not keep can only be caught: how long a loop has been away, which tasks wait. That is
//! called an estimate, and has names of its own.
//!
//! The process may lie, or change while it is read: lists are followed only so far, times must fit into the time that has
//! passed, and a loop that does not look like one any more is dropped.

mod doing;
mod handles;
mod lists;
mod looked;
mod loops;
mod peak;
mod pool;
mod probed;
mod remote;
mod seek;
mod threads;
mod unseen;
mod writable;

use std::time::Duration;

use model::label::HandleType;
use model::snapshot::{SharedLabels, Snapshot};
use model::time::Monotonic;

use super::locate::Located;
use super::probes::{KnownLoop, LoopMeasured, SlowIteration};
use crate::target::{Pid, Process, ProcessError, pids_are_the_kernels};
use loops::ObservedLoop;
use pool::ObservedPool;
use remote::Remote;
use threads::Threads;

/// Between readings of a process in which something happens.
const INTERVAL_BUSY: Duration = Duration::from_millis(50);

/// Between readings of a process that waits.
const INTERVAL_IDLE: Duration = Duration::from_millis(250);

/// Between listings of threads.
const THREADS_EVERY_NS: u64 = 1_500_000_000;

/// A reading may take this share of the time until the next one.
const READING_SHARE: u32 = 100;

/// Everything that is read of one process.
#[derive(Debug)]
pub struct Observer {
    remote: Remote,
    located: Located,
    threads: Threads,
    loops: Vec<ObservedLoop>,
    pool: Option<ObservedPool>,
    next_threads: Monotonic,
    is_busy: bool,
    /// Whether probes know threads by the ids that we do.
    pids_are_the_kernels: bool,
    last_reading_took: Duration,
}

/// A loop that was away from its poll at the last reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away {
    /// Its thread.
    pub tid: u32,
    /// Where it lies in the process's memory.
    pub loop_address: u64,
    /// Since when: right to the millisecond where a reading saw it begin, else the first reading.
    pub since: Monotonic,
}

/// What a person should know of a process that is observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The pool's variables are not known.
    NoPool,
    /// No loop was found yet.
    NoLoop,
    /// A loop does not keep its idle time.
    NoIdleTime,
    /// File operations bypass the pool.
    IoUring,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoPool => "the pool cannot be read: its variables were not found in the binary",
            Self::NoLoop => "no loop was found yet: none has waited since",
            Self::NoIdleTime => "a loop does not keep its idle time (UV_METRICS_IDLE_TIME), so its utilization needs the tier loop",
            Self::IoUring => "file operations go through io_uring (UV_USE_IO_URING) and bypass the pool, whose figures leave them out",
        })
    }
}

impl Observer {
    /// Begins to observe a process.
    ///
    /// # Errors
    /// [`ProcessError::Permission`] where its memory may not be read: that needs the same user or `CAP_SYS_PTRACE`.
    pub fn new(process: &Process, located: Located, now: Monotonic) -> Result<Self, ProcessError> {
        let remote = Remote::new(process.pid());
        let pool = ObservedPool::new(&located.libuv);
        let mut observer = Self {
            remote,
            threads: Threads::new(process.pid()),
            located,
            loops: Vec::new(),
            pool,
            next_threads: now,
            is_busy: true,
            pids_are_the_kernels: pids_are_the_kernels(),
            last_reading_took: Duration::ZERO,
        };
        observer.find_default_loop()?;
        observer.read(now)?;
        Ok(observer)
    }

    /// Takes a reading.
    ///
    /// # Errors
    /// [`ProcessError::Vanished`] where the process has ended.
    pub fn read(&mut self, now: Monotonic) -> Result<(), ProcessError> {
        let began = std::time::Instant::now();
        // A process that has just started makes its loop soon.
        if !self.loops.iter().any(|observed| observed.name == "main") {
            self.find_default_loop()?;
        }
        let runs = self.find_loops(now)?;
        let iterated = self.read_loops(now)?;
        let queued = match &mut self.pool {
            Some(pool) => pool.read(&self.remote, now)?,
            None => false,
        };
        self.is_busy = iterated || queued || runs;
        self.last_reading_took = began.elapsed();
        Ok(())
    }

    /// How long the next reading may wait.
    pub fn next_reading(&self) -> Duration {
        let interval = if self.is_busy { INTERVAL_BUSY } else { INTERVAL_IDLE };
        interval.max(self.last_reading_took * READING_SHARE)
    }

    /// The loops that are known: address, name.
    pub fn loops(&self) -> impl Iterator<Item = (u64, &str)> {
        self.loops.iter().map(|observed| (observed.address, observed.name.as_str()))
    }

    /// The threads that loops run on, each with the loop's name.
    pub fn threads(&self) -> impl Iterator<Item = (u32, &str)> {
        self.loops.iter().map(|observed| (self.tid_of(observed), observed.name.as_str()))
    }

    /// How many handles of each type keep the main loop alive, by [`HandleType`]; `None` where they cannot be counted.
    pub fn referenced_handles(&self) -> Option<[i64; HandleType::ALL.len()]> {
        let main = self.loops.iter().find(|observed| observed.name == "main")?;
        let layout = &self.located.libuv.image.layout;
        handles::count(&self.remote, layout, main.address).map(|counts| counts.referenced)
    }

    /// The process.
    pub fn pid(&self) -> Pid {
        self.remote.pid()
    }

    /// Of each loop that keeps its idle time, by its name: how long, in nanoseconds, the longest stretch away from the poll may have
    /// been that readings missed since this was last asked.
    pub fn take_unseen_ns(&mut self) -> Vec<(String, u64)> {
        let loops = self.loops.iter_mut();
        loops.filter_map(|observed| Some((observed.name.clone(), observed.take_unseen_ns()?))).collect()
    }

    /// The name of the loop at an address.
    pub fn name_of(&self, address: u64) -> Option<&str> {
        self.loops().find(|&(at, _)| at == address).map(|(_, name)| name)
    }

    /// The thread of an iteration that probes of this process have seen, by its id in our pid namespace; `None` where nothing tells that.
    pub fn thread_of(&self, iteration: &SlowIteration) -> Option<u32> {
        if self.pids_are_the_kernels {
            return Some(iteration.tid);
        }
        let observed = self.loops.iter().find(|observed| observed.address == iteration.loop_address)?;
        Some(self.tid_of(observed))
    }

    /// Whether an iteration that probes of this process have seen is one to tell of. Node.js's own loops are left out: they do not keep their idle
    /// time, so that their waiting looks like work.
    pub fn tells_of(&self, iteration: &SlowIteration) -> bool {
        // Where threads have other ids, a loop that is not known may be one of those.
        let may_be_nodes_own = match self.pids_are_the_kernels {
            true => self.threads.is_nodes_own(iteration.tid),
            false => self.located.is_node(),
        };
        !may_be_nodes_own || self.name_of(iteration.loop_address).is_some()
    }

    /// The loops that were away from their polls at the last reading.
    pub fn away(&self) -> impl Iterator<Item = Away> {
        self.loops.iter().filter_map(|observed| {
            let since = observed.away_since()?;
            let tid = self.tid_of(observed);
            Some(Away { tid, loop_address: observed.address, since })
        })
    }

    /// What is known of a loop that probes have measured: by its address, or where they did not see that, by its thread.
    pub fn known(&self, measured: &LoopMeasured) -> Option<KnownLoop> {
        let runs_on =
            |observed: &ObservedLoop| self.pids_are_the_kernels && self.tid_of(observed) == measured.tid;
        let is_it = |observed: &&ObservedLoop| match measured.address {
            0 => runs_on(observed),
            address => observed.address == address,
        };
        let observed = self.loops.iter().find(is_it)?;
        Some(KnownLoop {
            name: observed.name.clone(),
            time_is_told: observed.keeps_idle_time(),
            iterations_are_told: observed.counts_iterations(),
        })
    }

    /// Whether a thread is there that probes have seen. Where they know threads by other ids than we do, nothing tells, and all count as there.
    pub fn has_thread(&self, tid: u32) -> bool {
        !self.pids_are_the_kernels || self.threads.lives(tid)
    }

    /// Whether libuv does, or has done, file operations by io_uring: its rings for them, and no others, are polled by the kernel.
    pub fn bypasses_pool(&self) -> bool {
        self.threads.polls_submissions()
    }

    /// What a person should know.
    pub fn notes(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        if self.loops.is_empty() {
            notes.push(Note::NoLoop);
        }
        if self.loops.iter().any(|observed| !observed.keeps_idle_time()) {
            notes.push(Note::NoIdleTime);
        }
        if self.pool.is_none() {
            notes.push(Note::NoPool);
        }
        if self.bypasses_pool() {
            notes.push(Note::IoUring);
        }
        notes
    }

    /// Adds what was observed.
    pub fn add_to(&self, snapshot: &mut Snapshot, target: &SharedLabels) {
        let layout = &self.located.libuv.image.layout;
        for observed in &self.loops {
            let labels = target.with("loop", &observed.name);
            observed.add_to(snapshot, &labels);
            handles::add_to(&self.remote, layout, observed.address, snapshot, &labels);
        }
        if let Some(pool) = &self.pool {
            pool.add_to(snapshot, target);
        }
    }

    fn find_default_loop(&mut self) -> Result<(), ProcessError> {
        let part = &self.located.libuv;
        let Some(address) = part.image.state.default_loop.map(|address| part.address(address)) else {
            return Ok(());
        };
        match ObservedLoop::open(&self.remote, &part.image.layout, address, None, "main".to_owned()) {
            Ok(found) => {
                self.loops.extend(found);
                Ok(())
            }
            // The page may not be there yet.
            Err(ProcessError::System { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Looks for loops that are not known yet; whether a thread that may have one runs.
    fn find_loops(&mut self, now: Monotonic) -> Result<bool, ProcessError> {
        if now >= self.next_threads {
            self.next_threads = now.plus_ns(THREADS_EVERY_NS);
            self.threads.list(now)?;
            self.loops.retain(|observed| observed.tid.is_none_or(|tid| self.threads.has(tid)));
        }
        self.threads.look(&self.remote, &self.located, &mut self.loops, now)
    }

    fn tid_of(&self, observed: &ObservedLoop) -> u32 {
        observed.tid.unwrap_or(self.threads.main())
    }

    /// Reads all loops; whether any has iterated or is away.
    fn read_loops(&mut self, now: Monotonic) -> Result<bool, ProcessError> {
        let layout = &self.located.libuv.image.layout;
        let states = loops::read_all(&self.remote, layout, &self.loops)?;
        let mut busy = false;
        let mut states = states.into_iter();
        self.loops.retain_mut(|observed| match states.next().flatten() {
            Some(state) => {
                busy |= observed.take(state, now);
                true
            }
            // What was a loop is none any more: its thread has ended.
            None => false,
        });
        Ok(busy)
    }
}
