//! Processes.

mod common;
mod support;

use std::cell::{Cell, RefCell};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;

use common::{Log, MS, after, collect, temporary_folder};
use loopscope_runtime::{
    Command, Error, EventLoop, Exit, Pipe, Process, RunMode, Signal, Stdio, TcpListener, kill,
};
use support::{in_child, wait_until};

/// Runs a shell's script to its end; gives how it ended and what it wrote.
fn run(script: &str, change: impl FnOnce(Command) -> Command) -> (Exit, String) {
    let event_loop = EventLoop::new().unwrap();
    let output = Pipe::new(&event_loop);
    let command = Command::new("sh").args(["-c", script]).stdout(Stdio::Pipe(output.clone()));
    let ended = Rc::new(Cell::new(None));
    let tell = Rc::clone(&ended);
    change(command)
        .spawn(&event_loop, move |_, process, exit| {
            tell.set(Some(exit));
            process.close();
        })
        .unwrap();
    let written = collect(&output);
    event_loop.run(RunMode::Default);
    (ended.get().unwrap(), String::from_utf8(written.take()).unwrap())
}

const SUCCESS: Exit = Exit { status: Some(0), signal: None };

fn process_is_there(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_process_ends_with_its_status_or_the_signal_that_ended_it() {
    assert_eq!(run("echo hello", |command| command), (SUCCESS, "hello\n".into()));
    assert_eq!(run("exit 42", |command| command).0, Exit { status: Some(42), signal: None });
    let killed = Exit { status: None, signal: Some(libc::SIGTERM) };
    assert_eq!(run("kill -TERM $$", |command| command).0, killed);
}

#[test]
fn a_process_reads_what_it_is_given_and_gets_the_end() {
    let event_loop = EventLoop::new().unwrap();
    let (input, output) = (Pipe::new(&event_loop), Pipe::new(&event_loop));
    let command = Command::new("cat").stdin(Stdio::Pipe(input.clone())).stdout(Stdio::Pipe(output.clone()));
    let process = command.spawn(&event_loop, |_, _, exit| assert_eq!(exit, SUCCESS)).unwrap();
    assert!(process.is_active());
    let much = vec![b'x'; 1_000_000];
    input
        .write(much.clone(), |_, input, result| {
            result.unwrap();
            input.shutdown(|_, input, _| input.close()).unwrap();
        })
        .unwrap();
    let read = collect(&output);
    event_loop.run(RunMode::Default);
    assert!(*read.borrow() == much);
    assert!(!process.is_active());
}

#[test]
fn environment_folder_arguments_and_name_are_the_given_ones() {
    let folder = fs::canonicalize(temporary_folder("process-folder")).unwrap();
    let (_, written) = run("pwd; echo \"$LOOPSCOPE_ONE $LOOPSCOPE_TWO\"", |command| {
        command
            .current_folder(&folder)
            .env("LOOPSCOPE_ONE", "1")
            .env("LOOPSCOPE_TWO", "x")
            .env("LOOPSCOPE_TWO", "2")
    });
    assert_eq!(written, format!("{}\n1 2\n", folder.display()));

    let event_loop = EventLoop::new().unwrap();
    let output = Pipe::new(&event_loop);
    Command::new("/usr/bin/env")
        .env_clear()
        .env("ONLY", "this")
        .stdout(Stdio::Pipe(output.clone()))
        .spawn(&event_loop, |_, _, exit| assert_eq!(exit, SUCCESS))
        .unwrap();
    let read = collect(&output);
    event_loop.run(RunMode::Default);
    assert_eq!(*read.borrow(), b"ONLY=this\n");

    let (_, written) = run("echo $0 $1", |command| command.args(["zero", "one"]).name("renamed"));
    assert_eq!(written, "zero one\n");
}

#[test]
fn a_program_is_looked_for_on_the_path_that_it_will_have() {
    let folder = temporary_folder("process-path");
    let program = folder.join("loopscope-test-program");
    fs::write(&program, "#!/bin/sh\nexit 7\n").unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let event_loop = EventLoop::new().unwrap();
    let command = Command::new("loopscope-test-program");
    assert_eq!(
        command.spawn(&event_loop, |_, _, _| unreachable!()).map(drop).unwrap_err().code(),
        libc::ENOENT
    );
    let ended = Rc::new(Cell::new(None));
    let tell = Rc::clone(&ended);
    command.env("PATH", &folder).spawn(&event_loop, move |_, _, exit| tell.set(exit.status)).unwrap();
    event_loop.run(RunMode::Default);
    assert_eq!(ended.get(), Some(7));
}

#[test]
fn what_cannot_be_started_says_which_step_failed_and_leaves_nothing_behind() {
    let event_loop = EventLoop::new().unwrap();
    let output = Pipe::new(&event_loop);
    let failure = |command: Command| {
        let started =
            command.stdout(Stdio::Pipe(output.clone())).spawn(&event_loop, |_, _, _| unreachable!());
        started.map(drop).unwrap_err()
    };
    let system = |operation, code| Error::System { operation, code };
    assert_eq!(failure(Command::new("/nowhere/at/all")), system("execvp", libc::ENOENT));
    assert_eq!(failure(Command::new("/etc/passwd")), system("execvp", libc::EACCES));
    assert_eq!(failure(Command::new("true").current_folder("/nowhere")), system("chdir", libc::ENOENT));
    assert!(matches!(failure(Command::new("tr\0ue")), Error::Invalid { .. }));
    assert!(matches!(failure(Command::new("true").stdio(77, Stdio::Inherit)), Error::Invalid { .. }));
    assert!(matches!(output.local_name(), Err(Error::NotOpen)), "no pipe was opened");
    assert!(!event_loop.run(RunMode::Default));
}

#[test]
fn descriptors_go_where_they_should_also_if_they_change_places() {
    let event_loop = EventLoop::new().unwrap();
    let pipes: Vec<Pipe> = (0..4).map(|_| Pipe::new(&event_loop)).collect();
    let listener = TcpListener::bind(&event_loop, "127.0.0.1:0".parse().unwrap()).unwrap();
    let script = "echo out; echo err >&2; echo three >&3; echo five >&5; readlink /proc/self/fd/6";
    Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::Ignore)
        .stdout(Stdio::Pipe(pipes[0].clone()))
        .stderr(Stdio::Pipe(pipes[1].clone()))
        .stdio(3, Stdio::Pipe(pipes[2].clone()))
        .stdio(5, Stdio::Pipe(pipes[3].clone()))
        .stdio(6, Stdio::Descriptor(listener.descriptor().unwrap()))
        .spawn(&event_loop, |_, _, exit| assert_eq!(exit, SUCCESS))
        .unwrap();
    let written: Vec<_> = pipes.iter().map(collect).collect();
    listener.close();
    event_loop.run(RunMode::Default);
    let text = |index: usize| String::from_utf8(written[index].borrow().clone()).unwrap();
    assert!(text(0).starts_with("out\nsocket:["), "{}", text(0));
    assert_eq!((text(1), text(2), text(3)), ("err\n".into(), "three\n".into(), "five\n".into()));
}

