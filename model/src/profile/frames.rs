//! Places in code: which function, in which file, mapped from where.

use super::StringId;
use super::table::{Table, TableId};
use crate::label::Phase;

/// A mapping's position in its [`Mappings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MappingId(pub u32);

impl TableId for MappingId {
    fn from_position(position: u32) -> Self {
        Self(position)
    }

    fn position(self) -> u32 {
        self.0
    }
}

/// A frame's position in its [`Frames`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameId(pub u32);

impl TableId for FrameId {
    fn from_position(position: u32) -> Self {
        Self(position)
    }

    fn position(self) -> u32 {
        self.0
    }
}

/// A file, or a region without one, that code was mapped from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// The file's path as the process sees it, or a name in brackets such as `[kernel]`, `[vdso]`, `[jit]`.
    pub path: StringId,
    /// The build id in hexadecimal; empty where there is none.
    pub build_id: StringId,
    /// Where the file's first executable byte was mapped.
    pub start: u64,
    /// Where the mapping ended.
    pub end: u64,
    /// The offset in the file that `start` was mapped from.
    pub file_offset: u64,
}

/// What kind of code a frame is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// Compiled code of the program or a library.
    Native,
    /// The kernel.
    Kernel,
    /// Code that a program made while it ran.
    Jit,
    /// Not code: the phase of the event loop that the frames inside ran in.
    Phase(Phase),
    /// An address of which nothing is known.
    Unknown,
}

/// A place in code. Two frames that differ only in their address are two frames; most formats show them as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// What kind of code it is.
    pub kind: FrameKind,
    /// The function, demangled; never empty.
    pub function: StringId,
    /// The source file; empty where unknown.
    pub file: StringId,
    /// The line in the source file; zero where unknown.
    pub line: u32,
    /// Where the code was mapped from.
    pub mapping: Option<MappingId>,
    /// The address in the process (or the kernel) as it ran; zero where there is none. Inlined frames share their
    /// caller's.
    pub address: u64,
    /// Whether the compiler put the function into its caller.
    pub inlined: bool,
}

/// Mappings, each held once.
pub type Mappings = Table<MappingId, Mapping>;

/// Frames, each held once.
pub type Frames = Table<FrameId, Frame>;
