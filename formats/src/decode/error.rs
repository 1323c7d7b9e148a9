//! Why a profile cannot be read.

use std::fmt;

/// Why a profile was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// It ends in the middle of something, or does not follow the format.
    Malformed {
        /// What was being read.
        what: &'static str,
        /// Where: the byte, or the line.
        at: usize,
    },
    /// Something refers to what is not there.
    Missing {
        /// What is referred to.
        what: &'static str,
        /// By which identifier.
        id: u64,
    },
    /// A limit is exceeded.
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much of it is accepted.
        limit: usize,
    },
    /// There is nothing in it that counts.
    Empty,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { what, at } => write!(f, "malformed: {what}, at {at}"),
            Self::Missing { what, id } => write!(f, "malformed: there is no {what} {id}"),
            Self::TooMuch { what, limit } => write!(f, "too much: {what}, of which {limit} are accepted"),
            Self::Empty => f.write_str("empty: it has no types of values"),
        }
    }
}

impl std::error::Error for DecodeError {}
