//! Sending a batch: one connection, one request, one answer, within the time that an attempt may take.

use std::io::Write;
use std::time::SystemTime;

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderValue, TE, USER_AGENT};
use hyper::{Method, Request};

use super::answer::{self, Answer, GRPC_PREFIX_BYTES};
use super::buffer::Payload;
use crate::config::{Export, Protocol};
use crate::error::Error;
use crate::http::{self, Server};

/// Knows the receiver.
pub(super) struct Client {
    export: Export,
}

impl Client {
    /// Checks the certificates that are named.
    pub(super) fn new(export: &Export) -> Result<Self, Error> {
        if export.endpoint.tls {
            let checked = http::tls_config(&export.tls, export.endpoint.protocol);
            checked
                .map_err(|message| Error::Export { of: format!("export by {}", export.endpoint), message })?;
        }
        Ok(Self { export: export.clone() })
    }

    /// What is sent of a message: compressed, if it is to be.
    pub(super) fn payload(&self, message: Vec<u8>) -> Payload {
        let is_gzip = self.export.gzip;
        let bytes = if is_gzip {
            let mut out = GzEncoder::new(Vec::with_capacity(message.len() / 4), Compression::fast());
            out.write_all(&message).and_then(|()| out.finish()).expect("writing to memory cannot fail")
        } else {
            message
        };
        Payload { bytes: bytes.into(), is_gzip }
    }

    /// Makes one attempt.
    pub(super) async fn send(&self, payload: Payload) -> Answer {
        let limit = self.export.timeout;
        match tokio::time::timeout(limit, self.attempt(payload)).await {
            Ok(Ok(answer)) => answer,
            // Whatever breaks on the way may be whole again the next time.
            Ok(Err(why)) => Answer::Retry { after: None, why },
            Err(_) => {
                let limit = humantime::format_duration(limit);
                Answer::Retry { after: None, why: format!("the receiver did not answer within {limit}") }
            }
        }
    }

    async fn attempt(&self, payload: Payload) -> Result<Answer, String> {
        let Export { endpoint, signal, .. } = &self.export;
        let server = Server {
            host: &endpoint.host,
            port: endpoint.port,
            protocol: endpoint.protocol,
            tls: endpoint.tls.then_some(&self.export.tls),
        };
        let answer = server.ask(self.request(payload)).await?;
        if endpoint.protocol == Protocol::Http {
            // The status has said all that matters.
            let (status, headers) = (answer.status, &answer.headers);
            return Ok(answer::http(*signal, status, headers, answer.body(), SystemTime::now()));
        }
        // The trailers have the status, so without them nothing is known.
        let (body, trailers) = answer.rest?;
        Ok(answer::grpc(*signal, answer.status, &answer.headers, trailers.as_ref(), &body))
    }

    fn request(&self, payload: Payload) -> Request<Full<Bytes>> {
        let endpoint = &self.export.endpoint;
        let request = Request::builder().method(Method::POST).header(USER_AGENT, http::USER_AGENT);
        let request = match endpoint.protocol {
            Protocol::Grpc => {
                let scheme = if endpoint.tls { "https" } else { "http" };
                let timeout = format!("{}m", self.export.timeout.as_millis().min(99_999_999));
                let request = request
                    .uri(format!("{scheme}://{}{}", endpoint.authority(), self.export.signal.grpc_method()))
                    .header(CONTENT_TYPE, "application/grpc")
                    .header(TE, "trailers")
                    .header("grpc-timeout", timeout);
                if payload.is_gzip { request.header("grpc-encoding", "gzip") } else { request }
            }
            Protocol::Http => {
                let request = request
                    .uri(&endpoint.path)
                    .header(HOST, endpoint.authority())
                    .header(CONTENT_TYPE, self.export.signal.content_type());
                if payload.is_gzip { request.header(CONTENT_ENCODING, "gzip") } else { request }
            }
        };
        let body = match endpoint.protocol {
            Protocol::Grpc => with_prefix(&payload),
            Protocol::Http => payload.bytes,
        };
        let request = request.body(Full::new(body));
        let mut request = request.expect("the parts were checked when they were read");
        let headers = self.export.headers.iter().cloned();
        headers.for_each(|(name, value): (_, HeaderValue)| drop(request.headers_mut().insert(name, value)));
        request
    }
}

/// A message of gRPC: whether it is compressed, its length, and itself.
fn with_prefix(payload: &Payload) -> Bytes {
    let mut body = Vec::with_capacity(GRPC_PREFIX_BYTES + payload.bytes.len());
    body.push(u8::from(payload.is_gzip));
    body.extend_from_slice(&(payload.bytes.len() as u32).to_be_bytes());
    body.extend_from_slice(&payload.bytes);
    body.into()
}
