//! Points in time as they are asked for: UNIX seconds, RFC 3339, or relative to now.

use std::time::{SystemTime, UNIX_EPOCH};

/// Numbers from here on are milliseconds, from [`NANOSECONDS_FROM`] on nanoseconds: no second since 1970 is that large for thousands of years.
const MILLISECONDS_FROM: f64 = 1e11;
const NANOSECONDS_FROM: f64 = 1e16;

/// A range of time, in milliseconds since the UNIX epoch; the end does not belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub from_ms: i64,
    /// What is no longer in it.
    pub until_ms: i64,
}

impl Range {
    /// Everything.
    pub const ALL: Self = Self { from_ms: i64::MIN, until_ms: i64::MAX };

    /// Whether a time lies in it.
    pub fn contains(&self, time_ms: i64) -> bool {
        (self.from_ms..self.until_ms).contains(&time_ms)
    }

    /// What is in both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { from_ms: self.from_ms.max(other.from_ms), until_ms: self.until_ms.min(other.until_ms) }
    }

    /// Whether anything from `first_ms` to `last_ms` lies in it.
    pub fn overlaps(&self, first_ms: i64, last_ms: i64) -> bool {
        first_ms < self.until_ms && last_ms >= self.from_ms
    }
}

/// Now, in milliseconds since the UNIX epoch.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Reads a point in time, as milliseconds since the UNIX epoch.
///
/// # Errors
/// What may be written.
pub fn parse(text: &str, now_ms: i64) -> Result<i64, String> {
    let text = text.trim();
    let wrong = || {
        format!("{text:?} is no time; give UNIX seconds, RFC 3339, or one relative to now, such as now-1h")
    };
    if let Some(offset) = text.strip_prefix("now") {
        return relative(offset.trim(), now_ms).ok_or_else(wrong);
    }
    if let Ok(number) = text.parse::<f64>() {
        let ms = match number.abs() {
            size if !size.is_finite() => return Err(wrong()),
            size if size >= NANOSECONDS_FROM => number / 1e6,
            size if size >= MILLISECONDS_FROM => number,
            _ => number * 1e3,
        };
        return Ok(ms.round() as i64);
    }
    let time = humantime::parse_rfc3339_weak(text).map_err(|_| wrong())?;
    let since = time.duration_since(UNIX_EPOCH).map_err(|_| wrong())?;
    i64::try_from(since.as_millis()).map_err(|_| wrong())
}

fn relative(offset: &str, now_ms: i64) -> Option<i64> {
    if offset.is_empty() {
        return Some(now_ms);
    }
    let (sign, duration) = match (offset.strip_prefix('-'), offset.strip_prefix('+')) {
        (Some(back), _) => (-1, back),
        (_, Some(ahead)) => (1, ahead),
        _ => return None,
    };
    let ms = i64::try_from(humantime::parse_duration(duration.trim()).ok()?.as_millis()).ok()?;
    now_ms.checked_add(sign * ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_dates_or_relative() {
        let now = 1_700_000_000_000;
        for (text, ms) in [
            ("1700000000", now),
            ("1700000000.25", now + 250),
            ("1700000000000", now),
            ("1700000000000000000", now),
            ("2023-11-14T22:13:20Z", now),
            ("now", now),
            ("now-1h", now - 3_600_000),
            ("now - 1h 30m", now - 5_400_000),
            ("now+5s", now + 5_000),
        ] {
            assert_eq!(parse(text, now), Ok(ms), "{text}");
        }
        for text in ["", "yesterday", "now-", "nowhere", "now-1", "inf", "NaN", "2023-11-14"] {
            assert!(parse(text, now).is_err(), "{text}");
        }
    }
}
