//! Numbers as text, without the formatting machinery.

/// Appends an integer.
pub(crate) fn push_integer(text: &mut Vec<u8>, number: impl itoa::Integer) {
    text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends `number / 10^places`, exactly, without trailing zeros.
pub(crate) fn push_decimal(text: &mut Vec<u8>, number: u64, places: u32) {
    let one = 10u64.pow(places);
    push_integer(text, number / one);
    let (mut rest, mut place) = (number % one, one / 10);
    if rest > 0 {
        text.push(b'.');
    }
    while rest > 0 {
        text.push(b'0' + (rest / place) as u8);
        rest %= place;
        place /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_and_short() {
        let decimal = |number, places| {
            let mut text = Vec::new();
            push_decimal(&mut text, number, places);
            String::from_utf8(text).unwrap()
        };
        assert_eq!(decimal(0, 9), "0");
        assert_eq!(decimal(1, 9), "0.000000001");
        assert_eq!(decimal(906_000_000, 9), "0.906");
        assert_eq!(decimal(3_000_000_000, 9), "3");
        assert_eq!(decimal(u64::MAX, 9), "18446744073.709551615");
        assert_eq!(decimal(12_345_678, 6), "12.345678");
    }
}
