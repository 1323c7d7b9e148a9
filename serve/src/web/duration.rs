//! Durations as Go's programs write them, for files that are theirs: `1s`, `1m30s`, `1.5h`, `0`.

use std::time::Duration;

/// Units, with their nanoseconds. Longer names before those that they begin with.
const UNITS: &[(&str, f64)] =
    &[("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 6e10), ("h", 3.6e12)];

/// Reads a duration that is not negative.
///
/// # Errors
/// Where it is none, with an example of one.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let refused = || format!("{text:?} is no duration; give one such as 1s, 500ms or 1m30s");
    let (mut rest, mut total_ns) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(refused)?;
        let (number, after) = rest.split_at(digits);
        let (name, unit_ns) = UNITS.iter().find(|(name, _)| after.starts_with(name)).ok_or_else(refused)?;
        total_ns += number.parse::<f64>().map_err(|_| refused())? * unit_ns;
        rest = &after[name.len()..];
    }
    if text.is_empty() || !(0.0..1e18).contains(&total_ns) {
        return Err(refused());
    }
    Ok(Duration::from_nanos(total_ns as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, ns) in [
            ("0", 0),
            ("1s", 1_000_000_000),
            ("500ms", 500_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("10us", 10_000),
            ("10µs", 10_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(ns)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_an_example() {
        for text in ["", "1", "s", "-1s", "1 s", "1d", "1s2", "1..2s", "999999999999999h"] {
            assert!(parse(text).unwrap_err().contains("1m30s"), "{text}");
        }
    }
}
