//! The agent's configuration: which processes are measured from outside, and how deep.

mod export;
mod profiling;
pub(crate) mod reference;
mod rules;
mod understood;
mod user;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use attach::libuv::tiers::Tiers;
use attach::target::Pid;
use model::label::Tier;
use serde::{Deserialize, Deserializer};
use serve::suggestion::with_suggestion;

use crate::agent::Names;
use crate::cli::{self, Address, AgentOptions};
use crate::error::Error;
pub(crate) use export::{
    Endpoint, Export, Preference, Protocol, Signal, TlsFiles, header, headers, percent_decoded,
};
pub(crate) use profiling::Profiling;
use reference::{About, quoted, table};
pub(crate) use rules::{Decision, Rules};

/// Probes may cost a process one hundredth of a core unless told otherwise.
const BUDGET: f64 = 0.01;

/// A single hit a second costs more.
const BUDGET_MIN_PERCENT: f64 = 0.0001;

/// What Node.js's users call a blocked loop.
const SLOW: Duration = Duration::from_millis(50);

/// Somebody who looks on does not want to wait.
const SHOWN_EVERY: Duration = Duration::from_secs(5);
const SHOWN_HZ: u32 = 97;
/// Who asked for the end waits for it.
const SHOWN_FLUSH: Duration = Duration::from_secs(2);

/// Nobody else reaches it there.
fn default_address() -> Address {
    Address(SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)))
}

/// How processes are measured, and where that is told.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The address to serve on.
    pub(crate) listen: Address,
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
    /// The file that says who may ask.
    pub(crate) web_config: Option<PathBuf>,
    /// Where metrics are exported to, if anywhere.
    pub(crate) export: Option<Export>,
    /// Where spans of slow iterations are exported to, if anywhere.
    pub(crate) traces: Option<Export>,
    /// How processes are profiled all the time, if any are.
    pub(crate) profiling: Option<Profiling>,
}

