//! Watching files and folders by the kernel's notices.

mod common;

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use common::{Log, temporary_folder};
use loopscope_runtime::{Error, EventLoop, FsChange, FsEvent, RunMode, Timer};

/// What was told, one line each: `name renamed`, `name changed`.
#[derive(Clone, Default)]
struct Told(Rc<RefCell<Vec<String>>>);

impl Told {
    fn tell(&self, change: Result<FsChange<'_>, Error>) {
        let line = match change.unwrap() {
            FsChange::At { name, renamed, changed } => {
                let what = [(renamed, " renamed"), (changed, " changed")];
                let what: String = what.iter().filter(|(is, _)| *is).map(|(_, what)| *what).collect();
                format!("{}{what}", name.display())
            }
            FsChange::Lost => "lost".into(),
        };
        self.0.borrow_mut().push(line);
    }

    fn callback(&self) -> impl FnMut(&EventLoop, &FsEvent, Result<FsChange<'_>, Error>) + 'static {
        let told = self.clone();
        move |_, _, change| told.tell(change)
    }

    fn contains(&self, line: &str) -> bool {
        self.0.borrow().iter().any(|told| told == line)
    }

    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

/// Runs the loop until a condition holds.
#[track_caller]
fn run_until(event_loop: &EventLoop, what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    let timer = Timer::new(event_loop);
    timer.start_repeating(Duration::from_millis(1), Duration::from_millis(1), |_, _| {}).unwrap();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(60), "waited a minute in vain until {what}");
        event_loop.run(RunMode::Once);
    }
    timer.close();
    event_loop.run(RunMode::NoWait);
}

fn watch(event_loop: &EventLoop, path: &Path, told: &Told) -> FsEvent {
    let handle = FsEvent::new(event_loop);
    handle.start(path, told.callback()).unwrap();
    handle
}

#[test]
fn what_happens_in_a_folder_is_told_by_its_name() {
    let folder = temporary_folder("events-folder");
    let event_loop = EventLoop::new().unwrap();
    let told = Told::default();
    let handle = watch(&event_loop, &folder, &told);
    assert_eq!(handle.path(), Some(folder.clone()));
    assert!(handle.is_active());
    let steps: [(&dyn Fn(), &[&str]); 4] = [
        (&|| drop(fs::File::create(folder.join("file")).unwrap()), &["file renamed"]),
        (&|| fs::write(folder.join("file"), "contents").unwrap(), &["file changed"]),
        (
            &|| fs::rename(folder.join("file"), folder.join("moved")).unwrap(),
            &["file renamed", "moved renamed"],
        ),
        (&|| fs::remove_file(folder.join("moved")).unwrap(), &["moved renamed"]),
    ];
    for (step, expected) in steps {
        step();
        run_until(&event_loop, expected[0], || expected.iter().all(|line| told.contains(line)));
        assert!(told.take().iter().all(|line| expected.contains(&line.as_str())));
    }
}

#[test]
fn what_happens_to_a_file_is_told_by_its_own_name() {
    let folder = temporary_folder("events-file");
    let (file, other) = (folder.join("file"), folder.join("other"));
    fs::write(&file, "").unwrap();
    let event_loop = EventLoop::new().unwrap();
    let told = Told::default();
    let handle = watch(&event_loop, &file, &told);
    fs::write(&other, "not told").unwrap();
    fs::write(&file, "told").unwrap();
    run_until(&event_loop, "it changed", || told.contains("file changed"));
    assert!(told.take().iter().all(|line| line == "file changed"));
    fs::remove_file(&file).unwrap();
    run_until(&event_loop, "it went", || told.contains("file renamed"));
    assert!(handle.is_active(), "as in libuv, a watch that has ended says no more but is not stopped");
    handle.close();
    event_loop.run(RunMode::Default);
}

