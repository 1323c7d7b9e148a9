//! Inflating what came compressed, within a bound: a few bytes of gzip may stand for gigabytes.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::MultiGzDecoder;

const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Why something is not inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InflateError {
    /// It is no gzip, or ends too early.
    Malformed,
    /// It would take more bytes than that.
    TooLarge(usize),
}

/// Whether these bytes begin as gzip does.
pub fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// What gzip holds, if that is no more than so many bytes.
///
/// # Errors
/// [`InflateError`], either way.
pub fn inflate(gzip: &[u8], bytes_max: usize) -> Result<Vec<u8>, InflateError> {
    let mut plain = Vec::new();
    let mut decoder = MultiGzDecoder::new(gzip).take((bytes_max as u64).saturating_add(1));
    decoder.read_to_end(&mut plain).map_err(|_| InflateError::Malformed)?;
    if plain.len() > bytes_max { Err(InflateError::TooLarge(bytes_max)) } else { Ok(plain) }
}

/// What begins as gzip does inflated, and anything else as it is; in either case no more than so many bytes.
///
/// # Errors
/// [`InflateError`], either way.
pub fn inflated(bytes: &[u8], bytes_max: usize) -> Result<Cow<'_, [u8]>, InflateError> {
    match bytes {
        gzip if is_gzip(gzip) => Ok(Cow::Owned(inflate(gzip, bytes_max)?)),
        plain if plain.len() > bytes_max => Err(InflateError::TooLarge(bytes_max)),
        plain => Ok(Cow::Borrowed(plain)),
    }
}

/// The first bytes of what gzip holds. What is cut short is no error.
pub(super) fn beginning(gzip: &[u8], bytes_max: usize) -> Vec<u8> {
    let mut plain = Vec::new();
    let _ = MultiGzDecoder::new(gzip).take(bytes_max as u64).read_to_end(&mut plain);
    plain
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn no_more_is_inflated_than_was_asked_for() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&[7; 1000]).unwrap();
        let gzip = encoder.finish().unwrap();
        assert_eq!(inflate(&gzip, 1000), Ok(vec![7; 1000]));
        assert_eq!(inflate(&gzip, 999), Err(InflateError::TooLarge(999)));
        assert_eq!(inflate(&gzip[..gzip.len() - 9], 1000), Err(InflateError::Malformed));
        assert_eq!(inflated(b"plain", 5), Ok(Cow::Borrowed(&b"plain"[..])));
        assert_eq!(inflated(b"plain", 4), Err(InflateError::TooLarge(4)));
        assert_eq!(beginning(&gzip, 3), [7; 3]);
    }
}
