//! A value that is made once, without a lock: a fork at any moment leaves it made or not made, never half.

use std::marker::PhantomData;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Like a [`OnceLock`] of a box, but where several threads make the value at once, each makes one, and all get the first.
pub(crate) struct OnceBox<T> {
    /// Null, or a box's.
    value: AtomicPtr<T>,
    /// What it may be shared and sent like.
    like: PhantomData<OnceLock<Box<T>>>,
}

impl<T> OnceBox<T> {
    pub(crate) const fn new() -> Self {
        Self { value: AtomicPtr::new(ptr::null_mut()), like: PhantomData }
    }

    /// The value, if it is made.
    pub(crate) fn get(&self) -> Option<&T> {
        // SAFETY: null, or of a box that is only dropped with this.
        unsafe { self.value.load(Ordering::Acquire).as_ref() }
    }

    /// The value, which `make` makes if there is none.
    pub(crate) fn get_or_make(&self, make: impl FnOnce() -> T) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        let made = Box::into_raw(Box::new(make()));
        let (none, order) = (ptr::null_mut(), Ordering::Acquire);
        match self.value.compare_exchange(none, made, Ordering::Release, order) {
            // SAFETY: the box is this value's from now on, and only dropped with it.
            Ok(_) => unsafe { &*made },
            Err(first) => {
                // SAFETY: `made` is still ours alone; `first` is as above.
                unsafe {
                    drop(Box::from_raw(made));
                    &*first
                }
            }
        }
    }
}

impl<T> Drop for OnceBox<T> {
    fn drop(&mut self) {
        let value = *self.value.get_mut();
        if !value.is_null() {
            // SAFETY: it came from a box, and nobody has it any more.
            drop(unsafe { Box::from_raw(value) });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier};
    use std::thread;

    use super::OnceBox;

    #[test]
    fn threads_that_make_it_at_once_all_get_the_same_and_the_others_are_dropped() {
        for _ in 0..200 {
            let (once, begin, witness) = (Arc::new(OnceBox::new()), Arc::new(Barrier::new(3)), Arc::new(()));
            let threads = [0; 3].map(|_| {
                let (once, begin, witness) = (Arc::clone(&once), Arc::clone(&begin), Arc::clone(&witness));
                thread::spawn(move || {
                    begin.wait();
                    let value: &Arc<()> = once.get_or_make(|| Arc::clone(&witness));
                    std::ptr::from_ref(value).addr()
                })
            });
            let [first, others @ ..] = threads.map(|thread| thread.join().unwrap());
            assert_eq!(others, [first; 2]);
            assert_eq!(Arc::strong_count(&witness), 2, "one is kept, beside ours");
            drop(once);
            assert_eq!(Arc::strong_count(&witness), 1);
        }
    }

    #[test]
    fn a_process_that_is_forked_while_a_thread_makes_it_makes_its_own() {
        static ONCE: OnceBox<u32> = OnceBox::new();
        let (making, forked) = (Barrier::new(2), Barrier::new(2));
        thread::scope(|scope| {
            scope.spawn(|| {
                ONCE.get_or_make(|| {
                    making.wait();
                    forked.wait();
                    7
                })
            });
            making.wait();
            // SAFETY: the child calls what needs no other thread, and ends without running anything of the parent's.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // A lock would be held for ever; the alarm tells.
                // SAFETY: these are system calls.
                unsafe {
                    libc::alarm(60);
                    libc::_exit(i32::from(*ONCE.get_or_make(|| 8) != 8));
                }
            }
            forked.wait();
            let mut status = 0;
            // SAFETY: the status is writable, and the child this test's.
            let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!((waited, status), (child, 0));
        });
        assert_eq!(ONCE.get(), Some(&7));
    }
}
