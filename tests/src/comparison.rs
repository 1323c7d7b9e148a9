//! Whether two profilers saw the same: their shares of self time, up to the error of sampling.
//!
//! Both profilers sample the same threads with timers of the same period, but of their own. Each draw of a sample finds
//! function *f* with the probability *p*, its true share. With *n* and *m* samples, the difference of the two measured
//! shares then has the variance *p(1-p)(1/n + 1/m)*, where *p* is best estimated from both together. Differences of
//! more than [`SIGMAS`] standard deviations are taken for errors of a profiler: chance brings one of them about in
//! 16,000 comparisons. There is no allowance for anything else. (Samples at equal distances vary less than independent
//! ones, unless the program falls into step with them; the programs here draw their order at random.)
//!
//! The two periods are not quite equal: with equal ones the two timers would keep their distance, and one that follows
//! close on the other would find the thread on its way out of the other's interrupt every time.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::recording::{Frame, Recording};

/// Standard deviations that two measured shares may lie apart.
pub const SIGMAS: f64 = 4.0;

/// How many functions are compared.
const HOTTEST: usize = 20;

/// How often each function was the innermost.
#[derive(Clone, Debug, Default)]
pub struct SelfTime {
    samples: BTreeMap<String, u64>,
    total: u64,
}

impl SelfTime {
    /// Counts the innermost functions of a recording, under the names that `name` gives them.
    pub fn of(recording: &Recording, mut name: impl FnMut(&Frame) -> String) -> Self {
        let mut own = Self::default();
        for sample in &recording.samples {
            let function = sample.leaf().map_or_else(|| "(no stack)".to_owned(), &mut name);
            *own.samples.entry(function).or_default() += sample.weight;
            own.total += sample.weight;
        }
        own
    }

    /// All samples.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// A function's share of all samples.
    pub fn share(&self, function: &str) -> f64 {
        self.count(function) as f64 / self.total as f64
    }

    /// All functions that were innermost.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.samples.keys().map(String::as_str)
    }

    fn count(&self, function: &str) -> u64 {
        self.samples.get(function).copied().unwrap_or(0)
    }
}

/// Expects that the shares of the hottest functions, whoever saw them, differ by no more than chance explains.
///
/// # Panics
/// If they do not, with a table of all that were compared.
#[track_caller]
pub fn expect_same(ours: &SelfTime, theirs: &SelfTime) {
    assert!(ours.total > 0 && theirs.total > 0, "no samples: {} and {}", ours.total, theirs.total);
    let mut table = format!("ours: {} samples, theirs: {}\n", ours.total, theirs.total);
    let mut failed = false;
    for function in hottest(ours, theirs) {
        let (share, other) = (ours.share(function), theirs.share(function));
        let deviation = standard_deviation(ours, theirs, function);
        let differs = (share - other).abs() > SIGMAS * deviation;
        failed |= differs;
        let mark = if differs { "!" } else { " " };
        let sigmas = (share - other) / deviation;
        let _ =
            writeln!(table, "{mark} {:6.2}% {:6.2}% {sigmas:+5.1}σ {function}", 100.0 * share, 100.0 * other);
    }
    assert!(!failed, "the profiles differ:\n{table}");
}

/// The name of one of our frames, as it is compared: functions without a symbol, which we tell apart and perf does not,
/// go by the name of their file.
pub fn our_name(frame: &Frame) -> String {
    let number = frame.function.strip_prefix("fun_");
    match number.is_some_and(|number| u64::from_str_radix(number, 16).is_ok()) {
        true => in_brackets(&frame.module),
        false => frame.function.clone(),
    }
}

/// The name of one of perf's frames, as ours should be.
pub fn perf_name(frame: &Frame) -> String {
    if frame.function != "[unknown]" {
        return without_place(&frame.function);
    }
    // The names that perf has for memory which no file is behind.
    let made =
        ["//anon", "[unknown]", "[heap]"].contains(&frame.module.as_str()) || frame.module.ends_with(".map");
    if made { "[jit]".to_owned() } else { in_brackets(&frame.module) }
}

