//! What is told of a process besides its measurements, in the names of OpenTelemetry's semantic conventions for resources.
//!
//! The exporter looks it up by itself, once a process: it does not change, and the measuring thread has no use for it.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs;
use std::sync::OnceLock;
use std::time::{Duration, UNIX_EPOCH};

use attach::target::{Facts, Pid, Process};
use formats::otlp::Attribute;

use crate::config::percent_decoded;

/// A process, and when it started, where that is known: the same pid may come again.
pub(in crate::agent) type ProcessKey = (u32, Option<u64>);

pub(in crate::agent) type Attributes = Vec<(&'static str, Attribute)>;

/// What is known of processes.
#[derive(Debug)]
pub(in crate::agent) struct Resources {
    host: String,
    /// What else is told of the host.
    of_host: Attributes,
    /// What the operator told of the agent.
    given: &'static [(String, String)],
    /// The agent's own attributes, once somebody has asked for them.
    own: OnceCell<Attributes>,
    /// The attributes of each, and whether the last export had it.
    known: HashMap<ProcessKey, (Attributes, bool)>,
}

impl Resources {
    /// None is known.
    pub(in crate::agent) fn new() -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
        let of_host = of_host(&fs::read_to_string("/etc/machine-id").unwrap_or_default());
        static GIVEN: OnceLock<Vec<(String, String)>> = OnceLock::new();
        let given = GIVEN.get_or_init(|| given(&|name| std::env::var(name).ok()));
        Self { host, of_host, given, own: OnceCell::new(), known: HashMap::new() }
    }

    /// The attributes of a process that its series call by this service's name.
    pub(in crate::agent) fn of(&mut self, process: ProcessKey, service: &str) -> Attributes {
        let (host, of_host) = (&self.host, &self.of_host);
        let known = self.known.entry(process);
        let (attributes, is_used) = known.or_insert_with(|| (look_up(process, host, of_host), true));
        *is_used = true;
        // A process may call itself otherwise than a moment ago.
        let mut of_service = vec![("service.name", text(service))];
        of_service.extend(attributes.iter().cloned());
        of_service
    }

    /// The attributes of the agent itself, which began then.
    pub(super) fn own(&self, began_unix_ns: u64) -> Attributes {
        let look_up = || {
            let process = (std::process::id(), Some(began_unix_ns));
            let version = ("service.version", text(env!("CARGO_PKG_VERSION")));
            let mut attributes: Attributes = vec![("service.name", text("loopscope")), version];
            attributes.extend(look_up(process, &self.host, &self.of_host));
            for (name, value) in self.given {
                attributes.retain(|(own, _)| own != name);
                attributes.push((name, text(value)));
            }
            attributes
        };
        self.own.get_or_init(look_up).clone()
    }

    /// Forgets the processes that have not been asked for since the last time.
    pub(in crate::agent) fn forget_unused(&mut self) {
        self.known.retain(|_, (_, is_used)| std::mem::take(is_used));
    }
}

fn text(text: impl Into<String>) -> Attribute {
    Attribute::Text(text.into())
}

/// What tells a process from others. An instance needs an id, or receivers would take the processes of a service for one; made of what tells
/// a process from all others of a host, it is the same after a restart of the agent.
fn identity((pid, start_unix_ns): ProcessKey, host: &str) -> Attributes {
    let of_start = start_unix_ns.map(|ns| format!(":{}", ns / 1_000_000_000)).unwrap_or_default();
    let mut attributes = vec![
        ("service.instance.id", text(format!("{host}:{pid}{of_start}"))),
        ("host.name", text(host)),
        ("process.pid", Attribute::Integer(pid.into())),
    ];
    attributes.extend(start_unix_ns.map(|ns| {
        let started = UNIX_EPOCH + Duration::from_nanos(ns);
        ("process.creation.time", text(humantime::format_rfc3339_seconds(started).to_string()))
    }));
    attributes
}

/// What is told of the host besides its name.
fn of_host(machine_id: &str) -> Attributes {
    // The conventions' names, which are Go's.
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let id = Some(machine_id.trim()).filter(|id| !id.is_empty()).map(|id| ("host.id", text(id)));
    [("host.arch", text(arch))].into_iter().chain(id).collect()
}

