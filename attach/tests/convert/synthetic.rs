//! Events that are made up, for what is hard to bring about on a real machine.

use loopscope_attach::sampler::convert::Note;
use loopscope_attach::sampler::event::{Event, Registers};
use model::label::{LossCause, Phase};
use model::profile::FrameKind;

use super::scene::{MADE, PID, Scene, folded};

/// Another thread of the process.
const WORKER: u32 = PID + 1;

/// Another process.
const CHILD: u32 = PID + 2;

/// A map of functions of 0x100 bytes each, one after the other.
fn perf_map(names: &[&str]) -> String {
    let line = |(index, name): (usize, &&str)| format!("{:x} 100 {name}\n", MADE + 0x100 * index as u64);
    names.iter().enumerate().map(line).collect()
}

/// An address in the function at this place of the map.
fn at(index: u64) -> u64 {
    MADE + 0x100 * index + 0x10
}

/// A process that made its code, with a map of it.
fn made(names: &[&str]) -> Scene {
    let mut scene = Scene::new();
    scene.file(&format!("{PID}/status"), format!("Name:\tserver\nNSpid:\t{PID}\t7\n"));
    scene.file(&format!("{PID}/root/tmp/perf-7.map"), perf_map(names));
    scene.rename(PID, PID, "server", true);
    scene.map_made(PID);
    scene
}

#[test]
fn stacks_are_told_from_the_outermost_frame_inwards() {
    let mut scene = made(&["main", "handle", "hash"]);
    scene.sample(&[], &[at(2), at(1), at(0)]);
    scene.sample(&[], &[at(1), at(0)]);
    scene.sample(&[], &[at(2), at(1), at(0)]);
    scene.sample(&[], &[]);
    assert_eq!(
        folded(&scene.finish()),
        "server/server 1\nserver/server;main;handle 1\nserver/server;main;handle;hash 2\n"
    );
}

#[test]
fn a_return_address_at_the_end_of_a_function_belongs_to_it() {
    let mut scene = made(&["main", "next"]);
    scene.sample(&[], &[at(1), MADE + 0x100]);
    assert_eq!(folded(&scene.finish()), "server/server;main;next 1\n");
}

#[test]
fn the_innermost_marker_becomes_the_outermost_frame() {
    let mut scene = made(&["uv_run", "uv__io_poll", "epoll_wait", "on_read", "*processTicksAndRejections"]);
    scene.sample(&[], &[at(0)]);
    scene.sample(&[], &[at(2), at(1), at(0)]);
    scene.sample(&[], &[at(3), at(1), at(0)]);
    scene.sample(&[], &[at(4), at(3), at(1), at(0)]);
    let conversion = scene.finish();
    assert_eq!(
        folded(&conversion),
        "server/server;[poll callbacks];uv_run;uv__io_poll;on_read 1\n\
         server/server;[poll wait];uv_run;uv__io_poll;epoll_wait 1\n\
         server/server;[ticks];uv_run;uv__io_poll;on_read;*processTicksAndRejections 1\n\
         server/server;uv_run 1\n"
    );
    let profile = &conversion.profile;
    let phases = profile.samples.iter().map(|sample| profile.phase_of(sample.stack));
    let expected = [None, Some(Phase::PollWait), Some(Phase::PollCallbacks), Some(Phase::Ticks)];
    assert!(phases.eq(expected));
}

#[test]
fn unmapped_callers_are_left_out_but_never_the_place_where_the_thread_was() {
    let mut scene = made(&["main", "work"]);
    scene.sample(&[], &[at(1), 0x1234, at(0), 0x5678]);
    scene.sample(&[], &[0x1234, at(0)]);
    assert_eq!(folded(&scene.finish()), "server/server;main;[unknown] 1\nserver/server;main;work 1\n");
}

#[test]
fn of_code_that_lay_at_one_address_the_later_counts() {
    let mut scene = Scene::new();
    scene.file(
        &format!("{PID}/root/tmp/perf-{PID}.map"),
        format!("{MADE:x} 1000 old\n{:x} 100 new\n", MADE + 0x80),
    );
    scene.rename(PID, PID, "server", true);
    scene.map_made(PID);
    for offset in [0x10, 0x90, 0x200] {
        scene.sample(&[], &[MADE + offset]);
    }
    assert_eq!(folded(&scene.finish()), "server/server;new 1\nserver/server;old 2\n");
}

#[test]
fn a_map_that_is_gone_at_the_end_was_read_if_it_was_there_when_its_code_ran() {
    let mut scene = made(&["main"]);
    scene.sample(&[], &[at(0)]);
    std::fs::remove_dir_all(scene.proc_dir().join(PID.to_string())).unwrap();
    let conversion = scene.finish();
    assert_eq!(folded(&conversion), "server/server;main 1\n");
    assert_eq!(conversion.notes, []);
}

