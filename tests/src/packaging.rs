//! What packages say of rights: the systemd unit and the Kubernetes manifest, read as far as stories ask them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// Where a file below `packaging/` lies.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../packaging").join(name)
}

/// The text of a file below `packaging/`.
///
/// # Panics
/// If there is none.
#[track_caller]
pub fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("packaging/{name}: {error}"))
}

/// The systemd unit, its lines as they stand.
#[derive(Debug)]
pub struct Unit(String);

impl Unit {
    /// Reads the unit.
    ///
    /// # Panics
    /// If it is not there.
    #[track_caller]
    pub fn read() -> Self {
        Self(text("systemd/loopscope-agent.service"))
    }

    /// The unit with the program at another place.
    pub fn with_program(&self, program: &str) -> String {
        self.0.replace("/usr/bin/loopscope", program)
    }

    /// The values of a key, in their order.
    pub fn values(&self, key: &str) -> Vec<&str> {
        let pairs = self.0.lines().filter_map(|line| line.split_once('='));
        pairs.filter(|(own, _)| *own == key).map(|(_, value)| value).collect()
    }

    /// Capabilities as `setpriv` takes them: `+bpf,+perfmon`.
    pub fn capabilities(&self, key: &str) -> String {
        let words = self.values(key).join(" ").to_lowercase();
        words.split_whitespace().map(|word| word.replace("cap_", "+")).collect::<Vec<_>>().join(",")
    }

    /// The system calls that it lets through, by what `systemd-analyze` says of the groups.
    ///
    /// # Panics
    /// If that does not know a group.
    #[track_caller]
    pub fn system_calls(&self) -> BTreeSet<String> {
        let mut allowed = BTreeSet::new();
        for filter in self.values("SystemCallFilter") {
            let (refused, words) = filter.strip_prefix('~').map_or((false, filter), |words| (true, words));
            let calls: BTreeSet<String> = words.split_whitespace().flat_map(calls).collect();
            if refused {
                allowed.retain(|call| !calls.contains(call));
            } else {
                allowed.extend(calls);
            }
        }
        allowed
    }
}

/// The calls of a group such as `@ipc`, or the one call.
fn calls(word: &str) -> Vec<String> {
    if !word.starts_with('@') {
        return vec![word.to_owned()];
    }
    let told = Command::new("systemd-analyze").args(["syscall-filter", word]).output().expect("it is there");
    assert!(told.status.success(), "{word}: {}", String::from_utf8_lossy(&told.stderr));
    let lines = String::from_utf8_lossy(&told.stdout).into_owned();
    // Behind the name a comment, then one a line.
    let listed = lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    listed.filter(|line| *line != word).flat_map(calls).collect()
}

/// The Kubernetes manifest.
///
/// # Panics
/// If it is no YAML.
#[track_caller]
pub fn daemon_set() -> Value {
    serde_saphyr::from_str(&text("kubernetes/daemonset.yaml")).expect("YAML")
}
