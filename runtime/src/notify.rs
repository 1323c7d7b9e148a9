//! How threads tell a loop that there is something to look at, without a lock: the flags, and in which order they change.
//!
//! A [`Notification`] belongs to a loop: raised by whoever put something in, cleared by the loop *before* it looks. It also
//! tells whether the loop sleeps, or may: only the one who raises it meanwhile needs to wake the loop, for one that is awake
//! looks at it before it falls asleep.
//!
//! A [`Flag`] belongs to an async handle and makes its signals coalesce; its bit in [`Bits`], which up to 64 handles
//! share, spares the loop looking at every handle. A sender raises its flag and, if that was down, sets its bit and
//! raises the notification, in this order. The loop clears the notification, then the bit, then lowers the flag.
//!
//! All are read-modify-write operations (`AcqRel`), each of which sees the one before it and all that came before that.
//! So a sender that finds its flag up sent before the loop lowers it, and the callback that is about to run sees whatever
//! the sender did before. And a sender that finds the notification raised put in its bit before the loop clears it, so the
//! loop, which looks afterwards, finds the bit. Nothing is left behind; the tests below try every interleaving.

#[cfg(loom)]
use loom::sync::Arc;
#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
#[cfg(not(loom))]
use std::sync::Arc;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// Whether a loop was told that there is something to look at, and whether it sleeps.
pub(crate) struct Notification(AtomicU8);

const RAISED: u8 = 1;
const ASLEEP: u8 = 2;

impl Notification {
    /// That of a loop which does not run: it counts as asleep.
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(ASLEEP))
    }

    /// Gives whether the loop must be woken.
    pub(crate) fn raise(&self) -> bool {
        self.0.fetch_or(RAISED, Ordering::AcqRel) == ASLEEP
    }

    #[inline]
    pub(crate) fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire) & RAISED != 0
    }

    /// What was put in before this call is there to be found after it.
    pub(crate) fn clear(&self) {
        self.0.fetch_and(!RAISED, Ordering::AcqRel);
    }

    /// The loop is about to sleep. Gives whether it was told something while it was awake: nobody has woken it for that.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.0.fetch_or(ASLEEP, Ordering::AcqRel) == RAISED
    }

    /// The loop is awake.
    pub(crate) fn wake_up(&self) {
        self.0.fetch_and(!ASLEEP, Ordering::AcqRel);
    }
}

/// A bit for each of up to 64 handles: whose flag may be up.
pub(crate) struct Bits(AtomicU64);

impl Bits {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(0)))
    }

    /// The numbers of the bits that are set.
    pub(crate) fn set_bits(&self) -> impl Iterator<Item = usize> + use<> {
        let bits = self.0.load(Ordering::Acquire);
        (0..u64::BITS as usize).filter(move |number| bits >> number & 1 == 1)
    }

    pub(crate) fn clear(&self, number: usize) {
        self.0.fetch_and(!(1 << number), Ordering::AcqRel);
    }
}

/// Whether a handle was sent a signal.
pub(crate) struct Flag {
    raised: AtomicBool,
    bits: Arc<Bits>,
    number: usize,
}

impl Flag {
    /// A flag whose bit has this number. Another flag may have had it before.
    pub(crate) fn new(bits: Arc<Bits>, number: usize) -> Arc<Self> {
        Arc::new(Self { raised: AtomicBool::new(false), bits, number })
    }

    /// Gives whether the notification is to be raised.
    pub(crate) fn raise(&self) -> bool {
        let was_down = !self.raised.swap(true, Ordering::AcqRel);
        if was_down {
            self.bits.0.fetch_or(1 << self.number, Ordering::AcqRel);
        }
        was_down
    }

    /// Gives whether the flag was up.
    pub(crate) fn lower(&self) -> bool {
        self.raised.swap(false, Ordering::AcqRel)
    }
}

/// Run with `RUSTFLAGS="--cfg loom" cargo test -p loopscope-runtime --lib notify`.
#[cfg(all(test, loom))]
mod tests {
    use loom::sync::atomic::Ordering::Relaxed;
    use loom::thread;

    use super::*;

    struct Shared {
        notification: Notification,
        bits: Arc<Bits>,
        /// The kernel's poll would return.
        woken: AtomicBool,
        /// What the senders want the loop to see.
        data: [AtomicU64; 2],
    }

    impl Shared {
        fn new() -> Arc<Self> {
            let data = [AtomicU64::new(0), AtomicU64::new(0)];
            let (notification, bits, woken) = (Notification::new(), Bits::new(), AtomicBool::new(false));
            Arc::new(Self { notification, bits, woken, data })
        }

        fn send(&self, flag: &Flag, sender: usize) {
            self.data[sender].store(1, Relaxed);
            if flag.raise() && self.notification.raise() {
                // The kernel's counter, like every change here, is read and written in one.
                self.woken.swap(true, Ordering::AcqRel);
            }
        }

        /// What a loop does in an iteration that may sleep: it polls, and looks if it is told to; gives the data that
        /// callbacks saw.
        fn look(&self, flags: &[Arc<Flag>]) -> u64 {
            let may_sleep = !self.notification.fall_asleep();
            if may_sleep && !self.woken.swap(false, Ordering::AcqRel) {
                // It sleeps until it is woken.
                return 0;
            }
            self.notification.wake_up();
            if !self.notification.is_raised() {
                return 0;
            }
            self.notification.clear();
            let mut seen = 0;
            for number in self.bits.set_bits() {
                self.bits.clear(number);
                if flags.iter().any(|flag| flag.number == number && flag.lower()) {
                    seen = self.data.iter().map(|data| data.load(Relaxed)).sum();
                }
            }
            seen
        }
    }

    fn expect_all_seen(flag_of: impl Fn(&Arc<Bits>) -> [Arc<Flag>; 2] + Sync + Send + 'static) {
        loom::model(move || {
            let shared = Shared::new();
            let flags = flag_of(&shared.bits);
            let senders: Vec<_> = (0..2)
                .map(|sender| {
                    let (shared, flag) = (Arc::clone(&shared), Arc::clone(&flags[sender]));
                    thread::spawn(move || shared.send(&flag, sender))
                })
                .collect();
            let mut seen = shared.look(&flags);
            senders.into_iter().for_each(|sender| sender.join().unwrap());
            // What the first look could not find has woken the loop again.
            seen = seen.max(shared.look(&flags));
            assert_eq!(seen, 2, "a signal was lost");
        });
    }

    #[test]
    fn no_signal_is_lost_between_senders_of_one_handle() {
        expect_all_seen(|bits| {
            let flag = Flag::new(Arc::clone(bits), 3);
            [Arc::clone(&flag), flag]
        });
    }

    #[test]
    fn no_signal_is_lost_between_handles_that_share_their_bits() {
        expect_all_seen(|bits| [3, 5].map(|number| Flag::new(Arc::clone(bits), number)));
    }

    #[test]
    fn the_flag_of_a_closed_handle_does_not_hide_its_successors() {
        loom::model(|| {
            let shared = Shared::new();
            let (old, new) = (Flag::new(Arc::clone(&shared.bits), 3), Flag::new(Arc::clone(&shared.bits), 3));
            let stale = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.send(&old, 0))
            };
            shared.send(&new, 1);
            let flags = [new];
            let mut seen = shared.look(&flags);
            stale.join().unwrap();
            seen = seen.max(shared.look(&flags));
            assert!(seen >= 1, "a signal was lost");
        });
    }
}
