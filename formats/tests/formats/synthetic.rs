//! Profiles built in code, for the tests of all formats.

use model::label::{LossCause, Phase};
use model::profile::{
    Frame, FrameId, FrameKind, Mapping, Profile, Recording, Sample, StringId, Thread, ThreadId, Weight,
};
use model::time::Monotonic;
use proptest::prelude::*;

/// Builds a profile sample by sample, one a millisecond.
#[derive(Default)]
pub(crate) struct Builder {
    pub(crate) profile: Profile,
}

impl Builder {
    pub(crate) fn thread(&mut self, pid: u32, tid: u32, name: &str) -> ThreadId {
        let name = self.profile.strings.intern(name);
        self.profile.threads.push(Thread { pid, tid, process_name: name, name });
        ThreadId(self.profile.threads.len() as u32 - 1)
    }

    /// A frame of native code without a mapping.
    pub(crate) fn frame(&mut self, function: &str) -> FrameId {
        let function = self.profile.strings.intern(function);
        self.profile.frames.intern(Frame {
            kind: FrameKind::Native,
            function,
            file: StringId::default(),
            line: 0,
            mapping: None,
            address: 0,
            inlined: false,
        })
    }

    /// A sample of a stack of native frames, outermost first.
    pub(crate) fn sample(&mut self, thread: ThreadId, stack: &[&str], weight: u64) {
        let frames: Vec<_> = stack.iter().map(|function| self.frame(function)).collect();
        self.sample_frames(thread, frames, weight);
    }

    pub(crate) fn sample_frames(&mut self, thread: ThreadId, stack: Vec<FrameId>, weight: u64) {
        let stack = self.profile.stacks.intern(stack);
        let time =
            self.profile.recording.started.plus_ns(1_000_000 * (1 + self.profile.samples.len() as u64));
        self.profile.samples.push(Sample { time, thread, stack, weight });
    }
}

/// Two processes with phases, inlined, kernel, just-in-time compiled and unknown code, and lost samples.
pub(crate) fn small_profile() -> Profile {
    let mut builder = Builder::default();
    let profile = &mut builder.profile;
    profile.recording = Recording {
        title: "node server.js".into(),
        started_unix_ns: 1_790_000_000_000_000_000,
        started: Monotonic::from_ns(5_000_000_000),
        duration_ns: 20_000_000,
        weight: Weight::CpuSamples { period_ns: 1_000_000 },
    };
    profile.losses.add(LossCause::BufferFull, 3);
    profile.losses.truncated_stacks = 1;

    let mut text = |text: &str| profile.strings.intern(text);
    let server = Thread { pid: 100, tid: 100, process_name: text("node"), name: text("node") };
    let pool = Thread { pid: 100, tid: 104, process_name: text("node"), name: text("libuv-worker") };
    let child = Thread { pid: 200, tid: 200, process_name: text("gzip"), name: text("gzip") };
    let binary = Mapping {
        path: text("/usr/bin/node"),
        build_id: text("00112233445566778899aabbccddeeff00112233"),
        start: 0x40_0000,
        end: 0x80_0000,
        file_offset: 0x1000,
    };
    let kernel = Mapping {
        path: text("[kernel]"),
        build_id: text(""),
        start: 0xffff_ffff_8100_0000,
        end: 0xffff_ffff_8200_0000,
        file_offset: 0,
    };
    let jit = Mapping {
        path: text("[jit]"),
        build_id: text(""),
        start: 0x7000_0000,
        end: 0x7010_0000,
        file_offset: 0,
    };
    profile.threads = vec![server, pool, child];
    let [binary, kernel, jit] = [binary, kernel, jit].map(|mapping| Some(profile.mappings.intern(mapping)));

    let mut frame = |kind, function: &str, file: &str, line, mapping, address, inlined| {
        let (function, file) = (profile.strings.intern(function), profile.strings.intern(file));
        profile.frames.intern(Frame { kind, function, file, line, mapping, address, inlined })
    };
    let timers = frame(FrameKind::Phase(Phase::Timers), "[timers]", "", 0, None, 0, false);
    let poll = frame(FrameKind::Phase(Phase::PollWait), "[poll wait]", "", 0, None, 0, false);
    let main = frame(FrameKind::Native, "main", "src/node_main.cc", 97, binary, 0x40_1010, false);
    let run = frame(FrameKind::Native, "uv_run", "deps/uv/src/unix/core.c", 430, binary, 0x40_2020, false);
    let outer =
        frame(FrameKind::Native, "uv__run_timers", "deps/uv/src/timer.c", 163, binary, 0x40_3030, false);
    let inner = frame(
        FrameKind::Native,
        "std::vector<int, std::allocator<int> >::at(unsigned long)",
        "vector",
        12,
        binary,
        0x40_3030,
        true,
    );
    let script = frame(FrameKind::Jit, "onTimeout server.js:17", "server.js", 17, jit, 0x7000_0040, false);
    let wait = frame(FrameKind::Kernel, "do_epoll_wait", "", 0, kernel, 0xffff_ffff_8111_1111, false);
    let unknown = frame(FrameKind::Unknown, "[unknown]", "", 0, None, 0xdead_beef, false);
    let deflate = frame(FrameKind::Native, "deflate; fast", "", 0, None, 0x1234, false);

    let [server, pool, child] = [0, 1, 2].map(ThreadId);
    for _ in 0..3 {
        builder.sample_frames(server, vec![timers, main, run, outer, inner], 1);
        builder.sample_frames(server, vec![timers, main, run, outer, script], 1);
        builder.sample_frames(pool, vec![unknown, deflate], 1);
    }
    builder.sample_frames(server, vec![poll, main, run, wait], 1);
    builder.sample_frames(child, vec![deflate], 1);
    builder.sample_frames(child, vec![], 1);
    builder.profile
}

/// Any profile of up to a few dozen samples, with names that formats find hard.
pub(crate) fn any_profile() -> impl Strategy<Value = Profile> {
    let name =
        prop_oneof!["[ab]{1}", any::<String>(), "[;\\\\\"<>&\n\r\t\0 \u{2028}\u{1F980}]{0,8}", "x{5000}"];
    let names = prop::collection::vec(name, 1..12);
    let samples =
        prop::collection::vec((0..3usize, prop::collection::vec(any::<usize>(), 0..8), 0..1000u64), 0..40);
    (names, samples).prop_map(|(names, samples)| {
        let mut builder = Builder::default();
        let pick = |at: usize| names[at % names.len()].as_str();
        let threads = [0, 1, 2].map(|at| builder.thread(7, 7 + at, pick(at as usize)));
        for (thread, stack, weight) in samples {
            let stack: Vec<_> = stack.into_iter().map(pick).collect();
            builder.sample(threads[thread], &stack, weight);
        }
        builder.profile
    })
}
