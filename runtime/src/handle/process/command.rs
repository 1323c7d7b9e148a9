//! What process is to be started, and how.

use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::{Exit, Process};
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::handle::pipe::Pipe;
use crate::sys::descriptor;
use crate::sys::process::{self, Plan};
use crate::sys::unix;

/// Starts a process.
///
/// ```
/// use loopscope_runtime::{Command, EventLoop, Pipe, Read, RunMode, Stdio};
///
/// let event_loop = EventLoop::new()?;
/// let output = Pipe::new(&event_loop);
/// Command::new("echo").arg("hello").stdout(Stdio::Pipe(output.clone())).spawn(
///     &event_loop,
///     |_, process, exit| {
///         assert_eq!(exit.status, Some(0));
///         process.close();
///     },
/// )?;
/// output.read_start(|_, output, read| match read.unwrap() {
///     Read::Data(data) => assert_eq!(data, b"hello\n"),
///     Read::End => output.close(),
/// })?;
/// event_loop.run(RunMode::Default);
/// # Ok::<(), loopscope_runtime::Error>(())
/// ```
///
/// The process starts with no signal blocked or ignored, and with the descriptors that it is given and no other.
#[derive(Clone)]
pub struct Command {
    program: OsString,
    name: Option<OsString>,
    arguments: Vec<OsString>,
    environment: Option<Vec<(OsString, OsString)>>,
    folder: Option<PathBuf>,
    user: Option<u32>,
    group: Option<u32>,
    detached: bool,
    stdio: Vec<Stdio>,
}

/// What one of a process's descriptors is.
#[derive(Clone, Default)]
pub enum Stdio {
    /// Nothing; of the first three `/dev/null`.
    #[default]
    Ignore,
    /// What has the same number in this process.
    Inherit,
    /// A descriptor of this process, such as another handle's.
    Descriptor(Rc<OwnedFd>),
    /// The other end of a pipe, which is not open yet and will be: both ends read and write. A pipe that passes descriptors
    /// does so here, too.
    Pipe(Pipe),
}

/// The own and the other end of a pipe.
type Ends = (OwnedFd, OwnedFd);

impl From<OwnedFd> for Stdio {
    fn from(descriptor: OwnedFd) -> Self {
        Self::Descriptor(Rc::new(descriptor))
    }
}

