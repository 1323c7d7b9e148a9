//! `loopscope agent`: finds the processes that publish telemetry and serves their metrics.
//!
//! Two threads. One [measures](worker): it alone knows the targets, answers one scrape after the other, and looks for
//! targets when nobody asks. The main one [serves HTTP](server) and waits on sockets only, so health checks are
//! answered at once however long a scrape takes. That one's runtime [measures itself](own_metrics). A third one [exports](otlp), where there is a receiver to export to;
//! where profiles or spans are asked for, each has a thread that sends them, and profiles one that [records](profiler). Refused: a pool of threads that scrape at the same time, which would
//! need locks around the targets and as many times the memory.

mod background;
mod body;
mod exports;
mod names;
mod otlp;
mod own_metrics;
mod profiler;
mod profiles;
mod prom_client;
mod reload;
mod routes;
mod server;
mod slow_log;
mod spans;
mod targets;
mod worker;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use attach::allocator;
use attach::libuv::tiers::Tiers;
use attach::target::Pid;
use model::snapshot::Snapshot;
use model::time::Monotonic;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serve::stop;
use serve::web::{Ready, Web};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::cli::{Address, AgentOptions};
use crate::clock;
use crate::config::Settings;
use crate::console;
use crate::error::Error;
use crate::privileges;
use crate::top::{Notes, Source};
pub(crate) use background::Background;
use exports::Exports;
pub(crate) use names::Names;
use own_metrics::{ConfigFile, OwnMetrics};
use profiler::Roster;
use profiles::Profiles;
use reload::{Addresses, Parts, Reload};
use routes::Routes;
use slow_log::SlowLog;
use spans::Spans;
use targets::Targets;
use worker::Worker;

/// Runs the agent until SIGINT or SIGTERM.
pub(crate) fn run(options: &AgentOptions) -> Result<(), Error> {
    allocator::share_one_heap();
    let settings = Settings::new(options)?;
    let web = Ready::read(settings.web_config.clone())?;
    if options.check {
        return check(settings, &web);
    }
    let scheme = web.scheme();
    let listener = listen(settings.listen)?;
    // A configuration may ask for probes or profiles later.
    let probes = settings.rules.ask_for_probes() || options.config.is_some();
    let profiles = settings.profiling.is_some() || options.config.is_some();
    // What must be read or opened by special right has been, and the event loop brings a second thread.
    privileges::give_up(probes, profiles)?;
    measured_event_loop()?.block_on(async {
        let stopped =
            stop::signalled().map_err(|source| Error::System { doing: "cannot handle signals", source })?;
        let reload = Some(Reload::on_hangup(options)?);
        serve(listener, settings, web, reload, OwnMetrics::with_loop(), stopped, |address| {
            console::line(format_args!("serving metrics on {scheme}://{address}/metrics"));
        })
        .await?;
        console::line(format_args!("stopped"));
        Ok(())
    })
}

/// Tells what the settings are, and what would be measured now.
fn check(settings: Settings, web: &Ready) -> Result<(), Error> {
    let understood = format!("{settings}web      {}\n", web.describe());
    let found = understood + "\n" + &targets(settings).describe();
    let written = std::io::Write::write_all(&mut std::io::stdout(), found.as_bytes());
    written.map_err(|source| Error::Stdout { source })
}

/// What the agent measures, of some processes or of all where none is named, for a command that reads it by itself.
pub(crate) fn source(tiers: Option<Tiers>, only: BTreeSet<Pid>) -> impl Source {
    raise_descriptor_limit();
    targets(Settings::with_tiers(tiers, only))
}

/// Targets whose measurements only the caller wants.
fn targets(settings: Settings) -> Targets {
    Targets::new(Arc::new(OwnMetrics::new()), Links::default(), settings)
}

impl Source for Targets {
    fn tend(&mut self) -> Option<Monotonic> {
        Some(Targets::tend(self))
    }

    fn read(&mut self) -> Snapshot {
        Targets::read(self, Names::Loopscope, clock::monotonic())
    }

    fn notes(&mut self) -> Notes {
        self.take_notes()
    }
}

