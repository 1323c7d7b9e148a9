//! What a receiver's answer means for a batch: taken, to be sent again, or refused for good. Pure; the specification's
//! tables.
//!
//! Specification: <https://opentelemetry.io/docs/specs/otlp/>, "Failures", for gRPC and for HTTP.

use std::time::{Duration, SystemTime};

use formats::otlp::answer::{self, Partial};
use formats::otlp::profiles;
use hyper::StatusCode;
use hyper::header::{HeaderMap, RETRY_AFTER};

use crate::config::Signal;

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The receiver has it, but for what is partial.
    Accepted(Option<Partial>),
    /// It may be sent again, not before the receiver's time if it gave one.
    Retry { after: Option<Duration>, why: String },
    /// Sending it again would not help.
    Refused { why: String },
}

/// What an answer over HTTP means.
pub(super) fn http(
    signal: Signal,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    now: SystemTime,
) -> Answer {
    if status.is_success() {
        return Answer::Accepted(partial(signal, body));
    }
    let said = answer::status_message(body).or_else(|| text(body)).map(|said| format!(": {said}"));
    let why = format!("the receiver answers {status}{}", said.unwrap_or_default());
    match status.as_u16() {
        429 | 502..=504 => Answer::Retry { after: retry_after(headers, now), why },
        301 | 302 | 307 | 308 => {
            let to = headers.get("location").and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
            Answer::Refused { why: format!("{why}: it sends us to {to}; name that as the endpoint") }
        }
        _ => Answer::Refused { why },
    }
}

/// What an answer over gRPC means: the status of HTTP, what the headers and the trailers say, and the body.
pub(super) fn grpc(
    signal: Signal,
    status: StatusCode,
    headers: &HeaderMap,
    trailers: Option<&HeaderMap>,
    body: &[u8],
) -> Answer {
    let field = |name: &str| trailers.and_then(|it| it.get(name)).or_else(|| headers.get(name));
    let code = field("grpc-status").and_then(|code| code.to_str().ok()?.parse::<u32>().ok());
    let Some(code) = code else {
        // No gRPC answered, but something on the way. Which status gRPC takes it for is gRPC's rule, too.
        let why =
            format!("{status} from something that does not speak gRPC; is it a receiver for OTLP/HTTP?");
        return match status.as_u16() {
            429 | 502..=504 => Answer::Retry { after: None, why },
            _ => Answer::Refused { why },
        };
    };
    let message = field("grpc-message").and_then(|it| it.to_str().ok()).unwrap_or_default();
    let name = CODES.get(code as usize).copied().unwrap_or("an unknown status");
    let why = format!("the receiver answers {name}: {}", crate::config::percent_decoded(message));
    let asked =
        || field("grpc-status-details-bin").and_then(|it| answer::retry_delay_in_trailer(it.as_bytes()));
    match name {
        "OK" => Answer::Accepted(body.get(GRPC_PREFIX_BYTES..).and_then(|body| partial(signal, body))),
        "CANCELLED" | "DEADLINE_EXCEEDED" | "ABORTED" | "OUT_OF_RANGE" | "UNAVAILABLE" | "DATA_LOSS" => {
            Answer::Retry { after: asked(), why }
        }
        // Only where the receiver says that it will recover.
        "RESOURCE_EXHAUSTED" => match asked() {
            Some(after) => Answer::Retry { after: Some(after), why },
            None => Answer::Refused { why },
        },
        _ => Answer::Refused { why },
    }
}

/// What an answer says of a partial success, in the signal's unit.
fn partial(signal: Signal, body: &[u8]) -> Option<Partial> {
    match signal {
        Signal::Metrics | Signal::Traces => answer::partial(body),
        Signal::Profiles => profiles::partial(body),
        // It takes all or nothing.
        Signal::Pyroscope => None,
    }
}

/// Before each message of gRPC: whether it is compressed, and its length.
pub(super) const GRPC_PREFIX_BYTES: usize = 5;

