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

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::strings;

/// Longer names are cut.
const NAME_CHARACTERS_MAX: usize = 128;

/// Names of scripts and folders that say nothing: the folder above says more.
const NAMELESS: &[&str] = &[
    "index",
    "main",
    "server",
    "app",
    "start",
    "cli",
    "bin",
    "www",
    "dist",
    "src",
    "build",
    "lib",
    "node_modules",
    ".bin",
    // Folders of the system.
    "usr",
    "opt",
    "srv",
    "home",
    "var",
    "root",
    "tmp",
    "local",
];

/// Options of Node.js that take the next word as their value.
const NODE_OPTIONS_WITH_VALUE: &[&str] = &[
    "-r",
    "--require",
    "--import",
    "--loader",
    "--experimental-loader",
    "-C",
    "--conditions",
    "--env-file",
    "--title",
    "--inspect-port",
    "--max-old-space-size",
    "--watch-path",
];

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
        let script = self.script();
        let package = || {
            let of_script =
                || script.as_ref().filter(|it| it.is_node).and_then(|it| (self.package)(&it.path));
            environment.value("npm_package_name").map(str::to_owned).or_else(of_script)
        };
        let name = declared(&environment)
            .or_else(|| pm2(&environment))
            .or_else(|| deployment(&environment).map(str::to_owned))
            .or_else(package)
            .or_else(|| script.as_ref().and_then(|it| script_name(&it.path)))
            .unwrap_or_else(|| self.program.to_owned());
        clean(&name)
    }

    /// The script that an interpreter runs; `None` of other programs, and of code given on the command line.
    fn script(&self) -> Option<Script> {
        let called = base_name(self.words.first()?);
        let is = |interpreter: fn(&str) -> bool| interpreter(called) || interpreter(self.program);
        let is_node = is(is_node);
        if !is_node && !is(is_python) {
            return None;
        }
        let word = script_word(&self.words[1..], is_node)?;
        let path = match (self.folder, word.is_module) {
            (Some(folder), false) => folder.join(word.text),
            _ => PathBuf::from(word.text),
        };
        Some(Script { path: normal(&path), is_node })
    }
}

/// The last part of a path.
pub(super) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// `node`, `nodejs`, `node24`, `node-24.1`.
fn is_node(program: &str) -> bool {
    let version = program.strip_prefix("nodejs").or_else(|| program.strip_prefix("node"));
    version.is_some_and(|version| version.bytes().all(|byte| byte.is_ascii_digit() || b"-.".contains(&byte)))
}

fn is_python(program: &str) -> bool {
    program.starts_with("python")
}

/// A script: where it lies, as far as that can be told.
struct Script {
    path: PathBuf,
    is_node: bool,
}

/// The word of a command line that names what is run.
struct ScriptWord<'a> {
    text: &'a str,
    /// A module of Python's, not a file.
    is_module: bool,
}

fn script_word(words: &[String], is_node: bool) -> Option<ScriptWord<'_>> {
    let file = |text| ScriptWord { text, is_module: false };
    let mut rest = words.iter().map(String::as_str);
    while let Some(word) = rest.next() {
        match word {
            "--" => return rest.next().map(file),
            "-m" if !is_node => return rest.next().map(|text| ScriptWord { text, is_module: true }),
            "-e" | "--eval" | "-p" | "--print" | "-c" | "-pe" => return None,
            option if is_node && NODE_OPTIONS_WITH_VALUE.contains(&option) => {
                rest.next();
            }
            "-W" | "-X" if !is_node => {
                rest.next();
            }
            option if option.starts_with('-') => {}
            script => return Some(file(script)),
        }
    }
    None
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

/// `/srv/shop/server.js` is `shop`, `/srv/shop/orders.js` is `orders`.
fn script_name(path: &Path) -> Option<String> {
    let path = path.to_string_lossy();
    let mut parts = path.rsplit('/').filter(|part| !part.is_empty());
    let file = parts.next()?;
    let stem = match file.rsplit_once('.') {
        Some((stem, "js" | "mjs" | "cjs" | "ts" | "mts" | "cts" | "py")) => stem,
        _ => file,
    };
    let folder = parts.clone().next();
    let speaking = |part: &&str| !NAMELESS.contains(part);
    let name = std::iter::once(stem).chain(parts).find(speaking);
    Some(name.or(folder).unwrap_or(stem).to_owned())
}

/// A path without `.` and `..`, as far as they can be told from it alone.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}

fn clean(text: &str) -> String {
    let printable = text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character });
    printable.take(NAME_CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests;
