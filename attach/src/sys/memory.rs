//! Reading another process's memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::target::Pid;

/// A piece of another process's memory, and where to put it.
pub(crate) struct Piece<'a> {
    pub(crate) address: u64,
    pub(crate) into: &'a mut [u8],
}

/// The most pieces that the kernel takes at once (`IOV_MAX`).
pub(crate) const PIECES_MAX: usize = 1024;

/// Copies pieces of a process's memory, in order; gives the number of bytes that were copied before one could not be. Needs
/// the access that ptrace needs for reading.
///
/// Seccomp profiles of containers refused this call for long, and kernels can be built without it (`CONFIG_CROSS_MEMORY_ATTACH`): then the memory
/// is read as the file that it also is, a call for each piece.
pub(crate) fn read(pid: Pid, pieces: &mut [Piece<'_>]) -> io::Result<usize> {
    match read_at_once(pid, pieces) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
            read_file(pid, pieces)
        }
        read => read,
    }
}

fn read_file(pid: Pid, pieces: &mut [Piece<'_>]) -> io::Result<usize> {
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut copied = 0;
    for piece in pieces {
        match memory.read_exact_at(piece.into, piece.address) {
            Ok(()) => copied += piece.into.len(),
            Err(_) if copied == 0 => return Err(io::Error::from_raw_os_error(libc::EFAULT)),
            Err(_) => break,
        }
    }
    Ok(copied)
}

fn read_at_once(pid: Pid, pieces: &mut [Piece<'_>]) -> io::Result<usize> {
    let count = PIECES_MAX.min(pieces.len());
    let pieces = &mut pieces[..count];
    let local: Vec<libc::iovec> = pieces
        .iter_mut()
        .map(|piece| libc::iovec { iov_base: piece.into.as_mut_ptr().cast(), iov_len: piece.into.len() })
        .collect();
    let remote: Vec<libc::iovec> = pieces
        .iter()
        .map(|piece| libc::iovec { iov_base: piece.address as *mut _, iov_len: piece.into.len() })
        .collect();
    // SAFETY: the local pieces are exclusively borrowed through the call, with the lengths that are told; the remote
    // addresses are only looked at by the kernel, which gives an error for what is not mapped there.
    let copied = unsafe {
        libc::process_vm_readv(
            pid.get() as libc::pid_t,
            local.as_ptr(),
            local.len() as libc::c_ulong,
            remote.as_ptr(),
            remote.len() as libc::c_ulong,
            0,
        )
    };
    usize::try_from(copied).map_err(|_| io::Error::last_os_error())
}
