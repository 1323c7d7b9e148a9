//! Records a command or a process and prints its stacks, one a line with their weight, and what was noticed.
//!
//! `cargo run --release --example folded -- [--hz HZ] [--seconds S] (--pid PID | COMMAND [ARGUMENT]...)`

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufWriter, Write, stderr, stdout};
use std::time::{Duration, Instant};

use loopscope_attach::sampler::convert::Converter;
use loopscope_attach::sampler::event::Event;
use loopscope_attach::sampler::recorder::{RecordOptions, Recorder, Target};
use model::profile::Recording;
use rustix::time::{ClockId, clock_gettime};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut take_number = |name: &str| -> Result<Option<u32>, Box<dyn std::error::Error>> {
        if arguments.first().is_none_or(|first| first != name) {
            return Ok(None);
        }
        let number = arguments.get(1).and_then(|text| text.to_str()).ok_or("a number is missing")?.parse()?;
        arguments.drain(..2);
        Ok(Some(number))
    };
    let mut options = RecordOptions::default();
    if let Some(hz) = take_number("--hz")? {
        options.frequency_hz = hz;
    }
    let seconds = take_number("--seconds")?.unwrap_or(u32::MAX);
    let mut recorder = match (take_number("--pid")?, arguments.split_first()) {
        (Some(pid), _) => Recorder::attach(pid, &options)?,
        (None, Some((program, arguments))) => Recorder::launch(program, arguments, &options)?,
        (None, None) => return Err("give --pid PID or a command".into()),
    };
    let mut converter = Converter::new(Recording { started: recorder.started(), ..Recording::default() });
    let (mut converting, mut events) = (Duration::ZERO, 0);
    let mut convert = |event: Event<'_>| {
        let start = cpu_time(ClockId::ThreadCPUTime);
        converter.event(&event);
        converting += cpu_time(ClockId::ThreadCPUTime) - start;
        events += 1;
    };
    let end = Instant::now() + Duration::from_secs(seconds.into());
    while Instant::now() < end && recorder.poll(Duration::from_millis(100), &mut convert)? == Target::Runs {}
    recorder.finish(&mut convert)?;

    let samples = converter.sample_count();
    let start = (Instant::now(), cpu_time(ClockId::ProcessCPUTime));
    let conversion = converter.finish();
    let finishing = (start.0.elapsed(), cpu_time(ClockId::ProcessCPUTime) - start.1);
    let profile = conversion.profile;
    let mut stacks: BTreeMap<Vec<&str>, u64> = BTreeMap::new();
    for sample in &profile.samples {
        let thread = profile.threads[sample.thread.0 as usize];
        let mut names = vec![profile.text(thread.name)];
        names.extend(profile.frames_of(sample.stack).into_iter().map(|frame| profile.frame_name(frame)));
        *stacks.entry(names).or_default() += sample.weight;
    }
    let mut out = BufWriter::new(stdout());
    for (names, weight) in stacks {
        writeln!(out, "{} {weight}", names.join(";"))?;
    }
    out.flush()?;
    let mut errors = stderr();
    for note in conversion.notes {
        writeln!(errors, "note: {note}")?;
    }
    writeln!(errors, "{samples} samples, {events} events, {:?}", profile.losses)?;
    writeln!(
        errors,
        "CPU time of converting {converting:?}, of finishing {:?} in {:?}",
        finishing.1, finishing.0
    )?;
    Ok(())
}

fn cpu_time(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