#[test]
fn several_handles_watch_the_same_file_and_each_stops_for_itself() {
    let folder = temporary_folder("events-same");
    let event_loop = EventLoop::new().unwrap();
    let (first_told, second_told) = (Told::default(), Told::default());
    let first = watch(&event_loop, &folder, &first_told);
    let second = watch(&event_loop, &folder, &second_told);
    fs::write(folder.join("one"), "").unwrap();
    run_until(&event_loop, "both told", || {
        first_told.contains("one renamed") && second_told.contains("one renamed")
    });
    first.stop();
    first_told.take();
    fs::write(folder.join("two"), "").unwrap();
    run_until(&event_loop, "the second told", || second_told.contains("two renamed"));
    assert!(first_told.take().is_empty());
    first.start(&folder, first_told.callback()).unwrap();
    assert_eq!(first.start(&folder, |_, _, _| unreachable!()), Err(Error::Busy));
    fs::write(folder.join("three"), "").unwrap();
    run_until(&event_loop, "the first told again", || first_told.contains("three renamed"));
    drop(second);
}

#[test]
fn a_callback_stops_or_closes_any_handle_of_the_same_file() {
    let folder = temporary_folder("events-stop");
    let event_loop = EventLoop::new().unwrap();
    let handles: Rc<RefCell<Vec<FsEvent>>> = Rc::default();
    let called = Rc::new(Cell::new(0));
    for _ in 0..3 {
        let handle = FsEvent::new(&event_loop);
        let (all, count) = (Rc::clone(&handles), Rc::clone(&called));
        handle
            .start(&folder, move |_, _, _| {
                count.set(count.get() + 1);
                all.take().iter().for_each(FsEvent::close);
            })
            .unwrap();
        handles.borrow_mut().push(handle);
    }
    for name in ["one", "two"] {
        fs::write(folder.join(name), "").unwrap();
    }
    event_loop.run(RunMode::Default);
    assert_eq!(called.get(), 1);
}

#[test]
fn what_cannot_be_watched_says_why() {
    let event_loop = EventLoop::new().unwrap();
    let handle = FsEvent::new(&event_loop);
    let refused = handle.start("/nowhere/at/all", |_, _, _| unreachable!()).unwrap_err();
    assert_eq!(refused, Error::System { operation: "inotify_add_watch", code: libc::ENOENT });
    assert!(!handle.is_active());
    handle.stop();
    handle.close();
    assert_eq!(handle.start("/tmp", |_, _, _| unreachable!()), Err(Error::Closed));
    event_loop.run(RunMode::Default);
}

#[test]
fn a_handle_keeps_the_loop_alive_unless_it_is_unreferenced() {
    let folder = temporary_folder("events-alive");
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let handle = watch(&event_loop, &folder, &Told::default());
    assert!(event_loop.run(RunMode::NoWait));
    handle.unreference();
    assert!(!event_loop.run(RunMode::Default));
    handle.close_with(log.noting_once("closed"));
    event_loop.run(RunMode::Default);
    log.expect("closed");
    let dropped = watch(&event_loop, &folder, &Told::default());
    drop(event_loop);
    assert!(dropped.is_closing());
}

#[test]
fn a_tree_is_watched_with_what_comes_later() {
    let folder = temporary_folder("events-tree");
    fs::create_dir_all(folder.join("a/b/c")).unwrap();
    let event_loop = EventLoop::new().unwrap();
    let told = Told::default();
    let handle = FsEvent::new(&event_loop);
    handle.start_recursive(&folder, told.callback()).unwrap();
    let expect = |line: &str| run_until(&event_loop, line, || told.contains(line));

    fs::write(folder.join("a/b/c/deep"), "").unwrap();
    expect("a/b/c/deep renamed");
    // Made in one go: the kernel knows of the first folder only.
    fs::create_dir_all(folder.join("new/below/deeper")).unwrap();
    fs::write(folder.join("new/below/deeper/file"), "").unwrap();
    expect("new renamed");
    expect("new/below/deeper renamed");
    expect("new/below/deeper/file renamed");
    // Watched by now.
    fs::write(folder.join("new/below/deeper/later"), "x").unwrap();
    expect("new/below/deeper/later renamed");

    // What moves within the tree is told by its new name.
    fs::rename(folder.join("new"), folder.join("a/moved")).unwrap();
    expect("a/moved renamed");
    told.take();
    fs::write(folder.join("a/moved/below/deeper/file"), "changed").unwrap();
    expect("a/moved/below/deeper/file changed");
    assert!(!told.take().iter().any(|line| line.starts_with("new")));

    fs::remove_dir_all(folder.join("a")).unwrap();
    expect("a renamed");
    expect("a/b/c/deep renamed");
    handle.close();
    event_loop.run(RunMode::Default);
}

