//! Work for a CPU: SHA-256 over its own result, again and again, as a password is stretched.

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// Rounds of one request's hash: some milliseconds.
const ROUNDS: u32 = 30_000;

/// Rounds between two looks at the clock.
const ROUNDS_A_LOOK: u32 = 100;

/// Hashes a request's worth; gives the result in hexadecimal.
pub(super) fn stretch() -> String {
    let digest = rounds([0; 32], ROUNDS);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hashes for a time, and gives how long that really was. Never inlined: this is the name that a flamegraph shows.
#[inline(never)]
pub(super) fn block_the_loop(time: Duration) -> Duration {
    let began = Instant::now();
    let mut digest = [0; 32];
    while began.elapsed() < time {
        digest = rounds(digest, ROUNDS_A_LOOK);
    }
    std::hint::black_box(digest);
    began.elapsed()
}

fn rounds(mut digest: [u8; 32], rounds: u32) -> [u8; 32] {
    for _ in 0..rounds {
        digest = Sha256::digest(digest).into();
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_round_is_sha_256() {
        // The digest of 32 zero bytes, as any other implementation computes it.
        let hex: String = rounds([0; 32], 1).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925");
    }

    #[test]
    fn blocking_takes_at_least_the_time_asked_for() {
        let time = Duration::from_millis(3);
        assert!(block_the_loop(time) >= time);
    }
}
