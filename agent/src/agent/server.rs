//! Serving HTTP, within bounds that hold whatever a client does.
//!
//! At most [`CONNECTIONS_MAX`] connections are open; further ones wait in the kernel. A scraper notices nothing of [`BOUNDS`] but a new connection
//! every few minutes. Bodies of requests are not read.

use std::sync::Arc;
use std::time::Duration;

use serve::accept;
use serve::connection::{self, Bounds};
use serve::web::Web;
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;

use super::routes::Routes;
use crate::console;

const CONNECTIONS_MAX: usize = 64;

const BOUNDS: Bounds = Bounds {
    handshake: Duration::from_secs(5),
    header: Duration::from_secs(5),
    header_bytes: 16 * 1024,
    send: Duration::from_secs(10),
    age: Duration::from_secs(300),
    // Scrapers come every minute or more often, as a rule.
    idle: Duration::from_secs(65),
    // As many answers may wait for a client that does not read them.
    streams: 4,
    resets: 16,
    ping: None,
    clear_http2: false,
};

/// Serves until `stop` completes, then finishes the requests that are under way. A listener that comes from `others` takes the place of the one
/// before; who had connected to that is served.
pub(super) async fn serve(
    listener: TcpListener,
    others: UnboundedReceiver<TcpListener>,
    routes: Arc<Routes>,
    web: Arc<Web>,
    stop: impl Future<Output = ()>,
) {
    let answer = move |request| {
        let routes = Arc::clone(&routes);
        async move { routes.answer(&request).await }
    };
    let connection =
        |stream, stopping| connection::serve(stream, BOUNDS, Arc::clone(&web), answer.clone(), stopping);
    let failed = |error| console::line(format_args!("cannot accept a connection: {error}"));
    accept::serve(listener, others, CONNECTIONS_MAX, connection, failed, stop).await;
}
