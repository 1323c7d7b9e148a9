//! A poller that a forked child has inherited: its own kernel object, with everything in it that was watched.

use std::os::fd::AsFd;

use super::{Poller, Token, WAKE};
use crate::error::Error;

impl Poller {
    /// Takes the place of the object that is shared with the parent, under the same number.
    ///
    /// # Errors
    /// Where the system refuses a new object, or to watch something with it.
    pub(crate) fn renew(&self, wake: &impl AsFd) -> Result<(), Error> {
        let refused = |errno| Error::system("epoll_ctl", errno);
        self.epoll.renew().map_err(|errno| Error::system("epoll_create1", errno))?;
        self.epoll.add_edge(wake, WAKE).map_err(refused)?;
        let slots = &mut *self.slots.borrow_mut();
        for (at, slot) in slots.slots.iter_mut().enumerate() {
            let token = Token { slot: at as u32, generation: slot.generation };
            if let Some(watch) = &mut slot.watch {
                self.epoll.add(&watch.descriptor, token.pack(), watch.wanted).map_err(refused)?;
                watch.registered = watch.wanted;
            }
        }
        Ok(())
    }
}
