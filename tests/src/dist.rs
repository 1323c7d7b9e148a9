//! What `cargo xtask dist` makes, in the cheap profile of the tests, and a root that it is installed into.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::folder::{Folder, scratch};
use crate::process::{Ended, run};
use crate::requirement;

/// A build of all dependencies for another C library, on two busy cores.
const BUILD: Duration = Duration::from_secs(1800);

/// Packing and unpacking.
const PACK: Duration = Duration::from_secs(120);

/// What was made.
#[derive(Debug)]
pub struct Dist {
    folder: PathBuf,
}

impl Dist {
    /// Makes it, once a program of tests; `None` after saying that the story is skipped.
    ///
    /// # Panics
    /// If it cannot be made.
    #[track_caller]
    pub fn make() -> Option<&'static Self> {
        static MADE: OnceLock<Dist> = OnceLock::new();
        requirement::program("musl-gcc")?;
        requirement::program("dpkg-deb")?;
        Some(MADE.get_or_init(|| Self::make_in(scratch().join("dist"))))
    }

    /// Makes it anew, in this folder.
    ///
    /// # Panics
    /// If it cannot be made.
    #[track_caller]
    pub fn make_in(folder: PathBuf) -> Self {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["run", "--quiet", "--package", "xtask", "--", "dist", "--profile", "dev", "--into"]);
        // The one that this very program was built for would find its own compiler.
        for own in ["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"] {
            cargo.env_remove(own);
        }
        run(cargo.arg(&folder), BUILD);
        Self { folder }
    }

    /// The file of this kind, such as `.tar.gz`.
    ///
    /// # Panics
    /// If there is not exactly one.
    #[track_caller]
    pub fn file(&self, end: &str) -> PathBuf {
        let files = fs::read_dir(&self.folder).expect("a folder of ours").flatten().map(|entry| entry.path());
        let mut files = files.filter(|path| path.to_string_lossy().ends_with(end));
        let file = files.next().unwrap_or_else(|| panic!("there is no {end}"));
        assert_eq!(files.next(), None);
        file
    }

    /// The Debian package of this name.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn package(&self, name: &str) -> String {
        let files = fs::read_dir(&self.folder).expect("a folder of ours").flatten();
        let begins = format!("{name}_");
        let mut files = files.map(|file| file.file_name().to_string_lossy().into_owned());
        let file = files.find(|file| file.starts_with(&begins) && file.ends_with(".deb"));
        let file = file.unwrap_or_else(|| panic!("there is no package {name}"));
        self.folder.join(file).into_os_string().into_string().expect("a path of ours")
    }

    /// The checksums, as they were written.
    ///
    /// # Panics
    /// If there are none.
    #[track_caller]
    pub fn sums(&self) -> String {
        fs::read_to_string(self.folder.join("SHA256SUMS")).expect("they were written")
    }

    /// The folder that it lies in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// A root of a file system in which nothing is but what `dpkg` needs, and the packages that it has installed there.
#[derive(Debug)]
pub struct Root(Folder);

impl Root {
    /// An empty one; `None` after saying that the story is skipped.
    ///
    /// # Panics
    /// If it cannot be made.
    #[track_caller]
    pub fn new() -> Option<Self> {
        if !requirement::root() {
            return None;
        }
        requirement::program("dpkg")?;
        let folder = Folder::new("root");
        let database = folder.file("var/lib/dpkg");
        for name in ["info", "updates", "triggers"] {
            fs::create_dir_all(database.join(name)).expect("our own folder");
        }
        fs::write(database.join("status"), "").expect("our own file");
        // Of Debian's base system, and systemd's.
        for name in ["etc/systemd/system", "var/lib/systemd", "var/lib/private"] {
            fs::create_dir_all(folder.file(name)).expect("our own folder");
        }
        Some(Self(folder))
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.file(name)
    }

    /// Runs `dpkg` on it. The package's scripts run with the programs of this machine, and are told where the root is.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub fn dpkg(&self, arguments: &[&str]) -> Ended {
        let mut dpkg = Command::new("dpkg");
        dpkg.arg(format!("--root={}", self.0.path().display())).arg("--force-script-chrootless");
        dpkg.args(["--force-confold", "--log=/dev/null"]).args(arguments);
        // Where ours run, the machine's own may not be.
        dpkg.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        run(dpkg.env("DEBIAN_FRONTEND", "noninteractive"), PACK)
    }

    /// Everything in it but what `dpkg` keeps for itself.
    pub fn entries(&self) -> BTreeSet<PathBuf> {
        let mut entries = BTreeSet::new();
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a folder of ours").flatten() {
                let path = entry.path();
                if path == self.file("var/lib/dpkg") {
                    continue;
                }
                if entry.file_type().expect("it is there").is_dir() {
                    folders.push(path.clone());
                }
                entries.insert(path.strip_prefix(self.0.path()).expect("it lies there").to_owned());
            }
        }
        entries
    }
}
