//! Who may ask, and over what: the web configuration that Prometheus's exporters share.
//!
//! The format is that of exporter-toolkit's `web-config.yml`, so that one file serves every exporter of a host. What it says, and the
//! files that it names, are [read again](Web::current) while the program runs, at most once a second and only when somebody
//! connects or asks: a certificate that was renewed is served without a restart. What cannot be read leaves what was
//! read before, and is told once; so does what asks less of clients, for a file that is being written is empty first. That takes
//! the operator's word, by [`Web::replace`].
//!
//! Read in this order: [`file`] (what may be written), [`access`] (what it means), [`tls`] and [`client`] (connections),
//! [`passwords`] and [`bucket`] (requests), [`refusal`] (who is not let in).

mod access;
mod bucket;
mod client;
mod duration;
mod file;
mod passwords;
mod refusal;
mod tls;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::HeaderMap;

pub use access::Access;
use passwords::Passwords;
pub use refusal::Refusal;

/// Files are looked at no more often than this, however many clients come.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is told whenever files that changed were read.
#[derive(Debug)]
pub struct Told {
    /// Whether they could be used.
    pub usable: bool,
    /// The line for whoever runs the program, where there is something to say.
    pub line: Option<String>,
}

type Tell = dyn Fn(Told) + Send + Sync;

/// A web configuration that cannot be read, or does not say what it should.
#[derive(Debug)]
pub struct Unusable {
    /// Where it lies.
    pub path: PathBuf,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.message.trim_end())
    }
}

impl std::error::Error for Unusable {}

/// The rules of access, kept up to date.
pub struct Web {
    state: Mutex<State>,
    passwords: Passwords,
    tell: Box<Tell>,
}

struct State {
    /// `None` where everybody may ask, in the clear.
    path: Option<PathBuf>,
    access: Arc<Access>,
    looked: Instant,
    /// Why the files cannot be used as they are now, as it was told.
    refused: Option<String>,
}

/// A web configuration that was read and can be used.
pub struct Ready {
    path: Option<PathBuf>,
    access: Access,
}

impl Default for Ready {
    /// Everybody may ask, in the clear.
    fn default() -> Self {
        Self { path: None, access: Access::default() }
    }
}

impl Ready {
    /// Reads a web configuration, and all that it names.
    ///
    /// # Errors
    /// [`Unusable`] with what is wrong, and what to do.
    pub fn read(path: Option<PathBuf>) -> Result<Self, Unusable> {
        let access = match &path {
            None => Access::default(),
            Some(path) => access::read(path)
                .and_then(|written| written.understand())
                .map_err(|message| Unusable { path: path.clone(), message })?,
        };
        Ok(Self { path, access })
    }

    /// The scheme of an address that is served so.
    pub fn scheme(&self) -> &'static str {
        if self.access.tls().is_some() { "https" } else { "http" }
    }

    /// What it means, in a few words.
    pub fn describe(&self) -> String {
        self.access.describe()
    }
}

impl Web {
    /// Begins with what was read.
    pub fn new(ready: Ready, tell: impl Fn(Told) + Send + Sync + 'static) -> Self {
        let state =
            State { path: ready.path, access: Arc::new(ready.access), looked: Instant::now(), refused: None };
        Self { state: Mutex::new(state), passwords: Passwords::new(), tell: Box::new(tell) }
    }

    /// Goes on with another configuration.
    pub fn replace(&self, ready: Ready) {
        let mut state = self.state();
        let access = ready.access.following(&state.access);
        *state = State { path: ready.path, access: Arc::new(access), looked: Instant::now(), refused: None };
    }

    /// The rules as they are now.
    pub fn current(&self) -> Arc<Access> {
        let mut state = self.state();
        if state.looked.elapsed() >= LOOK_EVERY {
            state.looked = Instant::now();
            self.look(&mut state);
        }
        Arc::clone(&state.access)
    }

    /// Whether a request may be answered.
    ///
    /// # Errors
    /// [`Refusal`], where it may not.
    pub async fn admit(&self, access: &Access, headers: &HeaderMap) -> Result<(), Refusal> {
        access.take_turn()?;
        match access.users() {
            None => Ok(()),
            Some(users) => self.passwords.check(users, headers).await,
        }
    }

    /// Reads the files again, and uses them if they changed.
    fn look(&self, state: &mut State) {
        let Some(path) = &state.path else { return };
        let understood = match access::read(path) {
            Ok(written) if written.is_of(&state.access) => {
                // Back to what is used: whatever was wrong in between is no longer.
                if state.refused.take().is_some() {
                    (self.tell)(Told { usable: true, line: None });
                }
                return;
            }
            Ok(written) => written.understand().and_then(|access| {
                access.asks_no_less_than(&state.access)?;
                Ok(access)
            }),
            Err(message) => Err(message),
        };
        match understood {
            Ok(access) => {
                let line = Some(format!("{}: read again: {}", path.display(), access.describe()));
                state.access = Arc::new(access.following(&state.access));
                state.refused = None;
                (self.tell)(Told { usable: true, line });
            }
            Err(message) if state.refused.as_ref() == Some(&message) => {}
            Err(message) => {
                let told = message.trim_end();
                let line = format!("{}: {told}; what was read before stays in use", path.display());
                state.refused = Some(message);
                (self.tell)(Told { usable: false, line: Some(line) });
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
