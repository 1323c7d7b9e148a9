//! The call bpf(2), one command a function, and the ring that events come through.
//!
//! `union bpf_attr` is laid out by hand: the fields that are used stand at the offsets that the kernel's header
//! `linux/bpf.h` gives them, which never change.

use std::collections::HashSet;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

const MAP_CREATE: i32 = 0;
const MAP_LOOKUP: i32 = 1;
const MAP_UPDATE: i32 = 2;
const MAP_DELETE: i32 = 3;
const MAP_NEXT_KEY: i32 = 4;
const PROGRAM_LOAD: i32 = 5;
const LINK_CREATE: i32 = 28;

const PROGRAM_TYPE_KPROBE: u32 = 2;
const ATTACH_PERF_EVENT: u32 = 41;
const ATTACH_UPROBE_MULTI: u32 = 48;
const UPROBE_MULTI_RETURN: u32 = 1;

/// A key is set only if it is not there.
const NO_EXIST: u32 = 1;

/// `union bpf_attr`, zero where nothing is set.
#[repr(C, align(8))]
struct Attributes([u8; 128]);

impl Attributes {
    fn new() -> Self {
        Self([0; 128])
    }

    fn set<const N: usize>(mut self, offset: usize, value: [u8; N]) -> Self {
        self.0[offset..offset + N].copy_from_slice(&value);
        self
    }

    fn word(self, offset: usize, value: u32) -> Self {
        self.set(offset, value.to_ne_bytes())
    }

    fn address<T>(self, offset: usize, value: *const T) -> Self {
        self.set(offset, (value as u64).to_ne_bytes())
    }

    fn descriptor(self, offset: usize, value: BorrowedFd<'_>) -> Self {
        self.word(offset, value.as_raw_fd() as u32)
    }

