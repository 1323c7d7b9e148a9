//! Events on all threads of a process that runs.
//!
//! A thread that is started meanwhile either inherits the events of the one that starts it, if that has them already,
//! or must get its own; with both, its samples would count twice. The kernel's record of the start tells: it is only
//! written where there are events to inherit. So we look for threads until there is none left that has neither.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::thread::sleep;
use std::time::Duration;

use super::sampling::{Opened, Sampling};
use super::system;
use crate::Error;
use crate::sampler::rings::Rings;
use crate::sys::ring::Ring;

/// A process that starts threads faster than we find them is sampled with those found so far.
const ROUNDS_MAX: usize = 32;

/// The kernel lists a thread before it records the thread's start; so long it may take in between.
const UNTIL_RECORDED: Duration = Duration::from_millis(2);

/// Opens events on all threads of process `pid`. Gives the events, and the threads that were found.
pub(crate) fn open(
    pid: u32,
    sampling: &Sampling,
    rings: &mut Rings<Ring>,
) -> Result<(Vec<OwnedFd>, HashSet<u32>), Error> {
    let mut events = Vec::new();
    let mut known: HashSet<u32> = HashSet::new();
    for round in 0..ROUNDS_MAX {
        let mut unknown = system::threads(pid);
        unknown.retain(|tid| !known.contains(tid));
        if unknown.is_empty() {
            break;
        }
        if round > 0 {
            sleep(UNTIL_RECORDED);
            known.extend(rings.forked_threads());
        }
        for tid in unknown {
            if known.insert(tid) {
                // A thread that has ended needs no events, and is known so as not to be tried again.
                let (Opened::OnThread | Opened::Never) =
                    sampling.open((pid, tid), rings.sources(), &mut events)?;
            }
        }
    }
    if events.is_empty() { Err(Error::ProcessEnded { pid }) } else { Ok((events, known)) }
}
