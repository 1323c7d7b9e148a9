//! The probes of one process.

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use model::label::{TaskKind, Tier};

use super::super::image::Class;
use super::super::locate::Part;
use super::super::tiers::Tiers;
use super::abi;
use crate::target::Pid;

/// The probes of one process. Dropping it takes them away; [`detach`](super::Probes::detach) also frees its place.
#[derive(Debug)]
pub struct Attachment {
    pid: Pid,
    slot: u32,
    classes: Classes,
    links: Vec<(Tier, Vec<OwnedFd>)>,
    refused: Vec<(Tier, Refusal)>,
}

/// Why a tier is not possible on a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The binary has no place for a probe that the tier needs.
    Missing(&'static str),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) => {
                write!(f, "the binary has no place for the probe {what}: it may be stripped")
            }
        }
    }
}

impl Attachment {
    pub(super) fn new(pid: Pid, slot: u32, classes: Classes) -> Self {
        Self { pid, slot, classes, links: Vec::new(), refused: Vec::new() }
    }

    /// The process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The number that tells its figures from those of other processes.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// The tiers whose probes are placed.
    pub fn tiers(&self) -> Tiers {
        self.links.iter().fold(Tiers::NONE, |tiers, (tier, _)| tiers.with(*tier))
    }

    /// The tiers that were asked for and are not possible, and why.
    pub fn refused(&self) -> &[(Tier, Refusal)] {
        &self.refused
    }

    pub(super) fn classes(&self) -> &Classes {
        &self.classes
    }

    pub(super) fn hold(&mut self, tier: Tier, links: Vec<OwnedFd>) {
        self.release(tier);
        self.links.push((tier, links));
    }

    pub(super) fn release(&mut self, tier: Tier) {
        self.links.retain(|(held, _)| *held != tier);
    }

    pub(super) fn refuse(&mut self, tier: Tier, refusal: Refusal) {
        self.refused.retain(|(refused, _)| *refused != tier);
        self.refused.push((tier, refusal));
    }
}

/// What tasks of classes are called that have no name of their own.
const OTHER: &str = "other";

/// What the classes of tasks in one process are.
#[derive(Clone, Debug)]
pub(super) struct Classes {
    classes: Arc<[Class]>,
    bias: u64,
}

impl Classes {
    pub(super) fn new(part: &Part) -> Self {
        Self { classes: Arc::clone(&part.image.points.classes), bias: part.bias }
    }

    /// What the tasks of a class are called; `None` where it is not known.
    pub(super) fn task(&self, address: u64) -> Option<&str> {
        Some(self.at(address)?.task.as_deref().unwrap_or(OTHER))
    }

    /// The kind of task that a class is counted as.
    pub(super) fn kind(&self, class: u64) -> TaskKind {
        match class {
            abi::CLASS_FS => TaskKind::Fs,
            abi::CLASS_DNS => TaskKind::Dns,
            abi::CLASS_RANDOM => TaskKind::Random,
            _ => self.at(class).map_or(TaskKind::Work, |class| kind_of_class(&class.name)),
        }
    }

    /// The C++ class into whose virtual table an address points.
    fn at(&self, address: u64) -> Option<&Class> {
        let address = address.wrapping_sub(self.bias);
        let behind = self.classes.partition_point(|class| class.start <= address);
        self.classes[..behind].last().filter(|class| address < class.end)
    }
}

/// Node.js: jobs of its crypto module, streams of its zlib module (brotli and zstd among them), and what its fs module does by jobs of its own
/// instead of libuv's requests, each of which may be many of these.
fn kind_of_class(name: &str) -> TaskKind {
    let is_random = name.contains("RandomBytes") || name.contains("RandomPrime");
    if is_random {
        TaskKind::Random
    } else if name.starts_with("node::crypto::") {
        TaskKind::Crypto
    } else if ["CompressionStream", "Zlib", "Zstd"].iter().any(|part| name.contains(part)) {
        TaskKind::Zlib
    } else if name.starts_with("node::fs::") {
        TaskKind::Fs
    } else {
        TaskKind::Work
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_tells_the_kind_of_its_tasks() {
        for (name, kind) in [
            ("node::crypto::DeriveBitsJob<node::crypto::PBKDF2Traits>", TaskKind::Crypto),
            ("node::crypto::DeriveBitsJob<node::crypto::RandomBytesTraits>", TaskKind::Random),
            ("node::(anonymous namespace)::ZlibStream", TaskKind::Zlib),
            ("node::(anonymous namespace)::BrotliCompressionStream<X>", TaskKind::Zlib),
            (
                "node::(anonymous namespace)::ZstdStream<node::(anonymous namespace)::ZstdCompressContext>",
                TaskKind::Zlib,
            ),
            ("node::fs::ReadFileJob", TaskKind::Fs),
            ("node::fs::(anonymous namespace)::ReadDirRecursiveWork", TaskKind::Fs),
            ("node::sqlite::BackupJob", TaskKind::Work),
            ("(anonymous namespace)::uvimpl::Work", TaskKind::Work),
        ] {
            assert_eq!(kind_of_class(name), kind, "{name}");
        }
    }
}
