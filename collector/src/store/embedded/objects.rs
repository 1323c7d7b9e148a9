//! Where blocks lie: named objects that are written whole and read in parts, on this disk or in a service of objects.
//!
//! What a service of objects promises is enough: an object is there whole or not at all, and who lists sees what was written before. A move
//! is a copy and a removal there, which is fine for what is set aside.

#[cfg(feature = "s3")]
mod s3;
#[cfg(not(feature = "s3"))]
#[path = "objects/s3_absent.rs"]
mod s3;

use std::io;
use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::Runtime;

use super::Options;

/// A place for objects. Calls block.
#[derive(Debug)]
pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
    /// What the store's operations run on; never the server's, whose threads must not wait for a disk.
    runtime: Runtime,
}

impl Objects {
    /// The place that is asked for.
    pub(super) fn open(options: &Options) -> io::Result<Self> {
        match &options.bucket {
            None => Self::local(&options.folder),
            Some(url) => {
                let store = s3::open(url)?;
                // Connections go on while nobody waits for an answer.
                let mut runtime = tokio::runtime::Builder::new_multi_thread();
                let runtime = runtime.worker_threads(1).thread_name("bucket").enable_all().build()?;
                Ok(Self { store, runtime })
            }
        }
    }

    /// A folder of this disk. What was put there is on the disk when the call returns, name and content.
    fn local(folder: &FilePath) -> io::Result<Self> {
        let store = LocalFileSystem::new_with_prefix(folder).map_err(from_store)?;
        // Folders that are empty go with the last object.
        let store = store.with_fsync(true).with_automatic_cleanup(true);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { store: Arc::new(store), runtime })
    }

    /// Writes an object: all of it, or nothing.
    pub(super) fn put(&self, name: &str, content: Bytes) -> io::Result<()> {
        self.runtime.block_on(self.store.put(&Path::from(name), content.into())).map(drop).map_err(from_store)
    }

    /// Reads an object.
    pub(super) fn get(&self, name: &str) -> io::Result<Bytes> {
        let read = async { self.store.get(&Path::from(name)).await?.bytes().await };
        self.runtime.block_on(read).map_err(from_store)
    }

    /// Reads a part of an object; [`io::ErrorKind::UnexpectedEof`] where the object ends before, and [`io::ErrorKind::NotFound`] where the
    /// place says that there is none, which it also says of all objects when it is not the right place.
    pub(super) fn get_part(&self, name: &str, part: Range<u64>) -> io::Result<Bytes> {
        let path = Path::from(name);
        let error = match self.runtime.block_on(self.store.get_range(&path, part.clone())) {
            Ok(bytes) if bytes.len() as u64 == part.end - part.start => return Ok(bytes),
            Ok(bytes) => io::Error::other(format!("{} bytes came of {}", bytes.len(), part.end - part.start)),
            Err(error @ object_store::Error::NotFound { .. }) => {
                return Err(io::Error::new(io::ErrorKind::NotFound, error));
            }
            // Whatever is behind it: an answer that was cut is no object that was.
            Err(error) => io::Error::other(error),
        };
        // Every service says in its own way that the object ends before.
        match self.runtime.block_on(self.store.head(&path)) {
            Ok(object) if object.size < part.end => {
                let message = format!("ends at {}, before {}", object.size, part.end);
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, message))
            }
            _ => Err(error),
        }
    }

    /// Removes an object; one that is not there is no failure.
    pub(super) fn delete(&self, name: &str) -> io::Result<()> {
        match self.runtime.block_on(self.store.delete(&Path::from(name))) {
            Err(object_store::Error::NotFound { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(from_store(error)),
        }
    }

    /// Moves an object.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let moved = self.runtime.block_on(self.store.rename(&Path::from(from), &Path::from(to)));
        moved.map_err(from_store)
    }

    /// The names of all objects below a prefix, and their sizes.
    pub(super) fn list(&self, prefix: Option<&str>) -> io::Result<Vec<(String, u64)>> {
        let prefix = prefix.map(Path::from);
        let listed =
            self.store.list(prefix.as_ref()).map_ok(|object| (object.location.to_string(), object.size));
        self.runtime.block_on(listed.try_collect()).map_err(from_store)
    }
}

/// The system's own error, where there is one behind it.
fn from_store(error: object_store::Error) -> io::Error {
    let kind = match &error {
        object_store::Error::NotFound { .. } => io::ErrorKind::NotFound,
        _ => {
            let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
            let mut kind = io::ErrorKind::Other;
            while let Some(cause) = source {
                if let Some(cause) = cause.downcast_ref::<io::Error>() {
                    kind = cause.kind();
                }
                source = cause.source();
            }
            kind
        }
    };
    io::Error::new(kind, error)
}
