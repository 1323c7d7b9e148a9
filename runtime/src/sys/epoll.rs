//! The kernel's poll: epoll.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::event::epoll::EventFlags as E;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use super::errno;

/// How many events one wait takes at most; libuv's number.
pub(crate) const EVENTS_MAX: usize = 1024;

/// What a watcher wants to be told of, or is told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Readiness {
    /// Reading gives something: data, a connection, the end.
    pub readable: bool,
    /// Writing takes something.
    pub writable: bool,
    /// The peer will send nothing more.
    pub disconnected: bool,
    /// There is something urgent: a socket's out-of-band data, a change of a file in `sysfs`.
    pub prioritized: bool,
}

impl Readiness {
    /// Nothing.
    pub const NONE: Self = Self { readable: false, writable: false, disconnected: false, prioritized: false };
    /// Reading.
    pub const READABLE: Self = Self { readable: true, ..Self::NONE };
    /// Writing.
    pub const WRITABLE: Self = Self { writable: true, ..Self::NONE };
    /// Reading and writing.
    pub const BOTH: Self = Self { readable: true, writable: true, ..Self::NONE };

    /// Whether it is nothing.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    fn flags(self) -> E {
        let mut flags = E::empty();
        flags.set(E::IN, self.readable);
        flags.set(E::OUT, self.writable);
        flags.set(E::RDHUP, self.disconnected);
        flags.set(E::PRI, self.prioritized);
        flags
    }

    fn from_flags(flags: E) -> Self {
        Self {
            readable: flags.contains(E::IN),
            writable: flags.contains(E::OUT),
            disconnected: flags.contains(E::RDHUP),
            prioritized: flags.contains(E::PRI),
        }
    }
}

/// What happened to a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Of what was wanted.
    pub(crate) ready: Readiness,
    /// Something is wrong with the descriptor: the next system call tells what.
    pub(crate) failed: bool,
    /// Both sides are closed.
    pub(crate) hung_up: bool,
}

impl Event {
    /// What a watcher is told that nothing can be found out for: it looks for itself.
    pub(crate) fn look(wanted: Readiness) -> Self {
        Self { ready: wanted, failed: false, hung_up: false }
    }

    /// Whether reading tells something: data, the end, an error.
    pub(crate) fn reading_tells(self) -> bool {
        self.ready.readable || self.failed
    }

    /// Whether writing tells something.
    pub(crate) fn writing_tells(self) -> bool {
        self.ready.writable || self.failed || self.hung_up
    }
}

/// What the kernel told of a descriptor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told(E);

impl Told {
    /// What of it is the watcher's; `None` if nothing is. As in libuv, an error or a hang-up that comes alone makes
    /// everything ready that was wanted.
    pub(crate) fn of(self, wanted: Readiness) -> Option<Event> {
        let wanted = wanted.flags();
        let mut flags = self.0 & (wanted | E::ERR | E::HUP);
        if flags == E::ERR || flags == E::HUP {
            flags |= wanted;
        }
        let (failed, hung_up) = (flags.contains(E::ERR), flags.contains(E::HUP));
        let event = Event { ready: Readiness::from_flags(flags), failed, hung_up };
        (!wanted.is_empty() && !flags.is_empty()).then_some(event)
    }
}

/// How long to wait for the first event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Not at all.
    No,
    /// At most so many nanoseconds.
    Ns(u64),
    /// For as long as it takes.
    Forever,
}

/// The kernel's object that holds what is watched.
pub(crate) struct Epoll(OwnedFd);

/// Room for the events of one wait.
pub(crate) struct Events(Vec<epoll::Event>);

impl Epoll {
    pub(crate) fn new() -> Result<Self, Errno> {
        epoll::create(epoll::CreateFlags::CLOEXEC).map(Self)
    }

    /// Lets the object's number mean a new one, in which nothing is watched, in this process alone.
    pub(crate) fn renew(&self) -> Result<(), Errno> {
        let Self(new) = Self::new()?;
        super::fork::replace(&self.0, &new)
    }

    /// Begins to watch a descriptor, for as long as it is ready; `token` comes back with its events.
    pub(crate) fn add(&self, descriptor: impl AsFd, token: u64, wanted: Readiness) -> Result<(), Errno> {
        epoll::add(&self.0, descriptor, epoll::EventData::new_u64(token), wanted.flags())
    }