table! {
    /// The file, as it is written. What an option stands for is explained there.
    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct File {
        #[serde(deserialize_with = "parsed")]
        listen: Option<Address> => About::with_default("text", || quoted(default_address())),
        #[serde(deserialize_with = "parsed")]
        tier: Option<Tiers> => About::with_default("text", || quoted(Tiers::only(Tier::Observe)))
            .more("[tiers](attach.md#tiers)"),
        #[serde(deserialize_with = "parsed_share")]
        budget: Option<f64> => About::with_default("text", || quoted(format!("{}%", BUDGET * 100.0))),
        #[serde(deserialize_with = "parsed_duration")]
        slow: Option<Duration> => About::with_default("text", || quoted(humantime::format_duration(SLOW))),
        prom_client: bool => About::with_default("`true` or `false`", || false.to_string())
            .more("[prom-client's names](prom-client.md)"),
        web_config: Option<PathBuf> => About::without("file", "none", "'web-config.yml'").more("[security](security.md)"),
        /// Where metrics are sent to over OTLP, and how.
        otlp: export::Written => About::table::<export::Written>().more("[OTLP](otlp.md)"),
        /// Whether and how processes are profiled all the time.
        profiling: profiling::Written => About::table::<profiling::Written>().more("[profiling](profiling.md)"),
        /// Rules, of which the first that fits a process decides. All patterns of a rule have to fit; in them `*` is any text and `?` any
        /// character, and they fit the whole text. Rules are for processes that are measured from outside.
        rule: Vec<rules::Written> => About::tables::<rules::Written>().more("[rules](configuration.md#rules)"),
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: default_address(),
            rules: Rules::new(Tiers::only(Tier::Observe), Vec::new()),
            only: BTreeSet::new(),
            budget: BUDGET,
            slow: SLOW,
            names: Names::Loopscope,
            web_config: None,
            export: None,
            traces: None,
            profiling: None,
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

    /// Some processes, measured and profiled for whoever takes OTLP at this address: often, for somebody who looks on. Nothing of the
    /// environment counts.
    ///
    /// # Errors
    /// None that an address could make.
    pub(crate) fn shown_to(receiver: SocketAddr, only: BTreeSet<Pid>) -> Result<Self, Error> {
        let of_signal = |signal| {
            let (option, file) = (format!("http://{receiver}"), export::Written::default());
            let given = export::Given { option: Some(&option), environment: &|_| None, file: &file, signal };
            let shown = |export| Export { interval: SHOWN_EVERY, flush: SHOWN_FLUSH, gzip: false, ..export };
            Ok::<_, Error>(Export::new(given)?.map(shown))
        };
        let given = profiling::Given {
            frequency_hz: Some(SHOWN_HZ),
            interval: Some(SHOWN_EVERY),
            pyroscope: None,
            folder: Path::new(""),
        };
        let profiling =
            Profiling::new(&given, &profiling::Written::default(), || of_signal(Signal::Profiles))?;
        let mut settings = Self::with_tiers(None, only);
        settings.rules.profile_unless_told(true);
        settings.export = of_signal(Signal::Metrics)?;
        settings.profiling = Some(profiling);
        Ok(settings)
    }

    /// The settings that the options and the file that they name make.
    ///
    /// # Errors
    /// [`Error::Config`] where the file cannot be read or does not say what it should, [`Error::Export`] where what is said of the
    /// export, wherever it is said, does not make sense.
    pub(crate) fn new(options: &AgentOptions) -> Result<Self, Error> {
        let mut file = match &options.config {
            None => File::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Error::Config { path: path.clone(), message: error.to_string() })?;
                parse(path, &text)?
            }
        };
        let (otlp, profiling) = (std::mem::take(&mut file.otlp), std::mem::take(&mut file.profiling));
        let of_signal = |signal| {
            let environment = &|name: &str| std::env::var(name).ok();
            let option = options.otlp_endpoint.as_deref();
            Export::new(export::Given { option, environment, file: &otlp, signal })
        };
        let all = options.profiling_enabled.or(profiling.enabled).unwrap_or(false);
        let mut settings = Self::of(file, options);
        settings.rules.profile_unless_told(all);
        settings.export = of_signal(Signal::Metrics)?;
        if options.otlp_traces.unwrap_or(otlp.traces) {
            settings.traces = Some(of_signal(Signal::Traces)?.ok_or_else(|| Error::Export {
                of: "traces".to_owned(),
                message: "nobody is named who takes spans: give --otlp-endpoint".to_owned(),
            })?);
        }
        if settings.rules.ask_for_profiles() {
            let given = profiling::Given {
                frequency_hz: options.profiling_frequency,
                interval: options.profiling_interval,
                pyroscope: options.profiling_pyroscope.as_deref(),
                folder: options.config.as_deref().and_then(Path::parent).unwrap_or(Path::new("")),
            };
            let made = Profiling::new(&given, &profiling, || of_signal(Signal::Profiles))?;
            settings.profiling = Some(made);
        }
        Ok(settings)
    }

    /// What a file says, but for the export; options come before.
    fn of(file: File, options: &AgentOptions) -> Self {
        let tiers = options.tier.or(file.tier).unwrap_or(Tiers::only(Tier::Observe));
        let prom_client = options.prom_client.unwrap_or(file.prom_client);
        // Named in a file, it lies beside that file, wherever the program was started.
        let folder = options.config.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let web_config = options.web_config.clone().or(file.web_config.map(|path| folder.join(path)));
        Self {
            listen: options.listen.or(file.listen).unwrap_or_else(default_address),
            rules: Rules::new(tiers, file.rule),
            only: BTreeSet::new(),
            budget: options.budget.or(file.budget).unwrap_or(BUDGET),
            slow: options.slow.or(file.slow).unwrap_or(SLOW),
            names: if prom_client { Names::Both } else { Names::Loopscope },
            web_config,
            export: None,
            traces: None,
            profiling: None,
        }
    }
}

fn parse(path: &Path, text: &str) -> Result<File, Error> {
    toml::from_str(text).map_err(|error| Error::Config {
        path: path.to_owned(),
        message: with_suggestion(&error.to_string()),
    })
}

/// A share of a core as it is written: `1%`, `0.5%`, or `0.01`.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let (number, unit) = text.trim().strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    match number.trim().parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 && number / unit < BUDGET_MIN_PERCENT / 100.0 => {
            Err(format!(
                "{text:?} is too little for any probe, one hit of which costs more than a microsecond; give at least {BUDGET_MIN_PERCENT}%, or leave out the tiers that place probes"
            ))
        }
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

fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    text(deserializer, |text| text.parse().map_err(|error: T::Err| error.to_string()))
}

fn parsed_share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    text(deserializer, share)
}

fn parsed_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    text(deserializer, cli::duration)
}

#[cfg(test)]
mod tests;
