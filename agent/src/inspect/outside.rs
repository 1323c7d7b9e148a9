//! What can be measured of a process's libuv from outside: found out by doing it.

use std::time::Duration;

use attach::libuv::locate::{Images, Located};
use attach::libuv::observe::Observer;
use attach::libuv::probes::{ProbeOptions, Probes};
use attach::libuv::tiers::Tiers;
use attach::target::Process;
use model::label::Tier;

use crate::clock;

/// How long loops are looked for.
const LOOPS_PATIENCE: Duration = Duration::from_secs(2);

/// The lines on libuv and on each tier.
pub(super) fn lines(process: &Process) -> String {
    let located = match Images::default().locate(process) {
        Ok(Some(located)) => located,
        Ok(None) => return line("libuv", "no: it runs none"),
        Err(error) => return line("libuv", &format!("no: {error}")),
    };
    let mut lines = line("libuv", &libuv(&located));
    let mut notes = Vec::new();
    match Observer::new(process, located.clone(), clock::monotonic()) {
        Ok(mut observer) => {
            // A process that ends meanwhile has shown what it had.
            let _ = observer.seek(LOOPS_PATIENCE);
            let names: Vec<&str> = observer.loops().map(|(_, name)| name).collect();
            let loops = if names.is_empty() { "none found yet".to_owned() } else { names.join(", ") };
            lines += &line("observe", &format!("yes: loops: {loops}; {}", gives(Tier::Observe)));
            notes = observer.notes();
        }
        Err(error) => lines += &line("observe", &format!("no: {error}")),
    }
    lines += &probed(process, &located);
    for missing in &located.libuv.image.missing {
        lines += &line("missing", &format!("{}: {}", missing.what, missing.why));
    }
    for note in notes {
        lines += &line("note", &note.to_string());
    }
    lines
}

fn libuv(located: &Located) -> String {
    let image = &located.libuv.image;
    let version = image.version.map_or_else(
        || "of an unknown version".to_owned(),
        |(major, minor, patch)| format!("{major}.{minor}.{patch}"),
    );
    let host = match located.node_version() {
        Some((major, minor, patch)) => format!(" in Node.js {major}.{minor}.{patch}"),
        None if located.is_node() => " in Node.js".to_owned(),
        None => String::new(),
    };
    let build_id: String = image.build_id.iter().flatten().map(|byte| format!("{byte:02x}")).collect();
    let build_id = if build_id.is_empty() { String::new() } else { format!(", build id {build_id}") };
    format!("yes: {version}{host}, {}{build_id}", located.libuv.shown_path)
}

/// The tiers that need probes: each is placed for a moment and taken away.
fn probed(process: &Process, located: &Located) -> String {
    let mut probes = match Probes::load(&ProbeOptions::default()) {
        Ok(probes) => probes,
        Err(error) => {
            let no = format!("no: {error}");
            return Tiers::ALL.probes().iter().map(|tier| line(tier_name(tier), &no)).collect();
        }
    };
    let mut lines = String::new();
    for tier in Tiers::ALL.probes().iter() {
        let answer = match probes.attach(process.pid(), located, Tiers::only(tier), u64::MAX) {
            Ok(attachment) => {
                let answer = match attachment.refused().iter().find(|(refused, _)| *refused == tier) {
                    Some((_, refusal)) => format!("no: {refusal}"),
                    None => format!("yes: {}", gives(tier)),
                };
                probes.detach(attachment);
                answer
            }
            Err(error) => format!("no: {error}"),
        };
        lines += &line(tier_name(tier), &answer);
    }
    lines
}

fn tier_name(tier: Tier) -> &'static str {
    use model::label::LabelValue;
    tier.as_str()
}

/// What a tier gives, and what it costs.
fn gives(tier: Tier) -> &'static str {
    match tier {
        Tier::Observe => "utilization, iterations, stalls, pool depth; costs the process nothing",
        Tier::Loop => "every iteration's lag, garbage-collector pauses; 1 to 2 µs an iteration",
        Tier::Phases => "time in each phase, timer lateness; up to 6 µs an iteration",
        Tier::Pool => "wait, run time and completion delay of every task; 3 to 4 µs a task",
    }
}

fn line(name: &str, text: &str) -> String {
    format!("{name:<10} {text}\n")
}
