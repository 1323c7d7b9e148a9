//! The file that packages install: every key, with its default or an example, all of it commented out.

use std::fmt::Write;

use clap::Command;

use super::{Default, Entry, File, Table, of_table};

const TEXT: &str = "a string takes all text";

const WIDTH: usize = 100;

const BEGINNING: &str = "\
# Made by `cargo xtask generate` from agent/src/config.rs and what lies below it.
#
# The configuration of the agent. Nothing needs to be set: every key is here with its default, or with an example where it
# has none, and commented out. Options of the command line come before variables of the environment, and these before this file.
#   loopscope agent --config /etc/loopscope/agent.toml --check     tells how the file is understood
#   systemctl reload loopscope-agent                               makes the agent read it again
";

/// The file; `agent` is the command with the options.
pub(crate) fn commented_file(agent: &Command) -> String {
    let mut file = BEGINNING.to_owned();
    part(&mut file, &of_table(agent, "", File::KEYS));
    for key in File::KEYS {
        let Some(inner) = key.about.table else { continue };
        let name = if inner.is_list { format!("[[{}]]", key.name) } else { format!("[{}]", key.name) };
        let all = of_table(agent, "", File::KEYS);
        let entry = all.iter().find(|entry| entry.key.name == key.name).expect("it is one of them");
        write!(file, "\n{}#{name}\n", wrapped(entry)).expect(TEXT);
        part(&mut file, &of_table(agent, key.name, inner.keys));
    }
    file
}

fn part(file: &mut String, entries: &[Entry<'_>]) {
    for entry in entries.iter().filter(|entry| entry.key.about.table.is_none()) {
        let value = match entry.key.about.default {
            Default::Written(written) => written(),
            Default::Words(_, example) => example.to_owned(),
        };
        write!(file, "\n{}#{} = {value}\n", wrapped(entry), entry.key.name).expect(TEXT);
    }
}

/// What an entry means, in lines.
fn wrapped(entry: &Entry<'_>) -> String {
    let default = match entry.key.about.default {
        Default::Words(words, _) if entry.key.about.table.is_none() => format!("; without it: {words}"),
        _ => String::new(),
    };
    let text = entry.meaning() + &default + ".";
    let mut lines = vec![String::from("#")];
    for word in text.split_whitespace() {
        if lines.last().is_some_and(|line| line.len() + word.len() >= WIDTH) {
            lines.push(String::from("#"));
        }
        if let Some(line) = lines.last_mut() {
            *line += " ";
            *line += word;
        }
    }
    lines.join("\n") + "\n"
}
