//! Which format a file is in, by what it begins with.

use super::gzip;

/// A format of profiles that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// pprof.
    Pprof,
    /// Folded stacks.
    Folded,
    /// The Firefox Profiler's.
    Firefox,
}

/// As much is looked at.
const LOOKED_AT_BYTES: usize = 4096;

impl Format {
    /// The format of a file: JSON is the Firefox Profiler's, text with a number at its lines' ends is folded stacks.
    pub fn detect(bytes: &[u8]) -> Option<Self> {
        let beginning = match gzip::is_gzip(bytes) {
            true => gzip::beginning(bytes, LOOKED_AT_BYTES),
            false => bytes[..bytes.len().min(LOOKED_AT_BYTES)].to_vec(),
        };
        let text = std::str::from_utf8(&beginning).or_else(|error| {
            // The last character may be cut.
            let whole = &beginning[..error.valid_up_to()];
            if error.error_len().is_none() { std::str::from_utf8(whole) } else { Err(error) }
        });
        match text {
            Ok(text) if text.trim_start().starts_with('{') => Some(Self::Firefox),
            Ok(text) if is_folded(text) => Some(Self::Folded),
            // The first field of a profile is the type of its values, a message.
            _ if beginning.first() == Some(&0x0a) => Some(Self::Pprof),
            _ => None,
        }
    }
}

fn is_folded(text: &str) -> bool {
    let line = text.lines().find(|line| !line.trim().is_empty());
    let weight = line.and_then(|line| line.trim_end().rsplit_once(' '));
    weight.is_some_and(|(_, weight)| weight.parse::<i64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_known_by_its_beginning() {
        assert_eq!(Format::detect(b"main;a 1\n"), Some(Format::Folded));
        assert_eq!(Format::detect(b"{\"meta\":{}}"), Some(Format::Firefox));
        assert_eq!(Format::detect(&[0x0a, 4, 8, 1, 16, 2]), Some(Format::Pprof));
        for other in [&b""[..], b"\x89PNG", b"hello\nworld\n"] {
            assert_eq!(Format::detect(other), None);
        }
    }
}
