//! From what was sent to what is stored: a decoded profile becomes series, one for each type of value and set of labels.

pub mod form;
mod name;
pub(crate) mod otlp;
pub(crate) mod push;
pub(crate) mod pyroscope;

use std::collections::BTreeMap;
use std::fmt;

use formats::decode::{DecodeError, Decoded, UNNAMED, ValueType};
use model::profile::StackId;

use crate::labels::{Labels, PROFILE_TYPE, SERVICE};
use crate::profile_type::ProfileType;
use crate::selector::canonical;
use crate::store::{AppendError, Batch, BatchSeries};

/// Labels of a series.
const LABELS_MAX: usize = 32;
const LABEL_NAME_BYTES_MAX: usize = 256;
const LABEL_VALUE_BYTES_MAX: usize = 1024;
/// Labels of samples with as many values as there are requests, or threads: each would make a series of its own.
const DROPPED: &[&str] = &["tid", "thread_id", "span_id", "span_name", "trace_id", "profile_id"];

/// The service of profiles and loops whose producer names none, as Pyroscope and OpenTelemetry call it.
pub(crate) const UNKNOWN_SERVICE: &str = "unknown_service";

/// Why what was sent is not stored.
#[derive(Debug)]
pub enum IngestError {
    /// The request does not say what it should.
    Request(String),
    /// The body is larger than accepted once it is inflated.
    TooLarge,
    /// The profile cannot be read.
    Decode(DecodeError),
    /// A label is too long, or there are too many.
    Label(String),
    /// It was not kept.
    Append(AppendError),
    /// Something in the collector failed that cannot.
    Defect,
}

/// What a profile is stored under.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The labels that the producer gave.
    pub labels: Vec<(String, String)>,
    /// The kind of profile, if the producer named one.
    pub kind: Option<String>,
    /// When it was sent, for profiles that do not tell when they began; milliseconds since the UNIX epoch.
    pub time_ms: i64,
}

/// Adds a profile to a batch. The batch must be empty, for its symbols become the profile's.
///
/// # Errors
/// [`IngestError`] where a label is not acceptable.
pub fn batch(decoded: Decoded, origin: &Origin) -> Result<Batch, IngestError> {
    let base: BTreeMap<String, String> = origin
        .labels
        .iter()
        .filter(|(name, _)| !name.starts_with("__"))
        .map(|(name, value)| (canonical(name).to_owned(), value.clone()))
        .collect();
    let time_ms = decoded.started_unix_ns.map_or(origin.time_ms, |ns| ns / 1_000_000);
    let mut batch = Batch::default();
    let mut decoded = decoded;
    let unknown = decoded.samples.iter().any(|sample| sample.stack.is_none()).then(|| {
        let frame = decoded.symbols.named(UNNAMED);
        decoded.symbols.stacks.push(None, frame)
    });
    let width = decoded.types.len();
    for (position, value_type) in decoded.types.iter().enumerate() {
        let profile_type = type_of(&decoded, value_type, origin);
        let mut by_set: Vec<Vec<(StackId, i64)>> = vec![Vec::new(); decoded.label_sets.len()];
        for (sample, values) in decoded.samples.iter().zip(decoded.values.chunks_exact(width.max(1))) {
            let value = values[position];
            if let (true, Some(stack)) = (value != 0, sample.stack.or(unknown)) {
                by_set[sample.label_set as usize].push((stack, value));
            }
        }
        for (set, mut rows) in decoded.label_sets.iter().zip(by_set) {
            if rows.is_empty() {
                continue;
            }
            add_up(&mut rows);
            let text = |id| decoded.symbols.strings.get(id);
            let of_set = set.iter().map(|(name, value)| (text(*name), text(*value)));
            let labels = labels(&base, of_set, &profile_type)?;
            batch.series.push(BatchSeries { labels, time_ms, rows });
        }
    }
    batch.series.sort_by(|a, b| a.labels.cmp(&b.labels));
    batch.symbols = decoded.symbols;
    Ok(batch)
}

fn type_of(decoded: &Decoded, value: &ValueType, origin: &Origin) -> String {
    let period = decoded.period.as_ref().map(|(period, _)| period).filter(|period| !period.kind.is_empty());
    ProfileType::of(value, period, origin.kind.as_deref()).to_string()
}

/// Sorts rows, and makes one of those of equal stack.
fn add_up(rows: &mut Vec<(StackId, i64)>) {
    rows.sort_unstable_by_key(|(stack, _)| *stack);
    rows.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            earlier.1 = earlier.1.saturating_add(later.1);
        }
        same
    });
}

pub(crate) fn labels<'a>(
    base: &'a BTreeMap<String, String>,
    of_sample: impl Iterator<Item = (&'a str, &'a str)>,
    profile_type: &str,
) -> Result<Labels, IngestError> {
    let of_sample = of_sample
        .filter(|(name, _)| !DROPPED.contains(name) && !name.starts_with("__"))
        .map(|(name, value)| (canonical(name), value));
    let base = base.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    // What the producer says of all comes before what a sample says, but for the service: it has none.
    let labels: Labels = of_sample
        .filter(|(name, _)| *name != SERVICE)
        .chain(base)
        .chain([(PROFILE_TYPE, profile_type)])
        .collect();
    if labels.get(SERVICE).is_none() {
        return Err(IngestError::Label("the profile names no service".to_owned()));
    }
    if labels.iter().len() > LABELS_MAX {
        return Err(IngestError::Label(format!("there are more than {LABELS_MAX} labels: {labels}")));
    }
    for (name, value) in labels.iter() {
        if name.is_empty() || name.len() > LABEL_NAME_BYTES_MAX || value.len() > LABEL_VALUE_BYTES_MAX {
            let limits =
                format!("a name has {LABEL_NAME_BYTES_MAX} bytes at most, a value {LABEL_VALUE_BYTES_MAX}");
            let name: String = name.chars().take(64).collect();
            return Err(IngestError::Label(format!("the label {name:?} is empty or too long: {limits}")));
        }
    }
    Ok(labels)
}

/// Makes nanoseconds of samples that were taken one a period of CPU time, as other producers tell them; whether they were.
fn counted_as_time(profile: &mut Decoded) -> bool {
    let period = match (&profile.types[..], &profile.period) {
        ([counted], Some((period, length)))
            if counted.kind == "samples"
                && counted.unit == "count"
                && period.kind == "cpu"
                && period.unit == "nanoseconds"
                && *length > 0 =>
        {
            *length
        }
        _ => return false,
    };
    profile.types = vec![ValueType::new("cpu", "nanoseconds")];
    for value in &mut profile.values {
        *value = value.saturating_mul(period);
    }
    true
}

impl From<DecodeError> for IngestError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl From<AppendError> for IngestError {
    fn from(error: AppendError) -> Self {
        Self::Append(error)
    }
}

impl fmt::Display for IngestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(message) | Self::Label(message) => f.write_str(message),
            Self::TooLarge => f.write_str(
                "the body is too large once it is inflated: send less at once, or raise the limit body",
            ),
            Self::Decode(error) => write!(f, "the profile cannot be read: {error}"),
            Self::Append(error) => error.fmt(f),
            Self::Defect => {
                f.write_str("the profile cannot be stored; the reason is a defect of the collector")
            }
        }
    }
}
