//! What can be asked for on the command line.

mod address;

use std::path::PathBuf;
use std::time::Duration;

use attach::libuv::tiers::Tiers;
use attach::target::Pid;
use clap::builder::BoolishValueParser;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use address::Address;

use crate::config;
use crate::demo::DemoOptions;
use crate::profile::ProfileOptions;
use crate::top::TopOptions;
use crate::upload::UploadOptions;

/// The exit statuses, as the help tells them.
pub(crate) const EXIT_STATUS: &str = "\
Exit status:
  0    success
  1    loopscope failed: the message tells why, and what to do
  2    wrong usage
  `profile` passes on the status of the command that it started.";

/// Shows what event loops are doing: metrics for Prometheus, profiles as flamegraphs.
#[derive(Debug, Parser)]
#[command(name = "loopscope", version, propagate_version = true, after_help = EXIT_STATUS)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One module a command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Top(TopOptions),
    Profile(ProfileOptions),
    Agent(AgentOptions),
    Demo(DemoOptions),
    Inspect(InspectOptions),
    Upload(UploadOptions),
    /// Print the completions for a shell
    #[command(
        after_help = "Example:\n  loopscope completions bash > ~/.local/share/bash-completion/completions/loopscope"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the man pages, one a command
    #[command(hide = true)]
    Man {
        /// The directory to write into
        directory: PathBuf,
    },
    /// Print what is made of the configuration's definition
    #[command(hide = true)]
    Reference {
        /// What to print
        what: Reference,
    },
}

/// What can be made of the configuration's definition.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Reference {
    /// The page of all keys, options and variables.
    Page,
    /// The file that packages install, all of it commented out.
    File,
}

/// The command line, with all that its help tells.
pub(crate) fn command() -> clap::Command {
    config::reference::complete(Cli::command())
}

/// What was asked for. Wrong usage ends the program, with status 2.
pub(crate) fn parse() -> Cli {
    let mut command = command();
    let parsed = command.get_matches_mut();
    Cli::from_arg_matches(&parsed)
        .map_err(|error| error.format(&mut command))
        .unwrap_or_else(|error| error.exit())
}

const AGENT_EXAMPLES: &str = "\
Examples:
  loopscope agent
  loopscope agent --listen 0.0.0.0:9464
  loopscope agent --tier observe,loop --prom-client
  loopscope agent --listen 0.0.0.0:9464 --web-config /etc/loopscope/web-config.yml
  loopscope agent --otlp-endpoint http://127.0.0.1:4317
  loopscope agent --profile --pyroscope http://127.0.0.1:4040
  curl http://127.0.0.1:9464/metrics

Configuration, in TOML:
  tier = 'observe,loop'
  [[rule]]
  command = '*/batch.js*'
  include = false
  [[rule]]
  service = 'shop'
  tier = 'all'

SIGHUP makes it read its configuration again, without letting go of what it measures.

Prometheus:
  scrape_configs:
    - job_name: loopscope
      static_configs: [{targets: ['127.0.0.1:9464']}]

It reads processes of its own user; of all users as root or with CAP_SYS_PTRACE. Tiers
beyond observe need CAP_BPF and CAP_PERFMON; before Linux 6.6, CAP_SYS_ADMIN.";

