//! main > work::outer, into which the compiler puts work::middle and work::inner.

use std::hint::black_box;
use std::process;
use std::time::Instant;

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
    let start = Instant::now();
    let mut sum = 0;
    while start.elapsed().as_millis() < 400 {
        sum = black_box(work::outer(sum));
    }
    process::exit((sum == 42).into());
}
