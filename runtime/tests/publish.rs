//! The process's telemetry segment: found, sealed, named, and kept to its own process.

mod support;

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::AtomicU64;
use std::{env, process};

use loopscope_runtime::alloc::{CountingAllocator, counts};
use loopscope_runtime::observe::publish::{
    Publication, Unpublished, contents, publication, service_name, set_service_name,
};
use model::segment::{Contents, Reader, ScopeKind};
use model::time::Monotonic;
use support::{in_child, segment_of};

/// Something that measures, whichever the test.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

fn words_of(file: &File) -> &'static [AtomicU64] {
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let words =
        bytes.chunks_exact(8).map(|word| AtomicU64::new(u64::from_ne_bytes(word.try_into().unwrap())));
    words.collect::<Vec<_>>().leak()
}

fn contents_of(file: &File) -> Contents {
    Reader::open(words_of(file)).unwrap().read(Monotonic::from_ns(0)).unwrap()
}

#[test]
fn another_process_finds_the_segment_by_its_mapping_and_reads_it() {
    in_child("another_process_finds_the_segment_by_its_mapping_and_reads_it", &[], || {
        let allocated = counts().allocated_bytes;
        assert!(allocated > 0);
        let file = segment_of(process::id()).expect("a segment from the first allocation on");
        let contents = contents_of(&file);
        assert_eq!(contents.scopes.len(), 1);
        assert_eq!(contents.scopes[0].kind, ScopeKind::Process);
        assert_eq!(contents.scopes[0].readings.len(), 5, "the heap's metrics");
        let Publication::Published { bytes } = publication() else { panic!("not published") };
        assert_eq!(*bytes as u64, file.metadata().unwrap().len());
    });
}

#[test]
fn the_segment_can_neither_shrink_nor_grow_nor_lose_its_seals() {
    in_child("the_segment_can_neither_shrink_nor_grow_nor_lose_its_seals", &[], || {
        let file = segment_of(process::id()).unwrap();
        let seals = sys::seals(file.as_raw_fd()).unwrap();
        let expected = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        assert_eq!(seals & expected, expected);
        let writable =
            fs::OpenOptions::new().write(true).open(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
        assert_eq!(writable.set_len(0).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(writable.set_len(1 << 30).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    });
}

#[test]
fn the_segment_takes_only_the_memory_that_is_used() {
    in_child("the_segment_takes_only_the_memory_that_is_used", &[], || {
        use std::os::unix::fs::MetadataExt;
        let taken = segment_of(process::id()).unwrap().metadata().unwrap().blocks() * 512;
        assert!(taken < 512 * 1024, "{taken} bytes");
    });
}

#[test]
fn the_identity_is_the_process_s_own() {
    in_child("the_identity_is_the_process_s_own", &[], || {
        let identity = Reader::open(words_of(&segment_of(process::id()).unwrap())).unwrap().identity();
        assert_eq!(identity.pid, process::id());
        assert_eq!(identity.producer, format!("loopscope-telemetry {}", env!("CARGO_PKG_VERSION")));
        let executable = env::current_exe().unwrap();
        assert_eq!(identity.service, executable.file_name().unwrap().to_string_lossy());
        let up_ns = sys::monotonic_ns();
        assert!(identity.created_ns < up_ns && up_ns - identity.created_ns < 600_000_000_000);
    });
}

#[test]
fn a_program_can_name_its_service() {
    in_child("a_program_can_name_its_service", &[("OTEL_SERVICE_NAME", "")], || {
        set_service_name("shop");
        assert_eq!(service_name(), "shop");
    });
}

#[test]
fn the_environment_names_the_service_over_the_program() {
    in_child("the_environment_names_the_service_over_the_program", &[("OTEL_SERVICE_NAME", "shop")], || {
        assert_eq!(service_name(), "shop");
        set_service_name("other");
        assert_eq!(service_name(), "shop");
    });
}

#[test]
fn a_forked_child_counts_into_memory_of_its_own() {
    in_child("a_forked_child_counts_into_memory_of_its_own", &[], || {
        let file = segment_of(process::id()).unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        let before = words_of(&file);
        let before = Reader::open(before).unwrap();
        let counted_before = counts();
        let child = sys::fork(|| {
            // All that follows must leave the parent's segment alone, and the child's own in working order.
            let in_child = counts();
            (0..1000).for_each(|_| drop(std::hint::black_box(vec![1u8; 5000])));
            let counted = counts().allocations - in_child.allocations >= 1000;
            let readable = contents().scopes.len() == 1;
            let unpublished = segment_of(process::id()).is_none()
                && matches!(publication(), Publication::Unpublished(Unpublished::Forked));
            let lines = [counted, readable, unpublished].map(|held| if held { b'y' } else { b'n' });
            io::Write::write_all(&mut &writer, &lines).is_ok()
        });
        drop(writer);
        let mut lines = String::new();
        reader.read_to_string(&mut lines).unwrap();
        assert_eq!(lines, "yyy", "the child counts, can read itself, and publishes nothing");
        assert!(sys::exited_well(child));
        let grown = counts().allocations - counted_before.allocations;
        assert!(grown < 500, "the child's allocations were counted in its parent: {grown}");
        assert_eq!(before.identity().pid, process::id());
    });
}

mod sys {
    #![allow(unsafe_code, reason = "system calls")]

    pub(crate) fn seals(fd: i32) -> Option<i32> {
        // SAFETY: takes no pointers.
        let seals = unsafe { libc::fcntl(fd, libc::F_GET_SEALS) };
        (seals >= 0).then_some(seals)
    }

    pub(crate) fn monotonic_ns() -> u64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is a valid place for the answer.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }

    /// Forks; the child runs `body` and ends, well if that is true.
    pub(crate) fn fork(body: impl FnOnce() -> bool) -> i32 {
        // SAFETY: the tests that fork run alone in their process, whose other thread waits and holds no lock.
        match unsafe { libc::fork() } {
            0 => {
                let code = if body() { 0 } else { 1 };
                // SAFETY: never returns.
                unsafe { libc::_exit(code) }
            }
            child => {
                assert!(child > 0, "fork: {}", std::io::Error::last_os_error());
                child
            }
        }
    }

    pub(crate) fn exited_well(child: i32) -> bool {
        let mut status = 0;
        // SAFETY: `status` is a valid place for the answer.
        let waited = unsafe { libc::waitpid(child, &mut status, 0) };
        waited == child && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
    }
}
