//! Endpoints and headers, as they are written.

use std::fmt;

use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};

use super::Signal;

/// The port by which OTLP/gRPC is known.
const GRPC_PORT: u16 = 4317;
const HTTP_PORT: u16 = 4318;
/// Where Pyroscope listens.
const PYROSCOPE_PORT: u16 = 4040;

/// How requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// gRPC, over HTTP/2.
    Grpc,
    /// Protocol-buffer messages over HTTP/1.1.
    Http,
}

impl Protocol {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "grpc" => Ok(Self::Grpc),
            "http/protobuf" => Ok(Self::Http),
            "http/json" => Err("http/json is not spoken here; every receiver takes http/protobuf".to_owned()),
            _ => Err(format!("{text:?} is no protocol; it is grpc or http/protobuf")),
        }
    }
}

/// A receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) protocol: Protocol,
    pub(crate) tls: bool,
    /// A name or an address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The path and the query of OTLP/HTTP.
    pub(crate) path: String,
}

impl Endpoint {
    /// One that is for a single signal, used as it is.
    pub(super) fn whole(text: &str, protocol: Option<Protocol>, insecure: bool) -> Result<Self, String> {
        Self::parse(text, protocol, insecure, HTTP_PORT, &|path| path.to_owned())
    }

    /// One that is for all signals: the path of this one is appended.
    pub(super) fn base(
        text: &str,
        signal: Signal,
        protocol: Option<Protocol>,
        insecure: bool,
    ) -> Result<Self, String> {
        let appended = |path: &str| format!("{}{}", path.trim_end_matches('/'), signal.path());
        Self::parse(text, protocol, insecure, HTTP_PORT, &appended)
    }

    /// One that a person gave to this program: the path is appended unless that of some signal is there, whose place it takes.
    pub(super) fn either(
        text: &str,
        signal: Signal,
        protocol: Option<Protocol>,
        insecure: bool,
    ) -> Result<Self, String> {
        let appended =
            |path: &str| format!("{}{}", Signal::base_of(path).trim_end_matches('/'), signal.path());
        let http_port = if signal == Signal::Pyroscope { PYROSCOPE_PORT } else { HTTP_PORT };
        Self::parse(text, protocol, insecure, http_port, &appended)
    }

    fn parse(
        text: &str,
        protocol: Option<Protocol>,
        insecure: bool,
        http_port: u16,
        path: &dyn Fn(&str) -> String,
    ) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no endpoint; give one such as http://127.0.0.1:4317");
        let with_scheme = match text.contains("://") {
            true => text.to_owned(),
            // Only gRPC knows endpoints without a scheme.
            false if protocol == Some(Protocol::Http) => return Err(wrong()),
            false => format!("{}://{text}", if insecure { "http" } else { "https" }),
        };
        let uri: Uri = with_scheme.parse().map_err(|_| wrong())?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(format!("{text:?} begins neither with http:// nor with https://")),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') {
            return Err("credentials do not belong into an endpoint; give them as a header".to_owned());
        }
        let is_grpc = uri.port_u16() == Some(GRPC_PORT) || !text.contains("://");
        let protocol = protocol.unwrap_or(if is_grpc { Protocol::Grpc } else { Protocol::Http });
        let port = uri.port_u16().unwrap_or(match (tls, protocol) {
            (true, _) => 443,
            (false, Protocol::Grpc) => GRPC_PORT,
            (false, Protocol::Http) => http_port,
        });
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(wrong());
        }
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        Ok(Self { protocol, tls, host, port, path: path(uri.path()) + &query })
    }

    /// The host and the port, as requests name them.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            return format!("[{}]:{}", self.host, self.port);
        }
        format!("{}:{}", self.host, self.port)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        match self.protocol {
            Protocol::Grpc => write!(f, "OTLP/gRPC to {scheme}://{}", self.authority()),
            Protocol::Http => write!(f, "OTLP/HTTP to {scheme}://{}{}", self.authority(), self.path),
        }
    }
}

/// Headers as a variable has them: `name=value,name=value`, their values percent-encoded.
pub(crate) fn headers(text: &str) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        // Not the pair itself: it may be a credential.
        let (name, value) = pair.split_once('=').ok_or("a header has no `=`; write name=value,name=value")?;
        header(name.trim(), &percent_decoded(value.trim()))
    });
    pairs.collect()
}

/// A header.
pub(crate) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let parsed = HeaderName::try_from(name).map_err(|_| format!("{name:?} is no name of a header"))?;
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| format!("the header {name} has a value that HTTP does not allow"))?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

/// What is no encoding stays as it is.
pub(crate) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let decoded = tail.get(..2).filter(|_| *first == b'%').and_then(|digits| {
            digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
            u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
        });
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
