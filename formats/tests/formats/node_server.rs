//! A profile like that of a Node.js HTTP server under load, for looking at pictures of it.

use model::label::{LabelValue, LossCause, Phase};
use model::profile::{
    Frame, FrameId, FrameKind, Mapping, Profile, Recording, StringId, Thread, ThreadId, Weight,
};

use crate::synthetic::Builder;

/// Thread, stack from the outermost frame, samples. A frame is a name with a kind before it: `J:` just-in-time compiled,
/// `K:` kernel, `I:` inlined, `?:` unknown, `[…]` a phase; and `@ file:line` or `@ library` after it.
#[rustfmt::skip]
const STACKS: &[(&str, &str, u64)] = &[
    ("node", "[timers];MAIN;uv_run @ uv/core.c:430;uv__run_timers @ uv/timer.c:168;node::Environment::RunTimers(uv_timer_s*) @ src/env.cc:1180;V8;J:processTimers node:internal/timers @ node:internal/timers:514;J:listOnTimeout node:internal/timers @ node:internal/timers:569;J:expireSessions /srv/shop/sessions.js @ /srv/shop/sessions.js:41", 312),
    ("node", "[timers];MAIN;uv_run @ uv/core.c:430;uv__run_timers @ uv/timer.c:168;node::Environment::RunTimers(uv_timer_s*) @ src/env.cc:1180;V8;J:processTimers node:internal/timers @ node:internal/timers:514;J:listOnTimeout node:internal/timers @ node:internal/timers:569;J:reportMetrics /srv/shop/metrics.js @ /srv/shop/metrics.js:17;JSON;v8::internal::JsonStringifier::SerializeJSObject @ src/json/json-stringifier.cc:790;I:v8::internal::JsonStringifier::SerializeString<true> @ src/json/json-stringifier.cc:1012", 145),
    ("node", "[idle];MAIN;uv_run @ uv/core.c:430;uv__run_idle @ uv/loop-watcher.c:68", 9),
    ("node", "[prepare];MAIN;uv_run @ uv/core.c:430;uv__run_prepare @ uv/loop-watcher.c:66", 12),
    ("node", "[poll wait];MAIN;uv_run @ uv/core.c:430;uv__io_poll @ uv/linux.c:1373;epoll_pwait @ libc.so.6;K:entry_SYSCALL_64_after_hwframe;K:do_syscall_64;K:__x64_sys_epoll_pwait;K:do_epoll_wait;K:schedule_hrtimeout_range;K:schedule;K:__schedule", 388),
    ("node", "[poll wait];MAIN;uv_run @ uv/core.c:430;uv__io_poll @ uv/linux.c:1373;epoll_pwait @ libc.so.6;K:entry_SYSCALL_64_after_hwframe;K:do_syscall_64;K:__x64_sys_epoll_pwait;K:do_epoll_wait;K:ep_send_events", 121),
    ("node", "READ;J:parserOnHeadersComplete node:_http_common @ node:_http_common:77;J:parserOnIncoming node:_http_server @ node:_http_server:1011;J:emit node:events @ node:events:466;J:handle /srv/shop/server.js @ /srv/shop/server.js:88;J:route /srv/shop/router.js @ /srv/shop/router.js:23;J:listProducts /srv/shop/products.js @ /srv/shop/products.js:120;JSON;v8::internal::JsonStringifier::SerializeJSObject @ src/json/json-stringifier.cc:790;v8::internal::JsonStringifier::SerializeProperty_<true> @ src/json/json-stringifier.cc:660;I:v8::internal::JsonStringifier::SerializeString<true> @ src/json/json-stringifier.cc:1012", 1904),
    ("node", "READ;J:parserOnHeadersComplete node:_http_common @ node:_http_common:77;J:parserOnIncoming node:_http_server @ node:_http_server:1011;J:emit node:events @ node:events:466;J:handle /srv/shop/server.js @ /srv/shop/server.js:88;J:route /srv/shop/router.js @ /srv/shop/router.js:23;J:listProducts /srv/shop/products.js @ /srv/shop/products.js:120;J:sort <anonymous> @ node:array:0;J:byPrice /srv/shop/products.js @ /srv/shop/products.js:97", 811),
    ("node", "READ;J:parserOnHeadersComplete node:_http_common @ node:_http_common:77;J:parserOnIncoming node:_http_server @ node:_http_server:1011;J:emit node:events @ node:events:466;J:handle /srv/shop/server.js @ /srv/shop/server.js:88;J:route /srv/shop/router.js @ /srv/shop/router.js:23;J:render /srv/shop/templates.js @ /srv/shop/templates.js:12;J:escapeHtml /srv/shop/templates.js @ /srv/shop/templates.js:55;v8::internal::Runtime_RegExpExec(int, unsigned long*, v8::internal::Isolate*) @ src/runtime/runtime-regexp.cc:910;v8::internal::RegExpImpl::IrregexpExec @ src/regexp/regexp.cc:780;?:0x7f3a1c0a4e20", 1227),
    ("node", "READ;J:parserOnHeadersComplete node:_http_common @ node:_http_common:77;J:parserOnIncoming node:_http_server @ node:_http_server:1011;J:emit node:events @ node:events:466;J:handle /srv/shop/server.js @ /srv/shop/server.js:88;J:end node:_http_outgoing @ node:_http_outgoing:1044;J:_send node:_http_outgoing @ node:_http_outgoing:405;WRITE", 1490),
    ("node", "READ;J:parserOnHeadersComplete node:_http_common @ node:_http_common:77;J:parserOnIncoming node:_http_server @ node:_http_server:1011;GC", 640),
    ("node", "READ;llhttp__internal__run @ deps/llhttp/llhttp.c:1410", 233),
    ("node", "[poll callbacks];MAIN;uv_run @ uv/core.c:430;uv__io_poll @ uv/linux.c:1373;uv__stream_io @ uv/stream.c:1190;uv__read @ uv/stream.c:1010;read @ libc.so.6;K:entry_SYSCALL_64_after_hwframe;K:do_syscall_64;K:ksys_read;K:vfs_read;K:sock_read_iter;K:tcp_recvmsg;K:tcp_recvmsg_locked;K:skb_copy_datagram_iter", 402),
    ("node", "[poll callbacks];MAIN;uv_run @ uv/core.c:430;uv__io_poll @ uv/linux.c:1373;uv__async_io @ uv/async.c:190;uv__work_done @ uv/threadpool.c:330;node::crypto::CryptoJob<node::crypto::ScryptTraits>::AfterThreadPoolWork(int) @ src/crypto/crypto_util.h:371;V8;J:onJobDone node:internal/crypto/scrypt @ node:internal/crypto/scrypt:48;J:login /srv/shop/accounts.js @ /srv/shop/accounts.js:31", 96),
    ("node", "[check];MAIN;uv_run @ uv/core.c:430;uv__run_check @ uv/loop-watcher.c:67;node::Environment::CheckImmediate(uv_check_s*) @ src/env.cc:1272;V8;J:processImmediate node:internal/timers @ node:internal/timers:449;J:flushLog /srv/shop/log.js @ /srv/shop/log.js:9;J:writev node:internal/fs/streams @ node:internal/fs/streams:403", 274),
    ("node", "[close];MAIN;uv_run @ uv/core.c:430;uv__run_closing_handles @ uv/core.c:330;uv__finish_close @ uv/core.c:290;node::HandleWrap::OnClose(uv_handle_s*) @ src/handle_wrap.cc:90", 41),
    ("node", "[ticks];MAIN;uv_run @ uv/core.c:430;uv__io_poll @ uv/linux.c:1373;node::InternalCallbackScope::Close() @ src/api/callback.cc:120;V8;J:processTicksAndRejections node:internal/process/task_queues @ node:internal/process/task_queues:67;J:endReadableNT node:internal/streams/readable @ node:internal/streams/readable:1355", 366),
    ("node", "[microtasks];MAIN;uv_run @ uv/core.c:430;uv__io_poll @ uv/linux.c:1373;node::InternalCallbackScope::Close() @ src/api/callback.cc:113;v8::internal::MicrotaskQueue::RunMicrotasks(v8::internal::Isolate*) @ src/execution/microtask-queue.cc:166;J:async loadCart /srv/shop/cart.js @ /srv/shop/cart.js:62;J:parse <anonymous> @ node:json:0;v8::internal::JsonParser<unsigned char>::ParseJsonValue() @ src/json/json-parser.cc:880", 702),
    ("node", "MAIN;node::SpinEventLoop(node::Environment*) @ src/api/embed_helpers.cc:35;node::Environment::InitializeDiagnostics() @ src/env.cc:905", 18),
    ("libuv-worker", "POOL;node::crypto::CryptoJob<node::crypto::ScryptTraits>::DoThreadPoolWork() @ src/crypto/crypto_util.h:340;EVP_PBE_scrypt @ libcrypto.so.3;I:salsa208_word_specification @ libcrypto.so.3", 1711),
    ("libuv-worker", "POOL;uv__fs_work @ uv/fs.c:1620;uv__fs_read @ uv/fs.c:480;pread64 @ libc.so.6;K:entry_SYSCALL_64_after_hwframe;K:do_syscall_64;K:__x64_sys_pread64;K:vfs_read;K:ext4_file_read_iter;K:filemap_read;K:copy_folio_to_iter", 240),
    ("libuv-worker", "POOL;node::zlib::ZlibContext::DoThreadPoolWork() @ src/node_zlib.cc:980;deflate @ deps/zlib/deflate.c:1010;deflate_fast @ deps/zlib/deflate.c:1840;I:longest_match @ deps/zlib/deflate.c:1400", 480),
    ("V8 platform", "start_thread @ libc.so.6;node::WorkerThreadsTaskRunner::Run() @ src/node_platform.cc:70;v8::internal::Scavenger::Process(v8::JobDelegate*) @ src/heap/scavenger.cc:830;I:v8::internal::Scavenger::ScavengeObject<v8::internal::HeapObjectSlot> @ src/heap/scavenger-inl.h:440", 301),
    ("V8 platform", "start_thread @ libc.so.6;node::WorkerThreadsTaskRunner::Run() @ src/node_platform.cc:70;v8::internal::OptimizingCompileDispatcher::CompileNext @ src/compiler-dispatcher/optimizing-compile-dispatcher.cc:110;v8::internal::compiler::turboshaft::LoadEliminationPhase::Run(v8::internal::compiler::TFPipelineData*, v8::internal::Zone*) @ src/compiler/pipeline.cc:1480", 188),
];

