//! The figures as a Markdown table.

use std::fmt::Write;

use crate::Options;
use crate::program::{Program, Run};
use crate::rows::Row;

/// For counting system calls: what starting the program takes is taken off as the difference of two runs.
const FEW: u64 = 10;

pub(crate) struct Report {
    text: String,
}

impl Report {
    pub(crate) fn new(names: &[String], options: &Options) -> Self {
        let mut text = String::from("| row |");
        for name in names {
            write!(text, " {name}: CPU ns |").expect(ANY_TEXT);
        }
        for name in &names[1..] {
            write!(text, " {name}: ratio | quartiles |").expect(ANY_TEXT);
        }
        text += " operations per CPU second | peak MiB |";
        if options.calls {
            text += " system calls |";
        }
        if options.instructions {
            text += " instructions |";
        }
        let columns = text.matches('|').count() - 1;
        writeln!(text, "\n|{}", "---|".repeat(columns)).expect(ANY_TEXT);
        Self { text }
    }

    pub(crate) fn row(&mut self, row: &Row, count: u64, programs: &[Program], options: &Options) {
        let mut runs: Vec<Vec<Run>> = vec![Vec::new(); programs.len()];
        for _ in 0..options.rounds {
            for (program, runs) in programs.iter().zip(&mut runs) {
                runs.extend(program.run(row.name, count));
            }
        }
        let per_operation = |ns: f64| ns / count as f64;
        let cpu_ns = |runs: &[Run]| Some(per_operation(quantile(runs.iter().map(|run| run.cpu_ns), 2)?));
        let peak_mib = |runs: &[Run]| Some(quantile(runs.iter().map(|run| run.peak_kib), 2)? / 1024.0);
        let wall_ns = |runs: &[Run]| Some(per_operation(quantile(runs.iter().map(|run| run.wall_ns), 2)?));
        write!(self.text, "| `{}`: {} |", row.name, row.operation).expect(ANY_TEXT);
        for runs in &runs {
            self.cell(cpu_ns(runs), 0);
        }
        for others in &runs[1..] {
            let ratios = || others.iter().zip(&runs[0]).map(|(other, libuv)| other.cpu_ns / libuv.cpu_ns);
            self.cell(quantile(ratios(), 2), 2);
            self.text.pop();
            self.text.pop();
            match (quantile(ratios(), 1), quantile(ratios(), 3)) {
                (Some(lower), Some(upper)) => write!(self.text, " | {lower:.2} – {upper:.2} |"),
                _ => write!(self.text, " | |"),
            }
            .expect(ANY_TEXT);
        }
        self.list(&runs, |runs| cpu_ns(runs).map(|ns| format!("{:.0}", 1e9 / ns)));
        self.list(&runs, |runs| peak_mib(runs).map(|mib| format!("{mib:.1}")));
        let difference =
            |of: &dyn Fn(u64) -> Option<f64>| Some((of(count / 4)? - of(FEW)?) / (count / 4 - FEW) as f64);
        let mut counted = |asked: bool, count: &dyn Fn(&Program, u64) -> Option<f64>, digits: usize| {
            let with_row = programs.iter().zip(&runs).filter(|(_, runs)| asked && !runs.is_empty());
            let counts =
                with_row.filter_map(|(program, _)| difference(&|operations| count(program, operations)));
            let cells: Vec<_> = counts.map(|count| format!("{count:.digits$}")).collect();
            if asked {
                write!(self.text, " {} |", cells.join(", ")).expect(ANY_TEXT);
            }
        };
        counted(options.calls, &|program, operations| program.calls(row.name, operations), 2);
        counted(options.instructions, &|program, operations| program.instructions(row.name, operations), 0);
        self.text += "\n";
        let walls: Vec<_> =
            runs.iter().filter_map(|runs| wall_ns(runs)).map(|ns| format!("{ns:.0}")).collect();
        eprint_progress(row.name, &walls);
    }

    fn cell(&mut self, number: Option<f64>, digits: usize) {
        match number {
            Some(number) => write!(self.text, " {number:.digits$} |"),
            None => write!(self.text, " – |"),
        }
        .expect(ANY_TEXT);
    }

    /// One cell for all programs that have the row.
    fn list(&mut self, runs: &[Vec<Run>], figure: impl Fn(&[Run]) -> Option<String>) {
        let figures: Vec<_> = runs.iter().filter_map(|runs| figure(runs)).collect();
        write!(self.text, " {} |", figures.join(", ")).expect(ANY_TEXT);
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

const ANY_TEXT: &str = "a string takes all text";

/// The first, second or third quartile.
fn quantile(numbers: impl Iterator<Item = f64>, quarter: usize) -> Option<f64> {
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    let last = numbers.len().checked_sub(1)?;
    Some(numbers[(last * quarter + 2) / 4])
}

#[expect(clippy::print_stderr, reason = "a benchmark of minutes says how far it is")]
fn eprint_progress(row: &str, walls: &[String]) {
    eprintln!("{row}: on the wall {} ns", walls.join(", "));
}
