//! Pyroscope's push API: profiles as pprof, with labels of which `__name__` is the kind of profile.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use formats::decode::Limits;
use formats::pyroscope_server::{self as pyroscope, PushedSeries};
use serde::Deserialize;

use super::{IngestError, Origin, UNKNOWN_SERVICE, batch};
use crate::labels::{SERVICE, SERVICE_NAME};
use crate::store::Batch;
use crate::times;

/// Labels of Pyroscope's own that tell nothing about a profile.
const PYROSCOPES_OWN: &[&str] = &["pyroscope_spy"];

/// A request as JSON.
#[derive(Debug, Deserialize)]
struct JsonRequest {
    #[serde(default)]
    series: Vec<JsonSeries>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonSeries {
    #[serde(default)]
    labels: Vec<JsonLabel>,
    #[serde(default)]
    samples: Vec<JsonSample>,
}

#[derive(Debug, Deserialize)]
struct JsonLabel {
    #[serde(default)]
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Debug, Deserialize)]
struct JsonSample {
    #[serde(alias = "rawProfile", alias = "raw_profile", default)]
    profile: String,
}

/// Reads what was pushed: all of it together.
pub(crate) fn read(body: &[u8], is_json: bool, limits: &Limits) -> Result<Batch, IngestError> {
    if !is_json {
        return all(&pyroscope::push(body, limits)?, limits);
    }
    // A value of two bytes becomes a hundred in memory, so they are counted before any is read; text has few, and base64 none.
    let commas = body.iter().filter(|byte| **byte == b',').count();
    limits.check("values of a push request", commas, limits.strings)?;
    let request: JsonRequest = serde_json::from_slice(body)
        .map_err(|error| IngestError::Request(format!("the body is no PushRequest: {error}")))?;
    let profile = |sample: &JsonSample| BASE64_STANDARD.decode(&sample.profile);
    let decoded =
        request.series.iter().map(|series| series.samples.iter().map(profile).collect::<Result<Vec<_>, _>>());
    let decoded: Vec<Vec<Vec<u8>>> = decoded
        .collect::<Result<_, _>>()
        .map_err(|error| IngestError::Request(format!("a profile is no base64: {error}")))?;
    let series = request.series.iter().zip(&decoded).map(|(series, profiles)| PushedSeries {
        labels: series.labels.iter().map(|label| (label.name.as_str(), label.value.as_str())).collect(),
        profiles: profiles.iter().map(Vec::as_slice).collect(),
    });
    all(&series.collect::<Vec<_>>(), limits)
}

fn all(series: &[PushedSeries<'_>], limits: &Limits) -> Result<Batch, IngestError> {
    let mut together = Batch::default();
    let (mut plain_bytes, mut decoded_bytes) = (0, 0);
    for series in series {
        let origin = origin(series);
        for profile in &series.profiles {
            let plain = formats::pprof::decompressed(profile, limits)?;
            plain_bytes += plain.len();
            limits.check("bytes of profiles that are pushed together", plain_bytes, limits.profile_bytes)?;
            let decoded = formats::pprof::decode_plain(&plain, limits)?;
            decoded_bytes += decoded.size_bytes();
            let limit = limits.decoded_bytes();
            limits.check("bytes of memory for profiles that are pushed together", decoded_bytes, limit)?;
            together.add(batch(decoded, &origin)?);
        }
    }
    Ok(together)
}

fn origin(series: &PushedSeries<'_>) -> Origin {
    let value = |wanted| series.labels.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
    let labels = series.labels.iter().filter(|(name, _)| !PYROSCOPES_OWN.contains(name));
    let mut labels: Vec<(String, String)> =
        labels.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    if value(SERVICE_NAME).or(value(SERVICE)).is_none_or(str::is_empty) {
        labels.push((SERVICE.to_owned(), UNKNOWN_SERVICE.to_owned()));
    }
    let kind = value("__name__").filter(|kind| !kind.is_empty()).map(str::to_owned);
    Origin { labels, kind, time_ms: times::now_ms() }
}
