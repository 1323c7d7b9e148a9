//! A machine that is made up: a `/proc` in a temporary directory, and events of processes in it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use loopscope_attach::sampler::convert::{Conversion, Converter};
use loopscope_attach::sampler::event::{Event, Mapped, Registers, Sample};
use model::profile::Recording;
use model::time::Monotonic;
use tempfile::TempDir;

/// The process that most scenes are about. No machine has as many, so none of this one is taken for it.
pub(crate) const PID: u32 = 5_000_000;

/// Where most scenes map code that their process made.
pub(crate) const MADE: u64 = 0x7000_0000_0000;

pub(crate) struct Scene {
    proc_dir: TempDir,
    converter: Converter,
    time: u64,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let proc_dir = TempDir::new().unwrap();
        let converter = Converter::with_proc(Recording::default(), proc_dir.path().to_owned());
        Self { proc_dir, converter, time: 0 }
    }

    /// Writes a file of the made up `/proc`.
    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.proc_dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Maps a file that the process sees at `path`; it may lie in the made up `/proc` or not.
    pub(crate) fn map_file(&mut self, path: &str, start: u64, length: u64, file_offset: u64) {
        let seen = self.proc_dir.path().join(format!("{PID}/root{path}"));
        let inode = fs::metadata(&seen).map_or(99, |metadata| metadata.ino());
        self.map(PID, path, inode, start, length, file_offset);
    }

    /// Maps code that the process made.
    pub(crate) fn map_made(&mut self, pid: u32) {
        self.map(pid, "//anon", 0, MADE, 1 << 20, 0);
    }

    pub(crate) fn map(
        &mut self,
        pid: u32,
        path: &str,
        inode: u64,
        start: u64,
        length: u64,
        file_offset: u64,
    ) {
        let time = self.now();
        let path = path.as_bytes();
        let device = (0, 0);
        self.event(&Event::Mapped(Mapped { time, pid, start, length, file_offset, device, inode, path }));
    }

    pub(crate) fn rename(&mut self, pid: u32, tid: u32, name: &str, exec: bool) {
        let time = self.now();
        self.event(&Event::Renamed { time, pid, tid, name: name.as_bytes(), exec });
    }

    pub(crate) fn fork(&mut self, pid: u32, tid: u32, parent_pid: u32) {
        let time = self.now();
        self.event(&Event::Forked { time, pid, tid, parent_pid });
    }

    pub(crate) fn exit(&mut self, pid: u32, tid: u32) {
        let time = self.now();
        self.event(&Event::Exited { time, pid, tid });
    }

    /// A sample of the main thread, as the kernel sees it: frames innermost first, where only the first is exact.
    pub(crate) fn sample(&mut self, kernel: &[u64], user: &[u64]) {
        self.sample_of(PID, PID, kernel, user);
    }

    pub(crate) fn sample_of(&mut self, pid: u32, tid: u32, kernel: &[u64], user: &[u64]) {
        let sample = self.plain_sample();
        self.event(&Event::Sample(Sample { pid, tid, kernel, user_by_frame_pointer: user, ..sample }));
    }

    /// A sample of the main thread with its registers and the copy of its stack.
    pub(crate) fn sample_stack(&mut self, registers: Registers, stack: &[u8], cut: bool, chain: &[u64]) {
        let sample = self.plain_sample();
        let registers = Some(registers);
        self.event(&Event::Sample(Sample {
            registers,
            stack,
            stack_cut: cut,
            user_by_frame_pointer: chain,
            ..sample
        }));
    }

    pub(crate) fn event(&mut self, event: &Event<'_>) {
        self.converter.event(event);
    }

    pub(crate) fn window(&mut self) -> Conversion {
        self.converter.window(Recording::default())
    }

    pub(crate) fn forget(&mut self, pid: u32) {
        self.converter.forget(pid);
    }

    pub(crate) fn finish(self) -> Conversion {
        self.converter.finish()
    }

    pub(crate) fn proc_dir(&self) -> &Path {
        self.proc_dir.path()
    }

    fn plain_sample(&mut self) -> Sample<'static> {
        Sample {
            time: self.now(),
            pid: PID,
            tid: PID,
            weight: 1,
            kernel: &[],
            user_by_frame_pointer: &[],
            registers: None,
            stack: &[],
            stack_cut: false,
        }
    }

    fn now(&mut self) -> Monotonic {
        self.time += 1_000;
        Monotonic::from_ns(self.time)
    }
}

/// The stacks of a conversion as `process/thread;outermost;…;innermost weight`, one a line.
pub(crate) fn folded(conversion: &Conversion) -> String {
    let profile = &conversion.profile;
    let mut stacks: BTreeMap<String, u64> = BTreeMap::new();
    for sample in &profile.samples {
        let thread = profile.threads[sample.thread.0 as usize];
        let mut line = format!("{}/{}", profile.text(thread.process_name), profile.text(thread.name));
        for frame in profile.frames_of(sample.stack) {
            line = line + ";" + profile.frame_name(frame);
        }
        *stacks.entry(line).or_default() += sample.weight;
    }
    stacks.iter().map(|(stack, weight)| format!("{stack} {weight}\n")).collect()
}
