//! What is wrong with memory that is no segment.

use std::fmt;

/// Why memory is not a segment that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SegmentError {
    /// Shorter than a header.
    TooShort {
        /// Words found.
        words: usize,
    },
    /// The magic number is not there: not a segment, or one that is still being made.
    NotASegment,
    /// Written by a version that this reader does not know.
    Version {
        /// The major version found.
        found: u32,
        /// The major version that can be read.
        expected: u32,
    },
    /// Something lies outside the segment, or overlaps what it should not.
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// The value found.
        found: u64,
    },
}

impl fmt::Display for SegmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { words } => {
                write!(f, "a telemetry segment of {words} words is shorter than its header")
            }
            Self::NotASegment => f.write_str("not a telemetry segment: its magic number is missing"),
            Self::Version { found, expected } => {
                write!(f, "telemetry segment of version {found}; this program reads version {expected}")
            }
            Self::Malformed { what, found } => write!(f, "malformed telemetry segment: {what} ({found})"),
        }
    }
}

impl std::error::Error for SegmentError {}
