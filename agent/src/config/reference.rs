//! What there is to configure, told from the code that reads it: the tables of the file as they are declared, and the options of the
//! command line as clap knows them. The [page](page) in `docs/`, the [file](commented) that packages install and `--help` are made of it.
//!
//! A table is declared by [`table!`], which makes the structure that is read and the list of its keys from one text. A key of which
//! nothing is said, or a table within a table that is not declared so, does not compile; a key that nothing explains fails a test.

mod commented;
mod page;

use clap::{Arg, Command};

pub(crate) use commented::commented_file;
pub(crate) use page::page;

use super::File;

/// A table of the file, as it is declared.
pub(crate) trait Table {
    /// Its keys, in order.
    const KEYS: &'static [Key];
}

/// A key of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// What stands above it in the code; nothing where an option explains it.
    pub(crate) comment: &'static [&'static str],
    pub(crate) about: About,
}

/// What is said of a key besides its meaning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    kind: &'static str,
    default: Default,
    /// Where to read more, in Markdown.
    more: &'static str,
    /// Variables of the environment that come before the file, the strongest first; that of an option is known from the option.
    pub(super) variables: &'static [&'static str],
    table: Option<Inner>,
}

#[derive(Clone, Copy, Debug)]
enum Default {
    /// As it would be written in the file.
    Written(fn() -> String),
    /// In words, and what might be written instead.
    Words(&'static str, &'static str),
}

/// A table within the file.
#[derive(Clone, Copy, Debug)]
struct Inner {
    keys: &'static [Key],
    /// There may be several.
    is_list: bool,
}

impl About {
    /// A key whose value is of this kind, with its default as it would be written.
    pub(crate) const fn with_default(kind: &'static str, default: fn() -> String) -> Self {
        Self { kind, default: Default::Written(default), more: "", variables: &[], table: None }
    }

    /// A key whose default are words, with an example of a value.
    pub(crate) const fn without(kind: &'static str, words: &'static str, example: &'static str) -> Self {
        Self { kind, default: Default::Words(words, example), more: "", variables: &[], table: None }
    }

    /// A table.
    pub(crate) const fn table<T: Table>() -> Self {
        let inner = Inner { keys: T::KEYS, is_list: false };
        Self { table: Some(inner), ..Self::without("a table", "none", "") }
    }

    /// Any number of tables.
    pub(crate) const fn tables<T: Table>() -> Self {
        let inner = Inner { keys: T::KEYS, is_list: true };
        Self { table: Some(inner), ..Self::without("tables", "none", "") }
    }

    /// Variables that come before the file, the strongest first.
    pub(crate) const fn variables(self, variables: &'static [&'static str]) -> Self {
        Self { variables, ..self }
    }

    /// Where to read more.
    pub(crate) const fn more(self, more: &'static str) -> Self {
        Self { more, ..self }
    }

    /// The default as it is told to people: `observe`.
    fn shown_default(&self) -> String {
        match self.default {
            Default::Written(written) => written().trim_matches('\'').to_owned(),
            Default::Words(words, _) => words.to_owned(),
        }
    }
}

/// Declares a table: the structure, and what is said of its keys.
macro_rules! table {
    (
        $(#[doc = $doc:literal])*
        #[derive($($derive:tt)*)]
        #[serde($($serde:tt)*)]
        $visibility:vis struct $name:ident {
            $(
                $(#[doc = $comment:literal])*
                $(#[serde($($of_key:tt)*)])?
                $of:vis $key:ident: $type:ty => $about:expr,
            )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive($($derive)*)]
        #[serde($($serde)*)]
        $visibility struct $name {
            $(
                $(#[doc = $comment])*
                $(#[serde($($of_key)*)])?
                $of $key: $type,
            )*
        }

        impl $crate::config::reference::Table for $name {
            const KEYS: &'static [$crate::config::reference::Key] = &[$(
                $crate::config::reference::Key {
                    name: stringify!($key),
                    comment: &[$($comment),*],
                    about: $about,
                }
            ),*];
        }
    };
}

pub(crate) use table;

/// A value as text in the file.
pub(crate) fn quoted(value: impl std::fmt::Display) -> String {
    format!("'{value}'")
}

/// Variables that no key and no option stands for, and their meaning.
pub(crate) const ALONE: &[(&str, &str)] = &[
    (
        "OTEL_EXPORTER_OTLP_METRICS_INSECURE",
        "whether an endpoint for gRPC without a scheme (`collector:4317`) is meant without TLS",
    ),
    ("OTEL_EXPORTER_OTLP_INSECURE", "the same, of all signals"),
    ("OTEL_SERVICE_NAME", "the agent's own `service.name`"),
    (
        "OTEL_RESOURCE_ATTRIBUTES",
        "attributes of the agent's own resource: `name=value,name=value`, percent-encoded",
    ),
];

/// A key with its place in the file, and the option that stands for it.
struct Entry<'a> {
    /// The name of its table; nothing for the file itself.
    table: &'static str,
    key: &'static Key,
    option: Option<&'a Arg>,
}

/// All keys, table by table; `agent` is the command with the options.
fn entries(agent: &Command) -> Vec<Entry<'_>> {
    let mut entries = of_table(agent, "", File::KEYS);
    for key in File::KEYS {
        if let Some(inner) = key.about.table {
            entries.extend(of_table(agent, key.name, inner.keys));
        }
    }
    entries
}

fn of_table<'a>(agent: &'a Command, table: &'static str, keys: &'static [Key]) -> Vec<Entry<'a>> {
    let entry = |key: &'static Key| {
        let id = if table.is_empty() { key.name.to_owned() } else { format!("{table}_{}", key.name) };
        let option = agent.get_arguments().find(|option| *option.get_id() == id.as_str());
        Entry { table, key, option }
    };
    keys.iter().map(entry).collect()
}

