//! `SIGHUP`: the configuration is read again, and measuring, serving, exporting and profiling go on by it.
//!
//! All of it or none: what cannot be used leaves everything as it was, and is told. So whatever may fail comes first: the files are understood, the
//! new address is listened on, certificates and directories are opened. Then nothing is missing while one takes the place of the other: the old
//! address is closed when the new one is open, and the old exporter ends before the new one begins where it ended.

use std::cell::Cell;
use std::sync::Arc;

use serve::web::{Ready, Web};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::exports::Exports;
use super::own_metrics::{ConfigFile, OwnMetrics};
use super::profiles::Profiles;
use super::routes::Routes;
use crate::cli::{Address, AgentOptions};
use crate::config::Settings;
use crate::console;
use crate::error::Error;

/// Reads the configuration again whenever it is asked to.
pub(super) struct Reload<'a> {
    hangups: Signal,
    options: &'a AgentOptions,
}

/// What goes on by a configuration.
pub(super) struct Parts<'a> {
    pub(super) routes: &'a Routes,
    pub(super) web: &'a Web,
    pub(super) own: &'a Arc<OwnMetrics>,
    pub(super) exports: &'a Exports,
    pub(super) profiles: &'a Profiles,
    pub(super) addresses: Addresses,
}

/// The address to serve on, as it is configured, and the way to serve on another.
pub(super) struct Addresses {
    configured: Cell<Address>,
    others: UnboundedSender<TcpListener>,
}

impl Addresses {
    /// The address that is served on, and where listeners of others will come from.
    pub(super) fn new(configured: Address) -> (Self, UnboundedReceiver<TcpListener>) {
        let (others, come) = unbounded_channel();
        (Self { configured: Cell::new(configured), others }, come)
    }

    /// Opens an address, if it is another one than is configured now.
    fn open(&self, address: Address) -> Result<Option<TcpListener>, Error> {
        if address == self.configured.get() {
            return Ok(None);
        }
        super::listen(address).and_then(super::of_event_loop).map(Some)
    }

    /// Goes on there; the address before is closed.
    fn move_to(&self, address: Address, listener: TcpListener, scheme: &str) {
        if let Ok(bound) = listener.local_addr() {
            console::line(format_args!("serving metrics on {scheme}://{bound}/metrics from now on"));
        }
        self.configured.set(address);
        // Nobody serves any more: the agent ends.
        let _ = self.others.send(listener);
    }
}

impl<'a> Reload<'a> {
    /// From now on the signal does not end the program.
    pub(super) fn on_hangup(options: &'a AgentOptions) -> Result<Self, Error> {
        let hangups = signal(SignalKind::hangup())
            .map_err(|source| Error::System { doing: "cannot handle signals", source })?;
        Ok(Self { hangups, options })
    }

    /// Serves signals, without end.
    pub(super) async fn run(mut self, parts: &Parts<'_>) {
        while self.hangups.recv().await.is_some() {
            if let Err(error) = self.read_again(parts).await {
                console::line(format_args!("{error}; the configuration before stays in use"));
                parts.own.config_read(ConfigFile::Agent, false);
            }
        }
        // Nobody can ask any more; serving goes on.
        std::future::pending().await
    }

    async fn read_again(&self, parts: &Parts<'_>) -> Result<(), Error> {
        let settings = Settings::new(self.options)?;
        let ready = Ready::read(settings.web_config.clone())?;
        let listener = parts.addresses.open(settings.listen)?;
        let change = parts.exports.prepare(settings.export.clone())?;
        let profiles = parts.profiles.prepare(settings.profiling.clone())?;
        console::line(format_args!("configuration read again: {}", ready.describe()));
        if let Some(listener) = listener {
            parts.addresses.move_to(settings.listen, listener, ready.scheme());
        }
        parts.web.replace(ready);
        parts.routes.reconfigure(settings);
        parts.own.config_read(ConfigFile::Web, true);
        parts.own.config_read(ConfigFile::Agent, true);
        let (exports, profiles) = tokio::join!(parts.exports.make(change), parts.profiles.make(profiles));
        for (made, what) in [(exports, "exported"), (profiles, "profiled")] {
            if let Err(error) = made {
                console::line(format_args!(
                    "{error}; nothing is {what} until the configuration is read again"
                ));
                parts.own.config_read(ConfigFile::Agent, false);
            }
        }
        Ok(())
    }
}
