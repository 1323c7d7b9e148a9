//! Rights that the agent can do without, given up for good once it listens.
//!
//! A started agent only reads: other users' processes, and files that these have open or mapped. It is started as root on many
//! hosts all the same, so it keeps what its measuring needs of the rights that it has, and lets go of the others in every set that
//! the kernel keeps, that of its children included. Rights belong to threads: this is to run before there is a second one.

use attach::kernel::KernelVersion;
use rustix::io::{self, Errno};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use crate::error::Error;

/// Capabilities that the kernel may have, by number; unknown ones are refused.
const CAPABILITIES_MAX: u32 = 63;

/// Gives up every right but those that measuring needs; with `probes`, also those that placing probes needs, with
/// `profiles`, those that sampling needs.
///
/// # Errors
/// [`Error::System`] where the kernel refuses, which it does not unless something filters its calls.
pub(crate) fn give_up(probes: bool, profiles: bool) -> Result<(), Error> {
    let kept = kept(probes, profiles, KernelVersion::running());
    drop_all_but(kept).map_err(|errno| Error::System {
        doing: "cannot give up rights that are not needed",
        source: errno.into(),
    })
}

/// What measuring needs: to read memory and descriptors of other users' processes (`SYS_PTRACE`), their environment and binaries
/// that only they may read (`DAC_READ_SEARCH`), and mapped files that were replaced (`CHECKPOINT_RESTORE`).
fn kept(probes: bool, profiles: bool, kernel: Option<KernelVersion>) -> CapabilitySet {
    let mut kept =
        CapabilitySet::SYS_PTRACE | CapabilitySet::DAC_READ_SEARCH | CapabilitySet::CHECKPOINT_RESTORE;
    if profiles {
        // Samples of other users' processes and of the kernel, and the names of the kernel's functions.
        kept |= CapabilitySet::PERFMON | CapabilitySet::SYSLOG;
    }
    if probes {
        kept |= CapabilitySet::BPF | CapabilitySet::PERFMON;
        if kernel.is_none_or(|version| version < KernelVersion::UPROBE_MULTI) {
            kept |= CapabilitySet::SYS_ADMIN;
        }
    }
    kept
}

fn drop_all_but(kept: CapabilitySet) -> io::Result<()> {
    for number in 0..=CAPABILITIES_MAX {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if kept.contains(one) {
            continue;
        }
        match remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            // There are no more, or we may not; then what follows has to do.
            Err(Errno::INVAL | Errno::PERM) => break,
            Err(errno) => return Err(errno),
        }
    }
    clear_ambient_capability_set()?;
    let own = capabilities(None)?.permitted & kept;
    set_capabilities(
        None,
        CapabilitySets { effective: own, permitted: own, inheritable: CapabilitySet::empty() },
    )?;
    set_no_new_privs(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_probes_need_is_kept_for_probes_only_and_administration_before_linux_6_6_only() {
        let new = Some(KernelVersion::UPROBE_MULTI);
        let observing = kept(false, false, new);
        assert!(
            !observing.intersects(CapabilitySet::BPF | CapabilitySet::PERFMON | CapabilitySet::SYS_ADMIN)
        );
        assert_eq!(observing, kept(false, false, None));
        let probing = kept(true, false, new);
        assert!(probing.contains(observing | CapabilitySet::BPF | CapabilitySet::PERFMON));
        assert!(!probing.contains(CapabilitySet::SYS_ADMIN));
        let profiling = kept(false, true, new);
        assert_eq!(profiling, observing | CapabilitySet::PERFMON | CapabilitySet::SYSLOG);
        for older in [Some(KernelVersion(6, 5)), Some(KernelVersion::COOKIES), None] {
            assert!(kept(true, false, older).contains(CapabilitySet::SYS_ADMIN), "{older:?}");
        }
    }
}
