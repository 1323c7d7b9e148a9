//! How many threads a pool has.

use std::{env, error, fmt};

/// libuv's number.
pub(super) const DEFAULT: usize = 4;

/// libuv's bound.
const MAX: usize = 1024;

const VARIABLE: &str = "UV_THREADPOOL_SIZE";

/// Why a pool could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolError {
    /// No pool has that many threads.
    ThreadCount {
        /// The number that was asked for.
        requested: usize,
    },
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ThreadCount { requested } => {
                write!(f, "a thread pool has 1 to {MAX} threads, not {requested}")
            }
        }
    }
}

impl error::Error for PoolError {}

pub(super) fn check(requested: usize) -> Result<usize, PoolError> {
    if (1..=MAX).contains(&requested) { Ok(requested) } else { Err(PoolError::ThreadCount { requested }) }
}

pub(super) fn from_environment() -> usize {
    env::var_os(VARIABLE).map_or(DEFAULT, |value| as_libuv_reads(&value.to_string_lossy()))
}

/// C's `atoi`, taken as an unsigned number and brought within bounds: so a negative number is a very large one.
fn as_libuv_reads(value: &str) -> usize {
    let value = value.trim_start();
    let (negative, digits) = match value.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, value.strip_prefix('+').unwrap_or(value)),
    };
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    // More digits than a number can hold are a very large one; none at all are zero.
    let number = if end == 0 { 0 } else { digits[..end].parse().unwrap_or(usize::MAX) };
    if negative && number > 0 { MAX } else { number.clamp(1, MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_read_as_libuv_reads_it() {
        for (value, threads) in [
            ("8", 8),
            (" 16", 16),
            ("+2", 2),
            ("12 threads", 12),
            ("0", 1),
            ("many", 1),
            ("", 1),
            ("1024", 1024),
            ("1025", 1024),
            ("99999999999999999999999", 1024),
            ("-1", 1024),
            ("-0", 1),
        ] {
            assert_eq!(as_libuv_reads(value), threads, "{value:?}");
        }
    }
}
