//! What can go wrong in the program, what the operator is told, and the exit status that follows.

use std::path::PathBuf;
use std::process::ExitCode;
use std::{fmt, io};

use attach::target::ProcessError;

use crate::cli::Address;

/// Why a command of the program failed.
#[derive(Debug)]
pub(crate) enum Error {
    /// The address to serve on cannot be listened on.
    Listen { address: String, source: io::Error },
    /// A file that the program needs for itself cannot be written.
    TemporaryFile { path: PathBuf, source: io::Error },
    /// The configuration cannot be read, or does not say what it should.
    Config { path: PathBuf, message: String },
    /// What is said of the export does not make sense; `of` is the option, the variable or the key.
    Export { of: String, message: String },
    /// A process cannot be read.
    Process(ProcessError),
    /// The event loop of the demo failed.
    Runtime(runtime::Error),
    /// There is no collector to start; `beside` is where this program lies.
    NoCollector { beside: PathBuf },
    /// The collector that was started does not serve.
    Collector { program: PathBuf, message: String },
    /// A file cannot be written.
    Output { path: PathBuf, source: io::Error },
    /// A profile was not sent.
    Upload { path: PathBuf, message: String },
    /// The name of the output tells no format, and none was given.
    UnknownFormat { path: PathBuf },
    /// A frequency was given for what has none.
    FrequencyOffCpu,
    /// Probes cannot be placed.
    Probes(attach::libuv::probes::ProbeError),
    /// A process has no loop whose iterations are told one by one, and no libuv that can be probed.
    NoLoop { pid: attach::target::Pid },
    /// There is nothing left to look at.
    Ended { message: String },
    /// Processes that were named have no event loop that can be measured.
    NoEventLoop { reasons: Vec<String> },
    /// Nothing can be recorded.
    Record(attach::Error),
    /// The standard output cannot be written.
    Stdout { source: io::Error },
    /// The system refused something that the program cannot do without.
    System { doing: &'static str, source: io::Error },
}

impl From<serve::web::Unusable> for Error {
    fn from(web: serve::web::Unusable) -> Self {
        Self::Config { path: web.path, message: web.message }
    }
}

impl Error {
    /// The service of the demo cannot be started.
    pub(crate) fn listen(address: Address, error: runtime::Error) -> Self {
        Self::Listen { address: address.to_string(), source: io::Error::from_raw_os_error(error.code()) }
    }

    /// The program's exit status; see [`crate::cli::EXIT_STATUS`].
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Record(attach::Error::CommandNotFound { .. }) => 127,
            Self::Record(attach::Error::CommandNotExecutable { .. }) => 126,
            Self::UnknownFormat { .. }
            | Self::FrequencyOffCpu
            | Self::Config { .. }
            | Self::Export { .. } => 2,
            _ => 1,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, source } => {
                write!(f, "cannot listen on {address}: {source}")?;
                match source.kind() {
                    io::ErrorKind::AddrInUse => f.write_str(
                        "; another program serves there: stop it, or choose an address with --listen",
                    ),
                    io::ErrorKind::PermissionDenied => {
                        f.write_str("; ports below 1024 need root: choose another with --listen")
                    }
                    io::ErrorKind::AddrNotAvailable => {
                        f.write_str("; this host has no such address: choose another with --listen")
                    }
                    _ => Ok(()),
                }
            }
            Self::Output { path, source } => {
                write!(f, "cannot write {}: {source}", path.display())?;
                match source.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        f.write_str("; a file that was there before is untouched: free some space, or choose another place with --output")
                    }
                    _ => f.write_str("; choose another place with --output"),
                }
            }
            Self::TemporaryFile { path, source } => {
                write!(f, "cannot write {}: {source}; another directory is used with TMPDIR", path.display())
            }
            Self::Config { path, message } => write!(f, "{}: {}", path.display(), message.trim_end()),
            Self::Export { of, message } => write!(f, "{of}: {message}"),
            Self::NoCollector { beside } => write!(
                f,
                "there is no loopscope-collector in {} or on the path; in a clone `cargo build --release --bin loopscope-collector` builds it, and `cargo install --path collector` installs it",
                beside.display()
            ),
            Self::Collector { program, message } => write!(f, "{}: {message}", program.display()),
            Self::Upload { path, message } => write!(f, "{}: {message}", path.display()),
            Self::Probes(error) => error.fmt(f),
            Self::NoLoop { pid } => write!(
                f,
                "process {pid}: runs no libuv whose loop can be probed and no loop of loopscope_runtime, and --slow needs one; `loopscope inspect --pid {pid}` tells more"
            ),
            Self::Ended { message } => f.write_str(message),
            Self::NoEventLoop { reasons } => f.write_str(&reasons.join("; ")),
            Self::Process(error) => error.fmt(f),
            Self::Runtime(error) => error.fmt(f),
            Self::UnknownFormat { path } => write!(
                f,
                "{}: this name tells no format; end it in .svg, .folded, .pprof, .json or .speedscope.json, or give --format",
                path.display()
            ),
            Self::FrequencyOffCpu => {
                f.write_str("--mode off-cpu records every wait, whatever the --frequency: leave it out")
            }
            Self::Record(error) => error.fmt(f),
            Self::Stdout { source } => write!(f, "cannot write to the standard output: {source}"),
            Self::System { doing, source } => write!(f, "{doing}: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { source, .. }
            | Self::Output { source, .. }
            | Self::Stdout { source }
            | Self::System { source, .. } => Some(source),
            Self::TemporaryFile { source, .. } => Some(source),
            Self::Process(error) => Some(error),
            Self::Runtime(error) => Some(error),
            Self::Record(error) => Some(error),
            Self::Probes(error) => Some(error),
            Self::Ended { .. } | Self::NoEventLoop { .. } => None,
            Self::NoLoop { .. } | Self::Upload { .. } | Self::NoCollector { .. } | Self::Collector { .. } => {
                None
            }
            Self::UnknownFormat { .. }
            | Self::FrequencyOffCpu
            | Self::Config { .. }
            | Self::Export { .. } => None,
        }
    }
}
