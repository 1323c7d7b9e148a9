//! Rights that the agent can do without, given up for good once it listens.
//!
//! A started agent only reads: other users' processes, and files that these have open or mapped. It is started as root on many
//! hosts all the same, so it keeps what its measuring needs of the rights that it has, and lets go of the others in every set that
//! the kernel keeps, that of its children included. Rights belong to threads: this is to run before there is a second one.

use rustix::io::{self, Errno};
use rustix::system::uname;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use crate::error::Error;

/// From this version on the kernel places uprobes for whoever has `CAP_BPF` and `CAP_PERFMON`.
const UPROBES_WITHOUT_SYS_ADMIN: (u32, u32) = (6, 6);

/// Capabilities that the kernel may have, by number; unknown ones are refused.
const CAPABILITIES_MAX: u32 = 63;

/// Gives up every right but those that measuring needs; with `probes`, also those that placing probes needs, with
/// `profiles`, those that sampling needs.
///
/// # Errors
/// [`Error::System`] where the kernel refuses, which it does not unless something filters its calls.
pub(crate) fn give_up(probes: bool, profiles: bool) -> Result<(), Error> {
    let kept = kept(probes, profiles, kernel_version(&uname().release().to_string_lossy()));
    drop_all_but(kept).map_err(|errno| Error::System {
        doing: "cannot give up rights that are not needed",
        source: errno.into(),
    })
}

/// What measuring needs: to read memory and descriptors of other users' processes (`SYS_PTRACE`), their environment and binaries
/// that only they may read (`DAC_READ_SEARCH`), and mapped files that were replaced (`CHECKPOINT_RESTORE`).
fn kept(probes: bool, profiles: bool, kernel: Option<(u32, u32)>) -> CapabilitySet {
    let mut kept =
        CapabilitySet::SYS_PTRACE | CapabilitySet::DAC_READ_SEARCH | CapabilitySet::CHECKPOINT_RESTORE;
    if profiles {
        // Samples of other users' processes and of the kernel, and the names of the kernel's functions.
        kept |= CapabilitySet::PERFMON | CapabilitySet::SYSLOG;
    }
    if probes {
        kept |= CapabilitySet::BPF | CapabilitySet::PERFMON;
        if kernel.is_none_or(|version| version < UPROBES_WITHOUT_SYS_ADMIN) {
            kept |= CapabilitySet::SYS_ADMIN;
        }
    }
    kept
}

/// Major and minor version, from a text such as `6.1.0-13-amd64`.
fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
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
        let observing = kept(false, false, Some((6, 6)));
        assert!(
            !observing.intersects(CapabilitySet::BPF | CapabilitySet::PERFMON | CapabilitySet::SYS_ADMIN)
        );
        assert_eq!(observing, kept(false, false, None));
        let probing = kept(true, false, Some((6, 6)));
        assert!(probing.contains(observing | CapabilitySet::BPF | CapabilitySet::PERFMON));
        assert!(!probing.contains(CapabilitySet::SYS_ADMIN));
        let profiling = kept(false, true, Some((6, 6)));
        assert_eq!(profiling, observing | CapabilitySet::PERFMON | CapabilitySet::SYSLOG);
        for older in [Some((6, 5)), Some((5, 15)), None] {
            assert!(kept(true, false, older).contains(CapabilitySet::SYS_ADMIN), "{older:?}");
        }
    }

    #[test]
    fn a_kernels_release_begins_with_its_version() {
        for (release, version) in [
            ("6.1.0-13-amd64", Some((6, 1))),
            ("5.15.167.4-microsoft-standard-WSL2", Some((5, 15))),
            ("6.18-rc1", Some((6, 18))),
            ("7", None),
            ("", None),
        ] {
            assert_eq!(kernel_version(release), version, "{release}");
        }
    }
}
