//! The agent's configuration: which processes are measured from outside, and how deep.

mod rules;
mod suggestion;
mod understood;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use attach::libuv::tiers::Tiers;
use attach::target::Pid;
use model::label::Tier;
use serde::{Deserialize, Deserializer};

use crate::agent::Names;
use crate::cli::{self, AgentOptions};
use crate::error::Error;
pub(crate) use rules::{Decision, Rules};

/// Probes may cost a process one hundredth of a core unless told otherwise.
const BUDGET: f64 = 0.01;

/// What Node.js's users call a blocked loop.
const SLOW: Duration = Duration::from_millis(50);

/// How processes are measured.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Which processes, and how deep.
    pub(crate) rules: Rules,
    /// The only processes that are looked at; all where none is named.
    pub(crate) only: BTreeSet<Pid>,
    /// The share of one core that probes may cost each process.
    pub(crate) budget: f64,
    /// How long an iteration is away from the poll to count as slow.
    pub(crate) slow: Duration,
    /// The names of a scrape that asks for none.
    pub(crate) names: Names,
}

/// The file, as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    #[serde(deserialize_with = "parsed")]
    tier: Option<Tiers>,
    #[serde(deserialize_with = "parsed_share")]
    budget: Option<f64>,
    #[serde(deserialize_with = "parsed_duration")]
    slow: Option<Duration>,
    prom_client: bool,
    rule: Vec<rules::Written>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rules: Rules::new(Tiers::only(Tier::Observe), Vec::new()),
            only: BTreeSet::new(),
            budget: BUDGET,
            slow: SLOW,
            names: Names::Loopscope,
        }
    }
}

impl Settings {
    /// No rules, and these tiers for all, if any are given; of some processes, or of all where none is named.
    pub(crate) fn with_tiers(tiers: Option<Tiers>, only: BTreeSet<Pid>) -> Self {
        let rules = Rules::new(tiers.unwrap_or(Tiers::only(Tier::Observe)), Vec::new());
        Self { rules, only, ..Self::default() }
    }

    /// Whether a process is looked at.
    pub(crate) fn is_wanted(&self, pid: Pid) -> bool {
        self.only.is_empty() || self.only.contains(&pid)
    }

    /// The settings that the options and the file that they name make.
    ///
    /// # Errors
    /// [`Error::Config`] where the file cannot be read or does not say what it should.
    pub(crate) fn new(options: &AgentOptions) -> Result<Self, Error> {
        let file = match &options.config {
            None => File::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Error::Config { path: path.clone(), message: error.to_string() })?;
                parse(path, &text)?
            }
        };
        Ok(Self::of(file, options))
    }

    /// What a file says; options come before.
    fn of(file: File, options: &AgentOptions) -> Self {
        let tiers = options.tier.or(file.tier).unwrap_or(Tiers::only(Tier::Observe));
        let prom_client = options.prom_client || file.prom_client;
        Self {
            rules: Rules::new(tiers, file.rule),
            only: BTreeSet::new(),
            budget: options.budget.or(file.budget).unwrap_or(BUDGET),
            slow: options.slow.or(file.slow).unwrap_or(SLOW),
            names: if prom_client { Names::Both } else { Names::Loopscope },
        }
    }
}

fn parse(path: &Path, text: &str) -> Result<File, Error> {
    toml::from_str(text).map_err(|error| Error::Config {
        path: path.to_owned(),
        message: suggestion::with_suggestion(&error),
    })
}

/// A share of a core as it is written: `1%`, `0.5%`, or `0.01`.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let (number, unit) = text.trim().strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    match number.trim().parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number / unit),
        _ => Err(format!("{text:?} is no share of a core; give one such as 1% or 0.01")),
    }
}

fn text<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).map(Some).map_err(serde::de::Error::custom)
}

fn parsed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Tiers>, D::Error> {
    text(deserializer, str::parse)
}

fn parsed_share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    text(deserializer, share)
}

