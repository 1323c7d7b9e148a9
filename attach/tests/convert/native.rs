//! Programs as compilers make them, recorded for real.

use std::process::Command;

use loopscope_attach::sampler::convert::Note;
use loopscope_attach::sampler::recorder::RecordOptions;
use model::profile::FrameKind;

use super::programs::{C, CPP, Program, RUST, compile, missing};
use super::recorded::{Recorded, record, record_command, record_with};

const NESTING: [&str; 3] = ["main", "outer", "middle"];

#[test]
fn functions_without_frame_pointers_nest_up_to_main() {
    let Some(recorded) = nest(&[]) else { return };
    recorded.expect_nesting(&NESTING, "leaf");
    assert_eq!(recorded.profile().losses.truncated_stacks, 0);
}

#[test]
fn the_clock_of_the_vdso_is_called_by_the_program() {
    let Some(recorded) = nest(&[]) else { return };
    let profile = recorded.profile();
    let in_vdso = recorded.stacks().filter(|stack| {
        let mut mappings = stack.frames.iter().filter_map(|frame| frame.mapping);
        mappings.any(|mapping| profile.text(profile.mappings.get(mapping).path) == "[vdso]")
    });
    let callers: Vec<bool> = in_vdso.map(|stack| stack.names.contains(&"clocks")).collect();
    assert!(callers.len() >= 5, "{}", recorded.text());
    let share = callers.iter().filter(|&&called| called).count() as f64 / callers.len() as f64;
    assert!(share > 0.9, "{share}\n{}", recorded.text());
    assert!(
        recorded.stacks().any(|stack| stack.names.iter().any(|name| name.contains("vdso_clock_gettime")))
    );
}

#[test]
fn a_program_that_was_deleted_while_it_ran_keeps_its_names() {
    let Some(recorded) = nest(&["delete-yourself"]) else { return };
    recorded.expect_nesting(&NESTING, "leaf");
}

#[test]
fn functions_of_a_stripped_program_are_told_apart_by_where_they_begin() {
    let Some(program) = compile("nest.c", &C) else { return };
    let leaf = symbol(&program, "leaf");
    assert!(Command::new("strip").arg(&program.path).status().unwrap().success());
    let Some(recorded) = record(&program, &[]) else { return };
    let leaf = format!("fun_{leaf:x}");
    let stack = recorded.stacks().find(|stack| stack.names.last() == Some(&&*leaf));
    let stack = stack.unwrap_or_else(|| panic!("no {leaf}\n{}", recorded.text()));
    let nameless = stack.names.iter().filter(|name| name.starts_with("fun_")).count();
    // _start, main, outer, middle, leaf.
    assert_eq!(nameless, 5, "{:?}", stack.names);
    let path = program.path.to_str().unwrap();
    let noted = |note: &Note| matches!(note, Note::Stripped { path: noted, .. } if noted == path);
    assert!(recorded.notes().iter().any(noted), "{:?}", recorded.notes());
}

#[test]
fn debug_information_that_was_split_off_is_found_beside_the_program() {
    let Some(program) = compile("nest.c", &[&C[..], &["-g", "-Wl,--build-id"]].concat()) else { return };
    let split = |arguments: &[&str]| {
        let status =
            Command::new("objcopy").args(arguments).current_dir(program.path.parent().unwrap()).status();
        assert!(status.unwrap().success(), "{arguments:?}");
    };
    split(&["--only-keep-debug", "program", "program.debug"]);
    split(&["--strip-all", "--add-gnu-debuglink=program.debug", "program"]);
    let Some(recorded) = record(&program, &[]) else { return };
    recorded.expect_nesting(&NESTING, "leaf");
    let profile = recorded.profile();
    let leaf = profile.frames.iter().find(|frame| profile.text(frame.function) == "leaf").unwrap();
    assert!(profile.text(leaf.file).ends_with("nest.c") && leaf.line > 0, "{leaf:?}");
}

#[test]
fn time_in_the_kernel_stands_under_the_function_that_called_it() {
    let Some(program) = compile("kernel.c", &C) else { return };
    let Some(recorded) = record(&program, &[]) else { return };
    let in_kernel = |frame: &model::profile::Frame| frame.kind == FrameKind::Kernel;
    let innermost_user = |stack: &super::recorded::Stack<'_>| {
        let first = stack.frames.iter().position(in_kernel)?;
        assert!(stack.frames[first..].iter().all(in_kernel), "the kernel is innermost");
        Some(stack.names[..first].contains(&"reads"))
    };
    let called: Vec<bool> = recorded.stacks().filter_map(|stack| innermost_user(&stack)).collect();
    let by_reads = called.iter().filter(|&&by_reads| by_reads).count();
    assert!(by_reads > called.len() / 2, "{by_reads} of {}\n{}", called.len(), recorded.text());
    let hidden = recorded.notes().iter().any(|note| matches!(note, Note::KernelSymbolsHidden { .. }));
    let named = recorded
        .stacks()
        .any(|stack| stack.names.contains(&"do_syscall_64") || stack.names.contains(&"ksys_read"));
    assert!(hidden || named, "{}", recorded.text());
}

