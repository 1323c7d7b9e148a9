//! Prints the events of a recording as text, one a line.
//!
//! `cargo run -p loopscope-attach --example events -- [--hz HZ] [--seconds S] (--pid PID | COMMAND [ARGUMENT]...)`

use std::ffi::OsString;
use std::io::{BufWriter, Write, stdout};
use std::time::{Duration, Instant};

use loopscope_attach::sampler::event::Event;
use loopscope_attach::sampler::recorder::{RecordOptions, Recorder, Target};
use model::time::Monotonic;

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
        (Some(pid), None) => Recorder::attach(pid, &options)?,
        (None, Some((program, arguments))) => Recorder::launch(program, arguments, &options)?,
        _ => return Err("give --pid PID or a command, after the options".into()),
    };

    let mut out = BufWriter::new(stdout());
    for notice in recorder.notices() {
        writeln!(out, "notice: {notice}")?;
    }
    let started = recorder.started();
    let mut written = Ok(());
    let mut print = |event: Event<'_>| {
        if written.is_ok() {
            written = print(&mut out, started, &event);
        }
    };
    let end = Instant::now() + Duration::from_secs(seconds.into());
    while Instant::now() < end && recorder.poll(Duration::from_millis(100), &mut print)? == Target::Runs {}
    let finished = recorder.finish(&mut print)?;
    written?;
    if let Some(ended) = finished.launched.map(|mut launched| launched.try_wait()).transpose()?.flatten() {
        writeln!(out, "ended {:?}, CPU time {:?}", ended.exit, ended.cpu_time)?;
    }
    Ok(out.flush()?)
}

fn print(out: &mut impl Write, started: Monotonic, event: &Event<'_>) -> std::io::Result<()> {
    let since = |time: Monotonic| format!("{:>10} µs", time.since_ns(started) / 1_000);
    match event {
        Event::Sample(sample) => writeln!(
            out,
            "{} sample {}/{} kernel {} user {} ip {:x?} stack {}{}",
            since(sample.time),
            sample.pid,
            sample.tid,
            sample.kernel.len(),
            sample.user_by_frame_pointer.len(),
            sample.registers.map(|registers| registers.ip),
            sample.stack.len(),
            if sample.stack_cut { " (cut)" } else { "" },
        ),
        Event::Mapped(mapped) => writeln!(
            out,
            "{} mapped {} {:x}+{:x} offset {:x} device {:?} inode {} {}",
            since(mapped.time),
            mapped.pid,
            mapped.start,
            mapped.length,
            mapped.file_offset,
            mapped.device,
            mapped.inode,
            mapped.path.escape_ascii(),
        ),
        Event::Forked { time, pid, tid, parent_pid } => {
            writeln!(out, "{} forked {pid}/{tid} from {parent_pid}", since(*time))
        }
        Event::Renamed { time, pid, tid, name, exec } => {
            writeln!(out, "{} renamed {pid}/{tid} {} exec {exec}", since(*time), name.escape_ascii())
        }
        Event::Exited { time, pid, tid } => writeln!(out, "{} exited {pid}/{tid}", since(*time)),
        Event::Lost { cause, count } => writeln!(out, "lost {count} {cause}"),
    }
}
