//! What the service did, counted by itself and not by the runtime's instruments: what metrics have to agree with.

use std::time::Duration;

use super::load::Report;
use super::route::Route;

/// What the service has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Truth {
    requests: [u64; Route::ALL.len()],
    blocked_times: u64,
    blocked: Duration,
    blocked_longest: Duration,
}

impl Truth {
    /// A request for this route has come.
    pub(super) fn requested(&mut self, route: Route) {
        self.requests[route as usize] += 1;
    }

    /// The loop was blocked for this long.
    pub(super) fn blocked(&mut self, time: Duration) {
        self.blocked_times += 1;
        self.blocked += time;
        self.blocked_longest = self.blocked_longest.max(time);
    }

    /// As a JSON object.
    pub(super) fn json(&self) -> String {
        let requests =
            Route::ALL.map(|route| format!("\"{}\":{}", route.name(), self.requests[route as usize]));
        let (total, longest) = (self.blocked.as_secs_f64(), self.blocked_longest.as_secs_f64());
        format!(
            "{{\"requests\":{{{}}},\"blocked\":{{\"times\":{},\"seconds\":{total},\"longest_seconds\":{longest}}}}}",
            requests.join(","),
            self.blocked_times
        )
    }
}

/// The summary at the end, for programs: one JSON object on one line. What was not measured is null.
pub(super) fn json(elapsed: Duration, truth: &Truth, load: &Report) -> String {
    let quantile = |q| load.latency.quantile_seconds(q).map_or("null".to_owned(), |s| s.to_string());
    format!(
        "{{\"seconds\":{},\"service\":{},\"load\":{{\"sent\":{},\"answered\":{},\"failed\":{},\"latency_seconds\":{{\"p50\":{},\"p99\":{}}}}}}}\n",
        elapsed.as_secs_f64(),
        truth.json(),
        load.sent,
        load.answered,
        load.failed,
        quantile(0.5),
        quantile(0.99),
    )
}

/// The summary at the end, for people.
pub(super) fn text(elapsed: Duration, truth: &Truth, load: &Report) -> String {
    let requests = Route::ALL.map(|route| format!("{} {}", route.name(), truth.requests[route as usize]));
    let mut text = format!(
        "ran for {:.1} s: {}\nblocked the loop {} times for {:.3} s in all, {:.3} s at the longest\n",
        elapsed.as_secs_f64(),
        requests.join(", "),
        truth.blocked_times,
        truth.blocked.as_secs_f64(),
        truth.blocked_longest.as_secs_f64(),
    );
    let quantiles = load.latency.quantile_seconds(0.5).zip(load.latency.quantile_seconds(0.99));
    if let Some((p50, p99)) = quantiles {
        let (p50, p99) = (p50 * 1e3, p99 * 1e3);
        text += &format!(
            "the load sent {} requests: {} answered, {} failed; half of them within {p50:.1} ms, 99% within {p99:.1} ms\n",
            load.sent, load.answered, load.failed,
        );
    }
    text
}