#[test]
fn threads_forks_and_executed_programs_have_their_own_names_and_code() {
    let (Some(family), Some(other)) = (compile("family.c", &C), compile("nest.c", &C)) else { return };
    let Some(recorded) = record(&family, &[other.path.to_str().unwrap()]) else { return };
    recorded.expect_nesting(&["main"], "in_child");
    recorded.expect_nesting(&NESTING, "leaf");
    let profile = recorded.profile();
    let ran = |function: &str| {
        let stacks = recorded.stacks().filter(|stack| stack.names.contains(&function));
        let mut names: Vec<&str> = stacks.map(|stack| profile.text(stack.thread.name)).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    assert_eq!(ran("in_thread"), ["first", "second"]);
    assert_eq!(ran("in_child"), ["child"]);
    assert_eq!(ran("leaf"), ["program"]);
}

#[test]
fn code_made_at_run_time_has_the_name_that_its_map_gave_it_even_if_the_map_is_gone() {
    let Some(program) = compile("jit.c", &C) else { return };
    let Some(recorded) = record(&program, &["with-map"]) else { return };
    recorded.expect_nesting(&["main", "call"], "*handle");
    let profile = recorded.profile();
    let made = profile.frames.iter().find(|frame| profile.text(frame.function) == "*handle").unwrap();
    assert_eq!((made.kind, profile.text(made.file), made.line), (FrameKind::Jit, "/srv/app.js", 10));
    assert_eq!(recorded.notes().iter().find(|note| matches!(note, Note::JitWithoutNames { .. })), None);
}

#[test]
fn a_program_in_a_container_has_its_names_and_those_of_the_code_it_made() {
    let Some(program) = compile("jit.c", &C) else { return };
    if !rustix::process::geteuid().is_root() {
        return missing("root, to make namespaces");
    }
    // Its own pids and its own /tmp; the program lies in a place that only it sees. It is opened before, for what we
    // build may lie in our /tmp.
    let script = "exec 3< \"$0\" && mount -t tmpfs container /tmp && mkdir /tmp/srv && \
                  cat <&3 > /tmp/srv/server && chmod +x /tmp/srv/server && exec /tmp/srv/server with-map 3<&-";
    let outside =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("jit-{}", std::process::id()));
    std::fs::copy(&program.path, &outside).unwrap();
    let command = ["--pid", "--fork", "--mount", "sh", "-c", script, outside.to_str().unwrap()];
    let recorded = record_command("unshare".as_ref(), &command, &RecordOptions::default());
    std::fs::remove_file(&outside).unwrap();
    let Some(recorded) = recorded else { return };
    recorded.expect_nesting(&["main", "call"], "*handle");
}

#[test]
fn code_made_at_run_time_without_a_map_is_noted() {
    let Some(program) = compile("jit.c", &C) else { return };
    let Some(recorded) = record(&program, &[]) else { return };
    recorded.expect_nesting(&["main", "call"], "[jit]");
    let noted = |note: &Note| matches!(note, Note::JitWithoutNames { program, .. } if program == "program");
    assert!(recorded.notes().iter().any(noted), "{:?}", recorded.notes());
}

#[test]
fn a_stack_that_is_deeper_than_its_copy_is_counted_and_keeps_its_inner_frames() {
    let Some(program) = compile("deep.c", &C) else { return };
    let options = RecordOptions { stack_bytes: 16 << 10, ..RecordOptions::default() };
    let Some(recorded) = record_with(&program, &[], &options) else { return };
    let deep: Vec<_> = recorded.stacks().filter(|stack| stack.names.contains(&"bottom")).collect();
    assert!(deep.len() >= 20, "{}", recorded.text());
    for stack in &deep {
        let depth = stack.names.iter().filter(|&&name| name == "descend").count();
        assert!((5..=20).contains(&depth), "{depth} frames of a KiB each are in 16 KiB");
    }
    assert!(recorded.profile().losses.truncated_stacks >= deep.len() as u64);
}

#[test]
fn functions_that_rust_inlined_are_shown_with_their_file_and_line() {
    let Some(program) = compile("inlined.rs", &RUST) else { return };
    let Some(recorded) = record(&program, &[]) else { return };
    recorded
        .expect_nesting(&["main", "inlined::work::outer", "inlined::work::middle"], "inlined::work::inner");
    let profile = recorded.profile();
    let inner = profile.frames.iter().filter(|frame| profile.text(frame.function) == "inlined::work::inner");
    let source = include_str!("programs/inlined.rs");
    let line = 1 + source.lines().position(|line| line.contains("the line that takes the time")).unwrap();
    assert!(inner.map(|frame| frame.line as usize).any(|found| found == line), "{}", recorded.text());
    for frame in
        profile.frames.iter().filter(|frame| profile.text(frame.function).starts_with("inlined::work"))
    {
        assert!(profile.text(frame.file).ends_with("programs/inlined.rs"), "{}", profile.text(frame.file));
        assert_eq!(frame.inlined, profile.text(frame.function) != "inlined::work::outer");
    }
}

#[test]
fn cpp_functions_are_called_as_their_authors_wrote_them() {
    let Some(program) = compile("names.cpp", &CPP) else { return };
    let Some(recorded) = record(&program, &[]) else { return };
    recorded.expect_nesting(&["main", "shapes::total<int>"], "shapes::Square::area");
}

fn nest(arguments: &[&str]) -> Option<Recorded> {
    record(&compile("nest.c", &C)?, arguments)
}

/// The address of a function in the program's file.
fn symbol(program: &Program, name: &str) -> u64 {
    let output = Command::new("nm").arg(&program.path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.ends_with(&format!(" {name}"))).unwrap();
    u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap()
}
