//! A process that publishes telemetry.

use attach::target::{Facts, Figures, Host};
use attach::telemetry::{Telemetry, TelemetryError};
use model::catalogue::{self, Metric, Scope};
use model::segment::Contents;
use model::snapshot::{SharedLabels, Snapshot};
use model::time::Monotonic;

use super::ProcessNote;
use crate::agent::profiler::Wanted;
use crate::config::Rules;

/// Adds everything that is known of the process.
pub(super) fn read(
    telemetry: &Telemetry,
    host: &Host,
    now: Monotonic,
    snapshot: &mut Snapshot,
) -> Result<ProcessNote, TelemetryError> {
    // First, because it tells whether the process still lives: the memory outlives it as long as we hold it.
    let figures = Figures::read(telemetry.process(), host)?;
    let (identity, mut contents) = telemetry.read(now)?;
    drop_foreign_metrics(&mut contents);
    let service = if identity.service.is_empty() { &figures.name } else { &identity.service };
    let pid = telemetry.process().pid().to_string();
    let labels = SharedLabels::new([("service", service.as_str()), ("pid", &pid)]);
    figures.add_to(snapshot, &labels);
    contents.add_to(snapshot, &labels);
    Ok(ProcessNote {
        pid: telemetry.process().pid(),
        is_outside: false,
        is_node: false,
        user_ns: figures.user_ns,
        system_ns: figures.system_ns,
    })
}

/// What the profiler needs to know, if the process is to be profiled.
pub(super) fn wanted(telemetry: &Telemetry, rules: &Rules, now: Monotonic) -> Option<Wanted> {
    let process = telemetry.process();
    let facts = Facts::read(process).ok().filter(|facts| rules.profiles(facts))?;
    let (identity, contents) = telemetry.read(now).ok()?;
    let pid = process.pid().get();
    let service = if identity.service.is_empty() { facts.name } else { identity.service };
    // In another pid namespace its numbers are not ours: what cannot be told is left out.
    let is_thread = |tid: u32| std::path::Path::new(&format!("/proc/{pid}/task/{tid}")).exists();
    let loops = contents.loops().into_iter().filter_map(|(tid, name)| Some((u32::try_from(tid).ok()?, name)));
    Some(Wanted { pid, service, loops: loops.filter(|(tid, _)| is_thread(*tid)).collect() })
}

/// A target speaks for its loops, pool and heap. What the kernel tells of it, and what the agent tells of itself and of
/// its measuring, is not the target's to say.
fn drop_foreign_metrics(contents: &mut Contents) {
    let accounting = catalogue::PROCESS_CPU.id..=catalogue::PROCESS_START_TIME.id;
    let of_the_agent = catalogue::LOOPSCOPE_BUILD_INFO.id..catalogue::TOKIO_WORKERS.id;
    let is_own = |metric: &Metric| {
        !matches!(metric.scope, Scope::Agent | Scope::Collector)
            && !accounting.contains(&metric.id)
            && !of_the_agent.contains(&metric.id)
    };
    for scope in &mut contents.scopes {
        scope.readings.retain(|reading| is_own(reading.metric));
    }
}
