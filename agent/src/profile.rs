//! `loopscope profile`: records where a program's CPU time goes, or where it waits, and writes one file.
//!
//! The order matters. The [output](output) is opened before anything is recorded, so that a recording is never lost to
//! a path that cannot be written. Signals are [caught](stop) before the command starts, for an interrupt from the
//! terminal reaches both. The command is told to end only after its symbols were read, and waited for last.

mod command;
mod format;
mod options;
mod output;
mod progress;
mod slow;
mod stop;

pub(crate) use options::ProfileOptions;

use std::io::{BufWriter, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant, UNIX_EPOCH};

use attach::sampler::convert::{Conversion, Converter};
use attach::sampler::event::Event;
use attach::sampler::recorder::{Launched, RecordOptions, Recorder, Target};
use attach::target::Pid;
use model::profile::{Profile, Recording, Weight};

use crate::console;
use crate::error::Error;
use options::Mode;
use output::Output;
use progress::Progress;
use slow::SlowWatch;
use stop::Stop;

/// How long to wait for samples before looking at the clock and at signals again.
const POLL: Duration = Duration::from_millis(100);

const NS_PER_S: u64 = 1_000_000_000;

/// How much of the file is written at once.
const WRITE_BYTES: usize = 1 << 20;

/// Why a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The target has ended.
    Target,
    /// The time that was asked for is over.
    Duration,
    /// The user asked to stop.
    Stop,
}

/// Records and writes the file; gives the exit status.
pub(crate) fn run(options: &ProfileOptions) -> Result<ExitCode, Error> {
    let (format, record_options) = (options.format()?, options.record()?);
    let mut output = Output::open(&options.output(format))?;
    let stop = Stop::install(output.temporary())?;
    let of_command = options.pid.is_none();
    if of_command && output.is_stdout() {
        output::send_stdout_to_stderr()?;
    }
    let mut progress = Progress::new(of_command);

    let Recorded { profile, notes, end, command, taken } =
        record(options, &record_options, &stop, &mut progress)?;
    if let (End::Duration, Some(command)) = (end, &command) {
        command::tell_to_end(command);
    }
    progress.writing(&output);
    let written = output.write(|file| {
        let mut file = BufWriter::with_capacity(WRITE_BYTES, file);
        format.encode(&profile, &mut file)?;
        file.flush()
    });
    progress.clear();
    written?;
    notes.iter().for_each(|note| console::line(format_args!("note: {note}")));
    summarize(&profile, &output, options.slow.filter(|_| taken > 0));
    exit_status(end, command)
}

/// What became of a recording.
struct Recorded {
    profile: Profile,
    /// What the user should know who reads the profile.
    notes: Vec<String>,
    end: End,
    /// The command, if one was launched. It may still run.
    command: Option<Launched>,
    /// How many samples were taken, those included that were left out.
    taken: u64,
}

/// Records until the target ends, the time is over, or the user asks to stop.
fn record(
    options: &ProfileOptions,
    record: &RecordOptions,
    stop: &Stop,
    progress: &mut Progress,
) -> Result<Recorded, Error> {
    let started_unix_ns = UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_nanos() as u64);
    // Before the recording: what takes long here would fill its buffers.
    let mut watch = options.slow.map(|threshold| SlowWatch::new(options.pid, threshold)).transpose()?;
    let mut recorder = start(options, record)?;
    if let (None, Some(watch)) = (options.pid, &mut watch) {
        watch.follow(Pid::new(recorder.pid()));
    }
    let mut notes: Vec<String> = recorder.notices().iter().map(ToString::to_string).collect();
    let title = options.title();
    progress.recording(&title, options.mode, recorder.frequency_hz());
    let mut intake = Intake::new(Recording {
        title,
        started_unix_ns,
        started: recorder.started(),
        // Known at the end.
        duration_ns: 0,
        weight: match options.mode {
            Mode::Cpu => Weight::CpuSamples { period_ns: NS_PER_S / u64::from(recorder.frequency_hz()) },
            Mode::OffCpu => Weight::OffCpuNs,
        },
    });

    let end = take_until_end(&mut recorder, &mut intake, watch.as_mut(), options.duration, stop, progress)?;
    let finished = recorder.finish(&mut |event| intake.take(&event)).map_err(Error::Record)?;
    let slow = watch.map(SlowWatch::finish).transpose()?;
    if let Some(slow) = &slow {
        intake.converter.keep(|tid, time| slow.holds(tid, time));
        intake.converter.set_title(slow.title(&options.title()));
    }
    let taken = intake.samples;
    let Conversion { mut profile, notes: missing } = intake.converter.finish();
    profile.recording.duration_ns = finished.ended.since_ns(finished.started);
    notes.extend(slow.iter().flat_map(|slow| slow.notes(&profile)));
    notes.extend(missing.iter().map(ToString::to_string));
    Ok(Recorded { profile, notes, end, command: finished.launched, taken })
}

