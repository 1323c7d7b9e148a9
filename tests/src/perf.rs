//! `perf record` and `perf script`: the profiler that ours is held against.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::deadline::{SOON, wait_for};
use crate::process::{Guarded, run};
use crate::recording::{Frame, Recording, Sample};
use crate::requirement;

/// A run of `perf record` on a process and the children that it starts.
#[derive(Debug)]
pub struct Perf {
    program: PathBuf,
    recorder: Guarded,
    data: PathBuf,
}

impl Perf {
    /// Begins to sample a process on the software clock; `None` after saying that the story is skipped. With
    /// `call_graph`, stacks are recorded too.
    ///
    /// # Panics
    /// If perf does not begin.
    #[track_caller]
    pub fn attach(pid: u32, frequency_hz: u32, call_graph: bool, data: PathBuf) -> Option<Self> {
        let program = requirement::program("perf")?;
        let mut command = perf(&program, &data);
        command.args(["record", "--event=cpu-clock", "--clockid=realtime", "--no-buildid-cache", "--quiet"]);
        command.arg("--output").arg(&data);
        command.arg(format!("--freq={frequency_hz}")).arg(format!("--pid={pid}"));
        if call_graph {
            command.arg("--call-graph=dwarf,16384");
        }
        let mut recorder = Guarded::start(&mut command);
        wait_for("perf's events", SOON, || {
            assert!(recorder.is_running(), "perf cannot record: {}", recorder.stderr());
            has_events(recorder.pid()).then_some(())
        });
        Some(Self { program, recorder, data })
    }

    /// Ends the recording and reads what is within a window of time, in nanoseconds since the UNIX epoch.
    ///
    /// # Panics
    /// If perf fails, or writes what we cannot read.
    #[track_caller]
    pub fn finish(self, window_unix_ns: Range<u64>) -> Recording {
        self.recorder.signal("INT");
        self.recorder.wait(SOON);
        let mut script = perf(&self.program, &self.data);
        // Names as the symbol tables have them: versions of perf demangle differently.
        script.args(["script", "--no-inline", "--no-demangle", "--fields=pid,tid,time,ip,sym,dso", "--ns"]);
        let seconds = |ns: u64| format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000);
        script.arg(format!("--time={},{}", seconds(window_unix_ns.start), seconds(window_unix_ns.end)));
        let text = run(script.arg("--input").arg(&self.data), Duration::from_secs(180)).stdout;
        read_script(&text)
    }
}

/// A command line that begins with perf. It looks for copies of what it profiled beside the data, and not in the user's
/// home, where it could find symbols that are on this machine no more.
fn perf(program: &Path, data: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("--buildid-dir").arg(data.with_extension("buildid"));
    command
}

/// Whether a process holds descriptors of perf events.
fn has_events(pid: u32) -> bool {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|to| to == Path::new("anon_inode:[perf_event]"))
}

/// Reads what `perf script` prints: for each sample a line with process, thread and time, and its frame on the same line,
/// or its frames on lines of their own.
fn read_script(text: &str) -> Recording {
    let mut recording = Recording::default();
    for line in text.lines() {
        let (sample_begins, frame) = match header(line) {
            Some(rest) => (true, rest.trim()),
            None => (false, line.trim()),
        };
        if sample_begins {
            recording.samples.push(Sample { weight: 1, frames: Vec::new() });
        }
        if !frame.is_empty() {
            let sample = recording.samples.last_mut().expect("frames come after their sample");
            sample.frames.push(read_frame(frame));
        }
    }
    recording
}

/// What follows `PID/TID SECONDS.NANOSECONDS:`, if the line begins so.
fn header(line: &str) -> Option<&str> {
    let (thread, rest) = line.trim_start().split_once(char::is_whitespace)?;
    let (pid, tid) = thread.split_once('/')?;
    let (time, frame) = rest.split_once(':')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (seconds, fraction) = time.trim().split_once('.')?;
    [pid, tid, seconds, fraction].into_iter().all(is_number).then_some(frame)
}

/// Reads `ADDRESS NAME (MODULE)`, of which the name may hold blanks and brackets.
fn read_frame(text: &str) -> Frame {
    let (_, rest) = text.split_once(' ').unwrap_or_else(|| panic!("no frame of perf script: {text:?}"));
    let (name, module) = rest.rsplit_once(" (").unwrap_or((rest, ""));
    Frame {
        function: demangle(name),
        module: module.strip_suffix(')').unwrap_or(module).to_owned(),
        inlined: false,
    }
}

/// A name from a symbol table, as its author wrote it, without parameters.
pub(crate) fn demangle(name: &str) -> String {
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        return format!("{rust:#}");
    }
    // Symbols of a shared library carry their version: `fopen@@GLIBC_2.2.5`.
    let name = name.split('@').next().unwrap_or(name);
    // What a compiler made of a function: `_ZN3foo3barEv.cold`.
    let (mangled, suffix) = name.split_at(name.find('.').unwrap_or(name.len()));
    let options = cpp_demangle::DemangleOptions::new().no_params().no_return_type();
    match cpp_demangle::Symbol::new(mangled).map(|symbol| symbol.demangle_with_options(&options)) {
        Ok(Ok(readable)) => readable + suffix,
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_with_their_frames_wherever_they_stand() {
        let text = "\
16921/16921  2068.762943446: \n\
\tffffffff822018b1 _raw_spin_unlock_irq ([kernel.kallsyms])\n\
\t           171b0 _ZN7service8run_jobs17hfb1abedecab8a583E (/tmp/a b/service)\n\
\n\
16805/16806  2026.375275573:      7fca6eb40bc4 LazyCompile:*byPrice /srv/server.js:36:17 (/tmp/perf-16805.map)\n\
16805/16806  2026.375275574:      7fca6eb40bc4 [unknown] ([unknown])\n";
        let recording = read_script(text);
        let frames = |sample: usize| -> Vec<_> {
            recording.samples[sample].frames.iter().map(|frame| (&*frame.function, &*frame.module)).collect()
        };
        assert_eq!(recording.total(), 3);
        assert_eq!(
            frames(0),
            [("_raw_spin_unlock_irq", "[kernel.kallsyms]"), ("service::run_jobs", "/tmp/a b/service")]
        );
        assert_eq!(frames(1), [("LazyCompile:*byPrice /srv/server.js:36:17", "/tmp/perf-16805.map")]);
        assert_eq!(frames(2), [("[unknown]", "[unknown]")]);
    }
}
