//! What the two text formats share: nearly everything.

use std::io;

use model::catalogue::{Kind, Metric, Unit};
use model::histogram::Histogram;
use model::snapshot::{Exemplar, Series, Snapshot, Value};

use super::classic;
use crate::number::{push_decimal, push_integer};

/// Where the two text formats part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Text,
    OpenMetrics,
}

/// As much text as is held before it is handed on: enough for few writes, little beside a scrape's whole answer.
const CHUNK_BYTES: usize = 64 * 1024;

pub(super) fn encode(dialect: Dialect, snapshot: &Snapshot, out: &mut impl io::Write) -> io::Result<()> {
    let mut lines = Lines { dialect, text: Vec::with_capacity(CHUNK_BYTES * 5 / 4), labels: Vec::new() };
    for family in snapshot.families() {
        lines.head(family.metric);
        for series in family.series {
            lines.series(family.metric, series);
            if lines.text.len() >= CHUNK_BYTES {
                out.write_all(&lines.text)?;
                lines.text.clear();
            }
        }
    }
    if dialect == Dialect::OpenMetrics {
        lines.push("# EOF\n");
    }
    out.write_all(&lines.text)
}

struct Lines {
    dialect: Dialect,
    /// Lines that are not written yet.
    text: Vec<u8>,
    /// The labels of the current series, escaped, separated by commas.
    labels: Vec<u8>,
}

impl Lines {
    fn push(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    fn head(&mut self, metric: &Metric) {
        let family = match self.dialect {
            Dialect::Text => metric.name,
            Dialect::OpenMetrics => metric.family_name(),
        };
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.comment("HELP", family, |lines| {
            let quotes = lines.dialect == Dialect::OpenMetrics;
            push_escaped(&mut lines.text, metric.help, quotes);
        });
        self.comment("TYPE", family, |lines| lines.push(kind));
        let unit = match metric.unit {
            Unit::Seconds => "seconds",
            Unit::Bytes => "bytes",
            Unit::Count => return,
        };
        if self.dialect == Dialect::OpenMetrics {
            self.comment("UNIT", family, |lines| lines.push(unit));
        }
    }

    fn comment(&mut self, keyword: &str, family: &str, text: impl FnOnce(&mut Self)) {
        for part in ["# ", keyword, " ", family, " "] {
            self.push(part);
        }
        text(self);
        self.push("\n");
    }

    fn series(&mut self, metric: &Metric, series: &Series) {
        self.labels.clear();
        for (name, value) in series.labels() {
            if !self.labels.is_empty() {
                self.labels.push(b',');
            }
            self.labels.extend_from_slice(name.as_bytes());
            self.labels.extend_from_slice(b"=\"");
            push_escaped(&mut self.labels, value, true);
            self.labels.push(b'"');
        }
        match &series.value {
            Value::Counter(count) => self.line(metric.name, "", None, |text| {
                push_number(text, metric.unit, *count);
            }),
            Value::Gauge(reading) => self.line(metric.name, "", None, |text| {
                if *reading < 0 {
                    text.push(b'-');
                }
                push_number(text, metric.unit, reading.unsigned_abs());
            }),
            Value::Histogram(histogram) => {
                // The older format has no place for one.
                let exemplar = series.exemplar.as_deref().filter(|_| self.dialect == Dialect::OpenMetrics);
                self.histogram(metric, histogram, exemplar);
            }
        }
    }

    fn histogram(&mut self, metric: &Metric, histogram: &Histogram, exemplar: Option<&Exemplar>) {
        let count = histogram.count();
        let bucket = exemplar.map(classic::bucket_of);
        for (index, (bound, at_most)) in classic::cumulative_counts(histogram).enumerate() {
            self.line(metric.name, "_bucket", Some(bound.le), |text| {
                push_integer(text, at_most);
                push_exemplar(text, exemplar.filter(|_| bucket == Some(index)));
            });
        }
        self.line(metric.name, "_bucket", Some("+Inf"), |text| {
            push_integer(text, count);
            push_exemplar(text, exemplar.filter(|_| bucket == Some(classic::BOUNDS.len())));
        });
        self.line(metric.name, "_sum", None, |text| push_number(text, metric.unit, histogram.sum_ns()));
        self.line(metric.name, "_count", None, |text| push_integer(text, count));
    }

    fn line(&mut self, name: &str, suffix: &str, le: Option<&str>, value: impl FnOnce(&mut Vec<u8>)) {
        self.push(name);
        self.push(suffix);
        if !self.labels.is_empty() || le.is_some() {
            self.push("{");
            self.text.extend_from_slice(&self.labels);
            if let Some(le) = le {
                self.push(if self.labels.is_empty() { "le=\"" } else { ",le=\"" });
                self.push(le);
                self.push("\"");
            }
            self.push("}");
        }
        self.push(" ");
        value(&mut self.text);
        self.push("\n");
    }
}

/// The most characters that names and values of an exemplar may have, by the specification.
const EXEMPLAR_CHARACTERS_MAX: usize = 128;

/// Writes an exemplar behind its bucket's count: `# {labels} value time`.
fn push_exemplar(text: &mut Vec<u8>, exemplar: Option<&Exemplar>) {
    let Some(exemplar) = exemplar else { return };
    let trace = exemplar.trace.map(|trace| trace.in_hexadecimal());
    let trace = trace.into_iter().flat_map(|(trace, span)| [("trace_id", trace), ("span_id", span)]);
    // Dots are for OpenTelemetry.
    let own = exemplar.labels.iter().map(|(name, value)| (*name, value.clone()));
    text.extend_from_slice(b" # {");
    let (mut characters, mut separator) = (0, "");
    for (name, value) in trace.chain(own) {
        characters += name.chars().count() + value.chars().count();
        if characters > EXEMPLAR_CHARACTERS_MAX {
            break;
        }
        text.extend_from_slice(separator.as_bytes());
        text.extend(name.bytes().map(|byte| if byte == b'.' { b'_' } else { byte }));
        text.extend_from_slice(b"=\"");
        push_escaped(text, &value, true);
        text.push(b'"');
        separator = ",";
    }
    text.extend_from_slice(b"} ");
    push_decimal(text, exemplar.value_ns, 9);
    text.push(b' ');
    push_decimal(text, exemplar.time_unix_ns, 9);
}

/// Writes a help text or a label's value; in help texts of the older format quotes stand for themselves.
fn push_escaped(text: &mut Vec<u8>, value: &str, quotes: bool) {
    // As nearly all are.
    if !value.bytes().any(|byte| matches!(byte, b'\\' | b'\n' | b'"')) {
        return text.extend_from_slice(value.as_bytes());
    }
    for byte in value.bytes() {
        match byte {
            b'\\' => text.extend_from_slice(b"\\\\"),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'"' if quotes => text.extend_from_slice(b"\\\""),
            byte => text.push(byte),
        }
    }
}

/// Writes a number that counts nanoseconds, bytes or things.
fn push_number(text: &mut Vec<u8>, unit: Unit, number: u64) {
    match unit {
        Unit::Seconds => push_decimal(text, number, 9),
        Unit::Bytes | Unit::Count => push_integer(text, number),
    }
}
