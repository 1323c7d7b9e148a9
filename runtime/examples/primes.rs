//! A computation that takes a second, broken into pieces by immediates, so that the loop does everything else meanwhile.
//!
//! `cargo run -p loopscope-runtime --example primes [BELOW]`
//!
//! First the computation runs in one piece: a timer that should call every 10 ms does not, and the loop tells the slow
//! iteration and whose it was. Then it runs in pieces of a millisecond. Work that needs nothing of the loop is better given
//! to the thread pool; what shares data with callbacks can be broken up like this.

#![allow(clippy::print_stdout, reason = "a program speaks to its user")]

use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use std::time::{Duration, Instant};

use loopscope_runtime::{EventLoop, RunMode};

const PIECE: Duration = Duration::from_millis(1);

fn main() -> Result<(), Box<dyn Error>> {
    let below = std::env::args().nth(1).map_or(Ok(3_000_000), |below| below.parse())?;
    for (how, piece) in [("in one piece", Duration::MAX), ("in pieces", PIECE)] {
        let event_loop = EventLoop::builder().name(how).slow_iteration(Duration::from_millis(50)).build()?;
        let beats = Rc::new(Cell::new(0));
        let counted = Rc::clone(&beats);
        let heart = event_loop.set_interval(10.0, move |_, _| counted.set(counted.get() + 1));
        count_primes(&event_loop, below, piece, move |_, primes| {
            println!("{how}: {primes} primes, {} of about 100 heartbeats a second", beats.get());
            heart.clear();
        });
        event_loop.run(RunMode::Default);
        for slow in event_loop.slow_iterations() {
            println!("  an iteration of {:?}: {:?}", slow.duration, slow.ran);
        }
    }
    Ok(())
}

/// Counts the primes below a number. Computes for `piece` at a time.
pub(crate) fn count_primes(
    event_loop: &EventLoop,
    below: u64,
    piece: Duration,
    done: impl FnOnce(&EventLoop, u64) + 'static,
) {
    next_piece(event_loop, 2, 0, below, piece, done);
}

fn next_piece(
    event_loop: &EventLoop,
    mut next: u64,
    mut found: u64,
    below: u64,
    piece: Duration,
    done: impl FnOnce(&EventLoop, u64) + 'static,
) {
    event_loop.set_immediate(move |event_loop| {
        let begin = Instant::now();
        while next < below {
            found += u64::from(is_prime(next));
            next += 1;
            if begin.elapsed() >= piece {
                return next_piece(event_loop, next, found, below, piece, done);
            }
        }
        done(event_loop, found);
    });
}

fn is_prime(number: u64) -> bool {
    number >= 2
        && (2..)
            .take_while(|divisor| divisor * divisor <= number)
            .all(|divisor| !number.is_multiple_of(divisor))
}
