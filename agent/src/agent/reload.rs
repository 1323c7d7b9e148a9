//! `SIGHUP`: the configuration is read again, and measuring goes on by it.
//!
//! All of it or none: what cannot be used leaves everything as it was, and is told.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::own_metrics::{ConfigFile, OwnMetrics};
use super::routes::Routes;
use crate::cli::AgentOptions;
use crate::config::Settings;
use crate::console;
use crate::error::Error;
use crate::web::{Ready, Web};

/// Reads the configuration again whenever it is asked to.
pub(super) struct Reload<'a> {
    hangups: Signal,
    options: &'a AgentOptions,
}

impl<'a> Reload<'a> {
    /// From now on the signal does not end the program.
    pub(super) fn on_hangup(options: &'a AgentOptions) -> Result<Self, Error> {
        let hangups = signal(SignalKind::hangup())
            .map_err(|source| Error::System { doing: "cannot handle signals", source })?;
        Ok(Self { hangups, options })
    }

    /// Serves signals, without end.
    pub(super) async fn run(mut self, routes: &Routes, web: &Web, own: &Arc<OwnMetrics>) {
        while self.hangups.recv().await.is_some() {
            match self.read() {
                Ok((settings, ready)) => {
                    console::line(format_args!("configuration read again: {}", ready.describe()));
                    web.replace(ready);
                    routes.reconfigure(settings);
                    own.config_read(ConfigFile::Web, true);
                    own.config_read(ConfigFile::Agent, true);
                }
                Err(error) => {
                    console::line(format_args!("{error}; the configuration before stays in use"));
                    own.config_read(ConfigFile::Agent, false);
                }
            }
        }
        // Nobody can ask any more; serving goes on.
        std::future::pending().await
    }

    fn read(&self) -> Result<(Settings, Ready), Error> {
        let settings = Settings::new(self.options)?;
        let ready = Ready::read(settings.web_config.clone())?;
        Ok((settings, ready))
    }
}
