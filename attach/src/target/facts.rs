//! What a process is, in the words of those who run it.

use super::{Process, ProcessError};

/// Longer values are cut.
const TEXT_CHARACTERS_MAX: usize = 128;

/// Names of scripts that say nothing: their folder says more.
const NAMELESS_SCRIPTS: &[&str] =
    &["index", "main", "server", "app", "start", "cli", "bin", "www", "dist", "src", "build", "lib"];

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

/// Who a process is: what it is called, and what tells it from others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The service that it belongs to: `OTEL_SERVICE_NAME` or `service.name` of `OTEL_RESOURCE_ATTRIBUTES` in its environment, else
    /// the name of the script that an interpreter runs, or of its folder where the script is called `index.js` or the like, else
    /// the name of the process.
    pub service: String,
    /// The name of the process, as `ps` shows it.
    pub name: String,
    /// The command line, its words parted by spaces.
    pub command: String,
    /// The user that it runs as.
    pub user: Option<u32>,
    /// Its control group.
    pub cgroup: String,
    /// The container's id of 64 hexadecimal digits, where the control group has one.
    pub container: Option<String>,
}

impl Facts {
    /// Reads the facts of a process. What only its owner may read is left out.
    ///
    /// # Errors
    /// [`ProcessError::Vanished`] where the process has ended.
    pub fn read(process: &Process) -> Result<Self, ProcessError> {
        let name = process.stat()?.name;
        let text = |path| process.read(path).unwrap_or_default();
        let user = process.metadata("stat").ok().map(|metadata| metadata.st_uid);
        Ok(Self::new(name, &text("cmdline"), &text("environ"), &text("cgroup"), user))
    }

    /// The facts that these contents of `/proc/PID` tell.
    pub fn new(name: String, cmdline: &[u8], environ: &[u8], cgroup: &[u8], user: Option<u32>) -> Self {
        let words = strings(cmdline);
        let cgroup = String::from_utf8_lossy(cgroup);
        let cgroup =
            cgroup.lines().last().and_then(|line| line.splitn(3, ':').nth(2)).unwrap_or("").to_owned();
        let service = declared_service(environ)
            .or_else(|| script(&words).and_then(script_name))
            .unwrap_or_else(|| name.clone());
        Self {
            service: clean(&service),
            command: words.join(" "),
            user,
            container: container_id(&cgroup),
            cgroup,
            name,
        }
    }
}

/// The words of a file that parts them by zeros.
fn strings(bytes: &[u8]) -> Vec<String> {
    let words = bytes.split(|&byte| byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// The service's name as OpenTelemetry lets it be declared.
fn declared_service(environ: &[u8]) -> Option<String> {
    let variables = strings(environ);
    let value = |name: &str| {
        let found = variables.iter().find_map(|variable| variable.strip_prefix(name)?.strip_prefix('='));
        found.map(str::trim).filter(|value| !value.is_empty())
    };
    let attribute = || {
        let attributes = value("OTEL_RESOURCE_ATTRIBUTES")?.split(',');
        attributes.filter_map(|pair| pair.split_once('=')).find(|(key, _)| key.trim() == "service.name")
    };
    value("OTEL_SERVICE_NAME")
        .or_else(|| attribute().map(|(_, value)| value.trim()))
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
}

/// The script that an interpreter runs; `None` of other programs, and of code given on the command line.
fn script(words: &[String]) -> Option<&str> {
    let program = words.first()?.rsplit('/').next()?;
    let is_node = program == "node" || program == "nodejs";
    if !is_node && !program.starts_with("python") {
        return None;
    }
    let mut rest = words[1..].iter().map(String::as_str);
    while let Some(word) = rest.next() {
        match word {
            "--" => return rest.next(),
            "-m" if !is_node => return rest.next(),
            "-e" | "--eval" | "-p" | "--print" | "-c" | "-pe" => return None,
            option if is_node && NODE_OPTIONS_WITH_VALUE.contains(&option) => {
                rest.next();
            }
            "-W" | "-X" if !is_node => {
                rest.next();
            }
            option if option.starts_with('-') => {}
            script => return Some(script),
        }
    }
    None
}

/// `/srv/shop/server.js` is `shop`, `/srv/shop/orders.js` is `orders`.
fn script_name(path: &str) -> Option<String> {
    let mut parts = path.rsplit('/').filter(|part| !part.is_empty() && *part != "." && *part != "..");
    let file = parts.next()?;
    let stem = match file.rsplit_once('.') {
        Some((stem, "js" | "mjs" | "cjs" | "ts" | "mts" | "cts" | "py")) => stem,
        _ => file,
    };
    let speaking = |part: &&str| !NAMELESS_SCRIPTS.contains(part) && *part != "node_modules";
    let name = std::iter::once(stem).chain(parts).find(speaking).unwrap_or(stem);
    Some(name.to_owned())
}

fn container_id(cgroup: &str) -> Option<String> {
    let is_id = |part: &&str| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    cgroup.split(['/', '-', '.', ':']).rfind(is_id).map(str::to_owned)
}

fn clean(text: &str) -> String {
    let printable = text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character });
    printable.take(TEXT_CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn expect_service(words: &[&str], environ: &[u8], service: &str) {
        let cmdline = words.join("\0");
        let facts = Facts::new("comm".to_owned(), cmdline.as_bytes(), environ, b"0::/\n", Some(0));
        assert_eq!(facts.service, service, "{words:?}");
    }

    #[test]
    fn a_declared_name_comes_first() {
        expect_service(&["node", "a.js"], b"A=1\0OTEL_SERVICE_NAME=shop\0", "shop");
        expect_service(&["node", "a.js"], b"OTEL_RESOURCE_ATTRIBUTES=a=b,service.name=shop\0", "shop");
        expect_service(&["node", "a.js"], b"OTEL_SERVICE_NAME=\0", "a");
        expect_service(&["node", "a.js"], b"OTEL_SERVICE_NAME=a\nb\0", "a\u{fffd}b");
    }

    #[test]
    fn a_script_gives_its_name_or_that_of_its_folder() {
        for (words, service) in [
            (&["/usr/bin/node", "/srv/orders.js"][..], "orders"),
            (&["node", "/srv/shop/server.js"], "shop"),
            (&["node", "/srv/shop/dist/index.js"], "shop"),
            (&["node", "index.js"], "index"),
            (&["node", "-r", "ts-node", "--enable-source-maps", "./worker.ts", "-e"], "worker"),
            (&["node", "--", "-odd.js"], "-odd"),
            (&["node", "-e", "1"], "comm"),
            (&["node"], "comm"),
            (&["python3.11", "-X", "dev", "-m", "uvicorn"], "uvicorn"),
            (&["/bin/other", "file.js"], "comm"),
            (&[], "comm"),
        ] {
            expect_service(words, b"", service);
        }
    }

    #[test]
    fn a_container_is_told_by_its_control_group() {
        let id = "0123456789abcdef".repeat(4);
        for cgroup in [
            format!("0::/system.slice/docker-{id}.scope\n"),
            format!("12:cpu:/x\n0::/kubepods.slice/cri-containerd-{id}.scope\n"),
            format!("0::/docker/{id}\n"),
        ] {
            let facts = Facts::new("n".to_owned(), b"", b"", cgroup.as_bytes(), None);
            assert_eq!(facts.container.as_deref(), Some(id.as_str()), "{cgroup}");
        }
        assert_eq!(Facts::new("n".to_owned(), b"", b"", b"0::/user.slice\n", None).container, None);
    }
}
