//! What rounds came to.

use std::fmt::Write;

use crate::server::Window;

/// What one way of measuring cost, over all rounds.
#[derive(Debug)]
pub(crate) struct Summary {
    name: String,
    /// CPU time per request, to that with nothing attached.
    cpu: Vec<f64>,
    /// Requests per second, to those with nothing attached.
    rate: Vec<f64>,
    /// CPU time per request, in microseconds.
    cpu_us: Vec<f64>,
    /// What was added to a request, in microseconds.
    added_us: Vec<f64>,
    /// Hits of probes per request.
    hits: Vec<f64>,
}

impl Summary {
    pub(crate) fn new(name: String) -> Self {
        let none = Vec::new;
        Self { name, cpu: none(), rate: none(), cpu_us: none(), added_us: none(), hits: none() }
    }

    pub(crate) fn add(&mut self, before: &Window, during: &Window, after: &Window, hits: Option<f64>) {
        let plain_us = f64::midpoint(before.cpu_us(), after.cpu_us());
        self.cpu.push(during.cpu_us() / plain_us);
        self.rate.push(during.rate() / f64::midpoint(before.rate(), after.rate()));
        self.cpu_us.push(during.cpu_us());
        self.added_us.push(during.cpu_us() - plain_us);
        self.hits.extend(hits.map(|hits| hits / during.requests()));
    }
}

/// All ways as a Markdown table.
pub(crate) fn table(summaries: &[Summary]) -> String {
    let mut text =
        "| attached | CPU µs/operation | ratio | quartiles | operations/s, ratio | hits/operation | ns/hit |\n\
                    |---|---|---|---|---|---|---|\n"
            .to_owned();
    for summary in summaries.iter().filter(|summary| !summary.cpu.is_empty()) {
        let cpu = Quartiles::of(&summary.cpu);
        let middle = |values: &[f64]| Quartiles::of(values).middle;
        let hits = (!summary.hits.is_empty()).then(|| middle(&summary.hits));
        let (hits, each) = match hits {
            Some(hits) if hits > 0.0 => {
                (format!("{hits:.3}"), format!("{:.0}", middle(&summary.added_us) * 1e3 / hits))
            }
            _ => ("".to_owned(), "".to_owned()),
        };
        writeln!(
            text,
            "| {} | {:.1} | {:.3} | {:.3} – {:.3} | {:.2} | {hits} | {each} |",
            summary.name,
            middle(&summary.cpu_us),
            cpu.middle,
            cpu.lower,
            cpu.upper,
            middle(&summary.rate),
        )
        .expect("a string takes all text");
    }
    text
}

/// The middle of some figures, and what a quarter of them is below and above.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quartiles {
    pub(crate) lower: f64,
    pub(crate) middle: f64,
    pub(crate) upper: f64,
}

impl Quartiles {
    pub(crate) fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let position = share * (sorted.len() - 1) as f64;
            let (below, rest) = (position.floor() as usize, position.fract());
            let above = sorted[(below + 1).min(sorted.len() - 1)];
            sorted[below] + (above - sorted[below]) * rest
        };
        Self { lower: at(0.25), middle: at(0.5), upper: at(0.75) }
    }
}
