//! Weights as a person reads them: `1,234 samples, 1.24 s`.

use model::profile::Weight;

/// Puts weights of one profile into words.
pub(super) struct Amounts {
    /// What a weight counts.
    pub(super) weight: Weight,
    /// What is counted in a CPU profile, in the plural.
    pub(super) count_name: String,
}

impl Amounts {
    /// The weight in all units that it has.
    pub(super) fn describe(&self, weight: u64) -> String {
        match self.weight {
            // Parts of two profiles count nothing.
            Weight::CpuSamples { period_ns: 0 } if self.count_name.is_empty() => "on average".to_owned(),
            // Things that take no time.
            Weight::CpuSamples { period_ns: 0 } => counted(weight, &self.count_name),
            Weight::CpuSamples { period_ns } => {
                let time = time(weight.saturating_mul(period_ns));
                format!("{}, {time}", counted(weight, &self.count_name))
            }
            Weight::OffCpuNs => time(weight),
            Weight::AllocatedBytes => bytes(weight),
        }
    }
}

/// `12.3 %`, and never `0 %` of something.
pub(super) fn share(part: u64, whole: u64) -> String {
    let percent = part as f64 / whole.max(1) as f64 * 100.0;
    match percent {
        0.0 => "0 %".to_owned(),
        ..0.01 => "< 0.01 %".to_owned(),
        ..0.995 => format!("{percent:.2} %"),
        ..99.95 => format!("{percent:.1} %"),
        _ => format!("{percent:.0} %"),
    }
}

/// `1,234 samples`, `1 sample`
pub(super) fn counted(number: u64, plural: &str) -> String {
    let name = if number == 1 { plural.strip_suffix('s').unwrap_or(plural) } else { plural };
    format!("{} {name}", grouped(number))
}

/// `1,234,567`
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1.24 s`, `12.4 ms`
pub(super) fn time(ns: u64) -> String {
    const UNITS: [(f64, &str); 3] = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")];
    scaled(ns, &UNITS, "ns")
}

fn bytes(bytes: u64) -> String {
    const KIB: f64 = 1024.0;
    const UNITS: [(f64, &str); 4] =
        [(KIB * KIB * KIB * KIB, "TiB"), (KIB * KIB * KIB, "GiB"), (KIB * KIB, "MiB"), (KIB, "KiB")];
    scaled(bytes, &UNITS, "B")
}

/// Three significant digits in the largest unit that the number reaches.
fn scaled(number: u64, units: &[(f64, &str)], smallest: &str) -> String {
    let number = number as f64;
    let Some((size, unit)) = units.iter().find(|(size, _)| number >= *size) else {
        return format!("{number} {smallest}");
    };
    let scaled = number / size;
    let decimals = match scaled {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{scaled:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_keep_what_is_small_visible() {
        assert_eq!(share(0, 0), "0 %");
        assert_eq!(share(1, 1_000_000), "< 0.01 %");
        assert_eq!(share(1, 200), "0.50 %");
        assert_eq!(share(123, 1000), "12.3 %");
        assert_eq!(share(999_999, 1_000_000), "100 %");
    }

    #[test]
    fn numbers_have_three_significant_digits_and_a_unit() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(123), "123");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(counted(1, "samples"), "1 sample");
        assert_eq!(time(0), "0 ns");
        assert_eq!(time(1_240_000_000), "1.24 s");
        assert_eq!(time(12_400_000), "12.4 ms");
        assert_eq!(time(999), "999 ns");
        assert_eq!(bytes(1536), "1.50 KiB");
    }
}
