//! The reference page, in Markdown.

use std::fmt::Write;

use clap::{Arg, Command};

use super::{ALONE, Default, Entry, File, Table, entries, of_table};

const TEXT: &str = "a string takes all text";

const BEGINNING: &str = "\
<!-- Made by `cargo xtask generate` from agent/src/config.rs, what lies below it, and agent/src/cli.rs. -->

# Configuration: the reference

Every key of the file, every option of `loopscope agent` and every variable of the environment. Options come before variables, variables before the file; of several
variables the first that is set counts, and an empty one of OpenTelemetry is none; where a name has `METRICS` in it, there is one with `TRACES` and one with `PROFILES` for those. A key that there is not is an error. How they work together, with examples, is told in
[Configuration](configuration.md) and [OTLP](otlp.md).
";

/// The page; `agent` is the command with the options.
pub(crate) fn page(agent: &Command) -> String {
    let mut page = BEGINNING.to_owned();
    part(&mut page, "The file", &of_table(agent, "", File::KEYS));
    for key in File::KEYS {
        let Some(inner) = key.about.table else { continue };
        let title = if inner.is_list { format!("`[[{}]]`", key.name) } else { format!("`[{}]`", key.name) };
        part(&mut page, &title, &of_table(agent, key.name, inner.keys));
    }
    let all = entries(agent);
    page += "\n## Options that no key stands for\n\n| option | variable | meaning |\n|---|---|---|\n";
    let is_known = |option: &Arg| all.iter().any(|entry| entry.option.is_some_and(|own| own == option));
    let of_every_command = ["help", "version"];
    for option in agent.get_arguments().filter(|option| !is_known(option)) {
        if of_every_command.contains(&option.get_id().as_str()) {
            continue;
        }
        let variable = option.get_env().map(|name| format!("`{}`", name.to_string_lossy()));
        let help = option.get_help().map(ToString::to_string).unwrap_or_default();
        let long = option.get_long().unwrap_or_default();
        writeln!(page, "| `--{long}` | {} | {} |", variable.unwrap_or_default(), cell(&lower(&help)))
            .expect(TEXT);
    }
    page += "\n## Variables that no key stands for\n\n| variable | meaning |\n|---|---|\n";
    for (name, meaning) in ALONE {
        writeln!(page, "| `{name}` | {} |", cell(meaning)).expect(TEXT);
    }
    page
}

fn part(page: &mut String, title: &str, entries: &[Entry<'_>]) {
    write!(page, "\n## {title}\n\n").expect(TEXT);
    let has_sources = entries.iter().any(|entry| entry.flag().is_some() || !entry.variables().is_empty());
    let (columns, line) = if has_sources { (" option | variable |", "---|---|") } else { ("", "") };
    write!(page, "| key | value | default |{columns} meaning |\n|---|---|---|{line}---|\n").expect(TEXT);
    for entry in entries {
        let about = &entry.key.about;
        let default = match about.default {
            Default::Written(written) => format!("`{}`", written()),
            Default::Words(words, _) => words.to_owned(),
        };
        let more = if about.more.is_empty() { String::new() } else { format!(" ({})", about.more) };
        let meaning = cell(&lower(&entry.meaning())) + &more;
        write!(page, "| `{}` | {} | {} |", entry.key.name, cell(about.kind), cell(&default)).expect(TEXT);
        if has_sources {
            let flag = entry.flag().map(|flag| format!("`{flag}`")).unwrap_or_default();
            let variables: Vec<_> = entry.variables().iter().map(|name| format!("`{name}`")).collect();
            write!(page, " {flag} | {} |", variables.join(", ")).expect(TEXT);
        }
        writeln!(page, " {meaning} |").expect(TEXT);
    }
}

/// Text of a cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// A sentence as it stands in a table.
fn lower(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().map(char::to_lowercase);
    first.into_iter().flatten().chain(letters).collect()
}
