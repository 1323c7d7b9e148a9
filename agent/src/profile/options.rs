//! What can be asked of `loopscope profile`.

use std::ffi::OsString;
use std::path::PathBuf;

use attach::sampler::recorder::RecordOptions;
use attach::target::Pid;
use clap::{Args, ValueEnum};

use super::format::Format;
use crate::error::Error;

const EXAMPLES: &str = "\
Examples:
  loopscope profile -- ./server --port 8080
  loopscope profile --pid 4711 --duration 30s --output server.svg
  loopscope profile --pid 4711 --duration 30s --mode off-cpu -o waits.svg
  loopscope profile --pid 4711 --duration 60s --slow 50ms -o spikes.svg
  loopscope profile -o app.pprof -- node --perf-basic-prof app.js
  loopscope profile --format folded -o - --pid 4711 | sort

A recording ends when its target ends, when --duration is over, or at Ctrl-C; the file is written in each \
case, and a second Ctrl-C aborts. A COMMAND that still runs then is told to end (SIGTERM), so that it is not \
left behind. A process given by --pid is never touched.

Exit status:
  0    success, also when --duration ended a COMMAND; else a COMMAND's own
       status is passed on: its exit code, or 128 + N when signal N ended it
  1    loopscope failed: the message tells why, and what to do
  2    wrong usage
  126  the COMMAND cannot be executed
  127  the COMMAND is not found

Permissions: own processes need kernel.perf_event_paranoid of at most 2 (at most 1 to see time in the \
kernel, and for --mode off-cpu); everything is open to root, and to CAP_PERFMON with CAP_SYS_PTRACE.";

/// Record where a program's CPU time goes, or where it waits, and write a flamegraph
///
/// Samples all threads of a command or of a running process, with what they start, and writes one file. The program needs
/// no change, no frame pointers and no debug information, though names and lines come from there. Stacks of event loops
/// stand under the phase that they ran in.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, override_usage = "loopscope profile [OPTIONS] (--pid PID | -- COMMAND [ARG]...)")]
pub(crate) struct ProfileOptions {
    /// The file to write; `-` is the standard output (a COMMAND's own then goes to the standard error) [default:
    /// loopscope.svg, or as the format has it]
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,

    /// The format [default: as the file's name tells, or else svg]
    #[arg(short, long)]
    pub(super) format: Option<Format>,

    /// What to record
    #[arg(long, value_enum, default_value_t = Mode::Cpu)]
    pub(super) mode: Mode,

    /// Samples for each second of CPU time of a thread, 1 to 10000; not for off-cpu [default: 999]
    #[arg(short = 'F', long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    frequency: Option<u32>,

    /// End the recording after this time, such as 30s or 1m30s
    #[arg(short, long, value_name = "TIME", value_parser = crate::cli::duration)]
    pub(super) duration: Option<std::time::Duration>,

    /// Keep only what ran in iterations of an event loop that were away from the poll for longer than this, such as 50ms: the
    /// code behind lag spikes. For Node.js and other libuv programs; needs root, or CAP_BPF and CAP_PERFMON
    #[arg(long, value_name = "TIME", value_parser = crate::cli::duration)]
    pub(super) slow: Option<std::time::Duration>,

    /// Record a process that runs
    #[arg(short, long, conflicts_with = "command", required_unless_present = "command")]
    pub(super) pid: Option<Pid>,

    /// Start and record a command
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

/// What is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Where threads spend CPU time
    Cpu,
    /// Where threads wait: for I/O, locks, timers, or a CPU
    OffCpu,
}

impl ProfileOptions {
    /// What to ask of the recorder.
    pub(super) fn record(&self) -> Result<RecordOptions, Error> {
        let default = RecordOptions::default();
        match (self.mode, self.frequency) {
            (Mode::Cpu, frequency) => {
                Ok(RecordOptions { frequency_hz: frequency.unwrap_or(default.frequency_hz), ..default })
            }
            (Mode::OffCpu, None) => Ok(RecordOptions::off_cpu()),
            (Mode::OffCpu, Some(_)) => Err(Error::FrequencyOffCpu),
        }
    }

    /// The format that was asked for, or that the file's name tells.
    pub(super) fn format(&self) -> Result<Format, Error> {
        match (self.format, &self.output) {
            (Some(format), _) => Ok(format),
            (None, Some(path)) if path.as_os_str() != "-" => {
                Format::of_file(path).ok_or_else(|| Error::UnknownFormat { path: path.clone() })
            }
            (None, _) => Ok(Format::Svg),
        }
    }

    /// Where to write.
    pub(super) fn output(&self, format: Format) -> PathBuf {
        self.output.clone().unwrap_or_else(|| format.default_file().into())
    }

    /// What is profiled, as a person would say it.
    pub(super) fn title(&self) -> String {
        match self.pid {
            Some(pid) => format!("pid {pid}"),
            None => {
                let words: Vec<_> = self.command.iter().map(|word| word.to_string_lossy()).collect();
                words.join(" ")
            }
        }
    }
}
