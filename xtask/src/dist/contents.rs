//! The files that are installed, and the tarball of them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{NAME, Options, Program, make_empty, write};
use crate::command::{Error, cargo, output, output_of, run};
use crate::repository::root;

/// Files by their path below the root of a file system.
pub(super) struct Contents(BTreeMap<String, File>);

struct File {
    bytes: Vec<u8>,
    is_program: bool,
}

/// Shells, and where each looks for completions.
const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "usr/share/bash-completion/completions/@"),
    ("zsh", "usr/share/zsh/vendor-completions/_@"),
    ("fish", "usr/share/fish/vendor_completions.d/@.fish"),
];

impl Contents {
    /// Gathers everything of a program that lies in the folder `built`; in `native` lies the same one for the machine that this runs on.
    pub(super) fn gather(
        program: &Program,
        built: &Path,
        native: &Path,
        options: &Options,
        time: &str,
    ) -> Result<Self, Error> {
        let Program { name, unit, configuration, .. } = program;
        let mut contents = Self(BTreeMap::new());
        let file = File { bytes: read(&built.join(name))?, is_program: true };
        contents.0.insert(format!("usr/bin/{name}"), file);
        let packaging = root().join("packaging");
        contents.add(&format!("usr/lib/systemd/system/{unit}"), read(&packaging.join("systemd").join(unit))?);
        contents.add(&format!("etc/loopscope/{configuration}"), read(&packaging.join(configuration))?);
        for (shell, path) in COMPLETIONS {
            let script = output(Command::new(native.join(name)).args([program.completions, shell]))?;
            contents.add(&path.replace('@', name), script);
        }
        contents.add_man_pages(program, native)?;
        let documents = format!("usr/share/doc/{name}");
        contents.add(&format!("{documents}/changelog.gz"), gzip(&read(&root().join("CHANGELOG.md"))?)?);
        contents.add(&format!("{documents}/changelog.Debian.gz"), gzip(changes(name, time)?.as_bytes())?);
        contents.add(&format!("{documents}/copyright"), copyright()?.into_bytes());
        contents
            .add(&format!("{documents}/third-party.gz"), gzip(&third_party(name, options.target.triple)?)?);
        let overrides = read(&packaging.join("debian/lintian-overrides"))?;
        let overrides = String::from_utf8_lossy(&overrides).replace("@PACKAGE@", name);
        contents.add(&format!("usr/share/lintian/overrides/{name}"), overrides.into_bytes());
        Ok(contents)
    }

    fn add(&mut self, path: &str, bytes: Vec<u8>) {
        self.0.insert(path.to_owned(), File { bytes, is_program: false });
    }

    fn add_man_pages(&mut self, program: &Program, native: &Path) -> Result<(), Error> {
        let folder = root().join("target/dist-man");
        make_empty(&folder)?;
        run(Command::new(native.join(program.name)).arg(program.man).arg(&folder))?;
        let file_error = |error| Error::File { path: folder.clone(), error };
        for page in fs::read_dir(&folder).map_err(file_error)? {
            let page = page.map_err(file_error)?.path();
            let name = page.file_name().expect("a file has a name").to_string_lossy().into_owned();
            self.add(&format!("usr/share/man/man1/{name}.gz"), gzip(&read(&page)?)?);
        }
        fs::remove_dir_all(&folder).map_err(file_error)
    }

    /// The files' paths and bytes, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(path, file)| (path.as_str(), file.bytes.as_slice()))
    }

    /// Writes the files below a folder, under the names that `place` gives them; those without a name are left out.
    pub(super) fn lay_out(&self, folder: &Path, place: impl Fn(&str) -> Option<String>) -> Result<(), Error> {
        for (path, file) in &self.0 {
            let Some(place) = place(path) else { continue };
            let path = folder.join(place);
            let parent = path.parent().expect("it lies in a folder");
            fs::create_dir_all(parent).map_err(|error| Error::File { path: parent.to_owned(), error })?;
            write(&path, &file.bytes)?;
            set_mode(&path, if file.is_program { 0o755 } else { 0o644 })?;
        }
        make_folders_readable(folder)
    }
}