    /// # Safety
    /// Every address that was set must be valid for what the command does with it.
    unsafe fn call(&self, command: i32) -> io::Result<i32> {
        // SAFETY: the structure is as long as said, and the caller answers for the addresses in it.
        let result = unsafe { libc::syscall(libc::SYS_bpf, command, self.0.as_ptr(), self.0.len()) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
    }

    /// # Safety
    /// As [`Attributes::call`]; the command must give a descriptor.
    unsafe fn open(&self, command: i32) -> io::Result<OwnedFd> {
        // SAFETY: the caller's word.
        let fd = unsafe { self.call(command) }?;
        // SAFETY: the call just gave this descriptor, and nothing else owns it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// What a map is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MapShape {
    pub(crate) kind: u32,
    pub(crate) key_bytes: u32,
    pub(crate) value_bytes: u32,
    pub(crate) entries_max: u32,
    pub(crate) flags: u32,
}

/// A map of BPF, shared with the programs in the kernel.
#[derive(Debug)]
pub(crate) struct Map {
    fd: OwnedFd,
    key_bytes: usize,
    value_bytes: usize,
}

/// How often on average a key is passed again before a list of keys is given up.
const PASSES_MAX: usize = 16;

impl Map {
    /// Makes a map.
    pub(crate) fn create(shape: &MapShape) -> io::Result<Self> {
        let attributes = Attributes::new()
            .word(0, shape.kind)
            .word(4, shape.key_bytes)
            .word(8, shape.value_bytes)
            .word(12, shape.entries_max)
            .word(16, shape.flags);
        // SAFETY: no address is set.
        let fd = unsafe { attributes.open(MAP_CREATE) }?;
        Ok(Self { fd, key_bytes: shape.key_bytes as usize, value_bytes: shape.value_bytes as usize })
    }

    /// The value of a key, written into `value`; whether there is one.
    pub(crate) fn lookup(&self, key: &[u8], value: &mut [u8]) -> io::Result<bool> {
        assert!(key.len() == self.key_bytes && value.len() == self.value_bytes, "the map's own sizes");
        let attributes = self.attributes(key).address(16, value.as_mut_ptr());
        // SAFETY: key and value are as long as the map says, and live through the call.
        Self::found(unsafe { attributes.call(MAP_LOOKUP) })
    }

    /// Sets the value of a key.
    pub(crate) fn update(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        assert!(key.len() == self.key_bytes && value.len() == self.value_bytes, "the map's own sizes");
        let attributes = self.attributes(key).address(16, value.as_ptr());
        // SAFETY: key and value are as long as the map says, and live through the call.
        unsafe { attributes.call(MAP_UPDATE) }.map(drop)
    }

    /// Sets the value of a key that is not there yet; whether it was not.
    pub(crate) fn insert(&self, key: &[u8], value: &[u8]) -> io::Result<bool> {
        assert!(key.len() == self.key_bytes && value.len() == self.value_bytes, "the map's own sizes");
        let attributes = self.attributes(key).address(16, value.as_ptr()).word(24, NO_EXIST);
        // SAFETY: key and value are as long as the map says, and live through the call.
        match unsafe { attributes.call(MAP_UPDATE) } {
            Ok(_) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes a key; whether it was there.
    pub(crate) fn delete(&self, key: &[u8]) -> io::Result<bool> {
        assert!(key.len() == self.key_bytes, "the map's own size");
        // SAFETY: the key is as long as the map says, and lives through the call.
        Self::found(unsafe { self.attributes(key).call(MAP_DELETE) })
    }

    /// All keys. Keys that come or go meanwhile may be among them or not.
    ///
    /// Behind a key that went meanwhile the kernel begins again. Then those that are known are passed once more; a map in which keys go faster
    /// than that is given up at some time, with what was found.
    pub(crate) fn keys(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut keys: HashSet<Vec<u8>> = HashSet::new();
        let mut last: Option<Vec<u8>> = None;
        let mut passed_again = 0;
        loop {
            let mut next = vec![0; self.key_bytes];
            let mut attributes = Attributes::new().descriptor(0, self.fd.as_fd());
            if let Some(key) = &last {
                attributes = attributes.address(8, key.as_ptr());
            }
            let attributes = attributes.address(16, next.as_mut_ptr());
            // SAFETY: both keys are as long as the map says, and live through the call.
            if !Self::found(unsafe { attributes.call(MAP_NEXT_KEY) })? {
                return Ok(keys.into_iter().collect());
            }
            if !keys.insert(next.clone()) {
                passed_again += 1;
                if passed_again > PASSES_MAX * keys.len() {
                    return Ok(keys.into_iter().collect());
                }
            }
            last = Some(next);
        }
    }

    fn attributes(&self, key: &[u8]) -> Attributes {
        Attributes::new().descriptor(0, self.fd.as_fd()).address(8, key.as_ptr())
    }

    fn found(result: io::Result<i32>) -> io::Result<bool> {
        match result {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Loads a program for uprobes; `multi` for many sites at once. Gives the verifier's last words where it refuses.
pub(crate) fn load_program(
    instructions: &[[u8; 8]],
    license: &CStr,
    multi: bool,
) -> Result<OwnedFd, (io::Error, String)> {
    let attributes = || {
        Attributes::new()
            .word(0, PROGRAM_TYPE_KPROBE)
            .word(4, instructions.len() as u32)
            .address(8, instructions.as_ptr())
            .address(16, license.as_ptr())
            .word(68, if multi { ATTACH_UPROBE_MULTI } else { 0 })
    };
    // SAFETY: instructions and license live through the call, with the length that is told.
    let error = match unsafe { attributes().open(PROGRAM_LOAD) } {
        Ok(program) => return Ok(program),
        Err(error) => error,
    };
    // Once more, to hear why.
    let mut log = vec![0u8; 1 << 20];
    let talkative = attributes().word(24, 1).word(28, log.len() as u32).address(32, log.as_mut_ptr());
    // SAFETY: as before; the log is as long as told.
    if let Ok(program) = unsafe { talkative.open(PROGRAM_LOAD) } {
        return Ok(program);
    }
    let said = String::from_utf8_lossy(&log);
    let last: Vec<&str> = said.trim_end_matches('\0').lines().rev().take(3).collect();
    Err((error, last.into_iter().rev().collect::<Vec<_>>().join("; ")))
}

/// Where a program is placed, and the number that it is told there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    pub(crate) offset: u64,
    pub(crate) cookie: u64,
}

/// Places a program at many offsets of a file, for one process. It stays until the link is closed.
pub(crate) fn link_uprobes(
    program: BorrowedFd<'_>,
    path: &CStr,
    placements: &[Placement],
    pid: u32,
    at_return: bool,
) -> io::Result<OwnedFd> {
    let offsets: Vec<u64> = placements.iter().map(|placement| placement.offset).collect();
    let cookies: Vec<u64> = placements.iter().map(|placement| placement.cookie).collect();
    let attributes = Attributes::new()
        .descriptor(0, program)
        .word(8, ATTACH_UPROBE_MULTI)
        .address(16, path.as_ptr())
        .address(24, offsets.as_ptr())
        .address(40, cookies.as_ptr())
        .word(48, placements.len() as u32)
        .word(52, if at_return { UPROBE_MULTI_RETURN } else { 0 })
        .word(56, pid);
    // SAFETY: path and arrays live through the call, the arrays with the count that is told.
    unsafe { attributes.open(LINK_CREATE) }
}

/// Whether the kernel can place a program at many offsets in one call, asked with a program that was loaded for that. One that cannot takes the
/// program all the same: it does not look at what a program of this type is for.
pub(crate) fn can_link_uprobes(program: BorrowedFd<'_>) -> bool {
    // A folder has no code: nothing is placed, and only a kernel that knows what is asked gets as far as finding that out.
    let nowhere = [Placement { offset: 0, cookie: 0 }];
    let refused = link_uprobes(program, c"/", &nowhere, 0, false).err();
    refused.and_then(|error| error.raw_os_error()) != Some(libc::EINVAL)
}

/// Lets a program run at each event of a descriptor of perf_event_open(2).
pub(crate) fn link_event(program: BorrowedFd<'_>, event: BorrowedFd<'_>, cookie: u64) -> io::Result<OwnedFd> {
    let attributes = Attributes::new()
        .descriptor(0, program)
        .descriptor(4, event)
        .word(8, ATTACH_PERF_EVENT)
        .set(16, cookie.to_ne_bytes());
    // SAFETY: no address is set.
    unsafe { attributes.open(LINK_CREATE) }
}

/// The reading side of a ring map: one page that we write, how far we have read; one that the kernel writes, how far it has
/// written; and the data, mapped twice in a row so that no record is in two pieces.
#[derive(Debug)]
pub(crate) struct Ring {
    consumer: NonNull<u8>,
    producer: NonNull<u8>,
    page_bytes: usize,
    data_bytes: usize,
}

// SAFETY: the mappings belong to the process, not to a thread; all access is by `&mut self`.
unsafe impl Send for Ring {}

const RECORD_HEADER_BYTES: usize = 8;
const RECORD_BUSY: u32 = 1 << 31;
const RECORD_DISCARDED: u32 = 1 << 30;

impl Ring {
    /// Maps the ring of a map with this many bytes of data.
    pub(crate) fn map(map: &Map, data_bytes: usize) -> io::Result<Self> {
        let page_bytes = rustix::param::page_size();
        let map_shared = |protection, length, offset| {
            // SAFETY: a fresh mapping at an address of the kernel's choice overlaps nothing that Rust knows of.
            let start = unsafe { mmap(null_mut(), length, protection, MapFlags::SHARED, map, offset) }?;
            Ok::<_, io::Error>(
                NonNull::new(start.cast()).expect("the kernel does not map address zero unasked"),
            )
        };
        let consumer = map_shared(ProtFlags::READ | ProtFlags::WRITE, page_bytes, 0)?;
        let producer = map_shared(ProtFlags::READ, page_bytes + 2 * data_bytes, page_bytes as u64);
        match producer {
            Ok(producer) => Ok(Self { consumer, producer, page_bytes, data_bytes }),
            Err(error) => {
                // SAFETY: the mapping was just made and is not used.
                let _ = unsafe { munmap(consumer.as_ptr().cast(), page_bytes) };
                Err(error)
            }
        }
    }

    /// Gives each record that has come since the last time.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(&[u8])) {
        // SAFETY: both positions are aligned words at the start of their pages, and only accessed atomically.
        let (consumed, produced) = unsafe {
            (&*self.consumer.as_ptr().cast::<AtomicU64>(), &*self.producer.as_ptr().cast::<AtomicU64>())
        };
        let mut position = consumed.load(Ordering::Relaxed);
        while position < produced.load(Ordering::Acquire) {
            let at = position as usize & (self.data_bytes - 1);
            // SAFETY: `at` is below `data_bytes`, and records are aligned to eight bytes.
            let record = unsafe { self.producer.as_ptr().add(self.page_bytes + at) };
            // SAFETY: a record begins with its length, which the kernel writes atomically.
            let length = unsafe { &*record.cast::<AtomicU32>() }.load(Ordering::Acquire);
            if length & RECORD_BUSY != 0 {
                break;
            }
            let bytes = (length & !RECORD_DISCARDED) as usize;
            if bytes > self.data_bytes - RECORD_HEADER_BYTES {
                break;
            }
            if length & RECORD_DISCARDED == 0 {
                // SAFETY: the data is mapped twice, so a record of at most its size lies whole behind its beginning; the
                // kernel does not touch it until we say that it was read.
                each(unsafe { std::slice::from_raw_parts(record.add(RECORD_HEADER_BYTES), bytes) });
            }
            position += (bytes + RECORD_HEADER_BYTES).next_multiple_of(8) as u64;
            consumed.store(position, Ordering::Release);
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mappings are ours, whole, and nothing was lent out of them.
        unsafe {
            let _ = munmap(self.consumer.as_ptr().cast(), self.page_bytes);
            let _ = munmap(self.producer.as_ptr().cast(), self.page_bytes + 2 * self.data_bytes);
        }
    }
}

/// Opens a uprobe as an event of its own, for kernels that know no other way. `kind` is the number of the kernel's uprobe events,
/// `return_bit` the bit of its configuration that asks for returns.
pub(crate) fn open_uprobe(
    kind: u32,
    return_bit: Option<u32>,
    path: &CStr,
    offset: u64,
    pid: u32,
) -> io::Result<OwnedFd> {
    use perf_event_open_sys::bindings;
    let mut attributes = bindings::perf_event_attr {
        type_: kind,
        config: return_bit.map_or(0, |bit| 1 << bit),
        size: size_of::<bindings::perf_event_attr>() as u32,
        ..Default::default()
    };
    attributes.__bindgen_anon_3.config1 = path.as_ptr() as u64;
    attributes.__bindgen_anon_4.config2 = offset;
    let flags = bindings::PERF_FLAG_FD_CLOEXEC as libc::c_ulong;
    // SAFETY: the structure says its own size, and the path lives through the call.
    let fd = unsafe { perf_event_open_sys::perf_event_open(&mut attributes, pid as i32, -1, -1, flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call just gave this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
