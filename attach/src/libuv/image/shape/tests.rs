//! The search by shape gives what symbols give, on every Node.js that there is; and everything, on a library without symbols.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use object::read::elf::SectionHeader;

use super::super::bytes::Bytes;
use super::super::elf::{Elf, LITTLE};
use super::super::symbols::Symbols;
use super::super::{Image, Machine, Points, TaskSite};
use crate::libuv::locate::{Located, Part};

/// Where distributions keep the shared library.
const LIBRARIES: &[&str] =
    &["/usr/lib/x86_64-linux-gnu/libuv.so.1", "/usr/lib64/libuv.so.1", "/usr/lib/libuv.so.1"];

/// A search may take no longer; it takes a tenth of this on an idle machine.
const PATIENCE: Duration = Duration::from_millis(if cfg!(debug_assertions) { 10_000 } else { 1_000 });

/// Reads a binary as if it had only the symbols of public functions.
fn by_shape(bytes: &[u8]) -> Image {
    let bytes = Bytes::of_memory(bytes);
    let elf = Elf::parse(&bytes).unwrap();
    let began = Instant::now();
    let image = Image::read_with(&elf, Symbols::read(&elf, false)).unwrap();
    assert!(began.elapsed() < PATIENCE, "it took {:?}", began.elapsed());
    image
}

fn nodes() -> Vec<PathBuf> {
    let named = std::env::var_os("LOOPSCOPE_NODES").unwrap_or_default();
    let named: Vec<PathBuf> = std::env::split_paths(&named).filter(|path| path.is_file()).collect();
    if !named.is_empty() {
        return named;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join("node"))
        .find(|node| node.is_file())
        .into_iter()
        .collect()
}

/// The library of uvloop that the tests are given.
fn uvloop() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("LOOPSCOPE_UVLOOP")?).join("uvloop");
    let is_loop = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("loop.") && name.ends_with(".so")
    };
    fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).find(is_loop)
}

#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
fn skip(what: &str) {
    eprintln!("SKIPPED: {what}");
}

/// Expects that the shape told everything that symbols tell.
fn expect_same(what: &str, bytes: &[u8]) {
    let is_libuv = |image: &Image| image.has_libuv && image.machine == Machine::X86_64;
    let Some(told) = Image::read(bytes).filter(is_libuv) else {
        return skip(&format!("{what} holds no libuv that is looked through"));
    };
    let found = by_shape(bytes);
    assert_eq!(found.missing, told.missing, "{what}");
    assert_eq!(found.state, told.state, "{what}");
    let points = |image: &Image| {
        let points = image.points.clone();
        let loops =
            (points.io_poll, points.run_timers, points.run_idle, points.run_prepare, points.run_check);
        let pool = (points.work_submit, points.queue_work, points.task_end, points.cancel, points.work_taken);
        (loops, pool, points.poll_returns, points.check_returns, points.work_functions)
    };
    assert_eq!(points(&found), points(&told), "{what}");
    expect_starts(&found, &told);
}

/// Expects tasks' starts to be the same, but for what only symbols of Node.js tell.
fn expect_starts(found: &Image, told: &Image) {
    if found.points.task_starts == told.points.task_starts {
        return;
    }
    let end = found.points.task_end.unwrap();
    let [TaskSite { site, register, displacement }] = found.points.task_starts[..] else {
        panic!("one place where all tasks are seen: {:?}", found.points.task_starts);
    };
    assert_eq!((register, displacement), (end.register, end.displacement));
    assert!((1..64).contains(&end.site.address.wrapping_sub(site.address)), "close before the end");
}

#[test]
fn shape_tells_what_symbols_tell() {
    let nodes = nodes();
    if nodes.is_empty() {
        skip("no Node.js is installed");
    }
    for node in &nodes {
        expect_same(&node.display().to_string(), &fs::read(node).unwrap());
    }
}

#[test]
fn everything_is_found_in_a_library_without_symbols() {
    let Some(library) = LIBRARIES.iter().find(|path| Path::new(path).is_file()) else {
        return skip("no shared libuv is installed");
    };
    expect_everything(&by_shape(&fs::read(library).unwrap()));
}

/// A small library with the outlines of libuv: `x86_64`, `aarch64`, or `stripped`, with only the symbols of public functions.
fn small(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/libuv_image").join(name))
        .expect("a seed")
}