/// Serve the metrics of every event-loop process on this host
///
/// Finds every process that runs on libuv (Node.js as it is) or publishes telemetry, in whatever container, and serves its metrics:
/// /metrics in the format that the scraper asks for (Prometheus text, OpenMetrics, protobuf with native histograms),
/// /-/healthy and /-/ready. Processes come and go; nothing needs to be configured, and no process is changed.
#[derive(Args, Debug, Default)]
#[command(after_help = AGENT_EXAMPLES)]
pub(crate) struct AgentOptions {
    /// The address to serve on; port 0 takes a free one
    #[arg(long, env = "LOOPSCOPE_LISTEN", value_name = "ADDR")]
    pub(crate) listen: Option<Address>,
    /// How deep to measure processes from outside: a list of observe, loop, phases and pool, or all
    #[arg(long, env = "LOOPSCOPE_TIER", value_name = "LIST")]
    pub(crate) tier: Option<Tiers>,
    /// The share of one core that probes may cost each process; beyond it the dearest tier is shed, or sampled if it is pool
    #[arg(long, env = "LOOPSCOPE_BUDGET", value_name = "SHARE", value_parser = config::share)]
    pub(crate) budget: Option<f64>,
    /// How long an iteration is away from the poll to count as slow
    #[arg(long, env = "LOOPSCOPE_SLOW", value_name = "TIME", value_parser = duration)]
    pub(crate) slow: Option<Duration>,
    /// Tell Node.js processes by prom-client's metric names, too, as dashboards for Node.js expect them
    ///
    /// Without this, one scrape gets them from /metrics?names=prom-client. --prom-client=false takes back what the file says.
    #[arg(long, env = "LOOPSCOPE_PROM_CLIENT", value_name = "BOOL", value_parser = BoolishValueParser::new())]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) prom_client: Option<bool>,
    /// Also send the metrics to an OTLP receiver there, such as http://127.0.0.1:4317
    ///
    /// Port 4317 is taken for OTLP/gRPC, every other for OTLP/HTTP. What OpenTelemetry has variables for (OTEL_EXPORTER_OTLP_PROTOCOL,
    /// _HEADERS, _CERTIFICATE, OTEL_METRIC_EXPORT_INTERVAL …) is understood, and so is a table [otlp] in the configuration.
    #[arg(long, value_name = "URL")]
    pub(crate) otlp_endpoint: Option<String>,
    /// Also tell the OTLP receiver of each slow iteration, as a span
    #[arg(long, env = "LOOPSCOPE_OTLP_TRACES", value_name = "BOOL", value_parser = BoolishValueParser::new())]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) otlp_traces: Option<bool>,
    /// Profile all targets all the time, at a low rate, and send the profiles to the OTLP receiver or to a Pyroscope
    ///
    /// A table [profiling] in the configuration tells more, and its rules tell of whom.
    #[arg(long = "profile", env = "LOOPSCOPE_PROFILE", value_name = "BOOL", value_parser = BoolishValueParser::new())]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) profiling_enabled: Option<bool>,
    /// Samples per second of CPU time of each thread, for --profile
    #[arg(long = "profile-frequency", env = "LOOPSCOPE_PROFILE_FREQUENCY", value_name = "HZ")]
    pub(crate) profiling_frequency: Option<u32>,
    /// How long each profile is, for --profile
    #[arg(long = "profile-interval", env = "LOOPSCOPE_PROFILE_INTERVAL", value_name = "TIME", value_parser = duration)]
    pub(crate) profiling_interval: Option<Duration>,
    /// The Pyroscope that gets the profiles instead of the OTLP receiver, such as http://127.0.0.1:4040
    #[arg(long = "pyroscope", env = "LOOPSCOPE_PYROSCOPE", value_name = "URL")]
    pub(crate) profiling_pyroscope: Option<String>,
    /// The configuration, which says what these options say and more; they come before it
    #[arg(long, env = "LOOPSCOPE_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Who may scrape, and over what: TLS, passwords, a limit of requests, in the format of Prometheus's web-config.yml
    ///
    /// Named in the configuration, it lies beside that unless its name begins with /.
    #[arg(long, env = "LOOPSCOPE_WEB_CONFIG", value_name = "FILE")]
    pub(crate) web_config: Option<PathBuf>,
    /// Read the configuration, tell how it was understood and what would be measured now, and end
    #[arg(long)]
    pub(crate) check: bool,
}

/// Tell what can be measured on a process, and why not the rest
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  loopscope inspect --pid 4711")]
pub(crate) struct InspectOptions {
    /// The process
    #[arg(short, long)]
    pub(crate) pid: Pid,
}

/// A duration as it is given on the command line, such as `30s` or `1m30s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration.is_zero() => Err("a duration is longer than zero".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}; give a duration such as 30s, 5m or 1m30s")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_units_and_a_length() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for text in ["", "0s", "30", "-1s", "1 fortnight", "99999999999999999999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
