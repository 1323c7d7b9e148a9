//! What the tests use and Debian does not have: versions of Node.js, from the npm package that carries the official binaries, and uvloop for the
//! machine's Python, which are measured; what exports are sent to, and what dashboards are judged by.
//!
//! The machine's own `node` is one version; what is measured differs from one to the next. Each is fetched once, into
//! `target/tools`, and takes its place whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::{Error, run, say};

/// One of each line that is in use.
const VERSIONS: &[&str] = &["18.20.8", "20.20.2", "22.23.3", "24.21.0", "26.12.1"];

const UVLOOP: &str = "0.23.0";

/// The version of Pyroscope's SDK for Node.js.
const PYROSCOPE: &str = "0.6.4";

/// The version of opentelemetry-proto, by which the folder is called, and what it is used with.
const OPENTELEMETRY: (&str, &[&str]) = (
    "1.45.2",
    &["opentelemetry-proto==1.45.2", "grpcio==1.85.3", "protobuf==7.36.2", "typing_extensions==4.16.0"],
);

/// The version of moto, by which the folder is called, and what its server needs. What these need is of the version that fits.
const MOTO: (&str, &[&str]) = ("5.2.5", &["moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"]);

/// The version of what judges manifests of Kubernetes, by its schemas.
const KUBERNETES: &str = "1.37.0";

/// The version of Grafana, by which the folder is called, and the packages that know its types and units, with a compiler that judges by
/// them: the last TypeScript that a program can call.
const GRAFANA: (&str, &[(&str, &str)]) =
    ("13.2.3", &[("@grafana/schema", "13.2.3"), ("@grafana/data", "13.2.3"), ("typescript", "5.9.3")]);

/// Fetches what is missing; gives the path of each program, the oldest first.
pub(crate) fn provide(tools: &Path) -> Result<Vec<PathBuf>, Error> {
    let folder = tools.join("node");
    VERSIONS.iter().map(|version| provide_one(&folder, version)).collect()
}

fn provide_one(folder: &Path, version: &str) -> Result<PathBuf, Error> {
    let home = folder.join(version);
    provide_whole(&home, &format!("Node.js {version}"), |half| {
        let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
        unpack(&format!("node-linux-{machine}"), version, half)
    })?;
    Ok(home.join("bin/node"))
}

/// Fetches uvloop if it is missing; gives the folder from which Python can import it.
pub(crate) fn provide_uvloop(tools: &Path) -> Result<PathBuf, Error> {
    let home = tools.join("uvloop").join(UVLOOP);
    provide_whole(&home, "uvloop", |half| pip(half, &["--no-deps", &format!("uvloop=={UVLOOP}")]))?;
    Ok(home)
}

/// Fetches what an OTLP receiver is made of if it is missing; gives the folder from which Python can import it.
pub(crate) fn provide_opentelemetry(tools: &Path) -> Result<PathBuf, Error> {
    let (version, packages) = OPENTELEMETRY;
    let home = tools.join("opentelemetry").join(version);
    let what = "opentelemetry-proto and grpcio, of which the receiver of exports is made";
    provide_whole(&home, what, |half| pip(half, &[&["--no-deps"], packages].concat()))?;
    Ok(home)
}

/// Fetches what takes the place of a service of objects if it is missing; gives the folder from which Python can import it.
pub(crate) fn provide_moto(tools: &Path) -> Result<PathBuf, Error> {
    let (version, packages) = MOTO;
    let home = tools.join("moto").join(version);
    provide_whole(&home, "moto, which takes the place of Amazon's S3", |half| pip(half, packages))?;
    Ok(home)
}

/// Fetches what judges manifests if it is missing; gives the folder from which Python can import it.
pub(crate) fn provide_kubernetes(tools: &Path) -> Result<PathBuf, Error> {
    let home = tools.join("kubernetes").join(KUBERNETES);
    let what = "kubernetes-validate, which judges the manifest of Kubernetes";
    provide_whole(&home, what, |half| pip(half, &[&format!("kubernetes-validate=={KUBERNETES}")]))?;
    Ok(home)
}

/// Fetches what judges dashboards if it is missing; gives the folder that has the `node_modules`.
pub(crate) fn provide_grafana(tools: &Path) -> Result<PathBuf, Error> {
    let (version, packages) = GRAFANA;
    let home = tools.join("grafana").join(version);
    provide_whole(&home, "@grafana/schema and TypeScript, which judge the dashboards", |half| {
        for (name, version) in packages {
            // Without what they need to run: only their types and lists are read.
            let folder = half.join("node_modules").join(name);
            fs::create_dir_all(&folder).map_err(|error| Error::File { path: folder.clone(), error })?;
            unpack(name, version, &folder)?;
        }
        Ok(())
    })?;
    Ok(home)
}

/// Fetches Pyroscope's SDK for Node.js if it is missing; gives the folder that has it in its `node_modules`.
pub(crate) fn provide_pyroscope(tools: &Path) -> Result<PathBuf, Error> {
    let home = tools.join("pyroscope").join(PYROSCOPE);
    provide_whole(&home, "Pyroscope's SDK for Node.js, which sends to the collector", |half| {
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(half);
        npm.arg(format!("@pyroscope/nodejs@{PYROSCOPE}"));
        run(npm.stdin(Stdio::null()).stdout(Stdio::null()))
    })?;
    Ok(home)
}

/// Unpacks a package of npm into a folder, without what it depends on.
fn unpack(package: &str, version: &str, folder: &Path) -> Result<(), Error> {
    let mut npm = Command::new("npm");
    npm.args(["pack", "--silent", &format!("{package}@{version}")]);
    run(npm.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()))?;
    let archive = format!("{}-{version}.tgz", package.trim_start_matches('@').replace('/', "-"));
    run(Command::new("tar").args(["xzf", &archive, "--strip-components=1"]).current_dir(folder))?;
    let archive = folder.join(archive);
    fs::remove_file(&archive).map_err(|error| Error::File { path: archive, error })
}

/// Installs packages of Python into a folder.
fn pip(folder: &Path, packages: &[&str]) -> Result<(), Error> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--target"]).arg(folder);
    run(pip.args(packages).stdin(Stdio::null()))
}

/// Fills a folder that is not there yet: beside it first, so that it takes its place whole.
fn provide_whole(
    home: &Path,
    what: &str,
    fill: impl FnOnce(&Path) -> Result<(), Error>,
) -> Result<(), Error> {
    if home.is_dir() {
        return Ok(());
    }
    say(&format!("missing: {what}"));
    let failed = |error| Error::File { path: home.to_owned(), error };
    let half = home.with_extension("half");
    // What an earlier, interrupted run left.
    match fs::remove_dir_all(&half) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => fs::create_dir_all(&half).map_err(failed)?,
    }
    fill(&half)?;
    fs::rename(&half, home).map_err(failed)
}
