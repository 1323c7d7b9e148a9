//! Reading what a binary has of libuv: how much memory that takes, and what becomes of a file that changes meanwhile.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use loopscope_attach::libuv::image::Image;
use loopscope_attach::libuv::locate::Images;
use loopscope_attach::target::{Pid, Process};

const PATIENCE: Duration = Duration::from_secs(60);

/// By so much the process may grow for a moment; the tables of symbols alone are three times as big.
const GROWTH_MAX_KB: u64 = 10 << 10;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Every Node.js that `LOOPSCOPE_NODES` names, else the one on `PATH`; none, after saying that the test is skipped.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
fn nodes() -> Vec<PathBuf> {
    let named = std::env::var_os("LOOPSCOPE_NODES").unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path =
        || std::env::split_paths(&path).map(|folder| folder.join("node")).find(|node| node.is_file());
    let mut nodes: Vec<PathBuf> = std::env::split_paths(&named).filter(|node| node.is_file()).collect();
    if nodes.is_empty() {
        nodes.extend(on_path());
    }
    if nodes.is_empty() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "it needs node");
        eprintln!("SKIPPED: it needs node");
    }
    nodes
}

/// The most memory that was resident since that was last forgotten.
fn resident_max_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Looks for libuv in a program that runs, as the agent does.
fn locate(running: &Running) {
    let began = Instant::now();
    let process = Process::open(Pid::new(running.0.id())).unwrap();
    while Images::default().locate(&process).ok().flatten().is_none() {
        assert!(began.elapsed() < PATIENCE, "it has no libuv");
    }
}

#[test]
fn finding_libuv_in_a_node_takes_little_memory() {
    for node in nodes() {
        let started =
            Command::new(&node).args(["-e", "setTimeout(() => {}, 600000)"]).stdin(Stdio::null()).spawn();
        let running = Running(started.unwrap());
        // Forgets the peak.
        fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = resident_max_kb();
        locate(&running);
        let growth = resident_max_kb() - before;
        assert!(growth < GROWTH_MAX_KB, "{}: {growth} kB more were resident", node.display());
    }
}

/// A small library with the outlines of libuv.
fn small() -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/libuv_image/x86_64")).unwrap()
}

#[test]
fn a_file_that_is_cut_short_while_it_is_read_is_read_as_far_as_it_goes() {
    let whole = small();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libuv.so.1");
    fs::write(&path, &whole).unwrap();
    let (read, written) = (File::open(&path).unwrap(), File::options().write(true).open(&path).unwrap());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                written.set_len(100).unwrap();
                written.write_all_at(&whole, 0).unwrap();
            }
        });
        let began = Instant::now();
        let (mut whole, mut cut) = (0, 0);
        while whole.min(cut) < 200 && began.elapsed() < PATIENCE {
            let image = Image::read_file(&read).unwrap_or_default();
            *if image.is_some() { &mut whole } else { &mut cut } += 1;
        }
        done.store(true, Ordering::Relaxed);
        assert!(whole > 0 && cut > 0, "{whole} whole, {cut} cut");
    });
    let (now, as_it_is) = (Image::read_file(&read).unwrap(), Image::read(&whole));
    assert_eq!(format!("{now:?}"), format!("{as_it_is:?}"));
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_and_not_one_without_libuv() {
    let folder = tempfile::tempdir().unwrap();
    let error = Image::read_file(&File::open(folder.path()).unwrap()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::IsADirectory);
}