/// What stands for a common part of stacks.
#[rustfmt::skip]
const PARTS: &[(&str, &str)] = &[
    ("MAIN", "_start @ node;__libc_start_main @ libc.so.6;main @ src/node_main.cc:97;node::Start(int, char**) @ src/node.cc:1410;node::NodeMainInstance::Run() @ src/node_main_instance.cc:128"),
    ("V8", "node::InternalMakeCallback @ src/api/callback.cc:210;v8::Function::Call @ src/api/api.cc:5320;v8::internal::Execution::Call @ src/execution/execution.cc:540;J:JSEntry;J:JSEntryTrampoline"),
    ("READ", "[poll callbacks];MAIN;uv_run @ uv/core.c:430;uv__io_poll @ uv/linux.c:1373;uv__stream_io @ uv/stream.c:1190;uv__read @ uv/stream.c:1010;node::LibuvStreamWrap::OnUvRead(long, uv_buf_t const*) @ src/stream_wrap.cc:240;node::(anonymous namespace)::Parser::OnStreamRead(long, uv_buf_t const&) @ src/node_http_parser.cc:880;llhttp_execute @ deps/llhttp/llhttp.c:40"),
    ("WRITE", "node::LibuvStreamWrap::DoTryWrite(uv_buf_t**, unsigned long*) @ src/stream_wrap.cc:340;uv_try_write @ uv/stream.c:1490;write @ libc.so.6;K:entry_SYSCALL_64_after_hwframe;K:do_syscall_64;K:ksys_write;K:vfs_write;K:sock_write_iter;K:tcp_sendmsg;K:tcp_sendmsg_locked;K:tcp_write_xmit;K:__tcp_transmit_skb;K:ip_queue_xmit;K:__dev_queue_xmit"),
    ("GC", "v8::internal::Heap::CollectGarbage(v8::internal::AllocationSpace) @ src/heap/heap.cc:1700;v8::internal::Heap::Scavenge() @ src/heap/heap.cc:2630;v8::internal::ScavengerCollector::CollectGarbage() @ src/heap/scavenger.cc:290;I:v8::internal::Scavenger::ScavengePage @ src/heap/scavenger.cc:720"),
    ("JSON", "J:stringify <anonymous> @ node:json:0;v8::internal::Builtin_JsonStringify @ src/builtins/builtins-json.cc:31"),
    ("POOL", "start_thread @ libc.so.6;worker @ uv/threadpool.c:122"),
];

