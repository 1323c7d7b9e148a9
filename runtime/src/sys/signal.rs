//! Signals of the operating system: one handler for the process, which puts what it catches into a mailbox of each loop
//! that watches the signal.
//!
//! **The handler** may run at any time, on any thread, in the middle of anything, so it takes no lock, allocates nothing
//! and keeps `errno`. It goes along a list of mailboxes that only grows: a mailbox is never freed, but taken over by
//! another loop when its own has ended. While it is inside of one it is counted there, and a loop that ends takes its
//! way of being woken out of the mailbox first and frees it when nobody is inside any more. The count goes up before
//! that way is looked at and it is taken out before the count is looked at, all in one order (`SeqCst`), so one of the
//! two sees the other.
//!
//! **The queue** of a mailbox is a ring: handlers, on several threads, claim places by moving its end and fill them in;
//! the loop empties places in order, stops at one that is claimed and not yet filled, for which the handler is about to
//! wake it, and then moves the beginning. When it is full a signal is remembered once, out of order.
//!
//! A forked child has copies of all this; what it catches wakes, but does not tell, its parent.

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

use super::errno;
use crate::inbox::InboxSender;

/// Signals have the numbers 1 to 64.
const SIGNALS: usize = 65;

/// How many signals wait for a loop in the order in which they came; a power of two.
const QUEUE: usize = 256;

/// The first of the list of mailboxes.
static FIRST: AtomicPtr<Mailbox> = AtomicPtr::new(ptr::null_mut());

/// How many watch each signal, in all loops.
static WATCHERS: Mutex<[Watchers; SIGNALS]> =
    Mutex::new([const { Watchers { regular: 0, one_shot: 0 } }; SIGNALS]);

#[derive(Clone, Copy)]
struct Watchers {
    regular: usize,
    one_shot: usize,
}

/// Where one loop finds the signals that were caught for it.
pub(crate) struct Mailbox {
    next: *mut Mailbox,
    taken: AtomicBool,
    /// How the loop is woken; null while the mailbox is nobody's.
    sender: AtomicPtr<InboxSender>,
    /// How many handlers look at the mailbox.
    inside: AtomicUsize,
    /// A bit for each signal that the loop watches.
    watched: AtomicU64,
    queue: [AtomicU8; QUEUE],
    begin: AtomicUsize,
    end: AtomicUsize,
    /// A bit for each signal that found the queue full.
    overflowed: AtomicU64,
}

// SAFETY: `next` is written before the mailbox is shared; all else is atomic.
unsafe impl Sync for Mailbox {}

