//! What each process has one of, though it was forked in between.
//!
//! A child finds what its parent had, with locks that may be held for ever by threads that it does not have. So it does not
//! touch that, and makes another: without a lock, for it may itself be forked while one of its threads does that.

use crate::sys;
use crate::sys::once_box::OnceBox;

/// A value of this process, and of those that it was forked from.
pub(crate) struct PerProcess<T> {
    forks: usize,
    value: T,
    next: OnceBox<PerProcess<T>>,
}

impl<T> PerProcess<T> {
    /// The first one, of the process that this is called in.
    pub(crate) fn new(value: T) -> Self {
        sys::fork::count_forks();
        Self::of(sys::fork::forks(), value)
    }

    /// The first one, of a process that no fork was counted for.
    pub(crate) const fn of_first(value: T) -> Self {
        Self::of(0, value)
    }

    const fn of(forks: usize, value: T) -> Self {
        Self { forks, value, next: OnceBox::new() }
    }

    /// That of this process, which `anew` makes of its parent's where there is none yet: without a lock of it. Also gives
    /// how many forks lie before it.
    #[inline]
    pub(crate) fn get(&self, anew: impl Fn(&T) -> T) -> (&T, usize) {
        let forks = sys::fork::forks();
        let mut this = self;
        while this.forks != forks {
            this = this.next.get_or_make(|| Self::of(forks, anew(&this.value)));
        }
        (&this.value, forks)
    }

    /// That of this process, if there is one.
    pub(crate) fn get_if_made(&self) -> Option<&T> {
        let forks = sys::fork::forks();
        let mut this = self;
        while this.forks != forks {
            this = this.next.get()?;
        }
        Some(&this.value)
    }
}
