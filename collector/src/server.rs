//! Serving HTTP, within bounds that hold whatever a client does.
//!
//! One port speaks HTTP/1.1 and, with prior knowledge, HTTP/2. Sockets are served by a few threads that never wait for a disk; what is
//! sent and asked is worked on by a pool of others. At most [`CONNECTIONS_MAX`] connections are open, further ones wait in the kernel.

mod body;
pub(crate) mod compress;
mod connection;
mod routes;

use std::net::TcpListener as StdListener;
use std::sync::Arc;

use loopscope_tokio::process;
use serve::{accept, stop};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::config::Settings;
use crate::console;
use crate::error::Error;
use crate::lag::Lag;
use crate::own_metrics::SERVICE;
use crate::store::embedded::EmbeddedStore;
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
        let failed = |source| Error::System { doing: "cannot serve on the open address", source };
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        console::line(format_args!(
            "serving on http://{bound}/, profiles are kept in {}",
            settings.store.folder.display()
        ));
        serve(listener, Arc::clone(&routes), stop).await;
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

async fn serve(listener: TcpListener, routes: Arc<Routes>, stop: impl Future<Output = ()>) {
    // It keeps its address: nobody holds the other end.
    let (_, others) = mpsc::unbounded_channel();
    let connection = |stream, stopping| connection::serve(stream, Arc::clone(&routes), stopping);
    let failed = |error| console::line(format_args!("cannot accept a connection: {error}"));
    accept::serve(listener, others, CONNECTIONS_MAX, connection, failed, stop).await;
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