#[test]
fn a_descriptor_that_is_not_given_is_not_there() {
    // What this process got from its own parent is passed on; `0o2000000` is `O_CLOEXEC`.
    let kept = |number: &u32| {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        flags.is_some_and(|flags| u32::from_str_radix(flags.trim(), 8).unwrap() & 0o2000000 == 0)
    };
    let got: Vec<u32> = (3..1024).filter(kept).collect();
    let event_loop = EventLoop::new().unwrap();
    let _open = Pipe::pair(&event_loop).unwrap();
    let (_, written) = run("exec ls /proc/self/fd", |command| command);
    let numbers = written.lines().map(|line| line.parse::<u32>().unwrap());
    // One is the listing's own.
    assert_eq!(numbers.filter(|number| *number > 2 && !got.contains(number)).count(), 1, "{written}");
    let (_, written) = run("readlink /proc/self/fd/0 /proc/self/fd/2", |command| command);
    assert_eq!(written, "/dev/null\n/dev/null\n");
}

#[test]
fn output_goes_to_a_file_that_is_given() {
    let folder = temporary_folder("process-file");
    let file = fs::File::create(folder.join("output")).unwrap();
    let event_loop = EventLoop::new().unwrap();
    let both = Rc::new(OwnedFd::from(file));
    Command::new("sh")
        .args(["-c", "echo out; echo err >&2"])
        .stdout(Stdio::Descriptor(Rc::clone(&both)))
        .stderr(Stdio::Descriptor(both))
        .spawn(&event_loop, |_, _, exit| assert_eq!(exit, SUCCESS))
        .unwrap();
    event_loop.run(RunMode::Default);
    assert_eq!(fs::read_to_string(folder.join("output")).unwrap(), "out\nerr\n");
}

#[test]
fn a_detached_process_leads_a_session_of_its_own() {
    let script = "cut -d' ' -f6 /proc/$$/stat; echo $$";
    let own = |detached| {
        let (_, written) = run(script, |command| command.detached(detached));
        let (session, pid) = written.trim().split_once('\n').unwrap();
        session == pid
    };
    assert!(own(true) && !own(false));
}

