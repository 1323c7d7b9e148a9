//! Numbers as a table shows them: at most five characters, about two digits that count.
//!
//! More digits would tell nothing: a quantile is exact to 4%, and what changes every second is read at a glance.

/// A duration, such as `950ns`, `1.2ms`, `53ms` or `17m`.
pub(super) fn duration(seconds: f64) -> String {
    const UNITS: [(f64, &str); 6] =
        [(1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms"), (1.0, "s"), (60.0, "m"), (3600.0, "h")];
    if seconds <= 0.0 {
        return "0".to_owned();
    }
    // Seconds go on to 999, as the smaller units do; minutes and hours are for what is stuck.
    let limit = |unit: f64| if unit < 60.0 { 999.5 } else { 99.5 };
    let fits = |&&(unit, _): &&(f64, &str)| seconds / unit < limit(unit);
    let (unit, name) = UNITS.iter().find(fits).unwrap_or(&(86_400.0, "d"));
    format!("{}{name}", two_digits(seconds / unit))
}

/// A number of things or a rate, such as `0.3`, `42`, `1.2k` or `3.4M`.
pub(super) fn count(number: f64) -> String {
    scaled(number, 1000.0, &["", "k", "M", "G", "T"])
}

/// Bytes in powers of 1024, such as `11M` or `1.4G`.
pub(super) fn bytes(bytes: u64) -> String {
    scaled(bytes as f64, 1024.0, &["B", "K", "M", "G", "T", "P"])
}

/// A ratio in percent, without the sign: `0.4`, `97.3`, `412`.
pub(super) fn percent(ratio: f64) -> String {
    let percent = 100.0 * ratio;
    if percent < 99.95 { format!("{percent:.1}") } else { format!("{percent:.0}") }
}

fn scaled(number: f64, base: f64, units: &[&str]) -> String {
    let (mut number, mut units) = (number, units.iter());
    let mut unit = units.next().unwrap_or(&"");
    for larger in units {
        if number < 999.5 {
            break;
        }
        number /= base;
        unit = larger;
    }
    format!("{}{unit}", two_digits(number))
}

fn two_digits(number: f64) -> String {
    // Of a whole small number nothing is known to be after the point.
    if number < 9.95 && number.fract() != 0.0 { format!("{number:.1}") } else { format!("{number:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_two_digits_and_never_grow_wide() {
        let cases = [
            (0.0, "0"),
            (950e-9, "950ns"),
            (0.9996e-6, "1.0µs"),
            (41.4e-6, "41µs"),
            (1.234e-3, "1.2ms"),
            (53.2e-3, "53ms"),
            (0.9996, "1.0s"),
            (999.0, "999s"),
            (1020.0, "17m"),
            (90.0 * 3600.0, "90h"),
            (12.0 * 86_400.0, "12d"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
        let mut seconds = 1e-9;
        while seconds < 1e6 {
            assert!(duration(seconds).chars().count() <= 5, "{}", duration(seconds));
            seconds *= 1.001;
        }
    }

    #[test]
    fn counts_bytes_and_percents_do_the_same() {
        for (number, text) in
            [(0.0, "0"), (0.26, "0.3"), (42.0, "42"), (999.6, "1.0k"), (1234.0, "1.2k"), (3.4e6, "3.4M")]
        {
            assert_eq!(count(number), text);
        }
        for (number, text) in
            [(0, "0B"), (11_485_184, "11M"), (1 << 30, "1G"), (1_500_000_000, "1.4G"), (1023, "1.0K")]
        {
            assert_eq!(bytes(number), text);
        }
        for (ratio, text) in [(0.0, "0.0"), (0.973, "97.3"), (0.9996, "100"), (4.12, "412")] {
            assert_eq!(percent(ratio), text);
        }
    }
}