/// An event loop that needs no other thread.
fn event_loop() -> Result<Runtime, Error> {
    let mut options = tokio::runtime::Builder::new_current_thread();
    options.enable_all().build().map_err(|source| Error::System { doing: START, source })
}

/// An event loop that measures itself.
fn measured_event_loop() -> Result<Runtime, Error> {
    own_metrics::keep_to_ourselves();
    let mut options = tokio::runtime::Builder::new_current_thread();
    let built = loopscope_tokio::Builder::new().build(options.enable_all());
    built.map_err(|error| Error::System { doing: START, source: std::io::Error::other(error) })
}

const START: &str = "cannot start the event loop";

/// Where the measuring thread tells what it finds, beside its answers.
#[derive(Default)]
struct Links {
    slow_log: Arc<SlowLog>,
    /// Whom to profile.
    roster: Roster,
    /// Slow iterations as spans, where somebody takes them.
    spans: Option<Spans>,
}

/// Opens an address.
fn listen(address: Address) -> Result<std::net::TcpListener, Error> {
    let opened = std::net::TcpListener::bind(address.0)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    opened.map_err(|source| Error::Listen { address: address.to_string(), source })
}

/// Serves metrics on an open address until `stop` completes; `listening` is told which it is. `reload` is the answer to `SIGHUP`
/// of an agent that is all that its program does.
async fn serve(
    listener: std::net::TcpListener,
    settings: Settings,
    web: Ready,
    reload: Option<Reload<'_>>,
    own: OwnMetrics,
    stop: impl Future<Output = ()>,
    listening: impl FnOnce(SocketAddr),
) -> Result<(), Error> {
    let listener = of_event_loop(listener)?;
    let bound = listener.local_addr().map_err(CANNOT_SERVE)?;
    raise_descriptor_limit();
    let own = Arc::new(own);
    let (listen, names, export) = (settings.listen, settings.names, settings.export.clone());
    let slow_log = Arc::new(SlowLog::default());
    let profiling = settings.profiling.clone();
    let roster = Roster::default();
    let spans = settings.traces.clone().map(|export| Spans::open(export, &own)).transpose()?;
    let (spans, delivery) = spans.unzip();
    let links = Links { slow_log: Arc::clone(&slow_log), roster: roster.clone(), spans };
    let worker = Worker::start(Arc::clone(&own), links, settings)?;
    let exports = Exports::new(worker.clone(), &own);
    let first = exports.prepare(export)?;
    listening(bound);
    if let Some(delivery) = &delivery {
        delivery.tell();
    }
    exports.make(first).await?;
    let profiles = Profiles::new(roster, &own);
    profiles.make(profiles.prepare(profiling)?).await?;
    let stop = async {
        stop.await;
        exports.stop();
        profiles.stop();
        if let Some(delivery) = &delivery {
            delivery.stop();
        }
    };
    let tells = Arc::clone(&own);
    let web = Arc::new(Web::new(web, move |told| {
        if let Some(line) = told.line {
            console::line(format_args!("{line}"));
        }
        tells.config_read(ConfigFile::Web, told.usable);
    }));
    let routes = Arc::new(Routes::new(worker, Arc::clone(&own), slow_log, names));
    let (addresses, others) = Addresses::new(listen);
    let serving = server::serve(listener, others, Arc::clone(&routes), Arc::clone(&web), stop);
    match reload {
        None => serving.await,
        Some(reload) => {
            let parts = Parts {
                routes: &routes,
                web: &web,
                own: &own,
                exports: &exports,
                profiles: &profiles,
                addresses,
            };
            tokio::select! {
                () = serving => {}
                () = reload.run(&parts) => {}
            }
        }
    }
    exports.finish();
    profiles.finish();
    if let Some(delivery) = delivery {
        delivery.finish();
    }
    Ok(())
}

const CANNOT_SERVE: fn(std::io::Error) -> Error =
    |source| Error::System { doing: "cannot serve on the open address", source };

/// A listener that the event loop waits for.
fn of_event_loop(listener: std::net::TcpListener) -> Result<TcpListener, Error> {
    TcpListener::from_std(listener).map_err(CANNOT_SERVE)
}

/// Every target costs two descriptors, and the usual soft limit of 1024 is meant for programs that use `select`.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Staying at the old limit is no failure: it only bounds how many targets can be measured.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
