//! How much of a profile is accepted.

use super::DecodeError;

/// Bounds of one profile. What exceeds one of them is refused, but for [`text_bytes`](Self::text_bytes): longer names are cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The decompressed profile; all together, where a request brings several.
    pub profile_bytes: usize,
    /// Samples, or rows of equal stack and labels.
    pub samples: usize,
    /// Frames of a stack.
    pub depth: usize,
    /// Different names.
    pub strings: usize,
    /// A name; a longer one is cut at a character's end, for generated names have no bound.
    pub text_bytes: usize,
    /// Types of values.
    pub types: usize,
    /// Labels of a sample.
    pub labels: usize,
    /// Different sets of labels of samples.
    pub label_sets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            profile_bytes: 32 << 20,
            samples: 1 << 19,
            depth: 1024,
            strings: 1 << 18,
            text_bytes: 4096,
            types: 8,
            labels: 32,
            label_sets: 4096,
        }
    }
}

impl Limits {
    /// How much memory the profiles of one request may take once they are read. A profile that a producer made takes about as much as
    /// before; what takes many times as much was made to.
    pub fn decoded_bytes(&self) -> usize {
        self.profile_bytes.saturating_mul(4)
    }

    /// Refuses what is read already, if that is too much.
    pub(crate) fn check_decoded(&self, bytes: usize) -> Result<(), DecodeError> {
        self.check("bytes of memory", bytes, self.decoded_bytes())
    }

    /// Refuses what is too much.
    ///
    /// # Errors
    /// [`DecodeError::TooMuch`].
    pub fn check(&self, what: &'static str, found: usize, limit: usize) -> Result<(), DecodeError> {
        if found <= limit { Ok(()) } else { Err(DecodeError::TooMuch { what, limit }) }
    }

    /// A name, cut where it is too long.
    pub(crate) fn cut<'a>(&self, text: &'a str) -> &'a str {
        let mut end = self.text_bytes.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        &text[..end]
    }
}
