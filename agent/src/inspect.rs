//! `loopscope inspect`: what can be measured on a process, and why not the rest.

mod outside;

use std::io::{self, Write};

use attach::sampler::recorder::{RecordOptions, Recorder};
use attach::target::{Facts, Figures, Host, Pid, Process, ProcessError};
use attach::telemetry::{Telemetry, TelemetryError};
use model::segment::ScopeKind;

use crate::clock;
use crate::error::Error;

/// Prints what can be measured on a process.
pub(crate) fn run(pid: Pid) -> Result<(), Error> {
    let process = Process::open(pid).map_err(Error::Process)?;
    let figures = Figures::read(&process, &Host::read()).map_err(Error::Process)?;
    let facts = Facts::read(&process).map_err(Error::Process)?;
    let mut lines = format!(
        "process    {pid} ({}), service {}, {} threads, {:.1} MiB resident\ntelemetry  {}\n",
        facts.program,
        facts.service,
        figures.threads,
        figures.resident_bytes as f64 / f64::from(1 << 20),
        telemetry(pid).map_err(Error::Process)?,
    );
    lines += &outside::lines(&process);
    lines += &format!("profile    {}\n", profile(pid)?);
    io::stdout().write_all(lines.as_bytes()).map_err(|source| Error::Stdout { source })
}
/// What the process publishes, or why that cannot be told.
fn telemetry(pid: Pid) -> Result<String, ProcessError> {
    let read = Telemetry::open(pid).and_then(|telemetry| telemetry.read(clock::monotonic()));
    let (identity, contents) = match read {
        Ok(read) => read,
        Err(TelemetryError::Process(gone @ ProcessError::Vanished { .. })) => return Err(gone),
        Err(TelemetryError::NotPublished { .. }) => {
            return Ok("no: it publishes no telemetry".to_owned());
        }
        Err(error) => return Ok(format!("no: {error}")),
    };
    let loops = contents.scopes.iter().filter(|scope| scope.kind == ScopeKind::Loop).count();
    let readings: usize = contents.scopes.iter().map(|scope| scope.readings.len()).sum();
    let mut line = format!(
        "yes: service {}, loops: {loops}, series: {readings}, written by {}",
        identity.service, identity.producer
    );
    if contents.unknown_entries > 0 {
        line += &format!("; {} series are of a newer version and left out", contents.unknown_entries);
    }
    if contents.dropped_instruments > 0 {
        line += &format!("; {} instruments found no room in its segment", contents.dropped_instruments);
    }
    Ok(line)
}

/// Whether its stacks can be sampled: found out by beginning to, for the rules have many parts.
fn profile(pid: Pid) -> Result<String, Error> {
    match Recorder::attach(pid.get(), &RecordOptions::default()) {
        Ok(recorder) => {
            let notices: String = recorder.notices().iter().map(|notice| format!("; {notice}")).collect();
            Ok(format!("yes: up to {} samples a second of CPU time{notices}", recorder.frequency_hz()))
        }
        Err(error @ (attach::Error::NoSuchProcess { .. } | attach::Error::ProcessEnded { .. })) => {
            Err(Error::Record(error))
        }
        Err(error) => Ok(format!("no: {error}")),
    }
}