#[test]
fn a_map_that_is_written_just_before_the_process_ends_is_read() {
    let mut scene = Scene::new();
    scene.rename(PID, PID, "server", true);
    scene.map_made(PID);
    scene.sample(&[], &[at(0)]);
    scene.file(&format!("{PID}/root/tmp/perf-{PID}.map"), perf_map(&["main"]));
    scene.exit(PID, PID);
    std::fs::remove_dir_all(scene.proc_dir().join(PID.to_string())).unwrap();
    assert_eq!(folded(&scene.finish()), "server/server;main 1\n");
}

#[test]
fn a_map_that_is_no_regular_file_is_not_opened() {
    let mut scene = Scene::new();
    let secret = scene.file("secret", perf_map(&["secret"]));
    scene.file(&format!("{PID}/root/tmp/other"), "");
    let link = scene.proc_dir().join(format!("{PID}/root/tmp/perf-{PID}.map"));
    std::os::unix::fs::symlink(secret, link).unwrap();
    scene.rename(PID, PID, "server", true);
    scene.map_made(PID);
    scene.sample(&[], &[at(0)]);
    assert_eq!(folded(&scene.finish()), "server/server;[jit] 1\n");
}

#[test]
fn a_thread_that_is_renamed_and_a_process_that_executes_count_anew() {
    let mut scene = made(&["main"]);
    scene.fork(PID, WORKER, PID);
    scene.rename(PID, WORKER, "worker", false);
    scene.sample_of(PID, WORKER, &[], &[at(0)]);
    scene.rename(PID, WORKER, "worker", false);
    scene.sample_of(PID, WORKER, &[], &[at(0)]);
    scene.rename(PID, WORKER, "idler", false);
    scene.sample_of(PID, WORKER, &[], &[at(0)]);
    scene.rename(PID, PID, "shell", true);
    scene.sample(&[], &[at(0)]);
    let conversion = scene.finish();
    assert_eq!(
        folded(&conversion),
        "server/idler;main 1\nserver/worker;main 2\nshell/shell;[unknown] 1\n",
        "the executed program has mapped nothing yet"
    );
    assert_eq!(conversion.profile.threads.len(), 3);
}

#[test]
fn a_forked_process_has_the_mappings_of_its_parent_and_its_own_after_that() {
    let mut scene = Scene::new();
    scene.file("kallsyms", "");
    scene.rename(PID, PID, "server", true);
    scene.map(PID, "/lib/gone.so", 98, 0x1000, 0x1000, 0);
    scene.fork(CHILD, CHILD, PID);
    scene.map(CHILD, "/lib/childs.so", 97, 0x5000, 0x1000, 0);
    scene.map(PID, "/lib/parents.so", 96, 0x1000, 0x800, 0);
    scene.sample_of(CHILD, CHILD, &[], &[0x1010]);
    scene.sample_of(CHILD, CHILD, &[], &[0x5010]);
    scene.sample(&[], &[0x1010]);
    scene.sample(&[], &[0x1810]);
    scene.sample(&[], &[0x5010]);
    assert_eq!(
        folded(&scene.finish()),
        "server/server;[childs.so] 1\nserver/server;[gone.so] 2\nserver/server;[parents.so] 1\n\
         server/server;[unknown] 1\n"
    );
}

#[test]
fn code_of_a_file_that_cannot_be_opened_is_called_after_it_and_noted() {
    let mut scene = Scene::new();
    scene.rename(PID, PID, "server", true);
    scene.map(PID, "/opt/lib/gone.so (deleted)", 98, 0x1000, 0x1000, 0);
    scene.map(PID, "/opt/lib/unused.so", 97, 0x3000, 0x1000, 0);
    scene.sample(&[], &[0x1010]);
    let conversion = scene.finish();
    assert_eq!(folded(&conversion), "server/server;[gone.so] 1\n");
    let path = "/opt/lib/gone.so (deleted)".to_owned();
    assert_eq!(conversion.notes, [Note::FileUnreadable { path }]);
    let profile = &conversion.profile;
    let frame = profile.frames.iter().next().unwrap();
    assert_eq!((frame.kind, frame.address), (FrameKind::Unknown, 0x1010));
    assert_eq!(profile.mappings.get(frame.mapping.unwrap()).start, 0x1000);
}

#[test]
fn kernel_functions_have_the_best_of_their_names() {
    let mut scene = made(&["main"]);
    scene.file(
        "kallsyms",
        "ffffffff81000000 T _text\nffffffff81000000 T start_here\nffffffff81000100 t __do_it\n\
         ffffffff81000100 T do_it\nffffffff81000200 D some_data\nffffffffc0000000 t in_module\t[virtio]\n",
    );
    scene.sample(&[0xffff_ffff_c000_0010, 0xffff_ffff_8100_0300, 0xffff_ffff_8100_0010], &[at(0)]);
    scene.sample(&[0xffff_ffff_a000_0000], &[at(0)]);
    let conversion = scene.finish();
    assert_eq!(
        folded(&conversion),
        "server/server;main;[kernel] 1\nserver/server;main;start_here;do_it;in_module 1\n"
    );
    assert_eq!(conversion.notes, []);
}