/// By number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// A body that is text for people.
fn text(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.trim();
    (!text.is_empty() && !text.contains('\0')).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn is_retried(answer: &Answer) -> bool {
        matches!(answer, Answer::Retry { .. })
    }

    fn by_http(status: u16, pairs: &[(&'static str, &str)]) -> Answer {
        let status = StatusCode::from_u16(status).unwrap();
        http(Signal::Metrics, status, &headers(pairs), b"too much", UNIX_EPOCH)
    }

    #[test]
    fn over_http_four_statuses_are_worth_another_attempt() {
        for status in 100..600 {
            let answer = by_http(status, &[]);
            assert_eq!(is_retried(&answer), [429, 502, 503, 504].contains(&status), "{status}");
            assert_eq!(matches!(answer, Answer::Accepted(_)), (200..300).contains(&status), "{status}");
        }
        let Answer::Refused { why } = by_http(400, &[]) else { panic!() };
        assert_eq!(why, "the receiver answers 400 Bad Request: too much");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        for (value, expected) in [
            ("7", Some(7)),
            ("0", Some(0)),
            ("Thu, 01 Jan 1970 00:00:09 GMT", Some(9)),
            ("Wed, 31 Dec 1969 23:00:00 GMT", None),
            ("soon", None),
            ("-3", None),
        ] {
            let Answer::Retry { after, .. } = by_http(503, &[("retry-after", value)]) else { panic!() };
            let expected = expected.map(Duration::from_secs);
            assert!(after == expected || after == Some(Duration::ZERO), "{value}: {after:?}");
        }
    }

    fn by_grpc(code: usize, details: Option<&str>) -> Answer {
        let code = code.to_string();
        let mut pairs = vec![("grpc-status", code.as_str()), ("grpc-message", "slow%20down")];
        pairs.extend(details.map(|details| ("grpc-status-details-bin", details)));
        let trailers = headers(&pairs);
        grpc(Signal::Metrics, StatusCode::OK, &HeaderMap::new(), Some(&trailers), &[0; GRPC_PREFIX_BYTES])
    }

    /// `google.rpc.Status { details: [Any { type_url: "type.googleapis.com/google.rpc.RetryInfo", value: RetryInfo { 3 s } }] }`
    const IN_THREE_SECONDS: &str = "GjAKKHR5cGUuZ29vZ2xlYXBpcy5jb20vZ29vZ2xlLnJwYy5SZXRyeUluZm8SBAoCCAM";

    #[test]
    fn over_grpc_the_specification_has_a_list() {
        for (code, name) in CODES.iter().enumerate() {
            let expected = [1, 4, 10, 11, 14, 15].contains(&code);
            assert_eq!(is_retried(&by_grpc(code, None)), expected, "{name}");
            assert_eq!(by_grpc(code, None) == Answer::Accepted(None), code == 0, "{name}");
        }
        assert!(matches!(by_grpc(99, None), Answer::Refused { .. }));
        let Answer::Refused { why } = by_grpc(16, None) else { panic!() };
        assert_eq!(why, "the receiver answers UNAUTHENTICATED: slow down");
    }

    #[test]
    fn an_exhausted_receiver_is_asked_again_only_if_it_says_when() {
        let after = Some(Duration::from_secs(3));
        for code in [8, 14] {
            let Answer::Retry { after: told, .. } = by_grpc(code, Some(IN_THREE_SECONDS)) else {
                panic!("{code}")
            };
            assert_eq!(told, after);
        }
        assert!(matches!(by_grpc(8, None), Answer::Refused { .. }));
        assert!(matches!(by_grpc(8, Some("?")), Answer::Refused { .. }));
    }

    #[test]
    fn a_proxy_that_speaks_no_grpc_is_understood() {
        let answer = |status| {
            let status = StatusCode::from_u16(status).unwrap();
            grpc(Signal::Metrics, status, &HeaderMap::new(), None, b"<html>")
        };
        assert!(is_retried(&answer(503)) && is_retried(&answer(429)));
        for status in [200, 404, 500] {
            assert!(matches!(answer(status), Answer::Refused { .. }), "{status}");
        }
        // An answer without a message has its status in the headers.
        let only = grpc(Signal::Metrics, StatusCode::OK, &headers(&[("grpc-status", "14")]), None, b"");
        assert!(is_retried(&only));
    }

    #[test]
    fn each_signal_has_its_own_partial_success() {
        // `partial_success { rejected: 2, error_message: "old" }`, whatever is rejected.
        let body = b"\x0a\x07\x08\x02\x12\x03old";
        let said = |signal| match http(signal, StatusCode::OK, &HeaderMap::new(), body, UNIX_EPOCH) {
            Answer::Accepted(partial) => partial.map(|partial| (partial.rejected_points, partial.message)),
            other => panic!("{other:?}"),
        };
        for signal in [Signal::Metrics, Signal::Traces, Signal::Profiles] {
            assert_eq!(said(signal), Some((2, "old".to_owned())), "{signal:?}");
        }
        assert_eq!(said(Signal::Pyroscope), None, "these bytes mean something else there");
    }
}
