//! main > work::outer, into which the compiler puts work::middle and work::inner.

use std::hint::black_box;
use std::process;

mod work {
    use std::hint::black_box;

    #[inline(never)]
    pub fn outer(n: u64) -> u64 {
        middle(n) + 1
    }

    #[inline(always)]
    fn middle(n: u64) -> u64 {
        inner(n) ^ 7
    }

    #[inline(always)]
    fn inner(mut n: u64) -> u64 {
        for _ in 0..20_000 {
            n = black_box(n.wrapping_mul(6364136223846793005)); // the line that takes the time
        }
        n
    }
}

fn main() {
    // Some tenths of a second.
    let sum = (0..10_000).fold(0, |sum, n| black_box(work::outer(sum ^ n)));
    process::exit((sum == 42).into());
}
