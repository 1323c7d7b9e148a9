//! Watching a tree: the kernel watches one folder at a time, so each has a watch of its own.
//!
//! **Races.** A new folder is watched first and listed then, so nothing in it is missed; what came in between is told by
//! both. A folder that moves within the tree leaves it, and comes anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::io::Errno;

use super::{FsEventState, Inotify};
use crate::error::Error;
use crate::sys::inotify::Notice;

impl FsEventState {
    /// Keeps the watches of a tree right after what happened to `name` in it. Gives what was found in a new folder.
    pub(super) fn follow(self: &Rc<Self>, notice: &Notice, name: &Path) -> (Vec<PathBuf>, Result<(), Error>) {
        let recursive = self.watching.borrow().as_ref().is_some_and(|watching| watching.recursive);
        if !recursive || !notice.is_folder || notice.name.is_none() {
            return (Vec::new(), Ok(()));
        }
        if notice.moved_away {
            self.unwatch_below(name);
        }
        if !notice.came {
            return (Vec::new(), Ok(()));
        }
        match self.watch_folder(name) {
            Ok(()) => self.watch_below(name),
            Err(error) => (Vec::new(), Err(error)),
        }
    }

    /// Watches all folders below one that is watched. Gives everything that lies there.
    pub(super) fn watch_below(self: &Rc<Self>, folder: &Path) -> (Vec<PathBuf>, Result<(), Error>) {
        let root = self.watching.borrow().as_ref().map(|watching| watching.path.clone()).unwrap_or_default();
        let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
        while let Some(folder) = folders.pop() {
            // One that has gone meanwhile, or may not be read, is left out.
            let Ok(entries) = fs::read_dir(root.join(&folder)) else { continue };
            for entry in entries.flatten() {
                let name = folder.join(entry.file_name());
                if entry.file_type().is_ok_and(|file_type| file_type.is_dir()) {
                    if let Err(error) = self.watch_folder(&name) {
                        return (found, Err(error));
                    }
                    folders.push(name.clone());
                }
                found.push(name);
            }
        }
        (found, Ok(()))
    }

    fn watch_folder(self: &Rc<Self>, folder: &Path) -> Result<(), Error> {
        let inotify = Inotify::of(self.handle.core())?;
        let root = self.watching.borrow().as_ref().map(|watching| watching.path.clone());
        let Some(root) = root else { return Ok(()) };
        let folder: Rc<Path> = folder.into();
        match inotify.watch(self, &root.join(&*folder), &folder) {
            Ok(watch) => {
                if let Some(watching) = self.watching.borrow_mut().as_mut() {
                    watching.watches.insert(watch, folder);
                }
                Ok(())
            }
            Err(errno @ (Errno::NOSPC | Errno::NOMEM | Errno::MFILE)) => {
                Err(Error::system("inotify_add_watch", errno))
            }
            // It has gone meanwhile, or may not be read.
            Err(_) => Ok(()),
        }
    }

    /// Watches neither a folder nor what lies below it any more.
    fn unwatch_below(self: &Rc<Self>, folder: &Path) {
        let gone: Vec<i32> = {
            let mut watching = self.watching.borrow_mut();
            let Some(watching) = watching.as_mut() else { return };
            let below = watching.watches.iter().filter(|(_, watched)| watched.starts_with(folder));
            let gone: Vec<i32> = below.map(|(watch, _)| *watch).collect();
            gone.iter().for_each(|watch| drop(watching.watches.remove(watch)));
            gone
        };
        if let Some(inotify) = self.handle.core().inotify.get() {
            gone.into_iter().for_each(|watch| inotify.unwatch(Rc::as_ptr(self), watch));
        }
    }
}
