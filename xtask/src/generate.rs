//! `cargo xtask generate`: writes the files that are made from the code. A test compares them with what is committed.

use std::fmt::Write;

use model::catalogue::{CATALOGUE, Kind, Metric, Scope, Unit};

use crate::command::{Error, cargo, output};
use crate::dashboards;
use crate::repository::root;

/// Writes every generated file.
pub(crate) fn run() -> Result<(), Error> {
    // The program knows its configuration; a test of it compares these two.
    let of_program = OF_THE_PROGRAM.iter().map(|(path, what)| {
        let mut program = cargo();
        program.args(["run", "--quiet", "--package", "loopscope", "--", "reference", what]);
        let text = output(program.current_dir(root()))?;
        Ok((*path, String::from_utf8_lossy(&text).into_owned()))
    });
    for (path, text) in files().into_iter().chain(of_program.collect::<Result<Vec<_>, Error>>()?) {
        let path = root().join(path);
        let folder = path.parent().expect("a generated file lies in the repository");
        let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text));
        written.map_err(|error| Error::File { path, error })?;
    }
    Ok(())
}

/// Files that the program `loopscope` makes: the path, and what it is asked for.
const OF_THE_PROGRAM: &[(&str, &str)] =
    &[("docs/configuration-reference.md", "page"), ("packaging/agent.toml", "file")];

/// Each file that is made here: its path from the root of the repository, and its text.
fn files() -> Vec<(&'static str, String)> {
    let mut files = vec![("docs/metrics.md", metrics_page())];
    files.extend(dashboards::files());
    files
}

/// The reference page of all metrics.
fn metrics_page() -> String {
    let mut page = String::from(
        "<!-- Made by `cargo xtask generate` from model/src/catalogue.rs. -->\n\n\
         # Metrics\n\n\
         Every series of a target carries `service` and `pid`; series of an event loop also `loop`: its name, or its number where it has none. \
         What a target does not measure is absent, never zero. \
         Node.js processes have [prom-client's names](prom-client.md), too, where those are asked for.\n\n\
         Histograms hold durations in base-2 exponential buckets, eight to a power of two (schema 3), and add up exactly across loops, processes and \
         hosts. Scraped as protobuf they arrive as native histograms; as text, with every bucket boundary a power of two of a second.\n",
    );
    let sections = [
        ("Event loop", Scope::Loop, "One series a loop."),
        ("Process", Scope::Process, "Thread pool, native heap, and the kernel's accounting of the process."),
        (
            "Runtime",
            Scope::Runtime,
            "One series a runtime of [tokio](tokio.md), with the label `runtime`: its name.",
        ),
        ("Agent", Scope::Agent, "The agent on itself, without the labels of a target."),
        ("Collector", Scope::Collector, "[The collector](collector.md) on itself."),
    ];
    for (title, scope, note) in sections {
        write!(page, "\n## {title}\n\n{note}\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n")
            .expect(TEXT);
        for metric in CATALOGUE.iter().filter(|metric| metric.scope == scope) {
            writeln!(page, "{}", row(metric)).expect(TEXT);
        }
    }
    page.push_str("\n## Labels\n\n| label | of | values |\n|---|---|---|\n");
    for metric in CATALOGUE {
        for label in metric.labels.iter().filter(|label| label.is_closed()) {
            writeln!(page, "| `{}` | `{}` | {} |", label.name, metric.name, label.values.join(", "))
                .expect(TEXT);
        }
    }
    page
}

const TEXT: &str = "a string takes all text";

fn row(metric: &Metric) -> String {
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let unit = match metric.unit {
        Unit::Seconds => ", seconds",
        Unit::Bytes => ", bytes",
        Unit::Count => "",
    };
    let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{}`", label.name)).collect();
    format!("| `{}` | {kind}{unit} | {} | {} |", metric.name, labels.join(", "), metric.help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_files_are_as_committed() {
        for (path, text) in files() {
            let committed = std::fs::read_to_string(root().join(path)).unwrap_or_default();
            assert!(committed == text, "{path} is out of date: run `cargo xtask generate`");
        }
    }
}
