//! `loopscope agent`: finds the processes that publish telemetry and serves their metrics.
//!
//! Two threads. One [measures](worker): it alone knows the targets, answers one scrape after the other, and looks for
//! targets when nobody asks. The main one [serves HTTP](server) and waits on sockets only, so health checks are
//! answered at once however long a scrape takes. A third one [exports](otlp), where there is a receiver to export to. Refused: a pool of threads that scrape at the same time, which would
//! need locks around the targets and as many times the memory.

mod background;
mod names;
mod otlp;
mod own_metrics;
mod prom_client;
mod routes;
mod server;
mod slow_log;
mod targets;
mod worker;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use attach::libuv::tiers::Tiers;
use attach::target::Pid;
use model::snapshot::Snapshot;
use model::time::Monotonic;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Address, AgentOptions};
use crate::config::Settings;
use crate::console;
use crate::error::Error;
use crate::top::Source;
pub(crate) use background::Background;
pub(crate) use names::Names;
use otlp::Prepared;
use own_metrics::OwnMetrics;
use slow_log::SlowLog;
use targets::Targets;
use worker::Worker;

/// Runs the agent until SIGINT or SIGTERM.
pub(crate) fn run(options: &AgentOptions) -> Result<(), Error> {
    let settings = Settings::new(options)?;
    if options.check {
        return check(settings);
    }
    block_on(async {
        let stopped = stop_signal()?;
        serve(options.listen, settings, stopped, |address| {
            console::line(format_args!("serving metrics on http://{address}/metrics"));
        })
        .await?;
        console::line(format_args!("stopped"));
        Ok(())
    })
}

/// Tells what the settings are, and what would be measured now.
fn check(settings: Settings) -> Result<(), Error> {
    let understood = settings.to_string();
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
    Targets::new(Arc::new(OwnMetrics::new()), Arc::new(SlowLog::default()), settings)
}

impl Source for Targets {
    fn tend(&mut self) -> Option<Monotonic> {
        Some(Targets::tend(self))
    }

    fn read(&mut self) -> Snapshot {
        Targets::read(self, Names::Loopscope)
    }
}

/// Runs something on an event loop that needs no other thread.
fn block_on(future: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Error::System { doing: "cannot start the event loop", source })?;
    runtime.block_on(future)
}

/// Serves metrics on an address until `stop` completes; `listening` is told the address as soon as it is open.
async fn serve(
    address: Address,
    settings: Settings,
    stop: impl Future<Output = ()>,
    listening: impl FnOnce(SocketAddr),
) -> Result<(), Error> {
    let refused = |source| Error::Listen { address: address.to_string(), source };
    let listener = TcpListener::bind(address.0).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    raise_descriptor_limit();
    let own = Arc::new(OwnMetrics::new());
    let names = settings.names;
    let export = settings.export.clone();
    let slow_log = Arc::new(SlowLog::default());
    let worker = Worker::start(Arc::clone(&own), Arc::clone(&slow_log), settings)?;
    let prepared = export.map(|export| Prepared::new(export, worker.clone(), &own)).transpose()?;
    listening(bound);
    let exporter = prepared.map(Prepared::start).transpose()?;
    let stop = async {
        stop.await;
        if let Some(exporter) = &exporter {
            exporter.stop();
        }
    };
    server::serve(listener, routes::Routes::new(worker, own, slow_log, names), stop).await;
    if let Some(exporter) = exporter {
        exporter.finish();
    }
    Ok(())
}

/// Completes at the first SIGINT or SIGTERM.
fn stop_signal() -> Result<impl Future<Output = ()>, Error> {
    let handler =
        |kind| signal(kind).map_err(|source| Error::System { doing: "cannot handle signals", source });
    let (mut interrupt, mut terminate) =
        (handler(SignalKind::interrupt())?, handler(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Every target costs two descriptors, and the usual soft limit of 1024 is meant for programs that use `select`.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Staying at the old limit is no failure: it only bounds how many targets can be measured.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