fn parsed_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    text(deserializer, cli::duration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use attach::target::Facts;
    use clap::Parser;

    fn options(words: &[&str]) -> AgentOptions {
        let cli = cli::Cli::parse_from([&["loopscope", "agent"], words].concat());
        let cli::Command::Agent(options) = cli.command else { panic!("it is the agent's") };
        options
    }

    fn facts(command: &str) -> Facts {
        Facts {
            service: "shop".into(),
            program: "node".into(),
            name: "node".into(),
            command: command.into(),
            ..Facts::default()
        }
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let text = "tier = 'observe,loop'\nbudget = '2%'\nslow = '20ms'\n\
                    [[rule]]\ncommand = '*batch*'\ninclude = false\n\
                    [[rule]]\nname = 'no*'\ntier = 'all'\nrename = 'store'\n";
        let file = parse(Path::new("x.toml"), text).unwrap();
        assert_eq!((file.budget, file.slow), (Some(0.02), Some(Duration::from_millis(20))));
        let rules = Rules::new(file.tier.unwrap(), file.rule);
        assert_eq!(rules.decide(&facts("node batch.js")), Decision::Exclude);
        let measured = Decision::Measure { tiers: Tiers::ALL, service: Some("store".into()) };
        assert_eq!(rules.decide(&facts("node web.js")), measured);
        let other = Facts { program: "python3.11".into(), name: "python3".into(), ..facts("python3 web.py") };
        let tiers = Tiers::only(Tier::Observe).with(Tier::Loop);
        assert_eq!(rules.decide(&other), Decision::Measure { tiers, service: None });
    }

    #[test]
    fn a_name_fits_the_program_or_its_main_thread() {
        let decide = |pattern: &str, program: &str, name: &str| {
            let text = format!("[[rule]]\nname = '{pattern}'\ninclude = false\n");
            let file = parse(Path::new("x"), &text).unwrap();
            let facts = Facts { program: program.into(), name: name.into(), ..Facts::default() };
            Rules::new(Tiers::only(Tier::Observe), file.rule).decide(&facts)
        };
        assert_eq!(decide("node", "node", "MainThread"), Decision::Exclude);
        assert_eq!(decide("node", "node", "node-MainThread"), Decision::Exclude);
        assert_eq!(decide("Main*", "node", "MainThread"), Decision::Exclude);
        assert_eq!(decide("api", "node", "api"), Decision::Exclude, "a title that it gave itself");
        assert!(matches!(decide("node", "nodemon", "MainThread"), Decision::Measure { .. }));
    }

    #[test]
    fn a_rule_with_several_patterns_wants_all_of_them() {
        let file = parse(Path::new("x"), "[[rule]]\nname = 'node'\nuser = 7\ninclude = false\n").unwrap();
        let rules = Rules::new(Tiers::only(Tier::Observe), file.rule);
        assert!(matches!(rules.decide(&facts("node a.js")), Decision::Measure { .. }));
        let of_user = Facts { user: Some(7), ..facts("node a.js") };
        assert_eq!(rules.decide(&of_user), Decision::Exclude);
    }

    #[test]
    fn an_option_comes_before_the_file() {
        let file = |text| parse(Path::new("x.toml"), text).unwrap();
        let text = "tier = 'loop'\nbudget = '2%'\nslow = '20ms'\n";
        let words = ["--tier", "pool", "--budget", "3%", "--slow", "1s", "--prom-client"];
        let told = Settings::of(file(text), &options(&words)).to_string();
        assert_eq!(told, Settings::of(file(""), &options(&words)).to_string());
        assert!(told.contains("3%") && told.contains("1s") && told.contains("prom-client"), "{told}");
        let defaults = Settings::of(file(""), &options(&[])).to_string();
        assert_eq!(defaults, Settings::default().to_string());
    }

    #[test]
    fn what_was_understood_is_told() {
        let text = "budget = '0.5%'\nslow = '20ms'\nprom_client = true\n\
                    [[rule]]\nname = 'no*'\nuser = 7\ninclude = false\n\
                    [[rule]]\ntier = 'all'\nrename = 'store'\n";
        let file = parse(Path::new("x.toml"), text).unwrap();
        let settings = Settings::of(file, &options(&[])).to_string();
        let expected = "tier     observe\nbudget   0.5% of a core for each process\nslow     20ms\n\
                        names    loopscope, prom-client\nrule 1   name 'no*' and user 7: left out\n\
                        rule 2   every process: measured, tier observe,loop,phases,pool, as service 'store'\n";
        assert_eq!(settings, expected);
    }

    #[test]
    fn every_key_is_documented_and_every_documented_example_is_understood() {
        let document = include_str!("../../docs/configuration.md");
        // Whatever is unknown, the error lists what is known.
        for text in ["?? = 1".replace("??", "zzz"), "[[rule]]\nzzz = 1".to_owned()] {
            let error = toml::from_str::<File>(&text).unwrap_err();
            let known = error.message().split('`').skip(3).step_by(2).collect::<Vec<_>>();
            assert!(known.len() >= 5, "{error}");
            for key in known {
                assert!(document.contains(&format!("| `{key}` |")), "{key}");
            }
        }
        let examples: Vec<_> = document.split("```toml\n").skip(1).collect();
        assert!(!examples.is_empty());
        for example in examples {
            let (example, _) = example.split_once("```").unwrap();
            parse(Path::new("configuration.md"), example).unwrap();
        }
    }

    #[test]
    fn what_the_file_gets_wrong_is_told_with_its_line() {
        for (text, part) in [
            ("teir = 'all'", "unknown field `teir`, expected one of `tier`"),
            ("teir = 'all'", "did you mean `tier`?"),
            ("[[rule]]\nnme = 'x'", "did you mean `name`?"),
            ("[[rule]]\nincluded = false", "did you mean `include`?"),
            ("prom-client = true", "did you mean `prom_client`?"),
            ("slow = 50", "invalid type: integer `50`, expected a string"),
            ("tier = 'al'", "\"al\" is no tier"),
            ("[[rule]]\nnme = 'x'", "line 2"),
            ("budget = 'much'", "is no share of a core"),
        ] {
            let error = parse(Path::new("agent.toml"), text).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("agent.toml"), "{error}");
        }
    }
}
