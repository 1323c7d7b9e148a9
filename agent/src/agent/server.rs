//! Serving HTTP, within bounds that hold whatever a client does.
//!
//! At most [`CONNECTIONS_MAX`] connections are open; further ones wait in the kernel. What one of them may do is
//! [its own](connection) affair.

mod connection;

use std::sync::Arc;

use serve::accept;
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;

use super::routes::Routes;
use crate::console;
use crate::web::Web;

const CONNECTIONS_MAX: usize = 64;

/// Serves until `stop` completes, then finishes the requests that are under way. A listener that comes from `others` takes the place of the one
/// before; who had connected to that is served.
pub(super) async fn serve(
    listener: TcpListener,
    others: UnboundedReceiver<TcpListener>,
    routes: Arc<Routes>,
    web: Arc<Web>,
    stop: impl Future<Output = ()>,
) {
    let connection =
        |stream, stopping| connection::serve(stream, Arc::clone(&routes), Arc::clone(&web), stopping);
    let failed = |error| console::line(format_args!("cannot accept a connection: {error}"));
    accept::serve(listener, others, CONNECTIONS_MAX, connection, failed, stop).await;
}
