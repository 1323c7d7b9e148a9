//! `/ingest`, as Pyroscope's SDKs and agents call it.
//!
//! The name is the service's, with labels; for folded stacks, which do not tell what they count, it may end in the kind of profile. Counts
//! of folded CPU samples become nanoseconds by the rate at which they were taken.

use formats::decode::{Decoded, Format, Limits, ValueType};

use super::name::Name;
use super::{IngestError, Origin, batch, counted_as_time, form};
use crate::store::Batch;
use crate::times;

const SAMPLE_RATE_HZ: i64 = 100;

/// A request's parameters that count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters {
    pub(crate) name: String,
    pub(crate) from: Option<String>,
    pub(crate) format: Option<String>,
    pub(crate) sample_rate: Option<String>,
    pub(crate) units: Option<String>,
    pub(crate) content_type: String,
}

/// Reads what was sent.
pub(crate) fn read(parameters: &Parameters, body: &[u8], limits: &Limits) -> Result<Batch, IngestError> {
    let mut name = Name::parse(&parameters.name)?;
    let now_ms = times::now_ms();
    let from = parameters.from.as_deref().map(|from| times::parse(from, now_ms));
    let time_ms = from.transpose().map_err(|message| IngestError::Request(format!("from: {message}")))?;
    let multipart = parameters.content_type.starts_with("multipart/form-data");
    let body = match multipart {
        true => form::part(body, &parameters.content_type, "profile").ok_or_else(|| {
            IngestError::Request(
                "the form has no part profile, or its boundary is no standard one".to_owned(),
            )
        })?,
        false => body,
    };
    let format = match parameters.format.as_deref() {
        Some("pprof") => Format::Pprof,
        Some("folded" | "collapsed" | "groups") => Format::Folded,
        Some("firefox") => Format::Firefox,
        Some(other) => {
            return Err(IngestError::Request(format!(
                "format: {other:?} is not read; there are pprof, folded and firefox"
            )));
        }
        None if multipart => Format::Pprof,
        None => Format::detect(body).unwrap_or(Format::Folded),
    };
    let (decoded, kind) = match format {
        Format::Pprof => (formats::pprof::decode(body, limits)?, None),
        Format::Folded => {
            let kind = name.split_kind();
            folded(parameters, kind.as_deref(), body, limits)?
        }
        Format::Firefox => {
            let mut decoded = formats::firefox::decode(body, limits)?;
            let kind = counted_as_time(&mut decoded).then(|| "process_cpu".to_owned());
            (decoded, kind)
        }
    };
    let mut labels = name.labels;
    labels.push(("service".to_owned(), name.service));
    batch(decoded, &Origin { labels, kind, time_ms: time_ms.unwrap_or(now_ms) })
}

fn folded(
    parameters: &Parameters,
    kind: Option<&str>,
    body: &[u8],
    limits: &Limits,
) -> Result<(Decoded, Option<String>), IngestError> {
    let units = parameters.units.as_deref().unwrap_or("samples");
    let (name, value_type) = match (kind, units) {
        (None | Some("cpu" | "itimer"), "samples") => ("process_cpu", ValueType::new("cpu", "nanoseconds")),
        (Some("wall"), _) => ("wall", ValueType::new("wall", "nanoseconds")),
        (Some(kind @ ("inuse_objects" | "alloc_objects" | "live")), _) => {
            ("memory", ValueType::new(kind, "count"))
        }
        (Some(kind @ ("inuse_space" | "alloc_space")), _) => ("memory", ValueType::new(kind, "bytes")),
        (Some("goroutines"), _) => ("goroutine", ValueType::new("goroutines", "count")),
        (Some("mutex_count"), _) => ("mutex", ValueType::new("contentions", "count")),
        (Some("mutex_duration"), _) => ("mutex", ValueType::new("delay", "nanoseconds")),
        (Some("block_count" | "lock_count"), _) => ("block", ValueType::new("contentions", "count")),
        (Some("block_duration" | "lock_duration"), _) => ("block", ValueType::new("delay", "nanoseconds")),
        (Some("exceptions"), _) => ("exceptions", ValueType::new("samples", "count")),
        (_, "bytes") => ("memory", ValueType::new("samples", "bytes")),
        (_, "objects") => ("memory", ValueType::new("samples", "count")),
        (_, other) => ("process_cpu", ValueType::new("cpu", other)),
    };
    let scaled =
        units == "samples" && value_type.unit == "nanoseconds" && matches!(name, "process_cpu" | "wall");
    let mut decoded = formats::folded::decode(body, value_type.clone(), limits)?;
    if scaled {
        let rate = parameters.sample_rate.as_deref().and_then(|rate| rate.parse().ok());
        let rate = rate.filter(|rate| *rate > 0).unwrap_or(SAMPLE_RATE_HZ);
        let period_ns = 1_000_000_000 / rate;
        for value in &mut decoded.values {
            *value = value.saturating_mul(period_ns);
        }
        decoded.period = Some((ValueType::new("cpu", "nanoseconds"), period_ns));
    }
    Ok((decoded, Some(name.to_owned())))
}