impl Command {
    /// A program: a path, or, without a slash, a name that is looked for on the process's `PATH`.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            name: None,
            arguments: Vec::new(),
            environment: None,
            folder: None,
            user: None,
            group: None,
            detached: false,
            stdio: vec![Stdio::Ignore; 3],
        }
    }

    /// The name that the program is told, instead of its own.
    pub fn name(mut self, name: impl Into<OsString>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// One more argument.
    pub fn arg(self, argument: impl Into<OsString>) -> Self {
        self.args([argument])
    }

    /// More arguments.
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds a variable to the environment, or changes it; without more it is this process's.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl Into<OsString>) -> Self {
        let environment = self.environment.get_or_insert_with(|| env::vars_os().collect());
        environment.retain(|(known, _)| known != name.as_ref());
        environment.push((name.as_ref().to_owned(), value.into()));
        self
    }

    /// Begins with an empty environment.
    pub fn env_clear(mut self) -> Self {
        self.environment = Some(Vec::new());
        self
    }

    /// The folder that the process starts in.
    pub fn current_folder(mut self, folder: impl AsRef<Path>) -> Self {
        self.folder = Some(folder.as_ref().to_owned());
        self
    }

    /// The user that it runs as, by number. It then belongs to no groups but its own.
    pub fn user(mut self, user: u32) -> Self {
        self.user = Some(user);
        self
    }

    /// The group that it runs as, by number.
    pub fn group(mut self, group: u32) -> Self {
        self.group = Some(group);
        self
    }

    /// Whether it leads a session of its own, which terminals and their signals leave alone.
    pub fn detached(mut self, detached: bool) -> Self {
        self.detached = detached;
        self
    }

    /// Its standard input.
    pub fn stdin(self, stdio: Stdio) -> Self {
        self.stdio(0, stdio)
    }

    /// Its standard output.
    pub fn stdout(self, stdio: Stdio) -> Self {
        self.stdio(1, stdio)
    }

    /// Its standard error.
    pub fn stderr(self, stdio: Stdio) -> Self {
        self.stdio(2, stdio)
    }

    /// Any of its descriptors.
    pub fn stdio(mut self, number: usize, stdio: Stdio) -> Self {
        if number >= self.stdio.len() {
            self.stdio.resize(number + 1, Stdio::Ignore);
        }
        self.stdio[number] = stdio;
        self
    }

    /// Starts it. The callback runs when it has ended.
    ///
    /// # Errors
    /// What the system says, with the step that failed: `execvp` of a program that is not there or must not be run, `chdir`,
    /// `setuid`, `clone`. [`Error::Closed`] where the loop has ended. [`Error::Invalid`] of a zero byte in a string, of a descriptor that is not open, or of a pipe that
    /// is; the callback is then dropped and no pipe is opened.
    pub fn spawn(
        &self,
        event_loop: &EventLoop,
        callback: impl FnOnce(&EventLoop, &Process, Exit) + 'static,
    ) -> Result<Process, Error> {
        if event_loop.core.has_ended() {
            return Err(Error::Closed);
        }
        let ends = self.open_pipes()?;
        let plan = self.plan(&ends)?;
        let pid = process::spawn(&plan).map_err(|failure| Error::system(failure.operation, failure.errno))?;
        for (stdio, ends) in self.stdio.iter().zip(ends) {
            if let (Stdio::Pipe(pipe), Some((own, _))) = (stdio, ends) {
                // It was looked at before; one pipe that is given twice has its first end.
                let _ = pipe.open(own);
            }
        }
        Ok(Process::started(event_loop, pid, Box::new(callback)))
    }

    /// The own and the other end of each pipe.
    fn open_pipes(&self) -> Result<Vec<Option<Ends>>, Error> {
        let open = |stdio: &Stdio| {
            let Stdio::Pipe(pipe) = stdio else { return Ok(None) };
            pipe.0.handle.expect_open()?;
            if pipe.0.is_open() {
                return Err(Error::Invalid { reason: "a process needs a pipe that is not open yet" });
            }
            let ends = unix::pair().map_err(|errno| Error::system("socketpair", errno))?;
            descriptor::set_blocking(&ends.1, true).map_err(|errno| Error::system("fcntl", errno))?;
            Ok(Some(ends))
        };
        self.stdio.iter().map(open).collect()
    }

    fn plan(&self, ends: &[Option<Ends>]) -> Result<Plan, Error> {
        let name = self.name.as_ref().unwrap_or(&self.program);
        let arguments = [name].into_iter().chain(&self.arguments);
        let environment = self.environment.as_ref().map(|environment| {
            let entry = |(name, value): &(OsString, OsString)| {
                c_string(&[name.as_bytes(), b"=", value.as_bytes()].concat())
            };
            environment.iter().map(entry).collect::<Result<_, _>>()
        });
        let descriptor = |(number, (stdio, ends)): (usize, (&Stdio, &Option<Ends>))| match stdio {
            Stdio::Ignore => Ok(None),
            Stdio::Inherit if !process::is_open(number as RawFd) => {
                Err(Error::Invalid { reason: "a descriptor that a process should inherit is not open" })
            }
            Stdio::Inherit => Ok(Some(number as RawFd)),
            Stdio::Descriptor(descriptor) => Ok(Some(descriptor.as_raw_fd())),
            Stdio::Pipe(_) => Ok(ends.as_ref().map(|(_, other)| other.as_raw_fd())),
        };
        Ok(Plan {
            program: c_string(self.program.as_bytes())?,
            arguments: arguments.map(|argument| c_string(argument.as_bytes())).collect::<Result<_, _>>()?,
            environment: environment.transpose()?,
            folder: self.folder.as_ref().map(|folder| c_string(folder.as_os_str().as_bytes())).transpose()?,
            user: self.user,
            group: self.group,
            detached: self.detached,
            stdio: self.stdio.iter().zip(ends).enumerate().map(descriptor).collect::<Result<_, _>>()?,
        })
    }
}

fn c_string(bytes: &[u8]) -> Result<CString, Error> {
    CString::new(bytes).map_err(|_| Error::Invalid { reason: "a string for a process has a zero byte in it" })
}
