//! References to a loop that can be kept.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::rc::Rc;

use super::{Core, EventLoop};

/// A reference to a loop that can be kept, by callbacks and futures of the loop for instance. It does everything that the
/// loop itself does, but end it when it is dropped.
///
/// Of a loop that has ended it is left empty: handles that are made with it are closed, and callbacks and requests that
/// are asked for are dropped.
pub struct LoopHandle(EventLoop);

impl Deref for LoopHandle {
    type Target = EventLoop;

    fn deref(&self) -> &EventLoop {
        &self.0
    }
}

impl Clone for LoopHandle {
    fn clone(&self) -> Self {
        self.0.handle()
    }
}

impl EventLoop {
    /// A reference to the loop that can be kept.
    pub fn handle(&self) -> LoopHandle {
        LoopHandle(Self::of(&self.core))
    }

    /// The loop that this is the content of. It does not end when what this gives is dropped.
    pub(crate) fn of(core: &Rc<Core>) -> Self {
        Self { core: Rc::clone(core), owns: false, _one_thread: PhantomData }
    }
}

impl fmt::Debug for LoopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
