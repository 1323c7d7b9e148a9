//! What can be asked for on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use clap_complete::Shell;

use crate::config;

const AFTER_HELP: &str = "\
Examples:
  loopscope-collector --data /var/lib/loopscope-collector
  loopscope-collector --listen 0.0.0.0:4040 --web-config /etc/loopscope/web-config.yml --retention 7d --max-disk 20GiB
  curl --data-binary @cpu.pprof 'http://127.0.0.1:4040/ingest?name=api&format=pprof'
  curl 'http://127.0.0.1:4040/api/v1/flamegraph?query={service=\"api\"}&format=svg' > api.svg

Configuration, in TOML:
  listen = '127.0.0.1:4040'
  data = '/var/lib/loopscope-collector'
  retention = '30d'
  max_disk = '20GiB'
  web_config = 'web-config.yml'

Exit status:
  0    success
  1    the collector failed: the message tells why, and what to do
  2    wrong usage";

/// Stores profiles of any producer and serves flamegraphs
///
/// Takes profiles from Pyroscope's SDKs and agents, from OpenTelemetry and from loopscope (OTLP, pprof, folded stacks, the Firefox
/// Profiler's), and the lag of event loops from OTLP metrics. Answers with flamegraphs, comparisons, tables and series: to browsers, to Grafana
/// and to scripts. One port speaks HTTP/1.1 and HTTP/2.
#[derive(Debug, Default, Parser)]
#[command(name = "loopscope-collector", version, after_help = AFTER_HELP)]
pub struct Cli {
    /// The address to serve on; port 0 takes a free one [default: 127.0.0.1:4040]
    #[arg(long, env = "LOOPSCOPE_COLLECTOR_LISTEN", value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// The folder that profiles are kept in [default: loopscope-data]
    #[arg(long, env = "LOOPSCOPE_COLLECTOR_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The bucket that blocks are kept in, as s3://BUCKET/PREFIX, instead of the folder; what was just accepted stays in the folder
    ///
    /// Credentials, region and endpoint are told by Amazon's variables, such as AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT. Needs a
    /// program that was built with the feature s3.
    #[arg(long, env = "LOOPSCOPE_COLLECTOR_BUCKET", value_name = "URL")]
    pub bucket: Option<String>,
    /// How long profiles are told; older ones are refused, and leave the disk within a day [default: 30d]
    #[arg(long, env = "LOOPSCOPE_COLLECTOR_RETENTION", value_name = "TIME", value_parser = config::duration)]
    pub retention: Option<Duration>,
    /// How much disk all profiles may take; the oldest go first [default: no bound]
    #[arg(long, env = "LOOPSCOPE_COLLECTOR_MAX_DISK", value_name = "SIZE", value_parser = config::size)]
    pub max_disk: Option<u64>,
    /// Who may send and ask, and over what: TLS, passwords, a limit of requests, in the format of Prometheus's web-config.yml
    ///
    /// It is read again when it or what it names changes; SIGHUP reads it again whatever it asks for.
    #[arg(long, env = "LOOPSCOPE_COLLECTOR_WEB_CONFIG", value_name = "FILE")]
    pub web_config: Option<PathBuf>,
    /// The configuration; options given here come before
    #[arg(long, env = "LOOPSCOPE_COLLECTOR_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// End when the standard input ends: for a program that starts a collector which must not outlive it
    #[arg(long, hide = true)]
    pub until_input_ends: bool,
    /// Remove the data at the end: for a collector that was only to be looked at
    #[arg(long, hide = true, requires = "until_input_ends")]
    pub remove_data: bool,
    /// Print the completions for a shell
    #[arg(long, value_name = "SHELL", hide = true)]
    pub completions: Option<Shell>,
    /// Write the man page into a directory
    #[arg(long, value_name = "DIR", hide = true)]
    pub man: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