/// 15 seconds of the server, with one sample of a stack of its own for each of `rare` requests.
pub(crate) fn profile(rare: u32) -> Profile {
    let mut builder = Builder::default();
    builder.profile.recording = Recording {
        title: "node --perf-basic-prof server.js".into(),
        duration_ns: 15_020_000_000,
        weight: Weight::CpuSamples { period_ns: 1_001_001 },
        ..Recording::default()
    };
    builder.profile.losses.add(LossCause::BufferFull, 12);
    let mut threads: Vec<(&str, ThreadId)> = Vec::new();
    for &(name, stack, samples) in STACKS {
        let known = threads.iter().find(|(known, _)| *known == name).map(|(_, thread)| *thread);
        let thread = known.unwrap_or_else(|| {
            let thread = add_thread(&mut builder, 4711 + threads.len() as u32, name);
            threads.push((name, thread));
            thread
        });
        let stack = frames(&mut builder, stack);
        builder.sample_frames(thread, stack, samples);
    }
    let mut random = Random(1);
    for _ in 0..rare {
        let (name, stack, _) = STACKS[random.below(STACKS.len() as u32) as usize];
        let thread = threads.iter().find(|(known, _)| *known == name).unwrap().1;
        let mut stack = frames(&mut builder, stack);
        stack.truncate(stack.len() - random.below(4) as usize);
        for _ in 0..1 + random.below(12) {
            let (kind, function) = match random.below(3) {
                0 => ("J:", "step"),
                1 => ("I:", "core::iter::Iterator::next"),
                _ => ("", "v8::internal::Visitor::Visit"),
            };
            let text = format!("{kind}{function}{} @ lib/part.js:{}", random.below(40), random.below(200));
            stack.extend(frames(&mut builder, &text));
        }
        builder.sample_frames(thread, stack, 1);
    }
    builder.profile
}

