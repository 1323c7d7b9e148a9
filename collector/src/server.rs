//! Serving HTTP, within bounds that hold whatever a client does.
//!
//! One port speaks HTTP/1.1 and HTTP/2, the latter in the clear with prior knowledge; who may ask, and over what, is said by a
//! [web configuration](serve::web). Sockets are served by a few threads that never wait for a disk; what is
//! sent and asked is worked on by a pool of others. At most [`CONNECTIONS_MAX`] connections are open, further ones wait in the kernel.

mod body;
mod bounds;
pub(crate) mod compress;
mod routes;

use std::net::TcpListener as StdListener;
use std::sync::Arc;

use loopscope_tokio::process;
use serve::web::{Ready, Web};
use serve::{accept, connection, stop};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::config::Settings;
use crate::console;
use crate::error::Error;
use crate::lag::Lag;
use crate::own_metrics::SERVICE;
use crate::store::embedded::EmbeddedStore;
use bounds::BOUNDS;
use routes::Routes;

const CONNECTIONS_MAX: usize = 512;
/// Threads that serve sockets, on a machine with one core: one at work does not keep all others waiting.
const WORKERS_MIN: usize = 2;

/// Runs the collector until SIGINT or SIGTERM, or the end of its standard input where that is asked for.
///
/// # Errors
/// [`Error`] where it cannot begin.
pub fn run(settings: &Settings) -> Result<(), Error> {
    let address = settings.listen;
    let ready = Ready::read(settings.web_config.clone())?;
    let scheme = ready.scheme();
    let opened =
        StdListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    let listener = opened.map_err(|source| Error::Listen { address: address.to_string(), source })?;
    let path = settings.store.folder.clone();
    let store = EmbeddedStore::open(settings.store.clone())
        .map_err(|source| Error::Store { path: path.clone(), source })?;
    let lag = Lag::open(&settings.store).map_err(|source| Error::Store { path, source })?;
    let workers =
        std::thread::available_parallelism().map_or(WORKERS_MIN, |cores| cores.get().max(WORKERS_MIN));
    let mut options = tokio::runtime::Builder::new_multi_thread();
    options.worker_threads(workers).max_blocking_threads(4 * workers).enable_all();
    // It publishes what its loops do, as any program with that crate does.
    process::set_service_name(SERVICE);
    let runtime = loopscope_tokio::Builder::new().build(&mut options);
    let runtime = runtime.map_err(|error| Error::System {
        doing: "cannot start the event loop",
        source: std::io::Error::other(error),
    })?;
    // It outlives whatever serves: a store waits for its threads when it is dropped, which no task may.
    let routes = Arc::new(Routes::new(store, lag, settings));
    let served = runtime.block_on(async {
        let stop =
            stop::signalled().map_err(|source| Error::System { doing: "cannot handle signals", source })?;
        let input = settings.until_input_ends.then(input_end).transpose()?;
        let stop = async {
            match input {
                None => stop.await,
                Some(input) => tokio::select! { () = stop => {}, () = input => {} },
            }
        };
        let hangups = signal(SignalKind::hangup())
            .map_err(|source| Error::System { doing: "cannot handle signals", source })?;
        let web = Arc::new(Web::new(ready, |told| {
            if let Some(line) = told.line {
                console::line(format_args!("{line}"));
            }
        }));
        let failed = |source| Error::System { doing: "cannot serve on the open address", source };
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        console::line(format_args!(
            "serving on {scheme}://{bound}/, profiles are kept in {}",
            settings.store.folder.display()
        ));
        tokio::select! {
            () = serve(listener, Arc::clone(&routes), Arc::clone(&web), stop) => {}
            () = read_again(hangups, settings, &web) => {}
        }
        console::line(format_args!("stopped"));
        Ok(())
    });
    drop(runtime);
    drop(routes);
    if settings.remove_data {
        // Whoever started it removes what is left.
        let _ = std::fs::remove_dir_all(&settings.store.folder);
    }
    served
}

async fn serve(listener: TcpListener, routes: Arc<Routes>, web: Arc<Web>, stop: impl Future<Output = ()>) {
    // It keeps its address: nobody holds the other end.
    let (_, others) = mpsc::unbounded_channel();
    let answer = move |request| {
        let routes = Arc::clone(&routes);
        async move { routes.answer(request).await }
    };
    let connection =
        |stream, stopping| connection::serve(stream, BOUNDS, Arc::clone(&web), answer.clone(), stopping);
    let failed = |error| console::line(format_args!("cannot accept a connection: {error}"));
    accept::serve(listener, others, CONNECTIONS_MAX, connection, failed, stop).await;
}

/// Reads the web configuration at each `SIGHUP`, without end: what asks less of clients than before holds by that alone.
async fn read_again(mut hangups: Signal, settings: &Settings, web: &Web) {
    while hangups.recv().await.is_some() {
        match Ready::read(settings.web_config.clone()) {
            Ok(ready) => {
                console::line(format_args!("web configuration read again: {}", ready.describe()));
                web.replace(ready);
            }
            Err(error) => console::line(format_args!("{error}; what was read before stays in use")),
        }
    }
    // Nobody can ask any more; serving goes on.
    std::future::pending().await
}

/// Completes when the standard input ends. What it says until then is of no interest.
fn input_end() -> Result<impl Future<Output = ()>, Error> {
    let (tell, told) = oneshot::channel::<()>();
    let wait = move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(tell);
    };
    let started = std::thread::Builder::new().name("standard input".to_owned()).spawn(wait);
    started.map_err(|source| Error::System { doing: "cannot start a thread", source })?;
    Ok(async move { drop(told.await) })
}
