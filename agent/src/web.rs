//! Who may ask the agent, and over what: the web configuration that Prometheus's exporters share.
//!
//! The format is that of exporter-toolkit's `web-config.yml`, so that one file serves every exporter of a host. What it says, and the
//! files that it names, are [read again](Web::current) while the agent runs, at most once a second and only when somebody
//! connects or asks: a certificate that was renewed is served without a restart. What cannot be read leaves what was
//! read before, and is told once; so does what asks less of clients, for a file that is being written is empty first. That takes
//! the operator's word, by [`Web::replace`].
//!
//! Read in this order: [`file`] (what may be written), [`access`] (what it means), [`tls`] and [`client`] (connections),
//! [`passwords`] and [`bucket`] (requests).

mod access;
mod bucket;
mod client;
mod duration;
mod file;
mod passwords;
mod tls;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::header::HeaderMap;
use model::time::Monotonic;

pub(crate) use access::Access;
use passwords::Passwords;
pub(crate) use passwords::Refusal;

use crate::error::Error;
use crate::{clock, console};

/// Files are looked at no more often than this, however many clients come.
const LOOK_EVERY_NS: u64 = 1_000_000_000;

/// What is told whenever files that changed were read: whether they could be used.
type Told = dyn Fn(bool) + Send + Sync;

/// The rules of access, kept up to date.
pub(crate) struct Web {
    state: Mutex<State>,
    passwords: Passwords,
    told: Box<Told>,
}

struct State {
    /// `None` where everybody may ask, in the clear.
    path: Option<PathBuf>,
    access: Arc<Access>,
    looked: Monotonic,
    /// Why the files cannot be used as they are now, as it was told.
    refused: Option<String>,
}

/// A web configuration that was read and can be used.
pub(crate) struct Ready {
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
    /// [`Error::Config`] with what is wrong, and what to do.
    pub(crate) fn read(path: Option<PathBuf>) -> Result<Self, Error> {
        let access = match &path {
            None => Access::default(),
            Some(path) => access::read(path)
                .and_then(|written| written.understand())
                .map_err(|message| Error::Config { path: path.clone(), message })?,
        };
        Ok(Self { path, access })
    }

    /// The scheme of an address that is served so.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.access.tls().is_some() { "https" } else { "http" }
    }

    /// What it means, in a few words.
    pub(crate) fn describe(&self) -> String {
        self.access.describe()
    }
}

impl Web {
    /// Begins with what was read.
    pub(crate) fn new(ready: Ready, told: impl Fn(bool) + Send + Sync + 'static) -> Self {
        let state = State {
            path: ready.path,
            access: Arc::new(ready.access),
            looked: clock::monotonic(),
            refused: None,
        };
        Self { state: Mutex::new(state), passwords: Passwords::new(), told: Box::new(told) }
    }

    /// Goes on with another configuration.
    pub(crate) fn replace(&self, ready: Ready) {
        let mut state = self.state();
        let access = ready.access.following(&state.access);
        *state =
            State { path: ready.path, access: Arc::new(access), looked: clock::monotonic(), refused: None };
    }

    /// The rules as they are now.
    pub(crate) fn current(&self) -> Arc<Access> {
        let mut state = self.state();
        let now = clock::monotonic();
        if now.since_ns(state.looked) >= LOOK_EVERY_NS {
            state.looked = now;
            self.look(&mut state);
        }
        Arc::clone(&state.access)
    }

    /// Whether a request may be answered.
    ///
    /// # Errors
    /// [`Refusal`], where it may not.
    pub(crate) async fn admit(&self, access: &Access, headers: &HeaderMap) -> Result<(), Refusal> {
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
                    (self.told)(true);
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
                console::line(format_args!("{}: read again: {}", path.display(), access.describe()));
                state.access = Arc::new(access.following(&state.access));
                state.refused = None;
                (self.told)(true);
            }
            Err(message) if state.refused.as_ref() == Some(&message) => {}
            Err(message) => {
                console::line(format_args!(
                    "{}: {}; what was read before stays in use",
                    path.display(),
                    message.trim_end()
                ));
                state.refused = Some(message);
                (self.told)(false);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
