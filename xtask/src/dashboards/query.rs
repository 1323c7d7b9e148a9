//! Questions to Prometheus, written by the catalogue's metrics.
//!
//! **Distributions are asked for in both shapes.** The agent's histograms arrive as native ones where Prometheus scrapes protocol buffers,
//! and as classic ones, with `_bucket`, `_sum` and `_count`, where it scrapes text. Whoever looks does not know which; so every question
//! about a distribution is asked of the native one `or` of the classic one, and one of the two is empty. Quantiles are exact to a
//! bucket: 9% with native histograms, a power of two with classic ones.
//!
//! **A quantile of iterations is not one of time.** A loop with a thousand short iterations and one block of 200 ms each second has a 99th
//! percentile far below 1 ms, while a fifth of all events wait for the block. So beside the quantile stand always the longest iteration and the
//! number of those that are longer than a bound.

use model::catalogue::{Kind, Metric, Scope};
use model::label::{Label, LabelValue};

/// The labels that tell one loop from all others, of all hosts.
pub(super) const LOOP: &str = "job, instance, service, pid, loop";
/// The labels that tell one process from all others.
pub(super) const PROCESS: &str = "job, instance, service, pid";
/// The labels that tell one runtime from all others.
pub(super) const RUNTIME: &str = "job, instance, service, pid, runtime";
/// The labels that tell one agent from all others.
pub(super) const AGENT: &str = "job, instance";

/// Where questions are asked from: which series they are about, and over which window rates are taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    /// The window of rates.
    pub(super) window: &'static str,
    /// What series of an agent must match; those of a process must, too, and so on.
    pub(super) agent: &'static str,
    pub(super) process: &'static str,
    pub(super) event_loop: &'static str,
    pub(super) runtime: &'static str,
}

/// A matcher of one more label.
pub(super) type Own = (&'static str, &'static str, &'static str);

/// A label has this value.
pub(super) fn is<L: LabelValue>(value: L) -> Own {
    (L::LABEL.name, "=", value.as_str())
}

/// A label has another value.
pub(super) fn is_not<L: LabelValue>(value: L) -> Own {
    (L::LABEL.name, "!=", value.as_str())
}

/// The name of a label by which series are added up, behind others.
pub(super) fn and(by: &str, label: &Label) -> String {
    format!("{by}, {}", label.name)
}

impl Asker {
    /// The series of a gauge or counter.
    pub(super) fn series(&self, metric: &Metric, own: &[Own]) -> String {
        assert!(metric.kind != Kind::Histogram, "{} is a distribution", metric.name);
        self.named(metric, "", own)
    }

    /// Growth of a counter per second.
    pub(super) fn rate(&self, metric: &Metric, own: &[Own]) -> String {
        assert_eq!(metric.kind, Kind::Counter, "{} is no counter", metric.name);
        format!("rate({}[{}])", self.named(metric, "", own), self.window)
    }

    /// Growth of a counter per second, added up.
    pub(super) fn sum_of_rates(&self, by: &str, metric: &Metric, own: &[Own]) -> String {
        format!("sum by ({by}) ({})", self.rate(metric, own))
    }

    /// What a distribution took in within the window, added up.
    pub(super) fn distribution(&self, by: &str, metric: &Metric, own: &[Own]) -> Distribution {
        assert_eq!(metric.kind, Kind::Histogram, "{} is no distribution", metric.name);
        let added = |suffix: &str, by: &str, own: &[Own]| {
            format!("sum by ({by}) (rate({}[{}]))", self.named(metric, suffix, own), self.window)
        };
        let by_bound = if by.is_empty() { "le".to_owned() } else { format!("{by}, le") };
        let up_to_long = [own, &[("le", "=", LONG_SECONDS)]].concat();
        Distribution {
            native: added("", by, own),
            buckets: added("_bucket", &by_bound, own),
            sum: added("_sum", by, own),
            count: added("_count", by, own),
            count_up_to_long: added("_bucket", by, &up_to_long),
        }
    }

    fn named(&self, metric: &Metric, suffix: &str, own: &[Own]) -> String {
        let scope = match metric.scope {
            // Without labels of a process, too; whose it is, the job tells.
            Scope::Agent | Scope::Collector => self.agent,
            Scope::Process => self.process,
            Scope::Loop => self.event_loop,
            Scope::Runtime => self.runtime,
        };
        let own = own.iter().map(|(label, operator, value)| format!("{label}{operator}\"{value}\""));
        let matchers: Vec<_> =
            Some(scope.to_owned()).filter(|scope| !scope.is_empty()).into_iter().chain(own).collect();
        if matchers.is_empty() {
            return format!("{}{suffix}", metric.name);
        }
        format!("{}{suffix}{{{}}}", metric.name, matchers.join(", "))
    }
}

/// From how long on an iteration counts as a block: a bound of the buckets, classic and native, so that counts beyond it are exact.
pub(super) const LONG_SECONDS: &str = "0.125";

/// The rates of a distribution in both shapes.
#[derive(Debug)]
pub(super) struct Distribution {
    native: String,
    buckets: String,
    sum: String,
    count: String,
    count_up_to_long: String,
}

impl Distribution {
    /// A quantile; nothing, and not "no number", where the distribution got nothing.
    pub(super) fn quantile(&self, quantile: &str) -> String {
        let Self { native, buckets, .. } = self;
        format!(
            "histogram_quantile({quantile}, {native}) >= 0 or histogram_quantile({quantile}, {buckets}) >= 0"
        )
    }

    /// The upper bound of the highest bucket that got something.
    pub(super) fn longest(&self) -> String {
        self.quantile("1")
    }

    /// How many seconds a second.
    pub(super) fn sum(&self) -> String {
        format!("histogram_sum({}) or {}", self.native, self.sum)
    }

    /// How many a second are longer than [`LONG_SECONDS`].
    pub(super) fn count_of_long(&self) -> String {
        let Self { native, count, count_up_to_long, .. } = self;
        // A share of nothing is no number; its count is zero.
        let native_long =
            format!("histogram_count({native}) * histogram_fraction({LONG_SECONDS}, +Inf, {native}) >= 0");
        format!("{native_long} or histogram_count({native}) or {count} - {count_up_to_long}")
    }

    /// The distribution itself, for a heat map: a native one, or one series for each classic bucket.
    pub(super) fn heat(&self) -> String {
        format!("{} or {}", self.native, self.buckets)
    }
}