fn expect_everything(image: &Image) {
    assert_eq!(image.missing, []);
    let state = image.state;
    let all = [
        state.default_loop,
        state.queue,
        state.slow_queue,
        state.slow_message,
        state.exit_message,
        state.idle_threads,
        state.threads,
    ];
    assert!(all.iter().all(Option::is_some), "{state:?}");
    let functions = image.points.work_functions;
    let all =
        [functions.fs, functions.getaddrinfo, functions.getnameinfo, functions.random, functions.queue_work];
    assert!(all.iter().all(Option::is_some), "{functions:?}");
    assert!(!image.points.poll_returns.is_empty() && !image.points.check_returns.is_empty());
    assert!(!image.points.task_starts.is_empty() && image.points.work_taken.is_some());
}

#[test]
fn a_small_library_with_symbols_tells_the_same_without() {
    expect_same("x86_64", &small("x86_64"));
}

#[test]
fn uvloop_tells_the_same_without_symbols() {
    let Some(uvloop) = uvloop() else { return skip("uvloop is missing; `cargo xtask test` fetches it") };
    let bytes = fs::read(uvloop).unwrap();
    let image = Image::read(&bytes).unwrap();
    assert!(image.missing.is_empty() && image.points.work_taken.is_some(), "{:?}", image.missing);
    expect_same("uvloop", &bytes);
    // It never calls `uv_queue_work`, whose tasks could only be seen within the pool's lock.
    let (points, argument) = (image.points, image.machine.first_argument());
    assert_eq!((points.queued_start, &points.task_starts), (None, &points.own_starts));
    assert!(!points.task_starts.is_empty());
    assert!(points.task_starts.iter().all(|start| (start.register, start.displacement) == (argument, 0)));
}

#[test]
fn a_library_without_a_name_that_queues_nothing_itself_needs_no_place_in_the_lock() {
    let mut bytes = small("stripped");
    let named = Image::read(&bytes).unwrap().points;
    assert_ne!(named.task_starts, named.own_starts);
    let (start, length) = {
        let bytes = Bytes::of_memory(&bytes);
        let elf = Elf::parse(&bytes).unwrap();
        let section = elf.section(".dynamic").unwrap();
        (section.sh_offset(LITTLE), section.sh_size(LITTLE))
    };
    let entries = bytes[start as usize..][..length as usize].as_chunks_mut::<16>().0;
    let name = entries.iter_mut().find(|entry| entry[..8] == 14u64.to_le_bytes()).expect("DT_SONAME");
    // DT_DEBUG: whatever stands there means nothing.
    name[..8].copy_from_slice(&21u64.to_le_bytes());
    let unnamed = Image::read(&bytes).unwrap().points;
    assert_eq!((&unnamed.task_starts, &unnamed.own_starts), (&named.own_starts, &named.own_starts));
}

#[test]
fn tasks_that_others_may_queue_are_seen_to_start_in_the_lock_and_the_rest_is_known_by_itself() {
    let image = Image::read(&small("stripped")).unwrap();
    let functions = image.points.work_functions;
    let entries = [functions.fs, functions.getaddrinfo, functions.getnameinfo, functions.random];
    let own = image.points.own_starts.iter().map(|start| Some(start.site.address));
    assert!(own.eq(entries) && image.points.queued_start.is_none());
    assert_eq!(image.points.task_starts.len(), 1);
    let libuv = |image: Image| Part {
        image: Arc::new(image),
        bias: 0,
        path: PathBuf::new(),
        shown_path: "libuv".to_owned(),
        file: (0, 0),
    };
    let alone = Located { libuv: libuv(image.clone()), engine: None };
    let [(_, starts)] = alone.task_starts()[..] else { panic!("one file") };
    assert_eq!(starts, image.points.task_starts);

    // With a Node.js that tells what it queues.
    let queued = TaskSite { displacement: 88, ..image.points.own_starts[0] };
    let node = Image { has_libuv: false, points: Points::default(), ..image.clone() };
    let points = Points { queued_start: Some(queued), ..Points::default() };
    let telling = Image { points, ..node.clone() };
    let with = Located { engine: Some(libuv(telling)), ..alone.clone() };
    let starts: Vec<_> = with.task_starts().into_iter().map(|(_, starts)| starts.to_vec()).collect();
    assert_eq!(starts, [image.points.own_starts.clone(), vec![queued]]);
    // And with one that does not.
    let without = Located { engine: Some(libuv(node)), ..alone };
    let [(_, starts)] = without.task_starts()[..] else { panic!("one file") };
    assert_eq!(starts, image.points.task_starts);
}