impl Entry<'_> {
    /// What it means: as the code says above the key, or as the option's help does. A sentence without its full stop.
    fn meaning(&self) -> String {
        let comment: Vec<_> = self.key.comment.iter().map(|line| line.trim()).collect();
        let meaning = match (comment.is_empty(), self.option) {
            (true, Some(option)) => {
                let help = option.get_long_help().or(option.get_help()).map(ToString::to_string);
                // Paragraphs become sentences.
                help.unwrap_or_default().replace(".\n\n", "\n\n").replace("\n\n", ". ")
            }
            _ => comment.join(" "),
        };
        meaning.trim_end_matches('.').to_owned()
    }

    /// The variables that come before the file, the strongest first.
    fn variables(&self) -> Vec<String> {
        let of_option = self.option.and_then(Arg::get_env).map(|name| name.to_string_lossy().into_owned());
        of_option.into_iter().chain(self.key.about.variables.iter().map(|&name| name.to_owned())).collect()
    }

    fn flag(&self) -> Option<String> {
        self.option.and_then(Arg::get_long).map(|name| format!("--{name}"))
    }
}

/// The command line with what it does not know of itself: the defaults, which are the file's, and what else can be set.
pub(crate) fn complete(command: Command) -> Command {
    command.mut_subcommand("agent", |agent| {
        let told = told(&agent);
        let examples = agent.get_after_help().map(ToString::to_string).unwrap_or_default();
        let defaults: Vec<(String, String)> = entries(&agent)
            .iter()
            .filter(|entry| matches!(entry.key.about.default, Default::Written(_)))
            .filter_map(|entry| Some((entry.option?.get_id().to_string(), entry.key.about.shown_default())))
            .collect();
        let agent = defaults.into_iter().fold(agent, |agent, (id, default)| {
            agent.mut_arg(id, |option| {
                let help = option.get_help().map(ToString::to_string).unwrap_or_default();
                option.help(format!("{help} [default: {default}]"))
            })
        });
        agent.after_long_help(format!("{examples}\n\n{told}"))
    })
}

/// All keys, with the options and the variables that come before them, for the help.
fn told(agent: &Command) -> String {
    let mut text = String::from(
        "Keys of the configuration, and what comes before each: options before variables, variables\n\
         before the file, and of several variables the first:\n",
    );
    for entry in entries(agent) {
        if let Some(inner) = entry.key.about.table {
            let of = if inner.is_list { "each begun with its name in [[]]" } else { "below" };
            text += &format!("  {} ({}, {of})\n", entry.key.name, entry.key.about.kind);
            continue;
        }
        let place = if entry.table.is_empty() { String::new() } else { format!("{}.", entry.table) };
        text += &format!("  {place}{}\n", entry.key.name);
        for before in entry.flag().into_iter().chain(entry.variables()) {
            text += &format!("      {before}\n");
        }
    }
    text += "\nVariables that no key stands for:\n";
    let of_options = agent.get_arguments().filter_map(Arg::get_env).map(|name| name.to_string_lossy());
    let known: Vec<_> = entries(agent).iter().flat_map(Entry::variables).collect();
    for name in of_options.filter(|name| !known.iter().any(|known| known == name)) {
        text += &format!("  {name}\n");
    }
    for (name, _) in ALONE {
        text += &format!("  {name}\n");
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests;