/// What OpenTelemetry's variables say of the agent: `OTEL_RESOURCE_ATTRIBUTES`, and before it `OTEL_SERVICE_NAME`.
fn given(variable: &dyn Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let pairs = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let pairs = pairs.split(',').filter_map(|pair| pair.split_once('='));
    let decoded = |(name, value): (&str, &str)| (percent_decoded(name.trim()), percent_decoded(value.trim()));
    let service = variable("OTEL_SERVICE_NAME").map(|name| ("service.name".to_owned(), name));
    pairs.map(decoded).chain(service).filter(|(name, value)| !name.is_empty() && !value.is_empty()).collect()
}

/// Looks at a process; what may not be read, or is gone already, is left out.
fn look_up(process: ProcessKey, host: &str, of_host: &Attributes) -> Attributes {
    let (pid, _) = process;
    let mut attributes = identity(process, host);
    attributes.extend(of_host.iter().cloned());
    let facts = Process::open(Pid::new(pid)).and_then(|process| Facts::read(&process));
    let Ok(facts) = facts else { return attributes };
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = command.split(|&byte| byte == 0).next().unwrap_or_default();
    let told = [
        ("process.executable.name", Some(facts.program)),
        ("process.command", Some(String::from_utf8_lossy(command).into_owned())),
        ("container.id", facts.container),
    ];
    let told = told.into_iter().filter_map(|(name, value)| Some((name, value?)));
    attributes.extend(told.filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, text(value))));
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a Attribute> {
        attributes.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    #[test]
    fn a_process_is_told_by_its_name_and_its_program() {
        let mut resources = Resources::new();
        let pid = std::process::id();
        let attributes = resources.of((pid, Some(1_700_000_000_500_000_000)), "shop");
        assert_eq!(get(&attributes, "service.name"), Some(&text("shop")));
        assert_eq!(get(&attributes, "process.pid"), Some(&Attribute::Integer(pid.into())));
        assert_eq!(get(&attributes, "process.creation.time"), Some(&text("2023-11-14T22:13:20Z")));
        let program = std::env::current_exe().unwrap();
        let program = program.file_name().unwrap().to_str().unwrap();
        assert_eq!(get(&attributes, "process.executable.name"), Some(&text(program)));
        let instance = format!("{}:{pid}:1700000000", resources.host);
        assert_eq!(get(&attributes, "service.instance.id"), Some(&text(instance)));
        // A name is not remembered.
        assert_eq!(get(&resources.of((pid, Some(1)), "till"), "service.name"), Some(&text("till")));
    }

    #[test]
    fn the_agent_is_called_as_it_is_told_to_and_its_targets_are_not() {
        let variable = |name: &str| match name {
            "OTEL_RESOURCE_ATTRIBUTES" => {
                Some("deployment.environment=a%2Cb, service.name=no,host.name=h,broken".to_owned())
            }
            "OTEL_SERVICE_NAME" => Some("loops".to_owned()),
            _ => None,
        };
        let mut resources = Resources { given: given(&variable).leak(), ..Resources::new() };
        let own = resources.own(5);
        assert_eq!(get(&own, "service.name"), Some(&text("loops")));
        assert_eq!(get(&own, "deployment.environment"), Some(&text("a,b")));
        assert_eq!(get(&own, "host.name"), Some(&text("h")));
        assert_eq!(own.iter().filter(|(name, _)| *name == "service.name").count(), 1);
        assert_eq!(get(&resources.of((1, Some(5)), "shop"), "service.name"), Some(&text("shop")));
        let host = of_host(" 0123\n");
        assert_eq!(get(&host, "host.id"), Some(&text("0123")));
        assert!(get(&host, "host.arch").is_some() && get(&of_host(""), "host.id").is_none());
    }

    #[test]
    fn what_is_gone_is_told_as_far_as_it_is_known_and_then_forgotten() {
        let mut resources = Resources::new();
        let attributes = resources.of((u32::MAX / 2, None), "gone");
        assert!(
            get(&attributes, "process.executable.name").is_none()
                && get(&attributes, "process.pid").is_some()
        );
        // Nothing is made up where its start is not known.
        assert!(get(&attributes, "process.creation.time").is_none());
        let instance = format!("{}:{}", resources.host, u32::MAX / 2);
        assert_eq!(get(&attributes, "service.instance.id"), Some(&text(instance)));
        resources.forget_unused();
        assert_eq!(resources.known.len(), 1);
        resources.forget_unused();
        assert!(resources.known.is_empty());
    }
}
