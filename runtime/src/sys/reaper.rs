//! Learning how processes ended, which is also what removes them; and a thread that does so where nobody else will.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::process::process_id;
use super::wake::WakeDescriptor;
use crate::per_process::PerProcess;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It has not.
    No,
    /// By itself, with that status.
    Exited(i32),
    /// By a signal.
    Killed(i32),
    /// Nobody knows: it is no child of this process, or someone else has reaped it.
    Unknown,
}

/// Reaps a process if it has ended.
pub(crate) fn reap(pid: u32) -> Ended {
    let Ok(pid) = process_id(pid) else { return Ended::Unknown };
    loop {
        match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(None) => return Ended::No,
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(status), _) => return Ended::Exited(status),
                (_, Some(signal)) => return Ended::Killed(signal),
                _ => return Ended::Unknown,
            },
            Err(Errno::INTR) => {}
            Err(_) => return Ended::Unknown,
        }
    }
}

/// A process that nobody waits for, and its descriptor if it has one.
pub(crate) type Left = (u32, Option<OwnedFd>);

/// The thread that reaps, and what it is told.
struct Reaper {
    /// What it does not know of yet; `None` while there is no such thread.
    left: Mutex<Option<Vec<Left>>>,
    /// Wakes it.
    wake: OnceLock<Option<WakeDescriptor>>,
}

/// A forked child has none of its parent's threads, and other children.
static REAPER: PerProcess<Reaper> = PerProcess::of_first(Reaper::new());

impl Reaper {
    const fn new() -> Self {
        Self { left: Mutex::new(None), wake: OnceLock::new() }
    }

    fn of_process() -> &'static Self {
        REAPER.get(|_| Self::new()).0
    }

    fn left(&self) -> MutexGuard<'_, Option<Vec<Left>>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What wakes the thread, where the system has a descriptor for it.
    fn wake(&self) -> Option<&WakeDescriptor> {
        self.wake.get_or_init(|| WakeDescriptor::new().ok()).as_ref()
    }

    fn run(&self) {
        let mut left: Vec<Left> = Vec::new();
        loop {
            let mut waiting = self.left();
            left.extend(waiting.as_mut().map(std::mem::take).unwrap_or_default());
            left.retain(|(pid, _)| reap(*pid) == Ended::No);
            if left.is_empty() {
                *waiting = None;
                return;
            }
            drop(waiting);
            wait_for_any(&left, self.wake());
        }
    }
}

/// Reaps processes when they end, on a thread that lives for so long. Those that have no descriptor are looked at from
/// time to time. Where no thread can be had they stay with the system, which reaps them when this process ends.
pub(crate) fn reap_in_background(processes: Vec<Left>) {
    let mut left: Vec<Left> = processes.into_iter().filter(|(pid, _)| reap(*pid) == Ended::No).collect();
    if left.is_empty() {
        return;
    }
    let reaper = Reaper::of_process();
    let wake = reaper.wake();
    let mut waiting = reaper.left();
    match &mut *waiting {
        Some(waiting) => waiting.append(&mut left),
        None => {
            let thread = thread::Builder::new().name("reaper".into()).stack_size(64 * 1024);
            *waiting = thread.spawn(|| Reaper::of_process().run()).is_ok().then_some(left);
        }
    }
    drop(waiting);
    if let Some(wake) = wake {
        wake.wake();
    }
}

fn wait_for_any(left: &[Left], wake: Option<&WakeDescriptor>) {
    let descriptors = left.iter().filter_map(|(_, descriptor)| descriptor.as_ref());
    let mut watched: Vec<PollFd<'_>> = descriptors
        .map(AsFd::as_fd)
        .chain(wake.map(AsFd::as_fd))
        .map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN))
        .collect();
    let told_of_all = watched.len() > left.len();
    let from_time_to_time = rustix::event::Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
    let _ = poll(&mut watched, if told_of_all { None } else { Some(&from_time_to_time) });
    if let Some(wake) = wake {
        let _ = rustix::io::read(wake, &mut [0u8; 8]);
    }
}
