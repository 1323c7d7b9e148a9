//! Reading: what a receiver says to a request.
//!
//! All of it comes from another program, and none of it is needed: what cannot be read is taken as not said.

use std::time::Duration;

use prost::Message;

use super::wire;

/// What a receiver took only a part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partial {
    /// Points that it did not take.
    pub rejected_points: u64,
    /// Why, in its words; a warning where it took all points.
    pub message: String,
}

/// What an `ExportMetricsServiceResponse` says of a partial success; `None` where the receiver took everything and has
/// nothing to say.
pub fn partial(response: &[u8]) -> Option<Partial> {
    let said = wire::Response::decode(response).ok()?.partial_success?;
    let rejected_points = u64::try_from(said.rejected_data_points).unwrap_or(0);
    let partial = Partial { rejected_points, message: said.error_message };
    (partial.rejected_points > 0 || !partial.message.is_empty()).then_some(partial)
}

/// The message of a `google.rpc.Status`, as OTLP/HTTP has it in the body of an error.
pub fn status_message(body: &[u8]) -> Option<String> {
    let message = wire::Status::decode(body).ok()?.message;
    (!message.is_empty()).then_some(message)
}

/// When a receiver wants to be asked again: the `RetryInfo` within a `google.rpc.Status`.
pub fn retry_delay(status: &[u8]) -> Option<Duration> {
    let status = wire::Status::decode(status).ok()?;
    let info = status.details.iter().find(|detail| detail.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let info = wire::RetryInfo::decode(&*info.value).ok()?;
    // RetryInfo without a delay says that it may be tried again, and not when.
    let delay = info.retry_delay.unwrap_or_default();
    Some(Duration::new(
        u64::try_from(delay.seconds).unwrap_or(0),
        u32::try_from(delay.nanos).unwrap_or(0).min(999_999_999),
    ))
}

/// When a receiver wants to be asked again: the value of the gRPC trailer `grpc-status-details-bin`.
pub fn retry_delay_in_trailer(value: &[u8]) -> Option<Duration> {
    retry_delay(&base64(value)?)
}

/// Base64, with or without padding, as gRPC allows; `None` of what is none.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii_end();
    let text = &text[..text.iter().rposition(|&byte| byte != b'=').map_or(0, |last| last + 1)];
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for group in text.chunks(4) {
        let mut bits = 0u32;
        for &digit in group {
            bits = bits << 6
                | u32::from(match digit {
                    b'A'..=b'Z' => digit - b'A',
                    b'a'..=b'z' => digit - b'a' + 26,
                    b'0'..=b'9' => digit - b'0' + 52,
                    b'+' => 62,
                    b'/' => 63,
                    _ => return None,
                });
        }
        let whole = group.len() * 6 / 8;
        if whole == 0 {
            return None;
        }
        bits <<= 6 * (4 - group.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..=whole]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn status(retry: Option<wire::RetryInfo>) -> Vec<u8> {
        let other =
            wire::Detail { type_url: "type.googleapis.com/google.rpc.ErrorInfo".into(), value: vec![1] };
        let retry = retry.map(|info| wire::Detail {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".into(),
            value: info.encode_to_vec(),
        });
        let details = [Some(other), retry].into_iter().flatten().collect();
        wire::Status { code: 14, message: "slow down".into(), details }.encode_to_vec()
    }

    #[test]
    fn a_partial_success_is_told_and_an_empty_answer_is_a_whole_one() {
        let answer = |rejected_data_points, error_message: &str| {
            let partial_success =
                Some(wire::PartialSuccess { rejected_data_points, error_message: error_message.into() });
            partial(&wire::Response { partial_success }.encode_to_vec())
        };
        assert_eq!(answer(3, "too old"), Some(Partial { rejected_points: 3, message: "too old".into() }));
        assert_eq!(answer(0, "deprecated").unwrap().rejected_points, 0, "a warning");
        assert_eq!(answer(0, ""), None);
        assert_eq!(answer(-1, ""), None);
        for nothing in [&b""[..], b"\xff\xff", b"<html>"] {
            assert_eq!(partial(nothing), None);
        }
    }

    #[test]
    fn a_status_tells_why_and_when_to_come_again() {
        let delay = wire::Duration { seconds: 7, nanos: 500_000_000 };
        let with = status(Some(wire::RetryInfo { retry_delay: Some(delay) }));
        assert_eq!(retry_delay(&with), Some(Duration::from_millis(7500)));
        assert_eq!(status_message(&with).as_deref(), Some("slow down"));
        assert_eq!(retry_delay(&status(Some(wire::RetryInfo::default()))), Some(Duration::ZERO));
        assert_eq!(retry_delay(&status(None)), None);
        let absurd = wire::Duration { seconds: -7, nanos: i32::MAX };
        assert!(retry_delay(&status(Some(wire::RetryInfo { retry_delay: Some(absurd) }))).is_some());
    }

    #[test]
    fn a_trailer_is_base64_with_or_without_its_padding() {
        for (text, bytes) in
            [("", ""), ("Zg==", "f"), ("Zg", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmE", "fooba")]
        {
            assert_eq!(base64(text.as_bytes()).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        for text in ["Z", "Zm9vY", "Zm9?", "Zm9vYmE Zg"] {
            assert_eq!(base64(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_receiver_says_is_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (partial(&bytes), status_message(&bytes), retry_delay(&bytes), retry_delay_in_trailer(&bytes));
        }
    }
}
