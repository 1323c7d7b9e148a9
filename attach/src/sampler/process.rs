//! The processes of a recording: what code each has mapped and what its threads are called, as of the last event.

mod space;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use model::profile::{StringId, Strings, Thread, ThreadId};
use rustc_hash::FxHashMap;

pub(crate) use space::{Backing, Region, Space, SpaceUnwinder};

use super::event::Mapped;
use super::symbolize::images::{Images, Opened};

/// A process has at most this many regions; further ones are not taken. The kernel's own bound is of this order.
const REGIONS_MAX: usize = 1 << 17;

/// Processes by pid.
pub(crate) struct Processes {
    proc_dir: PathBuf,
    by_pid: FxHashMap<u32, Process>,
    epochs: u64,
}

/// A process.
pub(crate) struct Process {
    pub(crate) space: Arc<Space>,
    /// Names a state of an address space: equal epochs have equal mappings.
    pub(crate) epoch: u64,
    /// The path of the file that was mapped first: the program's.
    pub(crate) program: StringId,
    /// The position of its map of made code, once such code was seen.
    pub(crate) perf_map: Option<usize>,
    threads: FxHashMap<u32, ThreadState>,
}

#[derive(Default)]
struct ThreadState {
    name: Option<StringId>,
    row: Option<ThreadId>,
}

impl Processes {
    /// No processes yet; names that no event told are looked up in `proc_dir`.
    pub(crate) fn new(proc_dir: PathBuf) -> Self {
        Self { proc_dir, by_pid: FxHashMap::default(), epochs: 0 }
    }

    /// The process, which begins without mappings if nothing was heard of it.
    pub(crate) fn get(&mut self, pid: u32) -> &mut Process {
        self.by_pid.entry(pid).or_insert_with(|| Process::new(next(&mut self.epochs)))
    }

    pub(crate) fn mapped(&mut self, mapped: &Mapped<'_>, images: &mut Images, strings: &mut Strings) {
        let end = mapped.start.saturating_add(mapped.length);
        if end <= mapped.start {
            return;
        }
        let backing = match images.open(mapped) {
            Opened::NoImage => Backing::Made,
            Opened::Failed => Backing::Unreadable,
            Opened::Image(image) => match images.get(image).bias(mapped.start, mapped.file_offset) {
                Some(bias) => Backing::Image { image, bias },
                None => Backing::Unreadable,
            },
        };
        let path = strings.intern(&String::from_utf8_lossy(mapped.path));
        let region = Region { start: mapped.start, end, file_offset: mapped.file_offset, path, backing };
        let epoch = next(&mut self.epochs);
        let process = self.get(mapped.pid);
        if process.space.contains(&region) || process.space.len() >= REGIONS_MAX {
            return;
        }
        if process.space.len() == 0 {
            process.program = path;
        }
        Arc::make_mut(&mut process.space).map(region, images);
        process.epoch = epoch;
    }

    pub(crate) fn forked(&mut self, pid: u32, tid: u32, parent_pid: u32) {
        if pid == parent_pid {
            self.get(pid).threads.insert(tid, ThreadState::default());
            return;
        }
        let parent = self.get(parent_pid);
        let (space, epoch, program) = (parent.space.clone(), parent.epoch, parent.program);
        let name = parent.threads.get(&parent_pid).and_then(|main| main.name);
        // Code that the parent made is the child's to replace.
        let epoch = if space.has_made_code() { next(&mut self.epochs) } else { epoch };
        let threads = FxHashMap::from_iter([(tid, ThreadState { name, row: None })]);
        self.by_pid.insert(pid, Process { space, epoch, program, perf_map: None, threads });
    }

    pub(crate) fn renamed(&mut self, pid: u32, tid: u32, name: StringId, exec: bool) {
        let epoch = next(&mut self.epochs);
        let process = self.get(pid);
        if exec {
            *process = Process::new(epoch);
        }
        if process.threads.get(&tid).is_some_and(|thread| thread.name == Some(name)) {
            return;
        }
        if tid == pid {
            // All threads show the process's name.
            process.threads.values_mut().for_each(|thread| thread.row = None);
        }
        process.threads.insert(tid, ThreadState { name: Some(name), row: None });
    }

    /// Forgets a thread, and with its last thread a process.
    pub(crate) fn exited(&mut self, pid: u32, tid: u32) {
        let Some(process) = self.by_pid.get_mut(&pid) else { return };
        process.threads.remove(&tid);
        if process.threads.is_empty() {
            self.by_pid.remove(&pid);
        }
    }

    /// Whether anything is known of a process.
    pub(crate) fn has(&self, pid: u32) -> bool {
        self.by_pid.contains_key(&pid)
    }

    /// Forgets a process.
    pub(crate) fn forget(&mut self, pid: u32) {
        self.by_pid.remove(&pid);
    }

    /// Another profile begins: threads get rows there as they are seen.
    pub(crate) fn forget_rows(&mut self) {
        let threads = self.by_pid.values_mut().flat_map(|process| process.threads.values_mut());
        threads.for_each(|thread| thread.row = None);
    }

    /// The thread's row in the profile, which is added if the thread has none or has changed its name.
    pub(crate) fn thread(
        &mut self,
        pid: u32,
        tid: u32,
        strings: &mut Strings,
        rows: &mut Vec<Thread>,
    ) -> ThreadId {
        let process = self.by_pid.entry(pid).or_insert_with(|| Process::new(next(&mut self.epochs)));
        if let Some(row) = process.threads.get(&tid).and_then(|thread| thread.row) {
            return row;
        }
        let directory = self.proc_dir.join(pid.to_string());
        let comm = |path: PathBuf| fs::read_to_string(path).ok();
        let told = |tid: u32| process.threads.get(&tid).and_then(|thread| thread.name);
        let process_name =
            told(pid).or_else(|| Some(strings.intern(comm(directory.join("comm"))?.trim_end())));
        let name = told(tid)
            .or_else(|| Some(strings.intern(comm(directory.join(format!("task/{tid}/comm")))?.trim_end())))
            .or(process_name)
            .unwrap_or_else(|| strings.intern(&format!("thread {tid}")));
        let process_name = process_name.unwrap_or_else(|| strings.intern(&format!("process {pid}")));
        let row = ThreadId(rows.len() as u32);
        rows.push(Thread { pid, tid, process_name, name });
        process.threads.insert(tid, ThreadState { name: Some(name), row: Some(row) });
        row
    }
}

impl Process {
    fn new(epoch: u64) -> Self {
        let (space, program) = (Arc::new(Space::new()), StringId::default());
        Self { space, epoch, program, perf_map: None, threads: FxHashMap::default() }
    }
}

fn next(epochs: &mut u64) -> u64 {
    *epochs += 1;
    *epochs
}
