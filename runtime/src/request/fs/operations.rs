//! Every operation, once: its name, what it takes, what it gives, and how the system does it. From each entry come the
//! three forms in which it can be asked for, and its name in errors.

use std::fs::{DirBuilder, Metadata, OpenOptions};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::directory::{Dir, DirectoryEntry, entries_of};
use super::error::{FsError, Subject};
use super::file::{self, File};
use super::job::{about, on_path, on_paths};
use super::kinds::{AccessMode, CopyOptions, FileTime, StatFs};
use crate::event_loop::EventLoop;
use crate::handle::buffer::Buffer;
use crate::request::future::PoolFuture;
use crate::request::work::PoolRequest;
use crate::sys;

macro_rules! operations {
    (
        functions { $(
            $(#[doc = $doc:literal])+
            $kind:ident $said:literal $name:ident($($arg:ident: $type:ty),*) -> $gives:ty = $job:expr;
        )+ }
        $( methods of $on:ident as $this:ident { $(
            $(#[doc = $m_doc:literal])+
            $m_kind:ident $m_said:literal $m_name:ident($($m_arg:ident: $m_type:ty),*) -> $m_gives:ty = $m_job:expr;
        )+ } )+
        others { $( $(#[doc = $o_doc:literal])+ $o_kind:ident $o_said:literal )+ }
    ) => {
        /// A file-system operation, by libuv's names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Operation {
            $( $(#[doc = $doc])+ $kind, )+
            $($( $(#[doc = $m_doc])+ $m_kind, )+)+
            $( $(#[doc = $o_doc])+ $o_kind, )+
        }

        impl Operation {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$kind,)+ $($(Self::$m_kind,)+)+ $(Self::$o_kind,)+];

            /// The name, as in libuv and in messages.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $said,)+
                    $($(Self::$m_kind => $m_said,)+)+
                    $(Self::$o_kind => $o_said,)+
                }
            }
        }

        $(
            $(#[doc = $doc])+
            pub fn $name(
                event_loop: &EventLoop,
                $($arg: $type,)*
                callback: impl FnOnce(&EventLoop, Result<$gives, FsError>) + 'static,
            ) -> PoolRequest {
                let operation = Operation::$kind;
                ($job)(operation).start(event_loop, callback)
            }
        )+

        $(
            impl $on {
                $(
                    $(#[doc = $m_doc])+
                    pub fn $m_name(
                        &self,
                        event_loop: &EventLoop,
                        $($m_arg: $m_type,)*
                        callback: impl FnOnce(&EventLoop, Result<$m_gives, FsError>) + 'static,
                    ) -> PoolRequest {
                        let $this = self;
                        ($m_job)(Operation::$m_kind).start(event_loop, callback)
                    }
                )+
            }
        )+

        /// The operations as futures: under way from the call, and cancelled by dropping them while they wait.
        pub mod future {
            use super::*;

            $(
                $(#[doc = $doc])+
                pub fn $name(event_loop: &EventLoop, $($arg: $type,)*) -> PoolFuture<$gives, FsError> {
                    ($job)(Operation::$kind).future(event_loop)
                }
            )+
            $($(
                $(#[doc = $m_doc])+
                pub fn $m_name(event_loop: &EventLoop, $this: &$on, $($m_arg: $m_type,)*) -> PoolFuture<$m_gives, FsError> {
                    ($m_job)(Operation::$m_kind).future(event_loop)
                }
            )+)+

            /// Closes a file; see [`File::close`].
            pub fn close(event_loop: &EventLoop, file: File) -> PoolFuture<(), FsError> {
                file.close_future(event_loop)
            }
        }

        /// The operations on the calling thread, which waits for them: for programs that have not begun to serve, and
        /// for jobs that run on the pool already.
        pub mod blocking {
            use super::*;

            $(
                $(#[doc = $doc])+
                ///
                /// # Errors
                /// What the system says.
                pub fn $name($($arg: $type,)*) -> Result<$gives, FsError> {
                    ($job)(Operation::$kind).blocking()
                }
            )+
            $($(
                $(#[doc = $m_doc])+
                ///
                /// # Errors
                /// What the system says.
                pub fn $m_name($this: &$on, $($m_arg: $m_type,)*) -> Result<$m_gives, FsError> {
                    ($m_job)(Operation::$m_kind).blocking()
                }
            )+)+

            /// Closes a file; see [`File::close`].
            ///
            /// # Errors
            /// What the system says.
            pub fn close(file: File) -> Result<(), FsError> {
                file.close_blocking()
            }
        }
    };
}

operations! {
    functions {
        /// Opens a file.
        Open "open" open(path: impl AsRef<Path>, options: &OpenOptions) -> File = |operation| {
            let options = options.clone();
            about(Subject::path(operation, path.as_ref().into()), move |subject: &Subject| {
                let path = subject.shared_path();
                Ok(File::new(options.open(&*path)?, path))
            })
        };
        /// Reads a whole file.
        ReadFile "read file" read_file(path: impl AsRef<Path>) -> Vec<u8> =
            |operation| on_path(operation, path, |path| std::fs::read(path));
        /// What a path leads to, through symbolic links.
        Stat "stat" stat(path: impl AsRef<Path>) -> Metadata =
            |operation| on_path(operation, path, |path| path.metadata());
        /// What a path is, a symbolic link itself if it is one.
        Lstat "lstat" lstat(path: impl AsRef<Path>) -> Metadata =
            |operation| on_path(operation, path, |path| path.symlink_metadata());
        /// The file system that a path lies in.
        Statfs "statfs" statfs(path: impl AsRef<Path>) -> StatFs =
            |operation| on_path(operation, path, |path| sys::fs::statfs(path).map(StatFs::from));
        /// Whether the process may do this with what a path leads to, by its real user and group. By the time one acts on
        /// the answer it may have changed: opening tells for sure.
        Access "access" access(path: impl AsRef<Path>, mode: AccessMode) -> () = |operation| {
            on_path(operation, path, move |path| Ok(sys::fs::access(path, mode.into())?))
        };
        /// The entries of a directory in the order of their names, without `.` and `..`.
        Scandir "scandir" scandir(path: impl AsRef<Path>) -> Vec<DirectoryEntry> =
            |operation| on_path(operation, path, entries_of);
        /// Opens a directory, to read its entries some at a time.
        Opendir "opendir" opendir(path: impl AsRef<Path>) -> Dir = |operation| {
            let subject = Subject::path(operation, path.as_ref().into());
            about(subject, |subject: &Subject| Dir::open(&subject.shared_path()))
        };
        /// Makes a directory with these permissions, less those of the process's umask.
        Mkdir "mkdir" mkdir(path: impl AsRef<Path>, mode: u32) -> () =
            |operation| on_path(operation, path, move |path| DirBuilder::new().mode(mode).create(path));
        /// Makes a directory that only its owner may use, with a name of its own: the template's, whose last six
        /// characters are `XXXXXX` and get replaced. Gives the path.
        Mkdtemp "mkdtemp" mkdtemp(template: impl AsRef<Path>) -> PathBuf =
            |operation| on_path(operation, template, sys::fs::mkdtemp);
        /// Makes a file that only its owner may use, with a name of its own as [`mkdtemp`]'s, and opens it for reading
        /// and writing. [`File::path`] tells the name.
        Mkstemp "mkstemp" mkstemp(template: impl AsRef<Path>) -> File = |operation| {
            on_path(operation, template, |template| {
                let (file, path) = sys::fs::mkstemp(template)?;
                Ok(File::new(file, path.into()))
            })
        };
        /// Removes an empty directory.
        Rmdir "rmdir" rmdir(path: impl AsRef<Path>) -> () =
            |operation| on_path(operation, path, |path| std::fs::remove_dir(path));
        /// Removes a name of a file, and the file with its last one.
        Unlink "unlink" unlink(path: impl AsRef<Path>) -> () =
            |operation| on_path(operation, path, |path| std::fs::remove_file(path));
        /// Gives a file or directory another name, in place of a file that has it.
        Rename "rename" rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> () =
            |operation| on_paths(operation, from, to, |from, to| std::fs::rename(from, to));
        /// Gives a file one more name.
        Link "link" link(path: impl AsRef<Path>, new: impl AsRef<Path>) -> () =
            |operation| on_paths(operation, path, new, |path, new| std::fs::hard_link(path, new));
        /// Makes a symbolic link at `link` that leads to `target`, whether there is something or not.
        Symlink "symlink" symlink(target: impl AsRef<Path>, link: impl AsRef<Path>) -> () = |operation| {
            on_paths(operation, target, link, |target, link| std::os::unix::fs::symlink(target, link))
        };
        /// Where a symbolic link leads, as it says.
        Readlink "readlink" readlink(path: impl AsRef<Path>) -> PathBuf =
            |operation| on_path(operation, path, |path| path.read_link());
        /// The path without symbolic links, `.` and `..` to where a path leads.
        Realpath "realpath" realpath(path: impl AsRef<Path>) -> PathBuf =
            |operation| on_path(operation, path, |path| path.canonicalize());
        /// Changes permissions.
        Chmod "chmod" chmod(path: impl AsRef<Path>, mode: u32) -> () =
            |operation| on_path(operation, path, move |path| sys::fs::chmod(path, mode));
        /// Changes the owners of what a path leads to; `None` leaves one as it is.
        Chown "chown" chown(path: impl AsRef<Path>, user: Option<u32>, group: Option<u32>) -> () = |operation| {
            on_path(operation, path, move |path| sys::fs::chown(path, sys::fs::Owner { user, group }, true))
        };
        /// As [`chown`], of a symbolic link itself.
        Lchown "lchown" lchown(path: impl AsRef<Path>, user: Option<u32>, group: Option<u32>) -> () = |operation| {
            on_path(operation, path, move |path| sys::fs::chown(path, sys::fs::Owner { user, group }, false))
        };
        /// Sets the times at which what a path leads to was accessed and changed last.
        Utime "utime" utime(path: impl AsRef<Path>, accessed: FileTime, modified: FileTime) -> () = |operation| {
            on_path(operation, path, move |path| sys::fs::set_times(path, accessed.into(), modified.into(), true))
        };
        /// As [`utime`], of a symbolic link itself.
        Lutime "lutime" lutime(path: impl AsRef<Path>, accessed: FileTime, modified: FileTime) -> () = |operation| {
            on_path(operation, path, move |path| sys::fs::set_times(path, accessed.into(), modified.into(), false))
        };
        /// Copies a file's content and permissions, over what there is unless told otherwise. A copy that fails half-way is
        /// removed again.
        Copyfile "copyfile" copyfile(from: impl AsRef<Path>, to: impl AsRef<Path>, options: CopyOptions) -> () =
            |operation| on_paths(operation, from, to, move |from, to| sys::fs::copy_file(from, to, options.into()));
    }
    methods of File as file {
        /// Reads into `buffer`, as many bytes as it is long at most; the callback gets it back, as long as what was read. It
        /// is empty at the end of the file.
        ///
        /// `at` counts from the beginning of the file; `None` goes on where the last such operation stopped.
        Read "read" read(buffer: Vec<u8>, at: Option<u64>) -> Vec<u8> =
            |operation| file.job(operation, move |file| file::read(file, buffer, at));
        /// As [`File::read`], into one buffer after the other, as long as they are. Gives how many bytes were read, and
        /// the buffers.
        ReadVectored "readv" read_vectored(buffers: Vec<Vec<u8>>, at: Option<u64>) -> (usize, Vec<Vec<u8>>) = |operation| {
            let mut buffers = buffers;
            file.job(operation, move |file| {
                let length = sys::fs::read_vectored(file, &mut buffers, at)?;
                Ok((length, buffers))
            })
        };
        /// Writes bytes; the callback gets how many were written, which may be fewer.
        ///
        /// `at` counts from the beginning of the file; `None` goes on where the last such operation stopped.
        Write "write" write(bytes: impl Into<Buffer>, at: Option<u64>) -> usize = |operation| {
            let bytes = bytes.into();
            file.job(operation, move |file| file::write(file, &bytes, at))
        };
        /// As [`File::write`], of one buffer after the other.
        WriteVectored "writev" write_vectored(buffers: Vec<Buffer>, at: Option<u64>) -> usize = |operation| {
            file.job(operation, move |file| {
                let slices: Vec<&[u8]> = buffers.iter().map(|buffer| &**buffer).collect();
                sys::fs::write_vectored(file, &slices, at)
            })
        };
        /// Brings what was written, and what the system keeps about the file, to the disk.
        Fsync "fsync" fsync() -> () = |operation| file.job(operation, |file| file.sync_all());
        /// Brings what was written to the disk, with no more about the file than it takes to find it.
        Fdatasync "fdatasync" fdatasync() -> () = |operation| file.job(operation, |file| file.sync_data());
        /// What the system keeps about the file.
        Fstat "fstat" fstat() -> Metadata = |operation| file.job(operation, |file| file.metadata());
        /// Makes the file this long: cuts it off, or adds zeros.
        Ftruncate "ftruncate" ftruncate(length: u64) -> () =
            |operation| file.job(operation, move |file| file.set_len(length));
        /// Changes permissions.
        Fchmod "fchmod" fchmod(mode: u32) -> () =
            |operation| file.job(operation, move |file| sys::fs::file_chmod(file, mode));
        /// Changes the owners; `None` leaves one as it is.
        Fchown "fchown" fchown(user: Option<u32>, group: Option<u32>) -> () =
            |operation| file.job(operation, move |file| sys::fs::file_chown(file, sys::fs::Owner { user, group }));
        /// Sets the times at which the file was accessed and changed last.
        Futime "futime" futime(accessed: FileTime, modified: FileTime) -> () = |operation| {
            file.job(operation, move |file| sys::fs::file_set_times(file, accessed.into(), modified.into()))
        };
        /// Copies `length` bytes from `at` on to where another file stands, without a way through the program's memory where
        /// the system can do that. Gives how many bytes it were: fewer where the file ends, or where the other takes no more.
        Sendfile "sendfile" sendfile(to: &File, at: u64, length: usize) -> usize = |operation| {
            file.job_to(operation, to, move |from, to| sys::fs::send_file(to, from, at, length))
        };
    }
    methods of Dir as directory {
        /// The next entries, as many as `count` at most, in the system's order, without `.` and `..`; none at the end.
        Readdir "readdir" readdir(count: usize) -> Vec<DirectoryEntry> = |operation| {
            let (subject, directory) = (Subject::path(operation, directory.path.clone()), directory.clone());
            about(subject, move |_: &Subject| directory.next(count))
        };
        /// Closes the directory, its copies too.
        Closedir "closedir" closedir() -> () = |operation| {
            let (subject, directory) = (Subject::path(operation, directory.path.clone()), directory.clone());
            about(subject, move |_: &Subject| directory.close())
        };
    }
    others {
        /// Closes a file.
        Close "close"
    }
}