#[test]
fn hidden_kernel_symbols_are_noted_once() {
    let mut scene = made(&["main"]);
    scene.file("kallsyms", "0000000000000000 T _text\n0000000000000000 T do_it\n");
    scene.file("sys/kernel/kptr_restrict", "2\n");
    scene.sample(&[0xffff_ffff_8100_0010], &[at(0)]);
    scene.sample(&[0xffff_ffff_8100_0020], &[at(0)]);
    let conversion = scene.finish();
    assert_eq!(folded(&conversion), "server/server;main;[kernel] 2\n");
    assert_eq!(conversion.notes, [Note::KernelSymbolsHidden { kptr_restrict: "2".into() }]);
    assert!(conversion.notes[0].to_string().contains("kptr_restrict is 2"), "{}", conversion.notes[0]);
}

#[test]
fn node_without_a_map_is_told_how_to_write_one() {
    let mut scene = Scene::new();
    scene.rename(PID, PID, "MainThread", true);
    scene.map(PID, "/usr/bin/node", 98, 0x1000, 0x1000, 0);
    scene.map_made(PID);
    scene.sample(&[], &[at(0)]);
    let conversion = scene.finish();
    assert!(conversion.notes[0].to_string().contains("--perf-basic-prof"), "{}", conversion.notes[0]);
}

#[test]
fn a_stack_copy_that_ends_too_early_is_continued_by_frame_pointers() {
    let names = ["main", "outer", "middle", "leaf"];
    let sp = 0x7ffd_0000_0000_u64;
    // The frame of `leaf` and, cut off after it, that of `middle`.
    let words = [sp + 16, 0, sp + 64, at(2), 0, 0];
    let stack: Vec<u8> = words.iter().flat_map(|word: &u64| word.to_le_bytes()).collect();
    let registers = Registers { ip: at(3), sp, fp: sp + 16, lr: at(2) };

    let mut scene = made(&names);
    scene.sample_stack(registers, &stack, true, &[at(3), at(2), at(1), at(0)]);
    let conversion = scene.finish();
    assert_eq!(folded(&conversion), "server/server;main;outer;middle;leaf 1\n");
    assert_eq!(conversion.profile.losses.truncated_stacks, 0);

    let mut scene = made(&names);
    scene.sample_stack(registers, &stack, true, &[]);
    let conversion = scene.finish();
    assert_eq!(folded(&conversion), "server/server;middle;leaf 1\n");
    assert_eq!(conversion.profile.losses.truncated_stacks, 1);
}

#[test]
fn losses_are_added_up_by_cause() {
    let mut scene = made(&["main"]);
    for (cause, count) in [(LossCause::BufferFull, 3), (LossCause::Throttled, 1), (LossCause::BufferFull, 4)]
    {
        scene.event(&Event::Lost { cause, count });
    }
    let losses = scene.finish().profile.losses;
    assert_eq!(losses.samples, [(LossCause::BufferFull, 7), (LossCause::Throttled, 1)]);
}

#[test]
fn the_duration_is_that_of_the_events_unless_it_is_given() {
    let mut scene = made(&["main"]);
    scene.sample(&[], &[at(0)]);
    let profile = scene.finish().profile;
    assert_eq!(profile.recording.duration_ns, profile.samples[0].time.as_ns());
}

#[test]
fn a_window_has_its_own_samples_and_knows_what_was_mapped_before_it() {
    let mut scene = made(&["main", "handle", "hash"]);
    scene.rename(PID, WORKER, "worker", false);
    scene.sample(&[], &[at(2), at(1), at(0)]);
    scene.sample_of(PID, WORKER, &[], &[at(0)]);
    assert_eq!(folded(&scene.window()), "server/server;main;handle;hash 1\nserver/worker;main 1\n");
    assert_eq!(folded(&scene.window()), "");
    scene.sample(&[], &[at(1), at(0)]);
    scene.sample(&[], &[at(2), at(1), at(0)]);
    let conversion = scene.window();
    assert_eq!(folded(&conversion), "server/server;main;handle 1\nserver/server;main;handle;hash 1\n");
    assert_eq!(conversion.profile.threads.len(), 1, "the worker took no sample");
}

#[test]
fn what_a_process_makes_between_two_windows_has_its_new_names() {
    let mut scene = made(&["main", "old"]);
    scene.sample(&[], &[at(1), at(0)]);
    assert_eq!(folded(&scene.window()), "server/server;main;old 1\n");
    let path = scene.proc_dir().join(format!("{PID}/root/tmp/perf-7.map"));
    let mut map = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    std::io::Write::write_all(&mut map, format!("{:x} 100 new\n", MADE + 0x100).as_bytes()).unwrap();
    scene.sample(&[], &[at(1), at(0)]);
    assert_eq!(folded(&scene.window()), "server/server;main;new 1\n");
}

#[test]
fn a_process_that_is_forgotten_is_named_in_its_last_window() {
    let mut scene = made(&["main"]);
    scene.sample(&[], &[at(0)]);
    scene.forget(PID);
    assert_eq!(folded(&scene.window()), "server/server;main 1\n");
    assert!(scene.finish().profile.samples.is_empty());
}