    /// Begins to watch a descriptor for becoming ready to read, once for each time that it does.
    pub(crate) fn add_edge(&self, descriptor: impl AsFd, token: u64) -> Result<(), Errno> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&self.0, descriptor, epoll::EventData::new_u64(token), flags)
    }

    pub(crate) fn modify(&self, descriptor: impl AsFd, token: u64, wanted: Readiness) -> Result<(), Errno> {
        epoll::modify(&self.0, descriptor, epoll::EventData::new_u64(token), wanted.flags())
    }

    pub(crate) fn remove(&self, descriptor: impl AsFd) -> Result<(), Errno> {
        epoll::delete(&self.0, descriptor)
    }

    /// Waits for events; gives their number.
    ///
    /// `EINTR` where a signal came first. Waits to the nanosecond where the kernel can (since 5.11), else to the
    /// next millisecond; never less long than asked.
    #[inline]
    pub(crate) fn wait(&self, events: &mut Events, wait: Wait) -> Result<usize, Errno> {
        events.0.clear();
        match wait {
            Wait::No => poll(self.0.as_fd(), &mut events.0),
            Wait::Forever => self.wait_ms(events, None),
            Wait::Ns(ns) => self.wait_ns(events, ns),
        }
    }

    fn wait_ms(&self, events: &mut Events, timeout: Option<&Timespec>) -> Result<usize, Errno> {
        epoll::wait(&self.0, rustix::buffer::spare_capacity(&mut events.0), timeout)
    }

    fn wait_ns(&self, events: &mut Events, ns: u64) -> Result<usize, Errno> {
        /// Whether the kernel, or a filter of system calls, refused `epoll_pwait2`.
        static REFUSED: AtomicBool = AtomicBool::new(false);
        if !REFUSED.load(Relaxed) {
            match pwait2(self.0.as_fd(), &mut events.0, ns) {
                Err(Errno::NOSYS | Errno::PERM) => REFUSED.store(true, Relaxed),
                result => return result,
            }
        }
        let ms = ns.div_ceil(1_000_000).min(i32::MAX as u64);
        self.wait_ms(events, Some(&timespec(ms * 1_000_000)))
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn timespec(ns: u64) -> Timespec {
    Timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as _ }
}

/// Takes what is there. `epoll_wait`, where there is such a call, spares the kernel looking at a mask of signals: a twentieth
/// of an empty iteration.
#[inline(always)]
fn poll(epoll: BorrowedFd<'_>, events: &mut Vec<epoll::Event>) -> Result<usize, Errno> {
    let room = events.spare_capacity_mut();
    // SAFETY: the descriptor is open, and `room` is writable for its length in events, whose layout is the kernel's.
    let count =
        unsafe { epoll_wait_0(epoll.as_raw_fd(), room.as_mut_ptr().cast(), room.len() as libc::c_int) };
    // SAFETY: the kernel wrote so many events to the beginning of the room.
    unsafe { came(events, count) }
}

/// The system call alone. The C library's function is one that a thread can be cancelled in, which costs more than all the
/// rest of an iteration once there are threads.
///
/// # Safety
/// That of the C library's.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn epoll_wait_0(
    epoll: libc::c_int,
    events: *mut libc::epoll_event,
    room: libc::c_int,
) -> Result<usize, Errno> {
    let result: isize;
    // SAFETY: the kernel overwrites the registers that are told here, and the events; it uses nothing of the stack.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") libc::SYS_epoll_wait as isize => result,
            in("rdi") epoll as isize,
            in("rsi") events,
            in("rdx") room as isize,
            in("r10") 0isize,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack, preserves_flags)
        );
    }
    usize::try_from(result).map_err(|_| Errno::from_raw_os_error(-result as i32))
}

/// As above, where this does not know how the kernel is called, or the kernel has no such call.
///
/// # Safety
/// As above.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
unsafe fn epoll_wait_0(
    epoll: libc::c_int,
    events: *mut libc::epoll_event,
    room: libc::c_int,
) -> Result<usize, Errno> {
    // SAFETY: as the caller says.
    errno::count(unsafe { libc::epoll_wait(epoll, events, room, 0) })
}

fn pwait2(epoll: BorrowedFd<'_>, events: &mut Vec<epoll::Event>, ns: u64) -> Result<usize, Errno> {
    let timeout = timespec(ns);
    let room = events.spare_capacity_mut();
    // SAFETY: the descriptor is open, `room` is writable for its length in events, whose layout is the kernel's, and
    // the timeout is read only during the call; no signal mask is given.
    let count = unsafe {
        libc::syscall(
            libc::SYS_epoll_pwait2,
            epoll.as_raw_fd(),
            room.as_mut_ptr(),
            room.len() as libc::c_int,
            &raw const timeout,
            std::ptr::null::<libc::sigset_t>(),
            0usize,
        )
    };
    // SAFETY: the kernel wrote so many events to the beginning of the room.
    unsafe { came(events, errno::count(count as libc::c_int)) }
}

/// Takes what a wait gave into the list, which was empty.
///
/// # Safety
/// If there is a number the kernel wrote so many events into the list's room.
#[inline]
unsafe fn came(events: &mut Vec<epoll::Event>, count: Result<usize, Errno>) -> Result<usize, Errno> {
    let count = count?;
    // SAFETY: as the caller says.
    unsafe { events.set_len(count) };
    Ok(count)
}

impl Events {
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(EVENTS_MAX))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The token of one event, and what the kernel told.
    pub(crate) fn get(&self, index: usize) -> Option<(u64, Told)> {
        self.0.get(index).map(|event| (event.data.u64(), Told(event.flags)))
    }
}