fn in_brackets(module: &str) -> String {
    let file = module.rsplit('/').next().unwrap_or(module);
    format!("[{}]", file.trim_matches(['[', ']']))
}

/// The function in V8's `JS:*handle file:///srv/app.js:10:3`, with the mark of the compiler that made it.
fn without_place(name: &str) -> String {
    let kinds = ["JS:", "LazyCompile:", "Function:", "Eval:", "Script:"];
    let Some(rest) = kinds.iter().find_map(|kind| name.strip_prefix(kind)) else { return name.to_owned() };
    let (function, place) = rest.split_once(' ').unwrap_or((rest, ""));
    if !function.trim_start_matches(['*', '+', '^', '~']).is_empty() {
        return function.to_owned();
    }
    let file_and_line = place.rsplit_once(':').map_or(place, |(before, _column)| before);
    let file_and_line = file_and_line.rsplit('/').next().unwrap_or(file_and_line);
    format!("{function}(anonymous {file_and_line})")
}

/// The names of the functions with the most samples in both together.
fn hottest<'a>(ours: &'a SelfTime, theirs: &'a SelfTime) -> Vec<&'a str> {
    let mut functions: Vec<&str> =
        ours.samples.keys().chain(theirs.samples.keys()).map(String::as_str).collect();
    functions.sort_unstable();
    functions.dedup();
    functions.sort_by(|a, b| (pooled(ours, theirs, b)).total_cmp(&pooled(ours, theirs, a)));
    functions.truncate(HOTTEST);
    functions
}

fn pooled(ours: &SelfTime, theirs: &SelfTime, function: &str) -> f64 {
    (ours.count(function) + theirs.count(function)) as f64 / (ours.total + theirs.total) as f64
}

fn standard_deviation(ours: &SelfTime, theirs: &SelfTime, function: &str) -> f64 {
    let share = pooled(ours, theirs, function);
    (share * (1.0 - share) * (1.0 / ours.total as f64 + 1.0 / theirs.total as f64)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_two_meet() {
        let frame = |function: &str, module: &str| Frame {
            function: function.into(),
            module: module.into(),
            inlined: false,
        };
        assert_eq!(perf_name(&frame("LazyCompile:*by /srv/a b.js:36:17", "/tmp/perf-1.map")), "*by");
        assert_eq!(
            perf_name(&frame("JS:~ file:///srv/app.js:7:1", "/tmp/perf-1.map")),
            "~(anonymous app.js:7)"
        );
        assert_eq!(
            perf_name(&frame("[unknown]", "/usr/lib/libc.so.6")),
            our_name(&frame("fun_1f", "/usr/lib/libc.so.6"))
        );
        assert_eq!(our_name(&frame("fun_with_words", "/srv/app")), "fun_with_words");
    }

    fn self_time(counts: &[(&str, u64)]) -> SelfTime {
        let samples: BTreeMap<_, _> = counts.iter().map(|&(name, count)| (name.to_owned(), count)).collect();
        SelfTime { total: samples.values().sum(), samples }
    }

    #[test]
    fn what_chance_explains_is_the_same() {
        expect_same(&self_time(&[("a", 5050), ("b", 4950)]), &self_time(&[("a", 4900), ("b", 5100)]));
    }

    #[test]
    #[should_panic = "the profiles differ"]
    fn what_chance_does_not_explain_is_not() {
        expect_same(&self_time(&[("a", 5300), ("b", 4700)]), &self_time(&[("a", 4900), ("b", 5100)]));
    }

    #[test]
    #[should_panic = "the profiles differ"]
    fn a_function_that_only_one_of_them_knows_is_a_difference() {
        expect_same(&self_time(&[("a", 980), ("b", 20)]), &self_time(&[("a", 1000)]));
    }

    #[test]
    #[should_panic = "no samples"]
    fn an_empty_recording_is_no_match() {
        expect_same(&self_time(&[]), &self_time(&[("a", 1000)]));
    }
}
