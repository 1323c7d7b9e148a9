//! Handles that watch files and folders by the kernel's notices.

mod inotify;
mod tree;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use model::label::HandleType;

pub(crate) use self::inotify::Inotify;
use super::{HandleState, handle_methods};
use crate::closing::Close;
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::sys::inotify::Notice;

/// Calls back when something happens to a file, or in a folder.
///
/// The kernel tells of changes, not of states: by the time of the callback there may have been more. It tells nothing of
/// what others do to files on network file systems, or to those of `/proc` and `/sys`; [`FsPoll`](crate::FsPoll) is for them.
///
/// ```
/// use loopscope_runtime::{EventLoop, FsChange, FsEvent, RunMode};
///
/// let event_loop = EventLoop::new()?;
/// let folder = std::env::temp_dir().join(format!("loopscope-doc-{}", std::process::id()));
/// std::fs::create_dir_all(&folder).unwrap();
/// let watch = FsEvent::new(&event_loop);
/// watch.start(&folder, |_, watch, change| {
///     let Ok(FsChange::At { name, renamed, .. }) = change else { return };
///     assert!(name.as_os_str() == "new" && renamed);
///     watch.close();
/// })?;
/// std::fs::write(folder.join("new"), "").unwrap();
/// event_loop.run(RunMode::Default);
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), loopscope_runtime::Error>(())
/// ```
#[derive(Clone)]
pub struct FsEvent(Rc<FsEventState>);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FsChange<'a> {
    /// Something, to a file or a folder.
    At {
        /// Which: its path from the watched folder on; of what is watched itself its own name.
        name: &'a Path,
        /// A name came, went, or moved. As in libuv, this is also so whenever the kernel says that it is a folder's, and
        /// when it ends the watch because the watched thing is gone.
        renamed: bool,
        /// Contents or attributes changed.
        changed: bool,
    },
    /// More than the kernel keeps (`fs.inotify.max_queued_events`): look for yourself what is different.
    Lost,
}

