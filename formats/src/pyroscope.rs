//! Profiles for Pyroscope: `push.v1.PushRequest`, of pprof profiles and their labels.
//!
//! Specification: <https://github.com/grafana/pyroscope/blob/main/api/push/v1/push.proto>, which Pyroscope's documentation calls stable, and
//! which Grafana's own collectors speak. Refused: `/ingest`, which serves agents of before and is documented no more.

use prost::Message;

/// A profile of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// What tells it from others: `service_name`, and whatever else.
    pub labels: Vec<(&'static str, String)>,
    /// The profile, as gzip-compressed pprof.
    pub pprof: Vec<u8>,
    /// What tells this profile from all others.
    pub id: [u8; 16],
}

/// The name of profiles of CPU time, a label of its own.
const CPU: (&str, &str) = ("__name__", "process_cpu");

/// The request.
pub fn push_request(series: Vec<Series>) -> Vec<u8> {
    let written = |series: Series| {
        let labels = series.labels.into_iter().chain([(CPU.0, CPU.1.to_owned())]);
        let labels = labels.map(|(name, value)| LabelPair { name: name.to_owned(), value });
        let sample = RawSample { raw_profile: series.pprof, id: uuid(series.id) };
        RawProfileSeries { labels: labels.collect(), samples: vec![sample] }
    };
    PushRequest { series: series.into_iter().map(written).collect() }.encode_to_vec()
}

/// An identifier as RFC 9562 writes it, of version 4.
fn uuid(mut id: [u8; 16]) -> String {
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    let digits: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

#[derive(Clone, PartialEq, prost::Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    series: Vec<RawProfileSeries>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RawProfileSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<LabelPair>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<RawSample>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LabelPair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RawSample {
    #[prost(bytes = "vec", tag = "1")]
    raw_profile: Vec<u8>,
    #[prost(string, tag = "2")]
    id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_holds_profiles_their_labels_and_identifiers() {
        let labels = vec![("service_name", "shop".to_owned())];
        let request = push_request(vec![Series { labels, pprof: vec![1, 2], id: [0xff; 16] }]);
        let request = PushRequest::decode(&*request).unwrap();
        let [series] = &*request.series else { panic!("{request:?}") };
        let labels: Vec<_> = series.labels.iter().map(|it| (&*it.name, &*it.value)).collect();
        assert_eq!(labels, [("service_name", "shop"), ("__name__", "process_cpu")]);
        assert_eq!(series.samples[0].raw_profile, [1, 2]);
        assert_eq!(series.samples[0].id, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
