//! The Firefox Profiler's processed profile format, version 70, for <https://profiler.firefox.com>: the one format that
//! shows all threads on one time line.
//!
//! Specification: <https://github.com/firefox-devtools/profiler/blob/main/src/types/profile.ts>, whose names are used
//! here. Newer versions of the profiler upgrade what they load, so the version that is written need not follow theirs.
//!
//! Frames go without their addresses: the profiler wants them relative to the file's image, which a profile does not
//! tell, and needs them only for symbols, which we already have.

mod decode;
mod tables;

pub use decode::decode;

use std::io;

use model::label::{LabelValue, Phase};
use model::profile::{FrameKind, Profile, Sample, Thread, ThreadId, Weight};

use rustc_hash::FxHashMap;

use crate::json::Json;
use crate::{aggregate, losses};

/// The version of the processed format.
const PROCESSED_VERSION: u32 = 70;

/// The version of the format that Firefox itself writes; the profiler asks for it, and looks at it no further.
const GECKO_VERSION: u32 = 36;

/// Writes a profile as JSON in the processed profile format.
///
/// # Errors
/// Those of `out`.
pub fn encode(profile: &Profile, out: &mut impl io::Write) -> io::Result<()> {
    let threads = aggregate::by_thread(profile);
    // By process: its main thread. Of several, because the process changed its name, the last.
    let main_threads: FxHashMap<u32, ThreadId> = threads
        .iter()
        .map(|(id, _)| (profile.threads[id.0 as usize], *id))
        .filter(|(thread, _)| thread.tid == thread.pid)
        .map(|(thread, id)| (thread.pid, id))
        .collect();
    let mut json = Json::new(out);
    json.object(|json| {
        json.key("meta").object(|json| write_meta(json, profile));
        json.key("libs").empty_array();
        json.key("shared").object(|json| tables::write(json, profile));
        json.key("threads").array(&threads, |json, (id, samples)| {
            let thread = profile.threads[id.0 as usize];
            let is_main = main_threads.get(&thread.pid) == Some(id);
            json.object(|json| write_thread(json, profile, thread, is_main, samples));
        });
    });
    json.finish()
}

/// The categories: names and colours of the parts of the time line, by position.
const CATEGORIES: [(&str, &str); 5] =
    [("Other", "grey"), ("Native", "blue"), ("JIT", "yellow"), ("Kernel", "orange"), ("Event loop", "green")];

/// The category and subcategory of a frame, as positions. The first subcategory stands for the category itself.
fn category(kind: FrameKind) -> (u8, u8) {
    match kind {
        FrameKind::Unknown => (0, 0),
        FrameKind::Native => (1, 0),
        FrameKind::Jit => (2, 0),
        FrameKind::Kernel => (3, 0),
        FrameKind::Phase(phase) => (4, 1 + phase.position()),
    }
}

fn write_meta(json: &mut Json<'_, impl io::Write>, profile: &Profile) {
    let recording = &profile.recording;
    json.key("interval");
    match recording.weight {
        Weight::CpuSamples { period_ns } => milliseconds(json, period_ns),
        Weight::OffCpuNs | Weight::AllocatedBytes => json.integer(1),
    }
    json.key("startTime");
    milliseconds(json, recording.started_unix_ns);
    json.key("startTimeAsClockMonotonicNanosecondsSinceBoot").integer(recording.started.as_ns());
    json.key("profilingStartTime").integer(0);
    json.key("profilingEndTime");
    milliseconds(json, recording.duration_ns);
    json.key("processType").integer(0);
    json.key("product").string(&recording.title);
    json.key("importedFrom").string("Loopscope");
    json.key("stackwalk").integer(1);
    json.key("version").integer(GECKO_VERSION);
    json.key("preprocessedProfileVersion").integer(PROCESSED_VERSION);
    json.key("symbolicated").boolean(true);
    json.key("sourceCodeIsNotOnSearchfox").boolean(true);
    json.key("markerSchema").empty_array();
    json.key("sampleUnits").object(|json| {
        json.key("time").string("ms");
        json.key("eventDelay").string("ms");
        json.key("threadCPUDelta").string("ns");
    });
    json.key("categories").array(CATEGORIES, |json, (name, color)| {
        json.object(|json| {
            json.key("name").string(name);
            json.key("color").string(color);
            let phases = if name == "Event loop" { Phase::ALL } else { &[] };
            let names = ["Other"].into_iter().chain(phases.iter().map(|phase| phase.as_str()));
            json.key("subcategories").array(names, Json::string);
        });
    });
    json.key("extra").array([losses::in_words(&profile.losses)], |json, lost| {
        json.object(|json| {
            json.key("label").string("Losses");
            json.key("entries").array(lost, |json, (what, count)| {
                json.object(|json| {
                    json.key("label").string(&what);
                    json.key("format").string("integer");
                    json.key("value").integer(count);
                });
            });
        });
    });
}

fn write_thread(
    json: &mut Json<'_, impl io::Write>,
    profile: &Profile,
    thread: Thread,
    is_main: bool,
    samples: &[&Sample],
) {
    json.key("processType").string("default");
    json.key("processStartupTime").integer(0);
    json.key("processShutdownTime").null();
    json.key("registerTime").integer(0);
    json.key("unregisterTime").null();
    json.key("pausedRanges").empty_array();
    json.key("name").string(profile.text(thread.name));
    json.key("isMainThread").boolean(is_main);
    json.key("processName").string(profile.text(thread.process_name));
    json.key("pid").string(&thread.pid.to_string());
    json.key("tid").integer(thread.tid);
    json.key("samples").object(|json| write_samples(json, profile, samples));
    json.key("markers").object(|json| {
        for column in ["data", "name", "startTime", "endTime", "phase", "category"] {
            json.key(column).empty_array();
        }
        json.key("length").integer(0);
    });
}

fn write_samples(json: &mut Json<'_, impl io::Write>, profile: &Profile, samples: &[&Sample]) {
    let recording = &profile.recording;
    json.key("stack").array(samples, |json, sample| match sample.stack {
        Some(stack) => json.integer(stack.0),
        None => json.null(),
    });
    json.key("time")
        .array(samples, |json, sample| milliseconds(json, sample.time.since_ns(recording.started)));
    if let Weight::CpuSamples { period_ns } = recording.weight {
        // How much of the time since the sample before was spent on a CPU: the height of the thread's graph.
        json.key("threadCPUDelta")
            .array(samples, |json, sample| json.integer(sample.weight.saturating_mul(period_ns)));
    }
    json.key("weight").array(samples, |json, sample| match recording.weight {
        Weight::OffCpuNs => milliseconds(json, sample.weight),
        Weight::CpuSamples { .. } | Weight::AllocatedBytes => json.integer(sample.weight),
    });
    json.key("weightType").string(match recording.weight {
        Weight::CpuSamples { .. } => "samples",
        Weight::OffCpuNs => "tracing-ms",
        Weight::AllocatedBytes => "bytes",
    });
    json.key("length").integer(samples.len());
}

/// Nanoseconds as the format's unit of time.
fn milliseconds(json: &mut Json<'_, impl io::Write>, ns: u64) {
    json.decimal(ns, 6);
}
