//! How much a share changed, in words and as the step of a colour; `web/colours.js` and `web/amount.js` do the same.

/// From which factor of a share on, by its logarithm to base 2, a change has which colour.
const STEPS: [f64; 5] = [0.05, 0.25, 0.6, 1.2, 2.5];
/// What is hardly there can change by any factor.
const HARDLY: f64 = 2e-4;
/// Added to shares, so that none is zero.
const LEAST: f64 = 1e-5;

/// How much a share has changed: 0 for not to speak of, up to 5 for more, down to -5 for less.
pub(super) fn step(now: f64, base: f64) -> i8 {
    let factor = ((now + LEAST) / (base + LEAST)).log2();
    let step = STEPS.iter().filter(|from| factor.abs() >= **from).count() as i8;
    match (now - base).abs() < HARDLY {
        true => 0,
        false if factor < 0.0 => -step,
        false => step,
    }
}

/// `+7.8 pp`
pub(super) fn points(now: f64, base: f64) -> String {
    let points = (now - base) * 100.0;
    let sign = if points > 0.0 { '+' } else { '−' };
    match points.abs() {
        ..0.005 => "±0".to_owned(),
        size @ ..0.995 => format!("{sign}{size:.2} pp"),
        size => format!("{sign}{size:.1} pp"),
    }
}

/// `12.3 %`
pub(super) fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0 %".to_owned(),
        percent @ ..0.995 => format!("{percent:.2} %"),
        percent @ ..99.95 => format!("{percent:.1} %"),
        percent => format!("{percent:.0} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_as_the_page_tells_it() {
        assert_eq!([step(0.5, 0.5), step(0.5, 0.45), step(0.5, 0.0), step(0.0, 0.5)], [0, 1, 5, -5]);
        assert_eq!(step(0.0001, 0.0), 0, "what is hardly there can change by any factor");
        assert_eq!(
            [points(0.5, 0.25), points(0.1, 0.1), points(0.0, 0.0003)],
            ["+25.0 pp", "±0", "−0.03 pp"]
        );
        assert_eq!([percent(0.123), percent(0.0), percent(1.0)], ["12.3 %", "0 %", "100 %"]);
    }
}
