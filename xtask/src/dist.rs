//! `cargo xtask dist`: what users install. Two static programs, and of them a tarball and a Debian package each, with their checksums.
//!
//! The collector is a package of its own, as Debian would have it: it brings a service, which is wanted on one host of many.
//!
//! Packages are laid out here and packed by `dpkg-deb`, which every Debian has. Refused: `cargo-deb`, which would have to be built first,
//! wants its list of files in the agent's manifest, and packs as much as is a hundred lines here; and debhelper, which wants a source package. The
//! same path makes what is published (`--profile release`) and what the tests install (`--profile dev`, whose dependencies are built anyway).
//!
//! The same source, compiler and time make the same bytes: the time is that of the last commit unless `SOURCE_DATE_EPOCH` says otherwise, and
//! paths of the machine are mapped away.

mod contents;
mod debian;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::{Error, cargo, output, run, say};
use crate::repository::root;
use contents::Contents;

const NAME: &str = "loopscope";

/// A program, which is called as its crate and its package are, and what comes with it.
struct Program {
    name: &'static str,
    /// Its service.
    unit: &'static str,
    /// The service's folder below `/var/lib`.
    state: &'static str,
    /// What an administrator edits, in `packaging/` and in `/etc/loopscope`.
    configuration: &'static str,
    /// What it is asked for completions by, and for man pages.
    completions: &'static str,
    man: &'static str,
}

const PROGRAMS: &[Program] = &[
    Program {
        name: NAME,
        unit: "loopscope-agent.service",
        state: "loopscope",
        configuration: "agent.toml",
        completions: "completions",
        man: "man",
    },
    Program {
        name: "loopscope-collector",
        unit: "loopscope-collector.service",
        state: "loopscope-collector",
        configuration: "collector.toml",
        completions: "--completions",
        man: "--man",
    },
];

/// What is made, for whom, and where it is put.
struct Options {
    profile: String,
    target: Target,
    folder: PathBuf,
}

/// A machine that packages are made for.
#[derive(Clone, Copy)]
struct Target {
    triple: &'static str,
    /// Debian's name of its architecture.
    debian: &'static str,
    /// The compiler of the C and assembly in `ring` and in zstd, for musl.
    c_compiler: &'static str,
    package: &'static str,
}

const TARGETS: &[Target] = &[
    Target {
        triple: "x86_64-unknown-linux-musl",
        debian: "amd64",
        c_compiler: "musl-gcc",
        package: "musl-tools",
    },
    Target {
        triple: "aarch64-unknown-linux-musl",
        debian: "arm64",
        // What is compiled asks nothing of the C library that musl has not.
        c_compiler: "aarch64-linux-gnu-gcc",
        package: "gcc-aarch64-linux-gnu",
    },
];

/// Makes the programs and their packages.
pub(crate) fn run_all(args: &[String]) -> Result<(), Error> {
    let options = Options::parse(args)?;
    let built = build(&options.profile, options.target)?;
    // Man pages and completions come from the program: where it is another machine's, from one that runs here.
    let native = match options.target.triple.starts_with(env::consts::ARCH) {
        true => built.clone(),
        false => build(&options.profile, native_target()?)?,
    };
    let version = env!("CARGO_PKG_VERSION");
    let time = source_time()?;
    make_empty(&options.folder)?;
    let gather = |program| Contents::gather(program, &built, &native, &options, &time);
    let contents = PROGRAMS.iter().map(gather).collect::<Result<Vec<_>, Error>>()?;
    let mut made = vec![contents::tarball(&contents, &options, version, &time)?];
    for (program, contents) in PROGRAMS.iter().zip(&contents) {
        made.push(debian::package(program, contents, &options, &time)?);
    }
    let names = made.iter().map(|path| path.file_name().expect("a file has a name"));
    let sums = output(Command::new("sha256sum").args(names).current_dir(&options.folder))?;
    write(&options.folder.join("SHA256SUMS"), &sums)?;
    for made in made {
        say(&format!("made {}", made.display()));
    }
    Ok(())
}