#[test]
fn what_leaves_the_tree_is_watched_no_more() {
    let outside = temporary_folder("events-outside");
    let folder = temporary_folder("events-leaves");
    fs::create_dir_all(folder.join("inner/most")).unwrap();
    let event_loop = EventLoop::new().unwrap();
    let told = Told::default();
    let handle = FsEvent::new(&event_loop);
    handle.start_recursive(&folder, told.callback()).unwrap();
    fs::rename(folder.join("inner"), outside.join("inner")).unwrap();
    run_until(&event_loop, "it left", || told.contains("inner renamed"));
    fs::write(outside.join("inner/most/file"), "").unwrap();
    fs::write(folder.join("after"), "").unwrap();
    run_until(&event_loop, "what came later", || told.contains("after renamed"));
    assert!(!told.contains("inner/most/file renamed"), "{:?}", told.take());
}

#[test]
fn links_in_a_tree_are_not_followed() {
    let outside = temporary_folder("events-linked");
    let folder = temporary_folder("events-links");
    std::os::unix::fs::symlink(&outside, folder.join("link")).unwrap();
    std::os::unix::fs::symlink(&folder, folder.join("circle")).unwrap();
    let event_loop = EventLoop::new().unwrap();
    let told = Told::default();
    let handle = FsEvent::new(&event_loop);
    handle.start_recursive(&folder, told.callback()).unwrap();
    fs::write(outside.join("file"), "").unwrap();
    fs::write(folder.join("own"), "").unwrap();
    run_until(&event_loop, "its own file", || told.contains("own renamed"));
    assert!(told.take().iter().all(|line| line.starts_with("own ")));
}

#[test]
fn what_the_kernel_could_not_keep_is_told_as_lost_and_the_tree_is_still_watched() {
    let most: usize =
        fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    if most > 200_000 {
        return common::skip("the kernel keeps too many notices to lose one");
    }
    let folder = temporary_folder("events-lost");
    let event_loop = EventLoop::new().unwrap();
    let told = Told::default();
    let handle = FsEvent::new(&event_loop);
    handle.start_recursive(&folder, told.callback()).unwrap();
    let files = [folder.join("one"), folder.join("two")];
    files.iter().for_each(|file| fs::write(file, "").unwrap());
    for _ in 0..=most / 2 {
        // In turns, for the kernel keeps only one of several that are the same.
        for file in &files {
            let times = fs::FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH);
            fs::File::open(file).unwrap().set_times(times).unwrap();
        }
    }
    let unseen: PathBuf = folder.join("unseen");
    fs::create_dir(&unseen).unwrap();
    run_until(&event_loop, "some is lost", || told.contains("lost"));
    assert!(!told.contains("unseen renamed"));
    fs::write(unseen.join("file"), "").unwrap();
    run_until(&event_loop, "what happens there is told", || told.contains("unseen/file renamed"));
}

#[test]
fn a_panic_in_a_callback_loses_no_notice() {
    let folder = temporary_folder("events-panic");
    let event_loop = EventLoop::new().unwrap();
    let told = Told::default();
    let handle = FsEvent::new(&event_loop);
    let tell = told.clone();
    let mut calls = 0;
    handle
        .start(&folder, move |_, handle, change| {
            calls += 1;
            assert!(calls != 1, "on purpose");
            tell.tell(change);
            if calls == 3 {
                handle.close();
            }
        })
        .unwrap();
    for name in ["one", "two", "three"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    let run = || std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| event_loop.run(RunMode::Default)));
    assert!(run().is_err());
    assert!(run().is_ok());
    assert_eq!(told.take(), ["two renamed", "three renamed"]);
}
