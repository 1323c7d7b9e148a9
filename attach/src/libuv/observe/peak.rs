//! The highest of a number within the last minute.

use model::time::Monotonic;

const WINDOW_NS: u64 = 5_000_000_000;
const WINDOWS: u64 = 12;

/// The highest value of each window of five seconds, for the last twelve and the one that has begun.
#[derive(Debug, Default)]
pub(super) struct Peak(Vec<(u64, u64)>);

impl Peak {
    /// Takes the value at a time.
    pub(super) fn set(&mut self, value: u64, now: Monotonic) {
        let window = now.as_ns() / WINDOW_NS;
        self.0.retain(|&(of, _)| of + WINDOWS >= window);
        match self.0.last_mut() {
            Some((of, highest)) if *of == window => *highest = value.max(*highest),
            _ => self.0.push((window, value)),
        }
    }

    /// The highest value that was taken within the minute before the last one.
    pub(super) fn get(&self) -> u64 {
        self.0.iter().map(|&(_, highest)| highest).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_remembered_for_a_minute() {
        let at = |seconds: u64| Monotonic::from_ns(seconds * 1_000_000_000);
        let mut peak = Peak::default();
        peak.set(3, at(0));
        peak.set(7, at(2));
        for second in 3..62 {
            peak.set(1, at(second));
            assert_eq!(peak.get(), 7, "second {second}");
        }
        peak.set(1, at(66));
        assert_eq!(peak.get(), 1);
    }
}
