//! The kernel's random numbers.

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

/// Fills all of `bytes`. Waits, early after boot, until the kernel has gathered enough.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), Errno> {
    let mut filled = 0;
    while filled < bytes.len() {
        filled += rustix::io::retry_on_intr(|| getrandom(&mut bytes[filled..], GetRandomFlags::empty()))?;
    }
    Ok(())
}
