//! What a connection may do, whoever it is of.
//!
//! With HTTP/2 the library asks a silent client whether it is there. How long a body may take is the [body's](super::body) affair.

use std::time::Duration;

use serve::connection::Bounds;

use super::body::AnswerBody;

pub(super) const BOUNDS: Bounds = Bounds {
    handshake: Duration::from_secs(10),
    header: Duration::from_secs(10),
    header_bytes: 32 * 1024,
    send: Duration::from_secs(30),
    age: Duration::from_secs(600),
    // Whoever exports does so every minute or more often, as a rule.
    idle: Duration::from_secs(120),
    streams: 32,
    resets: 16,
    ping: Some(Duration::from_secs(30)),
    // As clients of gRPC speak it without TLS.
    clear_http2: true,
};

/// As those who are not let in are answered.
impl From<&'static str> for AnswerBody {
    fn from(text: &'static str) -> Self {
        Self::new(text)
    }
}
