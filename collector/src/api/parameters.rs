//! What is asked for, as parameters of a URL.

use std::time::Duration;

use super::ApiError;
use crate::selector::{Selector, canonical};
use crate::times::{self, Range};

/// What is looked at when no time is asked for.
const RANGE_MS: i64 = 3_600_000;

/// The parameters, decoded.
#[derive(Clone, Debug)]
pub(crate) struct Parameters {
    pairs: Vec<(String, String)>,
    /// Now, the same for all of them.
    now_ms: i64,
}

impl Parameters {
    /// Of a URL's query.
    pub(crate) fn new(query: &str) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Self { pairs, now_ms: times::now_ms() }
    }

    /// The first of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// All labels of a name, given one by one or separated by commas.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let of_name = self.pairs.iter().filter(|(own, _)| own == name);
        let labels = of_name.flat_map(|(_, value)| value.split(',')).map(str::trim);
        labels.filter(|label| !label.is_empty()).map(|label| canonical(label).to_owned()).collect()
    }

    pub(crate) fn range(&self) -> Result<Range, ApiError> {
        self.range_of("from", "until", None)
    }

    /// The base's; without one, as long as the range and right before it.
    pub(super) fn base_range(&self) -> Result<Range, ApiError> {
        let range = self.range()?;
        let length_ms = range.until_ms.saturating_sub(range.from_ms);
        let before = Range { from_ms: range.from_ms.saturating_sub(length_ms), until_ms: range.from_ms };
        self.range_of("base_from", "base_until", Some(before))
    }

    fn range_of(&self, from: &str, until: &str, usual: Option<Range>) -> Result<Range, ApiError> {
        let time = |name: &str| {
            let parsed = self.get(name).map(|text| times::parse(text, self.now_ms)).transpose();
            parsed.map_err(|message| ApiError::Request(format!("{name}: {message}")))
        };
        // One that begins now belongs to it.
        let with_now = self.now_ms + 1000;
        let asked_ms = match self.get(until).map(str::trim) {
            Some("now") => Some(with_now),
            _ => time(until)?,
        };
        let until_ms = asked_ms.or(usual.map(|usual| usual.until_ms)).unwrap_or(with_now);
        let from_ms =
            time(from)?.or(usual.map(|usual| usual.from_ms)).unwrap_or(until_ms.saturating_sub(RANGE_MS));
        if from_ms >= until_ms {
            return Err(ApiError::Request(format!("{from} does not lie before {until}")));
        }
        Ok(Range { from_ms, until_ms })
    }

    pub(crate) fn selector(&self, name: &str) -> Result<Selector, ApiError> {
        let parsed = Selector::parse(self.get(name).unwrap_or(""));
        parsed.map_err(|error| ApiError::Request(format!("{name}: {error}")))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<usize>, ApiError> {
        let parsed = self.get(name).map(str::parse).transpose();
        parsed.map_err(|_| ApiError::Request(format!("{name}: a whole number belongs there")))
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None | Some("false" | "0") => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some(_) => Err(ApiError::Request(format!("{name}: true or false belongs there"))),
        }
    }

    /// Seconds, or a duration such as `1m`.
    pub(crate) fn step_ms(&self) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.get("step") else { return Ok(None) };
        let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let duration = seconds.or_else(|| humantime::parse_duration(text).ok());
        let ms =
            duration.and_then(|duration| i64::try_from(duration.as_millis()).ok()).filter(|ms| *ms >= 1000);
        let wrong = || {
            ApiError::Request("step: seconds belong there, one at least, or a duration such as 1m".to_owned())
        };
        ms.map(Some).ok_or_else(wrong)
    }

    pub(super) fn range_in_words(&self, range: Range) -> String {
        let time = |ms: i64| match u64::try_from(ms) {
            Ok(ms) => humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + Duration::from_millis(ms))
                .to_string(),
            Err(_) => "the beginning".to_owned(),
        };
        format!("{} to {}", time(range.from_ms), time(range.until_ms))
    }
}
