//! The Debian package: what it says of itself, and what is done when it comes and goes.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::contents::{Contents, set_mode};
use super::{Options, Program, make_empty, write};
use crate::command::{Error, output_of, run};
use crate::repository::root;

/// The program's, and the first package of it.
pub(super) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "-1");

const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// Makes the package.
pub(super) fn package(
    program: &Program,
    contents: &Contents,
    options: &Options,
    time: &str,
) -> Result<PathBuf, Error> {
    let architecture = options.target.debian;
    let name = format!("{}_{VERSION}_{architecture}", program.name);
    let folder = options.folder.join(&name);
    make_empty(&folder)?;
    contents.lay_out(&folder, |path| Some(path.to_owned()))?;
    let about = folder.join("DEBIAN");
    fs::create_dir(&about).map_err(|error| Error::File { path: about.clone(), error })?;
    set_mode(&about, 0o755)?;
    // In KiB, each file rounded up.
    let size: usize = contents.iter().map(|(_, bytes)| bytes.len().div_ceil(1024)).sum();
    let packaging = root().join("packaging/debian");
    let control = packaging.join("control");
    let control = fs::read_to_string(&control).map_err(|error| Error::File { path: control, error })?;
    let control =
        stanza(&control, program.name).replace("@VERSION@", VERSION).replace("@ARCHITECTURE@", architecture);
    let control = control.replace("@INSTALLED_SIZE@", &size.to_string());
    // What an administrator edits, and an upgrade does not replace.
    let edited = format!("/etc/loopscope/{}\n", program.configuration);
    let files = [("control", control), ("conffiles", edited), ("md5sums", sums(contents)?)];
    for (file, text) in files {
        write(&about.join(file), text.as_bytes())?;
        set_mode(&about.join(file), 0o644)?;
    }
    for script in SCRIPTS {
        let source = packaging.join(script);
        let text = fs::read_to_string(&source).map_err(|error| Error::File { path: source, error })?;
        let text = text.replace("@UNIT@", program.unit).replace("@STATE@", program.state);
        write(&about.join(script), text.as_bytes())?;
        set_mode(&about.join(script), 0o755)?;
    }
    let packed = options.folder.join(format!("{name}.deb"));
    let mut pack = Command::new("dpkg-deb");
    // Members later than that time, which are all, become of that time.
    pack.args(["--root-owner-group", "-Zxz", "--build"]).arg(&folder).arg(&packed);
    run(pack.env("SOURCE_DATE_EPOCH", time).env("TZ", "UTC"))?;
    fs::remove_dir_all(&folder).map_err(|error| Error::File { path: folder, error })?;
    Ok(packed)
}

/// The part of `control` that is of one package.
fn stanza(control: &str, package: &str) -> String {
    let first = format!("Package: {package}\n");
    let own = control.split("\n\n").find(|stanza| stanza.starts_with(&first));
    own.expect("every program has its part").trim_end().to_owned() + "\n"
}

/// `md5sums`, of everything but what is edited.
fn sums(contents: &Contents) -> Result<String, Error> {
    let mut sums = String::new();
    for (path, bytes) in contents.iter().filter(|(path, _)| !path.starts_with("etc/")) {
        let told = output_of(&mut Command::new("md5sum"), bytes)?;
        let told = String::from_utf8_lossy(&told).into_owned();
        let sum = told.split_whitespace().next().unwrap_or_default();
        writeln!(sums, "{sum}  {path}").expect("a string takes all text");
    }
    Ok(sums)
}