type ChangeCallback = Rc<RefCell<dyn FnMut(&EventLoop, &FsEvent, Result<FsChange<'_>, Error>)>>;

pub(crate) struct FsEventState {
    handle: HandleState,
    watching: RefCell<Option<Watching>>,
}

struct Watching {
    path: PathBuf,
    recursive: bool,
    callback: ChangeCallback,
    /// The watches, and what of the tree each is for.
    watches: BTreeMap<i32, Rc<Path>>,
}

handle_methods!(FsEvent);

impl FsEvent {
    /// A handle that was not started yet.
    pub fn new(event_loop: &EventLoop) -> Self {
        Self(Rc::new(FsEventState {
            handle: HandleState::new(event_loop, HandleType::FsEvent),
            watching: RefCell::default(),
        }))
        .registered()
    }

    /// Watches a file, or a folder and what lies directly in it. A symbolic link stands for what it points to.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Busy`] if the handle watches already, or what the system says: `ENOENT`, `EACCES`, and
    /// `ENOSPC` where the user has as many watches as `fs.inotify.max_user_watches` allows.
    pub fn start(
        &self,
        path: impl AsRef<Path>,
        callback: impl FnMut(&EventLoop, &FsEvent, Result<FsChange<'_>, Error>) + 'static,
    ) -> Result<(), Error> {
        self.0.start(path.as_ref(), false, Rc::new(RefCell::new(callback)))
    }

    /// Watches a folder and everything below it, also what comes later. Symbolic links below it are not followed, and
    /// folders that may not be read are left out.
    ///
    /// The call goes through the whole tree and takes a watch for each folder. What happens in a new folder before it is
    /// watched is told as if it came then; some of it may be told twice. The callback gets an error where there are no
    /// watches left for a new folder; the others go on.
    ///
    /// # Errors
    /// Those of [`FsEvent::start`].
    pub fn start_recursive(
        &self,
        path: impl AsRef<Path>,
        callback: impl FnMut(&EventLoop, &FsEvent, Result<FsChange<'_>, Error>) + 'static,
    ) -> Result<(), Error> {
        self.0.start(path.as_ref(), true, Rc::new(RefCell::new(callback)))
    }

    /// Calls back no more, also for what has happened already.
    pub fn stop(&self) {
        self.0.stop_for_good();
    }

    /// What is watched; `None` if the handle is stopped.
    pub fn path(&self) -> Option<PathBuf> {
        self.0.watching.borrow().as_ref().map(|watching| watching.path.clone())
    }
}

impl FsEventState {
    fn start(self: &Rc<Self>, path: &Path, recursive: bool, callback: ChangeCallback) -> Result<(), Error> {
        self.handle.expect_open()?;
        if self.watching.borrow().is_some() {
            return Err(Error::Busy);
        }
        let inotify = Inotify::of(self.handle.core())?;
        let root: Rc<Path> = Path::new("").into();
        let watch =
            inotify.watch(self, path, &root).map_err(|errno| Error::system("inotify_add_watch", errno))?;
        let watches = BTreeMap::from([(watch, root)]);
        self.watching.replace(Some(Watching { path: path.to_owned(), recursive, callback, watches }));
        self.handle.set_active(true);
        if recursive && let Err(error) = self.watch_below(Path::new("")).1 {
            self.stop_for_good();
            return Err(error);
        }
        Ok(())
    }

    /// Watches with a new inotify what was watched. What has gone meanwhile is not watched any more.
    fn watch_anew(self: &Rc<Self>, inotify: &Inotify) {
        let mut watching = self.watching.borrow_mut();
        let Some(watching) = watching.as_mut() else { return };
        let folders = std::mem::take(&mut watching.watches).into_values();
        let anew = folders.filter_map(|folder| {
            let watch = inotify.watch(self, &watching.path.join(&*folder), &folder).ok()?;
            Some((watch, folder))
        });
        let anew: Vec<_> = anew.collect();
        watching.watches.extend(anew);
    }

    /// What the kernel says of one of the handle's watches.
    fn told(self: &Rc<Self>, event_loop: &EventLoop, notice: &Notice, folder: &Rc<Path>) {
        let name = {
            let mut watching = self.watching.borrow_mut();
            let Some(watching) = watching.as_mut() else { return };
            let still = if notice.ended {
                watching.watches.remove(&notice.watch).is_some()
            } else {
                watching.watches.contains_key(&notice.watch)
            };
            let own_of_folder = notice.name.is_none() && !folder.as_os_str().is_empty();
            // The folder above tells what happens to a folder.
            if !still || own_of_folder {
                return;
            }
            match &notice.name {
                Some(name) => folder.join(name),
                None => PathBuf::from(watching.path.file_name().unwrap_or(watching.path.as_os_str())),
            }
        };
        let (found, watched) = self.follow(notice, &name);
        let (renamed, changed) = (notice.renamed, notice.changed);
        self.call_back(event_loop, Ok(FsChange::At { name: &name, renamed, changed }));
        for name in found {
            self.call_back(event_loop, Ok(FsChange::At { name: &name, renamed: true, changed: false }));
        }
        if let Err(error) = watched {
            self.call_back(event_loop, Err(error));
        }
    }

    /// The kernel could not keep everything.
    fn lost(self: &Rc<Self>, event_loop: &EventLoop) {
        let recursive = self.watching.borrow().as_ref().is_some_and(|watching| watching.recursive);
        let watched = if recursive { self.watch_below(Path::new("")).1 } else { Ok(()) };
        self.call_back(event_loop, Ok(FsChange::Lost));
        if let Err(error) = watched {
            self.call_back(event_loop, Err(error));
        }
    }

    fn call_back(self: &Rc<Self>, event_loop: &EventLoop, change: Result<FsChange<'_>, Error>) {
        let callback = self.watching.borrow().as_ref().map(|watching| Rc::clone(&watching.callback));
        let Some(callback) = callback else { return };
        let handle = FsEvent(Rc::clone(self));
        event_loop.call(|event_loop| callback.borrow_mut()(event_loop, &handle, change));
    }

    fn stop_for_good(&self) {
        self.handle.set_active(false);
        let watching = self.watching.take();
        let Some(watching) = watching else { return };
        if let Some(inotify) = self.handle.core().inotify.get() {
            for watch in watching.watches.keys() {
                inotify.unwatch(self, *watch);
            }
        }
    }

    /// Lets go of the callback: the handle will not call back any more.
    fn abandon(&self) {
        let watching = self.watching.take();
        drop(watching);
    }
}

impl Close for FsEventState {
    fn handle(&self) -> &HandleState {
        &self.handle
    }
}