#[test]
fn a_file_that_is_no_program_is_run_by_a_shell_and_one_that_may_not_be_run_is_passed_over() {
    let [first, second] = ["process-script-1", "process-script-2"].map(temporary_folder);
    fs::write(first.join("script"), "not to be run").unwrap();
    fs::write(second.join("script"), "echo \"$0 $1 $ONLY\"\n").unwrap();
    fs::set_permissions(second.join("script"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/nowhere/at/all:{}", first.display(), second.display());
    let event_loop = EventLoop::new().unwrap();
    let output = Pipe::new(&event_loop);
    let command = Command::new("script").arg("argument").env_clear().env("PATH", path).env("ONLY", "this");
    command.stdout(Stdio::Pipe(output.clone())).spawn(&event_loop, |_, process, _| process.close()).unwrap();
    let written = collect(&output);
    event_loop.run(RunMode::Default);
    let script = second.join("script");
    assert_eq!(String::from_utf8(written.take()).unwrap(), format!("{} argument this\n", script.display()));

    fs::remove_file(script).unwrap();
    let path = format!("{}:{}", first.display(), second.display());
    let refused = Command::new("script").env("PATH", path).spawn(&event_loop, |_, _, _| unreachable!());
    assert_eq!(refused.map(drop).unwrap_err().code(), libc::EACCES, "what is there and may not be run");
}

#[test]
fn a_process_starts_without_blocked_or_ignored_signals() {
    // Rust's runtime ignores SIGPIPE in this process.
    // SAFETY: nothing in this process sends that signal, or waits for it.
    unsafe { libc::signal(libc::SIGRTMIN() + 9, libc::SIG_IGN) };
    // One that the C library keeps for cancelling threads, which nothing here does.
    let (ignore, none) = ([libc::SIG_IGN as u64, 0, 0, 0], std::ptr::null_mut::<u64>());
    // SAFETY: as above; the kernel's structure begins with the handler.
    let set = unsafe { libc::syscall(libc::SYS_rt_sigaction, 32, ignore.as_ptr(), none, 8usize) };
    assert_eq!(set, 0);
    let (_, written) = run("grep -E 'Sig(Ign|Blk)' /proc/self/status", |command| command);
    let masks = written.lines().map(|line| line.split_whitespace().nth(1).unwrap());
    let masks: Vec<u64> = masks.map(|mask| u64::from_str_radix(mask, 16).unwrap()).collect();
    assert_eq!(masks, [0, 0], "{written}");
}

#[test]
fn a_user_is_taken_on_with_no_groups_but_its_own() {
    if !rustix::process::geteuid().is_root() {
        let event_loop = EventLoop::new().unwrap();
        let refused = Command::new("true").user(0).spawn(&event_loop, |_, _, _| unreachable!());
        assert_eq!(refused.map(drop).unwrap_err().code(), libc::EPERM);
        return common::skip("it needs root");
    }
    let (_, written) = run("id -u; id -g; id -G", |command| command.user(65534).group(65533));
    assert_eq!(written, "65534\n65533\n65533\n");
}

#[test]
fn a_process_is_killed_once_and_not_again() {
    let event_loop = EventLoop::new().unwrap();
    let ended = Rc::new(Cell::new(None));
    let tell = Rc::clone(&ended);
    let process = Command::new("sleep")
        .arg("1000")
        .spawn(&event_loop, move |_, process, exit| {
            tell.set(exit.signal);
            assert_eq!(process.kill(libc::SIGTERM).unwrap_err().code(), libc::ESRCH);
        })
        .unwrap();
    process.kill(0).unwrap();
    assert_eq!(process.kill(12345).unwrap_err().code(), libc::EINVAL);
    kill(process.pid(), 0).unwrap();
    process.kill(libc::SIGKILL).unwrap();
    event_loop.run(RunMode::Default);
    assert_eq!(ended.get(), Some(libc::SIGKILL));
    assert_eq!(process.kill(0).unwrap_err().code(), libc::ESRCH);
    assert!(kill(u32::MAX, 0).is_err());
}

#[test]
fn an_unreferenced_process_lets_the_loop_end() {
    // libuv's process_ref.
    let event_loop = EventLoop::new().unwrap();
    let process = Command::new("sleep").arg("1000").spawn(&event_loop, |_, _, _| {}).unwrap();
    process.unreference();
    assert!(!event_loop.run(RunMode::Default));
    process.kill(libc::SIGKILL).unwrap();
    process.reference();
    event_loop.run(RunMode::Default);
    assert!(!process_is_there(process.pid()));
}

#[test]
fn a_process_whose_handle_was_closed_is_reaped_without_a_word() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let process = Command::new("sleep").arg("0.1").spawn(&event_loop, |_, _, _| unreachable!()).unwrap();
    let pid = process.pid();
    process.close_with(log.noting_once("closed"));
    assert!(!event_loop.run(RunMode::Default));
    log.expect("closed");
    wait_until("it is reaped", || !process_is_there(pid));
}

#[test]
fn a_process_whose_loop_has_gone_is_reaped() {
    let event_loop = EventLoop::new().unwrap();
    let processes: Vec<Process> = ["0.1", "0.05"]
        .map(|time| Command::new("sleep").arg(time).spawn(&event_loop, |_, _, _| unreachable!()).unwrap())
        .into();
    let pids: Vec<u32> = processes.iter().map(Process::pid).collect();
    drop(event_loop);
    assert!(processes.iter().all(Process::is_closing));
    wait_until("both are reaped", || pids.iter().all(|pid| !process_is_there(*pid)));
}

#[test]
fn many_processes_end_each_with_its_own_status() {
    let event_loop = EventLoop::new().unwrap();
    let ended = Rc::new(RefCell::new(Vec::new()));
    for status in 0..30 {
        let into = Rc::clone(&ended);
        Command::new("sh")
            .args(["-c".to_owned(), format!("exit {status}")])
            .spawn(&event_loop, move |_, process, exit| {
                into.borrow_mut().push(exit.status.unwrap());
                process.close();
            })
            .unwrap();
    }
    event_loop.run(RunMode::Default);
    ended.borrow_mut().sort_unstable();
    assert_eq!(*ended.borrow(), (0..30).collect::<Vec<_>>());
}

#[test]
fn the_end_of_a_child_is_told_to_who_watches_its_signal_too() {
    in_child("the_end_of_a_child_is_told_to_who_watches_its_signal_too", &[], || {
        let event_loop = EventLoop::new().unwrap();
        let log = Log::default();
        let (at_exit, at_signal) = (log.clone(), log.clone());
        let signal = Signal::new(&event_loop);
        signal
            .start(libc::SIGCHLD, move |_, signal, _| {
                at_signal.note("signal");
                signal.close();
            })
            .unwrap();
        Command::new("true").spawn(&event_loop, move |_, _, _| at_exit.note("exit")).unwrap();
        event_loop.run(RunMode::Default);
        assert_eq!((log.count("signal"), log.count("exit"), log.len()), (1, 1, 2));
    });
}

#[test]
fn without_descriptors_of_processes_their_ends_are_told_all_the_same() {
    in_child("without_descriptors_of_processes_their_ends_are_told_all_the_same", &[], || {
        refuse_pidfd_open();
        let event_loop = EventLoop::new().unwrap();
        let log = Log::default();
        for time in ["0", "0.1", "0.05"] {
            let noted = log.clone();
            Command::new("sleep")
                .arg(time)
                .spawn(&event_loop, move |_, _, exit| {
                    assert_eq!(exit, SUCCESS);
                    noted.note("ended");
                })
                .unwrap();
        }
        let killed = Command::new("sleep").arg("1000").spawn(&event_loop, log_signal(&log)).unwrap();
        after(&event_loop, 10 * MS, move |_| killed.kill(libc::SIGKILL).unwrap());
        event_loop.run(RunMode::Default);
        assert_eq!((log.count("ended"), log.count("killed"), log.len()), (3, 1, 4));

        let left = Command::new("sleep").arg("0.1").spawn(&event_loop, |_, _, _| unreachable!()).unwrap();
        drop(event_loop);
        wait_until("it is reaped", || !process_is_there(left.pid()));
    });
}

fn log_signal(log: &Log) -> impl FnOnce(&EventLoop, &Process, Exit) + 'static {
    let noted = log.clone();
    move |_, _, exit| {
        assert_eq!(exit.signal, Some(libc::SIGKILL));
        noted.note("killed");
    }
}

/// Has the kernel say, as an old one would, that there is no such system call.
fn refuse_pidfd_open() {
    let load =
        |k| libc::sock_filter { code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, jt: 0, jf: 0, k };
    let give = |k| libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k };
    let mut filter = [
        load(0),
        libc::sock_filter {
            code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
            jt: 0,
            jf: 1,
            k: libc::SYS_pidfd_open as u32,
        },
        give(libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        give(libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the filter is valid for the call and refuses one system call only.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
    }
}

#[test]
fn a_pipe_that_is_open_is_not_given_to_a_process() {
    let event_loop = EventLoop::new().unwrap();
    let (open, _other) = Pipe::pair(&event_loop).unwrap();
    let refused = Command::new("true").stdin(Stdio::Pipe(open)).spawn(&event_loop, |_, _, _| unreachable!());
    assert!(matches!(refused.map(drop), Err(Error::Invalid { .. })));
}
