//! The name of the service that a process is: what those who run it call it.
//!
//! The first of these that there is:
//!
//! 1. what was declared to OpenTelemetry: `OTEL_SERVICE_NAME`, or `service.name` in `OTEL_RESOURCE_ATTRIBUTES`;
//! 2. the name that pm2 runs it under;
//! 3. the Kubernetes deployment, told from the name of the pod;
//! 4. the name of the npm package: `npm_package_name`, or a `package.json` at or above the script's folder;
//! 5. the name of the script, or of its folder where the script is called `index.js` or the like;
//! 6. the name of the program.
//!
//! All of it is the process's own word: it is read, never believed to be more than a name.

mod script;

use std::path::Path;

use serde::Deserialize;

use super::strings;
use script::Script;

/// Longer names are cut.
const NAME_CHARACTERS_MAX: usize = 128;

/// What a name is told from.
pub(super) struct Clues<'a> {
    /// The environment that the process was started with.
    pub(super) environ: &'a [u8],
    /// Its command line.
    pub(super) words: &'a [String],
    /// The name of its program.
    pub(super) program: &'a str,
    /// The folder that it runs in.
    pub(super) folder: Option<&'a Path>,
    /// The name of the npm package that a script belongs to.
    pub(super) package: &'a dyn Fn(&Path) -> Option<String>,
}

impl Clues<'_> {
    /// The service's name.
    pub(super) fn name(&self) -> String {
        let environment = Environment(strings(self.environ));
        let script = Script::of(self.words, self.program, self.folder);
        let package = || {
            let of_script =
                || script.as_ref().filter(|it| it.is_node).and_then(|it| (self.package)(&it.path));
            environment.value("npm_package_name").map(str::to_owned).or_else(of_script)
        };
        let name = declared(&environment)
            .or_else(|| pm2(&environment))
            .or_else(|| deployment(&environment).map(str::to_owned))
            .or_else(package)
            .or_else(|| script.as_ref().and_then(Script::name))
            .unwrap_or_else(|| self.program.to_owned());
        clean(&name)
    }
}

/// The last part of a path.
pub(super) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The variables that a process was started with.
struct Environment(Vec<String>);

impl Environment {
    /// The value of a variable, unless it is empty.
    fn value(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find_map(|variable| variable.strip_prefix(name)?.strip_prefix('='));
        found.map(str::trim).filter(|value| !value.is_empty())
    }
}

/// The name that was declared to OpenTelemetry.
fn declared(environment: &Environment) -> Option<String> {
    let attribute = || {
        let mut pairs = environment.value("OTEL_RESOURCE_ATTRIBUTES")?.split(',');
        let value = pairs.find_map(|pair| {
            pair.split_once('=')
                .filter(|(key, _)| key.trim() == "service.name")
                .map(|(_, value)| value.trim())
        })?;
        Some(percent_decoded(value)).filter(|value| !value.is_empty())
    };
    environment.value("OTEL_SERVICE_NAME").map(str::to_owned).or_else(attribute)
}

/// `%20` is a space: attributes are written as W3C baggage is. What is no such code stands for itself.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        let code = (*first == b'%').then(|| others.get(..2)).flatten();
        let code = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &others[2..] } else { others };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The name that pm2 runs a process under: variables of its own in fork mode, one of JSON in cluster mode.
fn pm2(environment: &Environment) -> Option<String> {
    #[derive(Deserialize)]
    struct Told {
        name: String,
    }
    let is_number = |id: &str| id.bytes().all(|byte| byte.is_ascii_digit());
    let forked =
        environment.value("pm_id").filter(|id| is_number(id)).and_then(|_| environment.value("name"));
    let in_cluster = || serde_json::from_str::<Told>(environment.value("pm2_env")?).ok();
    forked
        .map(str::to_owned)
        .or_else(|| in_cluster().map(|told| told.name))
        .filter(|name| !name.trim().is_empty())
}

/// `shop-7d4b8c9f6d-x2x7z` is a pod of the deployment `shop`.
///
/// Kubernetes makes the middle part of the digits of a number, written with ten other characters, and the last one of five
/// characters that make no words, so that no other pod's name looks like that (`SafeEncodeString` and `String` in its
/// package `rand`). Names of other pods (of a stateful set, of a job) are not told apart from names that people give, and
/// left alone.
fn deployment(environment: &Environment) -> Option<&str> {
    const HASH: &[u8] = b"456789bcdf";
    const SUFFIX: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    environment.value("KUBERNETES_SERVICE_HOST")?;
    let (rest, suffix) = environment.value("HOSTNAME")?.rsplit_once('-')?;
    let (name, hash) = rest.rsplit_once('-')?;
    let made_of = |text: &str, of: &[u8]| text.bytes().all(|byte| of.contains(&byte));
    let is_pod = suffix.len() == 5 && made_of(suffix, SUFFIX);
    let is_replica_set = (6..=10).contains(&hash.len()) && made_of(hash, HASH);
    (is_pod && is_replica_set && !name.is_empty()).then_some(name)
}

fn clean(text: &str) -> String {
    let printable = text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character });
    printable.take(NAME_CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests;
