//! A command that was started to be recorded, from its name to its end.

use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::time::Duration;

use crate::Error;
use crate::sys::launch::{Image, Waiting};
use crate::sys::process;

/// Where commands are looked for if there is no `PATH`.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Forks a child that waits to execute the command, which is found as a shell would find it.
pub(crate) fn fork(program: &OsStr, arguments: &[OsString]) -> Result<Waiting, Error> {
    if program.is_empty() {
        return Err(Error::CommandNotFound { program: program.into() });
    }
    let image = image(program, arguments).map_err(|source| unexecutable(program, source))?;
    Waiting::fork(&image).map_err(|source| Error::System { doing: "starting the command", source })
}

/// Lets the child execute the command.
pub(crate) fn execute(waiting: Waiting, program: &OsStr) -> Result<Launched, Error> {
    let pid = waiting.pid();
    waiting.execute().map_err(|source| unexecutable(program, source))?;
    Ok(Launched { pid, ended: None })
}

fn unexecutable(program: &OsStr, source: io::Error) -> Error {
    let program = program.into();
    match source.kind() {
        io::ErrorKind::NotFound => Error::CommandNotFound { program },
        _ => Error::CommandNotExecutable { program, source },
    }
}

fn image(program: &OsStr, arguments: &[OsString]) -> io::Result<Image> {
    let c_string = |text: &OsStr| CString::new(text.as_bytes()).map_err(io::Error::from);
    let candidates = if program.as_bytes().contains(&b'/') {
        vec![c_string(program)?]
    } else {
        let path = env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
        // An empty directory is the present one; joined to it, the program is not searched for again.
        let directories = env::split_paths(&path)
            .map(|directory| if directory.as_os_str().is_empty() { ".".into() } else { directory });
        directories
            .map(|directory| c_string(Path::new(&directory).join(program).as_os_str()))
            .collect::<Result<_, _>>()?
    };
    let arguments = std::iter::once(program).chain(arguments.iter().map(OsString::as_os_str)).map(c_string);
    let environment = env::vars_os().map(|(name, value)| {
        let mut variable = name.into_vec();
        variable.push(b'=');
        variable.extend(value.into_vec());
        CString::new(variable).map_err(io::Error::from)
    });
    Ok(Image {
        candidates,
        arguments: arguments.collect::<Result<_, _>>()?,
        environment: environment.collect::<Result<_, _>>()?,
    })
}

/// A command that was started. It lives on, if it still runs, when this is dropped.
#[derive(Debug)]
pub struct Launched {
    pid: u32,
    ended: Option<Ended>,
}

/// How a command ended, and what it cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How it ended.
    pub exit: Exit,
    /// User and system CPU time, with that of its own children that it waited for.
    pub cpu_time: Duration,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Code(u8),
    /// By this signal.
    Signal(u8),
}

impl Exit {
    /// The exit status that a shell would report: a signal's number plus 128.
    pub fn shell_status(self) -> u8 {
        match self {
            Exit::Code(code) => code,
            Exit::Signal(signal) => signal.saturating_add(128),
        }
    }
}

impl Launched {
    /// The command's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until the command has ended.
    ///
    /// # Errors
    /// If somebody else has waited for the process.
    pub fn wait(&mut self) -> Result<Ended, Error> {
        Ok(self.reap(true)?.expect("a wait that blocks ends with the process"))
    }

    /// How the command ended, `None` while it runs.
    ///
    /// # Errors
    /// If somebody else has waited for the process.
    pub fn try_wait(&mut self) -> Result<Option<Ended>, Error> {
        self.reap(false)
    }

    fn reap(&mut self, block: bool) -> Result<Option<Ended>, Error> {
        if self.ended.is_none() {
            let reaped = process::reap(self.pid, block)
                .map_err(|source| Error::System { doing: "waiting for the command", source })?;
            self.ended = reaped.map(|reaped| Ended {
                // The low seven bits are the signal, the next byte but one bit the status; see wait(2).
                exit: match reaped.status & 0x7f {
                    0 => Exit::Code((reaped.status >> 8) as u8),
                    signal => Exit::Signal(signal as u8),
                },
                cpu_time: reaped.cpu_time,
            });
        }
        Ok(self.ended)
    }
}