#[test]
fn the_list_of_ended_tasks_is_seen_behind_the_lock() {
    // ldr x8, [sp]; cmp x8, x21; b.eq, and mov (%rsp),%rax; cmp %rbx,%rax; je.
    let taken = |name: &str| {
        let bytes = small(name);
        let taken = Image::read(&bytes).unwrap().points.work_taken.unwrap();
        let offset = taken.site.offset as usize;
        (bytes[offset - 7..offset + 1].to_vec(), taken.first.0, taken.head.0)
    };
    let x86_64 = (vec![0x48, 0x8b, 0x04, 0x24, 0x48, 0x39, 0xd8, 0x74], 10, 5);
    assert_eq!([taken("x86_64"), taken("stripped")], [x86_64.clone(), x86_64]);
    let bytes = small("aarch64");
    let taken = Image::read(&bytes).unwrap().points.work_taken.unwrap();
    let line = &bytes[taken.site.offset as usize - 8..][..12];
    let words = [0xf940_03e8, 0xeb15_011f, 0x5400_01c0].map(u32::to_le_bytes).concat();
    assert_eq!((line, taken.first.0, taken.head.0), (&words[..], 8, 21));
    for node in nodes() {
        let bytes = fs::read(&node).unwrap();
        let Some(image) = Image::read(&bytes).filter(|image| image.has_libuv) else { continue };
        assert!(image.points.work_taken.is_some(), "{}", node.display());
    }
}

#[test]
fn arm64_needs_symbols_and_has_a_bigger_mutex() {
    let bytes = small("aarch64");
    let told = Image::read(&bytes).unwrap();
    assert_eq!((told.machine, told.version), (Machine::Aarch64, Some((1, 44, 2))));
    assert_eq!((told.layout.loop_wq_async, told.layout.loop_time), (184, 552));
    assert_eq!(told.points.task_starts.len(), 5);
    let found = by_shape(&bytes);
    assert_eq!((found.points.io_poll, found.state.queue), (None, None));
    assert!(found.missing.iter().any(|missing| missing.what == "uv__io_poll"), "{:?}", found.missing);
    assert!(found.missing.iter().any(|missing| missing.what == "wq"), "{:?}", found.missing);
}

#[test]
fn everything_is_found_in_a_small_library() {
    expect_everything(&Image::read(&small("stripped")).unwrap());
    expect_everything(&Image::read(&small("x86_64")).unwrap());
    expect_everything(&Image::read(&small("aarch64")).unwrap());
}

#[test]
fn what_is_there_twice_is_not_found() {
    let whole = small("stripped");
    let image = by_shape(&whole);
    // Prepare handles get the list of idle ones, wherever the code names it.
    let prepare = image.points.run_prepare.unwrap().offset as usize;
    let mut bytes = whole.clone();
    let mut changed = 0;
    for at in prepare..prepare + 128 {
        if bytes[at..at + 4] == 384u32.to_le_bytes() {
            bytes[at..at + 4].copy_from_slice(&416u32.to_le_bytes());
            changed += 1;
        }
    }
    assert!(changed > 0, "the list is named");
    let image = by_shape(&bytes);
    assert_eq!((image.points.run_idle, image.points.run_prepare), (None, None));
    assert!(image.points.run_check.is_some());
    let whys: Vec<_> = image.missing.iter().map(|missing| (missing.what, missing.why.as_str())).collect();
    assert_eq!(whys, [("uv__run_idle", super::SEVERAL), ("uv__run_prepare", super::NOTHING)]);
}

#[test]
fn broken_files_are_read_as_far_as_they_go() {
    broken(&small("stripped"), 11);
    broken(&small("aarch64"), 31);
}

fn broken(whole: &[u8], step: usize) {
    for length in (0..whole.len()).step_by(32) {
        let _ = Image::read(&whole[..length]);
    }
    for at in (0..whole.len()).step_by(step) {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 1 << (at % 8);
        let _ = Image::read(&bytes);
        bytes[at] = 0xff;
        let _ = Image::read(&bytes);
    }
}
