//! What can go wrong in the program, what the operator is told, and the exit status that follows.

use std::path::PathBuf;
use std::process::ExitCode;
use std::{fmt, io};

/// Why the program failed.
#[derive(Debug)]
pub enum Error {
    /// The address cannot be listened on.
    Listen {
        /// Which.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The configuration cannot be read, or does not say what it should.
    Config {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The store cannot be opened.
    Store {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file cannot be written.
    Output {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The system refused something that the program cannot do without.
    System {
        /// What.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl From<serve::web::Unusable> for Error {
    fn from(web: serve::web::Unusable) -> Self {
        Self::Config { path: web.path, message: web.message }
    }
}

impl Error {
    /// The program's exit status.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(if matches!(self, Self::Config { .. }) { 2 } else { 1 })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, source } => {
                write!(f, "cannot listen on {address}: {source}; choose another address with --listen")
            }
            Self::Config { path, message } => write!(f, "{}: {}", path.display(), message.trim_end()),
            Self::Store { path, source } if source.kind() == io::ErrorKind::WouldBlock => write!(
                f,
                "{}: another collector keeps its profiles there: stop it, or choose another folder with --data",
                path.display()
            ),
            Self::Store { path, source } => {
                write!(f, "{}: {source}; choose another folder with --data", path.display())
            }
            Self::Output { path, source } => write!(f, "cannot write {}: {source}", path.display()),
            Self::System { doing, source } => write!(f, "{doing}: {source}"),
        }
    }
}

impl std::error::Error for Error {}