fn start(options: &ProfileOptions, record: &RecordOptions) -> Result<Recorder, Error> {
    let recorder = match (options.pid, options.command.split_first()) {
        (Some(pid), _) => Recorder::attach(pid.get(), record),
        (None, Some((program, arguments))) => Recorder::launch(program, arguments, record),
        (None, None) => unreachable!("the command line has one or the other"),
    };
    recorder.map_err(Error::Record)
}

fn take_until_end(
    recorder: &mut Recorder,
    intake: &mut Intake,
    mut watch: Option<&mut SlowWatch>,
    limit: Option<Duration>,
    stop: &Stop,
    progress: &mut Progress,
) -> Result<End, Error> {
    let began = Instant::now();
    loop {
        let left = limit.map_or(POLL, |limit| limit.saturating_sub(began.elapsed()));
        if left.is_zero() {
            return Ok(End::Duration);
        }
        let target =
            recorder.poll(left.min(POLL), &mut |event| intake.take(&event)).map_err(Error::Record)?;
        if let Some(watch) = watch.as_deref_mut() {
            watch.poll()?;
        }
        if target == Target::Ended {
            return Ok(End::Target);
        }
        if stop.is_asked() {
            return Ok(End::Stop);
        }
        progress.update(began.elapsed(), intake.samples, intake.lost);
    }
}

/// Where events go: to the converter, and into two sums for the user to watch.
struct Intake {
    converter: Converter,
    samples: u64,
    lost: u64,
}

impl Intake {
    fn new(recording: Recording) -> Self {
        Self { converter: Converter::new(recording), samples: 0, lost: 0 }
    }

    fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Sample(_) => self.samples += 1,
            Event::Lost { count, .. } => self.lost += count,
            _ => {}
        }
        self.converter.event(event);
    }
}

/// Tells what was written. `only_slow` is the threshold of `--slow`, where it left samples out.
fn summarize(profile: &Profile, output: &Output, only_slow: Option<Duration>) {
    let (samples, lost) = (profile.samples.len(), profile.losses.total());
    let seconds = profile.recording.duration_ns as f64 / 1e9;
    let causes: Vec<_> =
        profile.losses.samples.iter().map(|(cause, count)| format!("{cause} {count}")).collect();
    let causes = if causes.is_empty() { String::new() } else { format!(" ({})", causes.join(", ")) };
    console::line(format_args!("{samples} samples, {lost} lost{causes}, {seconds:.2} s, {output}"));
    if samples == 0 {
        let why = match (only_slow, profile.recording.weight) {
            (Some(threshold), _) => &format!(
                "none was taken in an iteration longer than {}; a shorter --slow shows more",
                humantime::format_duration(threshold)
            ),
            (None, Weight::OffCpuNs) => "no thread of the target waited and ran again while it was recorded",
            _ => "the target used no CPU time while it was recorded; --mode off-cpu shows where it waits",
        };
        console::line(format_args!("no samples: {why}"));
    }
}

/// The command's own status is passed on, unless the recording ended because its time was over.
fn exit_status(end: End, launched: Option<Launched>) -> Result<ExitCode, Error> {
    let Some(mut command) = launched else { return Ok(ExitCode::SUCCESS) };
    match end {
        End::Target => {}
        End::Duration => command::end_told(&mut command)?,
        End::Stop => command::end_interrupted(&mut command)?,
    }
    let ended = command.wait().map_err(Error::Record)?;
    Ok(if end == End::Duration { ExitCode::SUCCESS } else { ExitCode::from(ended.exit.shell_status()) })
}
