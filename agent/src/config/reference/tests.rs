//! Everything that can be set is explained, and the files that are made of it are as committed.

use std::path::Path;

use clap::CommandFactory;

use super::super::{Settings, parse};
use super::*;
use crate::cli::{AgentOptions, Cli};

fn agent() -> Command {
    Cli::command().find_subcommand("agent").expect("there is one").clone()
}

#[test]
fn every_key_is_explained() {
    let agent = agent();
    for entry in entries(&agent) {
        let name = format!("[{}] {}", entry.table, entry.key.name);
        assert!(entry.meaning().len() > 10, "{name} has no comment, and no option that explains it");
        let is_table = entry.key.about.table.is_some();
        assert!(
            is_table || entry.key.about.example().is_some(),
            "{name} has neither a default nor an example"
        );
    }
}

#[test]
fn what_is_read_is_what_is_listed() {
    // Whatever is unknown, the error lists what is known.
    let known = |text: &str| {
        let error = toml::from_str::<File>(text).unwrap_err();
        error.message().split('`').skip(3).step_by(2).map(str::to_owned).collect::<Vec<_>>()
    };
    let listed = |keys: &[Key]| keys.iter().map(|key| key.name.to_owned()).collect::<Vec<_>>();
    assert_eq!(known("zzz = 1"), listed(File::KEYS));
    for key in File::KEYS {
        let Some(inner) = key.about.table else { continue };
        let name = if inner.is_list { format!("[[{}]]", key.name) } else { format!("[{}]", key.name) };
        assert_eq!(known(&format!("{name}\nzzz = 1")), listed(inner.keys), "{name}");
    }
}

#[test]
fn every_option_has_a_variable_but_those_for_one_time() {
    let agent = agent();
    for option in agent.get_arguments() {
        let (id, variable) = (option.get_id().as_str(), option.get_env().and_then(|name| name.to_str()));
        match id {
            "help" | "version" | "check" => assert_eq!(variable, None, "{id}"),
            // OpenTelemetry has variables for it.
            "otlp_endpoint" => assert_eq!(variable, None),
            _ => {
                let name = option.get_long().expect("options have names").replace('-', "_").to_uppercase();
                assert_eq!(variable, Some(format!("LOOPSCOPE_{name}").as_str()));
            }
        }
    }
}

#[test]
fn the_help_lists_every_variable_and_every_key() {
    let command = complete(Cli::command());
    let mut completed = command.find_subcommand("agent").expect("there is one").clone();
    let help = completed.render_long_help().to_string();
    let agent = agent();
    let variables = entries(&agent).iter().flat_map(Entry::variables).collect::<Vec<_>>();
    let alone = ALONE.iter().map(|(name, _)| (*name).to_owned());
    for name in
        variables.into_iter().chain(alone).chain(entries(&agent).iter().map(|it| it.key.name.to_owned()))
    {
        assert!(help.contains(&name), "{name}");
    }
    assert!(help.contains("LOOPSCOPE_CONFIG") && help.contains("[default: 127.0.0.1:9464]"), "{help}");
}

#[test]
fn the_commented_file_changes_nothing_and_its_lines_are_understood() {
    let file = commented_file(&agent());
    let settings = |text: &str| {
        parse(Path::new("agent.toml"), text).map(|file| Settings::of(file, &AgentOptions::default()))
    };
    assert_eq!(settings(&file).unwrap().to_string(), Settings::default().to_string());
    let keys = file.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if !key.starts_with(' ') => key,
        _ => line,
    });
    let all = keys.collect::<Vec<_>>().join("\n");
    let parsed = parse(Path::new("agent.toml"), &all).unwrap();
    assert!(all.contains("\ntier = 'observe'\n") && parsed.rule.len() == 1, "{all}");
    for fixed in ["tier     observe\n", "budget   1%", "slow     50ms\n"] {
        let told = settings(&all).unwrap().to_string();
        assert!(told.contains(fixed), "{told}");
    }
}

#[test]
fn the_generated_files_are_as_committed() {
    let agent = agent();
    let files = [
        (
            "docs/configuration-reference.md",
            page(&agent),
            include_str!("../../../../docs/configuration-reference.md"),
        ),
        ("packaging/agent.toml", commented_file(&agent), include_str!("../../../../packaging/agent.toml")),
    ];
    for (path, made, committed) in files {
        assert!(made == committed, "{path} is out of date: run `cargo xtask generate`");
    }
}

impl About {
    fn example(&self) -> Option<String> {
        match self.default {
            Default::Written(written) => Some(written()),
            Default::Words(_, example) => Some(example.to_owned()).filter(|example| !example.is_empty()),
        }
    }
}
