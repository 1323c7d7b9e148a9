//! A loop in a child that was forked and goes on without another program.

use super::EventLoop;
use crate::error::Error;

impl EventLoop {
    /// Makes the loop the child's own: to be called in a forked child, before it does anything else with the loop.
    ///
    /// Parent and child share what the kernel keeps for the loop: without this, each would take events from the other, and
    /// wake it. Handles go on in both; what they share beyond the loop, sockets for instance, they share on. Processes are the parent's
    /// children: how they end is not known in the child. Pool requests
    /// that were under way belong to the parent: in the child they end without calling back. Tasks look once more whether what
    /// they wait for is there. Pools begin anew with the first
    /// task. Other threads of the parent do not exist in the child, nor do their loops.
    ///
    /// # Errors
    /// Where the system gives no more descriptors.
    pub fn reinitialize_after_fork(&self) -> Result<(), Error> {
        let core = &self.core;
        core.inbox.renew().map_err(|errno| Error::system("eventfd", errno))?;
        // Before the poller, which watches it under the same number.
        core.inotify.get().map_or(Ok(()), |inotify| inotify.renew())?;
        core.poller.renew(&core.inbox)?;
        drop(core.arrived.take());
        core.parking.clear();
        core.executor.renew(core);
        core.read_clock();
        // Whatever signals were under way are looked for once.
        core.inbox.sender().notify();
        Ok(())
    }
}
