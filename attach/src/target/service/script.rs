//! The script that an interpreter runs, told from its command line, and what its path says.

use std::path::{Component, Path, PathBuf};

use super::base_name;

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

/// A script: where it lies, as far as that can be told.
pub(super) struct Script {
    pub(super) path: PathBuf,
    pub(super) is_node: bool,
}

impl Script {
    /// The script that a process runs; `None` of programs that are no interpreters, and of code given on the command line.
    pub(super) fn of(words: &[String], program: &str, folder: Option<&Path>) -> Option<Self> {
        let called = base_name(words.first()?);
        let is = |interpreter: fn(&str) -> bool| interpreter(called) || interpreter(program);
        let is_node = is(is_node);
        if !is_node && !is(is_python) {
            return None;
        }
        let word = script_word(&words[1..], is_node)?;
        let path = match (folder, word.is_module) {
            (Some(folder), false) => folder.join(word.text),
            _ => PathBuf::from(word.text),
        };
        Some(Self { path: normal(&path), is_node })
    }

    /// The script's name: `/srv/shop/server.js` is `shop`, `/srv/shop/orders.js` is `orders`.
    pub(super) fn name(&self) -> Option<String> {
        let path = self.path.to_string_lossy();
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
}

/// `node`, `nodejs`, `node24`, `node-24.1`.
fn is_node(program: &str) -> bool {
    let version = program.strip_prefix("nodejs").or_else(|| program.strip_prefix("node"));
    version.is_some_and(|version| version.bytes().all(|byte| byte.is_ascii_digit() || b"-.".contains(&byte)))
}

fn is_python(program: &str) -> bool {
    program.starts_with("python")
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

/// A path without `.` and `..`, as far as they can be told from it alone.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}
