//! Why the telemetry of a process cannot be read.

use std::{fmt, io};

use model::label;
use model::segment::SegmentError;

use crate::sys::mapping::Refusal;
use crate::target::{Pid, ProcessError};

/// Why the telemetry of a process cannot be read.
#[derive(Debug)]
pub enum TelemetryError {
    /// The process publishes none. Not a failure: most processes do not.
    NotPublished {
        /// The process.
        pid: Pid,
    },
    /// The process itself cannot be read.
    Process(ProcessError),
    /// The process calls something a segment that is no memory file.
    NotMemory {
        /// The process.
        pid: Pid,
    },
    /// The memory is not sealed, so that its owner could take it away while it is read.
    Unsealed {
        /// The process.
        pid: Pid,
    },
    /// The memory is empty or too long.
    Length {
        /// The process.
        pid: Pid,
        /// Its length.
        bytes: u64,
    },
    /// The segment is not well formed, or of another version.
    Segment {
        /// The process.
        pid: Pid,
        /// What is wrong with it.
        source: SegmentError,
    },
    /// The segment holds more than any honest one would.
    TooMuch {
        /// The process.
        pid: Pid,
        /// Counters, gauges and buckets found.
        numbers: usize,
        /// How many are read at most.
        limit: usize,
    },
    /// The kernel refused to map the memory.
    System {
        /// The process.
        pid: Pid,
        /// What it said.
        source: io::Error,
    },
}

impl TelemetryError {
    pub(super) fn refused(pid: Pid, refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotMemory => Self::NotMemory { pid },
            Refusal::Unsealed => Self::Unsealed { pid },
            Refusal::Length(bytes) => Self::Length { pid, bytes },
            Refusal::System(source) => Self::System { pid, source },
        }
    }

    /// The process.
    pub fn pid(&self) -> Pid {
        match self {
            Self::Process(
                ProcessError::Permission { pid, .. }
                | ProcessError::Vanished { pid }
                | ProcessError::Malformed { pid, .. }
                | ProcessError::System { pid, .. },
            )
            | Self::NotPublished { pid }
            | Self::NotMemory { pid }
            | Self::Unsealed { pid }
            | Self::Length { pid, .. }
            | Self::Segment { pid, .. }
            | Self::TooMuch { pid, .. }
            | Self::System { pid, .. } => *pid,
        }
    }

    /// The cause, as `loopscope_target_errors_total` counts it; `None` where nothing failed.
    pub fn cause(&self) -> Option<label::TargetError> {
        Some(match self {
            Self::NotPublished { .. } => return None,
            Self::Process(error) => error.cause(),
            Self::Segment { source: SegmentError::Version { .. }, .. } => label::TargetError::Version,
            _ => label::TargetError::Invalid,
        })
    }
}

impl From<ProcessError> for TelemetryError {
    fn from(error: ProcessError) -> Self {
        Self::Process(error)
    }
}

impl fmt::Display for TelemetryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(error) => error.fmt(f),
            Self::NotPublished { pid } => write!(f, "process {pid}: publishes no telemetry"),
            Self::NotMemory { pid } => write!(f, "process {pid}: its telemetry segment is not a memory file"),
            Self::Unsealed { pid } => write!(
                f,
                "process {pid}: its telemetry segment is not sealed against shrinking, so reading it would not be safe"
            ),
            Self::Length { pid, bytes } => {
                write!(f, "process {pid}: its telemetry segment is empty or too long: {bytes} bytes")
            }
            Self::Segment { pid, source } => write!(f, "process {pid}: {source}"),
            Self::TooMuch { pid, numbers, limit } => {
                write!(f, "process {pid}: its telemetry holds {numbers} numbers; {limit} are read at most")
            }
            Self::System { pid, source } => {
                write!(f, "process {pid}: cannot map its telemetry segment: {source}")
            }
        }
    }
}

impl std::error::Error for TelemetryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Process(error) => Some(error),
            Self::Segment { source, .. } => Some(source),
            Self::System { source, .. } => Some(source),
            _ => None,
        }
    }
}