/// The tarball of all programs: to be unpacked below `/usr` or `/usr/local`, the units and the configurations to be put to their places.
pub(super) fn tarball(
    all: &[Contents],
    options: &Options,
    version: &str,
    time: &str,
) -> Result<PathBuf, Error> {
    let machine = options.target.triple.split('-').next().expect("a triple has a machine");
    let name = format!("{NAME}-{version}-linux-{machine}");
    let folder = options.folder.join(&name);
    for contents in all {
        contents.lay_out(&folder, |path| {
            let is_debians =
                path.contains("lintian") || path.contains(".Debian.") || path.contains("copyright");
            (!is_debians)
                .then(|| path.trim_start_matches("usr/").replace("etc/loopscope", "share/doc/loopscope"))
        })?;
    }
    for license in ["LICENSE-MIT", "LICENSE-APACHE"] {
        let path = folder.join("share/doc/loopscope").join(license);
        write(&path, &read(&root().join(license))?)?;
        set_mode(&path, 0o644)?;
    }
    let packed = options.folder.join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.args(["--create", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"]);
    let tar = output(tar.arg(format!("--mtime=@{time}")).arg(&name).current_dir(&options.folder))?;
    write(&packed, &gzip(&tar)?)?;
    fs::remove_dir_all(&folder).map_err(|error| Error::File { path: folder, error })?;
    Ok(packed)
}

pub(super) fn set_mode(path: &Path, mode: u32) -> Result<(), Error> {
    let set = fs::set_permissions(path, PermissionsExt::from_mode(mode));
    set.map_err(|error| Error::File { path: path.to_owned(), error })
}

/// Whatever the mask of whoever builds.
fn make_folders_readable(folder: &Path) -> Result<(), Error> {
    set_mode(folder, 0o755)?;
    let file_error = |error| Error::File { path: folder.to_owned(), error };
    for entry in fs::read_dir(folder).map_err(file_error)? {
        let path = entry.map_err(file_error)?.path();
        if path.is_dir() {
            make_folders_readable(&path)?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| Error::File { path: path.to_owned(), error })
}

/// Without a name and a time, so that the same bytes become the same.
fn gzip(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    output_of(Command::new("gzip").args(["--best", "--no-name"]), bytes)
}

/// Debian's own list of changes; what has changed in the program stands in the other one.
fn changes(name: &str, time: &str) -> Result<String, Error> {
    let mut date = Command::new("date");
    let date = output(date.args(["--utc", "--rfc-email", &format!("--date=@{time}")]).env("LC_ALL", "C"))?;
    Ok(format!(
        "{name} ({}) stable; urgency=medium\n\n  * What has changed in the program is told in changelog.gz.\n\n \
         -- Loopscope <loopscope@users.noreply.github.com>  {}\n",
        super::debian::VERSION,
        String::from_utf8_lossy(&date).trim()
    ))
}

/// The statement of Debian's form, with the text of the license as it stands in the repository.
fn copyright() -> Result<String, Error> {
    let text =
        |path: &str| read(&root().join(path)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let license = text("LICENSE-MIT")?;
    // Its title and the line of the copyright are told otherwise.
    let body = license.split_once("authors\n\n").map_or(license.as_str(), |(_, body)| body);
    let lines = body.trim_end().lines().map(|line| match line {
        "" => " .".to_owned(),
        line => format!(" {line}"),
    });
    Ok(text("packaging/debian/copyright")?.replace("@MIT@", &lines.collect::<Vec<_>>().join("\n")))
}

/// The crates that a program is linked with on this target, and their licenses.
fn third_party(name: &str, triple: &str) -> Result<Vec<u8>, Error> {
    let mut tree = cargo();
    tree.args([
        "tree",
        "--locked",
        "--package",
        name,
        "--target",
        triple,
        "--edges",
        "normal",
        "--prefix",
        "none",
    ]);
    tree.args(["--no-dedupe", "--format", "{p}\t{l}"]).current_dir(root()).stderr(Stdio::null());
    let told = String::from_utf8_lossy(&output(&mut tree)?).into_owned();
    // Ours are told with their folder.
    let mut crates: Vec<_> = told.lines().filter(|line| !line.contains("(/")).collect();
    crates.sort_unstable();
    crates.dedup();
    Ok((crates.join("\n").replace(" (proc-macro)", "") + "\n").into_bytes())
}