/// A loop's claim on a mailbox.
pub(crate) struct Claim(&'static Mailbox);

impl Claim {
    /// A mailbox whose loop is woken through `sender`.
    pub(crate) fn new(sender: InboxSender) -> Self {
        let mailbox = Mailbox::vacant();
        mailbox.watched.store(0, SeqCst);
        mailbox.overflowed.store(0, SeqCst);
        let claim = Self(mailbox);
        while claim.take().is_some() {}
        mailbox.sender.store(Box::into_raw(Box::new(sender)), SeqCst);
        claim
    }

    /// Whether the loop watches the signal.
    pub(crate) fn set_watched(&self, signal: i32, watched: bool) {
        match watched {
            true => self.0.watched.fetch_or(bit(signal), SeqCst),
            false => self.0.watched.fetch_and(!bit(signal), SeqCst),
        };
    }

    /// The next signal that was caught.
    pub(crate) fn take(&self) -> Option<i32> {
        let begin = self.0.begin.load(SeqCst);
        match self.0.queue[begin % QUEUE].swap(0, SeqCst) {
            0 => {
                let overflowed = self.0.overflowed.load(SeqCst);
                (overflowed != 0).then(|| {
                    let signal = overflowed.trailing_zeros() as i32 + 1;
                    self.0.overflowed.fetch_and(!bit(signal), SeqCst);
                    signal
                })
            }
            signal => {
                self.0.begin.store(begin.wrapping_add(1), SeqCst);
                Some(signal.into())
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let sender = self.0.sender.swap(ptr::null_mut(), SeqCst);
        // A handler is inside for less than a microsecond. In a child that was forked just then it is so for ever.
        let gone = (0..100_000).any(|_| {
            let gone = self.0.inside.load(SeqCst) == 0;
            if !gone {
                std::thread::yield_now();
            }
            gone
        });
        if gone {
            // SAFETY: it was made by `Box::into_raw`, is out of the mailbox, and no handler has it any more.
            drop(unsafe { Box::from_raw(sender) });
            self.0.taken.store(false, SeqCst);
        }
    }
}

impl Mailbox {
    fn vacant() -> &'static Self {
        let mut next = FIRST.load(SeqCst);
        // SAFETY: mailboxes in the list are never freed.
        while let Some(mailbox) = unsafe { next.as_ref() } {
            if !mailbox.taken.swap(true, SeqCst) {
                return mailbox;
            }
            next = mailbox.next;
        }
        let mailbox = Box::leak(Box::new(Self {
            next: ptr::null_mut(),
            taken: AtomicBool::new(true),
            sender: AtomicPtr::default(),
            inside: AtomicUsize::default(),
            watched: AtomicU64::default(),
            queue: [const { AtomicU8::new(0) }; QUEUE],
            begin: AtomicUsize::default(),
            end: AtomicUsize::default(),
            overflowed: AtomicU64::default(),
        }));
        let mailbox_pointer: *mut Self = mailbox;
        loop {
            let first = FIRST.load(SeqCst);
            // SAFETY: it is not in the list yet, so nobody else has it.
            unsafe { (*mailbox_pointer).next = first };
            if FIRST.compare_exchange(first, mailbox_pointer, SeqCst, SeqCst).is_ok() {
                // SAFETY: it was leaked, and is only read from now on, but for its atomics.
                return unsafe { &*mailbox_pointer };
            }
        }
    }

    /// Runs in the signal handler.
    fn deliver(&self, signal: c_int) {
        self.inside.fetch_add(1, SeqCst);
        // SAFETY: while this handler is inside, what it finds here is not freed.
        if let Some(sender) = unsafe { self.sender.load(SeqCst).as_ref() }
            && self.watched.load(SeqCst) & bit(signal) != 0
        {
            self.put(signal);
            sender.notify();
        }
        self.inside.fetch_sub(1, SeqCst);
    }

    fn put(&self, signal: c_int) {
        let mut end = self.end.load(SeqCst);
        loop {
            if end.wrapping_sub(self.begin.load(SeqCst)) >= QUEUE {
                self.overflowed.fetch_or(bit(signal), SeqCst);
                return;
            }
            match self.end.compare_exchange(end, end.wrapping_add(1), SeqCst, SeqCst) {
                Ok(_) => break,
                Err(now) => end = now,
            }
        }
        self.queue[end % QUEUE].store(signal as u8, SeqCst);
    }
}

fn bit(signal: c_int) -> u64 {
    1 << (signal - 1)
}

extern "C" fn caught(signal: c_int) {
    // SAFETY: the place of a thread's `errno` is always valid.
    let errno = unsafe { *libc::__errno_location() };
    let mut next = FIRST.load(SeqCst);
    // SAFETY: mailboxes in the list are never freed.
    while let Some(mailbox) = unsafe { next.as_ref() } {
        mailbox.deliver(signal);
        next = mailbox.next;
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Counts one more who watches a signal, and catches it from the first one on.
///
/// While only those watch that want it once, the system's own reaction is back as soon as it has come once.
pub(crate) fn watch(signal: i32, one_shot: bool) -> Result<(), Errno> {
    if !(1..SIGNALS as i32).contains(&signal) {
        return Err(Errno::INVAL);
    }
    let mut watchers = WATCHERS.lock().unwrap_or_else(PoisonError::into_inner);
    let watchers = &mut watchers[signal as usize];
    if watchers.regular == 0 && (!one_shot || watchers.one_shot == 0) {
        set_action(signal, caught as *const () as libc::sighandler_t, one_shot)?;
    }
    *(if one_shot { &mut watchers.one_shot } else { &mut watchers.regular }) += 1;
    Ok(())
}

/// Counts one less, and leaves the signal to the system's own reaction after the last one.
pub(crate) fn unwatch(signal: i32, one_shot: bool) {
    let mut watchers = WATCHERS.lock().unwrap_or_else(PoisonError::into_inner);
    let watchers = &mut watchers[signal as usize];
    *(if one_shot { &mut watchers.one_shot } else { &mut watchers.regular }) -= 1;
    // The signal was accepted before, so it is again.
    let _ = match (watchers.regular, watchers.one_shot) {
        (0, 0) => set_action(signal, libc::SIG_DFL, false),
        (0, _) if !one_shot => set_action(signal, caught as *const () as libc::sighandler_t, true),
        _ => Ok(()),
    };
}

fn set_action(signal: i32, handler: libc::sighandler_t, once: bool) -> Result<(), Errno> {
    // SAFETY: zeros are valid for all fields; the mask is filled in by the call made for it.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_RESTART | if once { libc::SA_RESETHAND } else { 0 };
    // SAFETY: the handler is async-signal-safe, as this module's head argues, or the system's own.
    let result = unsafe {
        libc::sigfillset(&mut action.sa_mask);
        libc::sigaction(signal, &action, ptr::null_mut())
    };
    errno::done(result)
}
