//! The version of the kernel that runs. What a kernel can do is found out by asking it; the version is for what cannot be asked,
//! and for telling people.

use std::fmt;
use std::fs;

/// Major and minor number of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion(pub u32, pub u32);

impl KernelVersion {
    /// The first whose programs are told which of their probes was hit.
    pub const COOKIES: Self = Self(5, 15);

    /// The first that places many probes in one call, for whoever has `CAP_BPF` and `CAP_PERFMON`.
    pub const UPROBE_MULTI: Self = Self(6, 6);

    /// That of the kernel that runs; `None` where it does not tell.
    pub fn running() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/sys/kernel/osrelease").ok()?)
    }

    /// Of a release such as `6.1.0-13-amd64`.
    pub fn parse(release: &str) -> Option<Self> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().ok());
        Some(Self(numbers.next()??, numbers.next()??))
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Linux {}.{}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernels_release_begins_with_its_version() {
        for (release, version) in [
            ("6.1.0-13-amd64\n", Some(KernelVersion(6, 1))),
            ("5.15.167.4-microsoft-standard-WSL2", Some(KernelVersion(5, 15))),
            ("6.18-rc1", Some(KernelVersion(6, 18))),
            ("7", None),
            ("", None),
        ] {
            assert_eq!(KernelVersion::parse(release), version, "{release}");
        }
        assert!(
            KernelVersion(5, 4) < KernelVersion::COOKIES && KernelVersion(7, 0) > KernelVersion::UPROBE_MULTI
        );
        assert!(KernelVersion::running().is_some());
    }
}
