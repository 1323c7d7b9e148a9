//! The one error of this crate.

use std::{fmt, io};

use tokio::runtime::TryCurrentError;

/// Why a runtime could not be built or published.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The caller runs in no runtime: call it in one, or name a runtime by its handle.
    NoRuntime(TryCurrentError),
    /// The system gave no thread for the sampler.
    Thread(io::Error),
    /// tokio could not build the runtime.
    Build(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRuntime(_) => f.write_str(
                "no runtime to publish: call it from within one, or use `publish_named` with a runtime's handle",
            ),
            Self::Thread(error) => write!(f, "no thread to sample tokio's counters from: {error}"),
            Self::Build(error) => write!(f, "cannot build the runtime: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoRuntime(error) => Some(error),
            Self::Thread(error) | Self::Build(error) => Some(error),
        }
    }
}