fn add_thread(builder: &mut Builder, tid: u32, name: &str) -> ThreadId {
    let process_name = builder.profile.strings.intern("node");
    let name = builder.profile.strings.intern(name);
    builder.profile.threads.push(Thread { pid: 4711, tid, process_name, name });
    ThreadId(builder.profile.threads.len() as u32 - 1)
}

fn frames(builder: &mut Builder, stack: &str) -> Vec<FrameId> {
    let mut frames = Vec::new();
    for text in stack.split(';') {
        match PARTS.iter().find(|(part, _)| *part == text) {
            Some((_, part)) => frames.extend(part.split(';').flat_map(|text| self::frames(builder, text))),
            None => frames.push(frame(builder, text)),
        }
    }
    frames
}

fn frame(builder: &mut Builder, text: &str) -> FrameId {
    let (name, place) = text.split_once(" @ ").unwrap_or((text, ""));
    let (kind, inlined, name) = match name.split_at_checked(2) {
        Some(("J:", name)) => (FrameKind::Jit, false, name),
        Some(("K:", name)) => (FrameKind::Kernel, false, name),
        Some(("I:", name)) => (FrameKind::Native, true, name),
        Some(("?:", name)) => (FrameKind::Unknown, false, name),
        _ if name.starts_with('[') => (FrameKind::Phase(phase(name)), false, name),
        _ => (FrameKind::Native, false, name),
    };
    let profile = &mut builder.profile;
    let function = profile.strings.intern(name);
    let mut frame =
        Frame { kind, function, file: StringId::default(), line: 0, mapping: None, address: 0, inlined };
    match place.rsplit_once(':') {
        Some((file, line)) => {
            frame.file = profile.strings.intern(file);
            frame.line = line.parse().unwrap();
        }
        None if !place.is_empty() => {
            let path = profile.strings.intern(&format!("/usr/lib/{place}"));
            let mapping =
                Mapping { path, build_id: StringId::default(), start: 4096, end: 8192, file_offset: 0 };
            frame.mapping = Some(profile.mappings.intern(mapping));
        }
        None => {}
    }
    profile.frames.intern(frame)
}

fn phase(name: &str) -> Phase {
    let name = name.trim_matches(['[', ']']).replace(' ', "_");
    *Phase::ALL.iter().find(|phase| phase.as_str() == name).unwrap()
}

/// Marsaglia's xorshift: the same numbers in every run.
struct Random(u32);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % bound
    }
}