impl Options {
    fn parse(args: &[String]) -> Result<Self, Error> {
        let (mut profile, mut triple, mut folder) = ("release".to_owned(), None, root().join("target/dist"));
        let mut args = args.iter();
        while let Some(option) = args.next() {
            let value = args.next().ok_or_else(|| usage(format!("{option} without a value")))?;
            match option.as_str() {
                "--profile" => profile.clone_from(value),
                "--target" => triple = Some(value.as_str()),
                "--into" => folder = PathBuf::from(value),
                _ => return Err(usage(format!("{option}, of which nothing is known"))),
            }
        }
        let target = match triple {
            None => native_target()?,
            Some(triple) => *TARGETS.iter().find(|known| known.triple == triple).ok_or_else(|| {
                let known: Vec<_> = TARGETS.iter().map(|known| known.triple).collect();
                usage(format!("the target {triple}; there are {}", known.join(" and ")))
            })?,
        };
        Ok(Self { profile, target, folder })
    }
}

fn usage(what: String) -> Error {
    Error::Usage { what, usage: "cargo xtask dist [--profile PROFILE] [--target TRIPLE] [--into FOLDER]" }
}

fn native_target() -> Result<Target, Error> {
    let native = TARGETS.iter().find(|target| target.triple.starts_with(env::consts::ARCH));
    native.copied().ok_or_else(|| usage(format!("a machine of {}", env::consts::ARCH)))
}

/// Builds the programs, static and without debugging information; their symbols stay, for they are named in profiles. Gives the folder.
fn build(profile: &str, target: Target) -> Result<PathBuf, Error> {
    let Target { triple, c_compiler, .. } = target;
    provide_standard_library(triple)?;
    if Command::new(c_compiler).arg("--version").output().is_err() {
        return Err(Error::Missing {
            what: c_compiler.to_owned(),
            remedy: format!("install it: apt-get install {}", target.package),
        });
    }
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let mapped = [Some((root(), "/usr/src/loopscope")), home.map(|home| (home, "/usr/src/cargo"))];
    let flags = mapped.into_iter().flatten();
    let flags: Vec<_> =
        flags.map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())).collect();
    let variable = |name: &str| format!("{name}_{}", triple.replace('-', "_"));
    let mut build = cargo();
    build.args(["build", "--locked", "--profile", profile, "--target", triple]);
    for program in PROGRAMS {
        build.args(["--package", program.name, "--bin", program.name]);
    }
    build.current_dir(root()).env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    build.env(format!("CARGO_PROFILE_{}_STRIP", profile.to_uppercase().replace('-', "_")), "debuginfo");
    build.env(variable("CC"), c_compiler);
    if !triple.starts_with(env::consts::ARCH) {
        // The compiler brings musl itself, so any linker for the machine does.
        build.env(format!("CARGO_TARGET_{}_LINKER", triple.to_uppercase().replace('-', "_")), c_compiler);
    }
    run(&mut build)?;
    let folder = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let profile = if profile == "dev" { "debug" } else { profile };
    Ok(folder.join(triple).join(profile))
}

/// Fetches the standard library of a target if it is not there, by rustup.
fn provide_standard_library(triple: &str) -> Result<(), Error> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let folder = output(Command::new(rustc).args(["--print", "target-libdir", "--target", triple]))?;
    if Path::new(String::from_utf8_lossy(&folder).trim()).is_dir() {
        return Ok(());
    }
    say(&format!("missing: the standard library for {triple}"));
    run(Command::new("rustup").args(["target", "add", triple]).stdin(Stdio::null()))
}

/// The time that everything in the packages is of, in seconds since 1970.
fn source_time() -> Result<String, Error> {
    if let Ok(given) = env::var("SOURCE_DATE_EPOCH") {
        return match given.parse::<u64>() {
            Ok(_) => Ok(given),
            Err(_) => Err(usage(format!("SOURCE_DATE_EPOCH={given}, which is no number of seconds"))),
        };
    }
    let time = output(Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(root()))?;
    Ok(String::from_utf8_lossy(&time).trim().to_owned())
}

fn make_empty(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::File { path: folder.to_owned(), error })
        }
        _ => fs::create_dir_all(folder).map_err(|error| Error::File { path: folder.to_owned(), error }),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(|error| Error::File { path: path.to_owned(), error })
}
