//! Where a profile is written.
//!
//! A file is written under a temporary name beside its place, and moved there when it is complete and on disk. So a path
//! that cannot be written is found out at once, and a full disk or an abort leaves the old file whole. What is no
//! regular file (a pipe, a device) is written directly.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// An output that is open for writing. Dropped unwritten, it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Output {
    /// As the user gave it.
    path: PathBuf,
    file: File,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Stdout,
    /// The file is the place itself.
    Direct,
    /// The file has this name until it is complete, and then the other.
    Beside {
        temporary: PathBuf,
        place: PathBuf,
    },
    Complete,
}

impl Output {
    /// Opens an output; `-` is the standard output.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        if path.as_os_str() == "-" {
            // A descriptor of its own: number 1 may be given to a command.
            let file =
                io::stdout().as_fd().try_clone_to_owned().map_err(|source| Error::Stdout { source })?;
            return Ok(Self { path: path.to_owned(), file: file.into(), place: Place::Stdout });
        }
        let (file, place) =
            open_file(path).map_err(|source| Error::Output { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file, place })
    }

    /// Whether it is the standard output.
    pub(super) fn is_stdout(&self) -> bool {
        matches!(self.place, Place::Stdout)
    }

    /// The file that an abort has to remove.
    pub(super) fn temporary(&self) -> Option<PathBuf> {
        match &self.place {
            Place::Beside { temporary, .. } => Some(temporary.clone()),
            _ => None,
        }
    }

    /// Writes the output and puts it in its place.
    pub(super) fn write(&mut self, write: impl FnOnce(&File) -> io::Result<()>) -> Result<(), Error> {
        let written = write(&self.file).and_then(|()| match &self.place {
            Place::Beside { temporary, place } => {
                // Some file systems tell only now that they are full.
                self.file.sync_all()?;
                fs::rename(temporary, place)
            }
            Place::Stdout | Place::Direct | Place::Complete => Ok(()),
        });
        match (written, &self.place) {
            (Ok(()), Place::Beside { .. }) => self.place = Place::Complete,
            (Ok(()), _) => {}
            (Err(source), Place::Stdout) => return Err(Error::Stdout { source }),
            (Err(source), _) => return Err(Error::Output { path: self.path.clone(), source }),
        }
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Place::Beside { temporary, .. } = &self.place {
            // It is in nobody's way if it stays.
            let _ = fs::remove_file(temporary);
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_stdout() { f.write_str("standard output") } else { self.path.display().fmt(f) }
    }
}

/// Sends what a command prints to the standard error, so that it does not mix with a profile on the standard output.
pub(super) fn send_stdout_to_stderr() -> Result<(), Error> {
    rustix::stdio::dup2_stdout(io::stderr()).map_err(|errno| Error::Stdout { source: errno.into() })
}

fn open_file(path: &Path) -> io::Result<(File, Place)> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(metadata) if !metadata.is_file() => {
            return Ok((OpenOptions::new().write(true).open(path)?, Place::Direct));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // Through a symbolic link, for the link should stay and its destination be replaced.
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = place.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_string_lossy();
    let temporary = place.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let file = File::create(&temporary)?;
    Ok((file, Place::Beside { temporary, place }))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn in_a_directory(test: impl FnOnce(&Path)) {
        let name = std::thread::current().name().unwrap_or("test").replace("::", "-");
        let directory = std::env::temp_dir().join(format!("loopscope-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        test(&directory);
        fs::remove_dir_all(&directory).unwrap();
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_appears_complete_and_alone() {
        in_a_directory(|directory| {
            let path = directory.join("a.svg");
            let mut output = Output::open(&path).unwrap();
            assert!(!path.exists());
            output.write(|mut file| file.write_all(b"new")).unwrap();
            drop(output);
            assert_eq!((fs::read(&path).unwrap(), names(directory)), (b"new".to_vec(), vec!["a.svg".into()]));
        });
    }

    #[test]
    fn an_output_that_fails_or_is_dropped_leaves_the_old_file_whole() {
        in_a_directory(|directory| {
            let path = directory.join("a.svg");
            fs::write(&path, "old").unwrap();
            drop(Output::open(&path).unwrap());
            let mut output = Output::open(&path).unwrap();
            let full = output.write(|mut file| {
                file.write_all(b"half")?;
                Err(io::ErrorKind::StorageFull.into())
            });
            assert!(full.unwrap_err().to_string().contains("untouched"));
            drop(output);
            assert_eq!((fs::read(&path).unwrap(), names(directory)), (b"old".to_vec(), vec!["a.svg".into()]));
        });
    }

    #[test]
    fn a_symbolic_link_stays_and_its_destination_is_replaced() {
        in_a_directory(|directory| {
            let (file, link) = (directory.join("a.svg"), directory.join("latest.svg"));
            fs::write(&file, "old").unwrap();
            std::os::unix::fs::symlink("a.svg", &link).unwrap();
            Output::open(&link).unwrap().write(|mut file| file.write_all(b"new")).unwrap();
            assert_eq!(fs::read(&file).unwrap(), b"new");
            assert!(link.is_symlink());
        });
    }

    #[test]
    fn what_is_no_regular_file_is_written_and_not_replaced() {
        Output::open(Path::new("/dev/null")).unwrap().write(|mut file| file.write_all(b"x")).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn a_path_that_cannot_be_written_is_refused_when_it_is_opened() {
        for path in ["/nowhere/a.svg", "/", "/proc/a.svg", ""] {
            let error = Output::open(Path::new(path)).unwrap_err();
            assert!(matches!(error, Error::Output { .. }), "{path}: {error}");
        }
    }
}
