//! OTLP profiles. What OpenTelemetry calls a resource's or a thread's attribute is a label; the best known ones have our names.
//!
//! Counted samples of CPU time become the time that they stand for, as Pyroscope does with them, so that profiles of all producers
//! add up.

use formats::decode::{Decoded, Limits};
use formats::otlp::profiles;

use super::{IngestError, Origin, UNKNOWN_SERVICE, batch, counted_as_time};
use crate::store::Batch;
use crate::times;

/// OpenTelemetry's names, and ours.
const NAMES: &[(&str, &str)] = &[
    ("service.name", "service"),
    ("process.pid", "pid"),
    ("host.name", "host"),
    ("thread.name", "thread"),
    ("thread.id", "tid"),
    ("service.instance.id", "instance"),
    ("deployment.environment.name", "environment"),
];
/// Attributes of a resource that are about the measuring, or that no two processes share.
const LEFT_OUT: &[&str] = &[
    "telemetry.sdk.name",
    "telemetry.sdk.language",
    "telemetry.sdk.version",
    "process.command_line",
    "process.command_args",
    "process.executable.path",
    "process.owner",
    "process.creation.time",
    "process.parent_pid",
];

/// Reads what was exported: all of it together.
pub(crate) fn read(body: &[u8], limits: &Limits) -> Result<Batch, IngestError> {
    let now_ms = times::now_ms();
    let mut together = Batch::default();
    for found in profiles::decode(body, limits)? {
        let mut labels: Vec<(String, String)> = found.resource.into_iter().filter_map(label).collect();
        if !labels.iter().any(|(name, value)| name == "service" && !value.is_empty()) {
            labels.push(("service".to_owned(), UNKNOWN_SERVICE.to_owned()));
        }
        let mut profile = found.profile;
        rename(&mut profile);
        let kind = counted_as_time(&mut profile).then(|| "process_cpu".to_owned());
        together.add(batch(profile, &Origin { labels, kind, time_ms: now_ms })?);
    }
    Ok(together)
}

pub(crate) fn label((name, value): (String, String)) -> Option<(String, String)> {
    let ours = NAMES.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| (*ours).to_owned());
    (!LEFT_OUT.contains(&name.as_str())).then(|| (ours.unwrap_or(name), value))
}

/// Gives the labels of samples our names.
fn rename(profile: &mut Decoded) {
    for set in &mut profile.label_sets {
        for (name, _) in set {
            let theirs = profile.symbols.strings.get(*name);
            if let Some((_, ours)) = NAMES.iter().find(|(known, _)| *known == theirs) {
                *name = profile.symbols.strings.intern(ours);
            }
        }
    }
}
