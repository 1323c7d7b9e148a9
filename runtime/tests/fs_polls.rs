//! Watching a path by looking at it.

mod common;

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use common::{Log, MS, after, temporary_folder};
use loopscope_runtime::{Error, EventLoop, FsPoll, RunMode};

fn path(test: &str) -> PathBuf {
    temporary_folder(test).join("file")
}

#[test]
fn a_file_that_comes_changes_and_goes_is_told_once_each() {
    let file = path("poll-life");
    let event_loop = EventLoop::new().unwrap();
    let poll = FsPoll::new(&event_loop);
    let told = Rc::new(RefCell::new(Vec::new()));
    let (into, changed) = (Rc::clone(&told), file.clone());
    poll.start(&file, 2 * MS, move |event_loop, poll, change| {
        let size = change.current.map(|file| file.len()).map_err(|error| error.code());
        into.borrow_mut().push((change.previous.map(fs::Metadata::len), size));
        let (step, file) = (into.borrow().len(), changed.clone());
        // After some more looks, which find nothing new.
        let poll = poll.clone();
        after(event_loop, 20 * MS, move |_| match step {
            1 => fs::write(file, "one").unwrap(),
            2 => fs::write(file, "three").unwrap(),
            3 => fs::remove_file(file).unwrap(),
            _ => poll.close(),
        });
    })
    .unwrap();
    assert_eq!(poll.path(), Some(file));
    assert!(poll.is_active());
    event_loop.run(RunMode::Default);
    let told = told.take();
    let missing = Err(Some(libc::ENOENT));
    assert_eq!(told.first(), Some(&(None, missing)));
    assert_eq!(told.last(), Some(&(Some(5), missing)));
    // A look may fall between the making of a file and its writing.
    assert!(told.contains(&(None, Ok(3))) || told.contains(&(Some(0), Ok(3))), "{told:?}");
    assert!((4..=6).contains(&told.len()), "{told:?}");
}

#[test]
fn a_file_that_stays_as_it_is_is_not_told() {
    let file = path("poll-still");
    fs::write(&file, "").unwrap();
    let event_loop = EventLoop::new().unwrap();
    let poll = FsPoll::new(&event_loop);
    poll.start(&file, MS, |_, _, _| unreachable!()).unwrap();
    after(&event_loop, 30 * MS, move |_| poll.close());
    event_loop.run(RunMode::Default);
}

#[test]
fn a_change_of_permissions_is_one() {
    let file = path("poll-mode");
    fs::write(&file, "").unwrap();
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let poll = FsPoll::new(&event_loop);
    let noted = log.clone();
    poll.start(&file, MS, move |_, poll, change| {
        noted.note(change.current.unwrap().permissions().readonly());
        poll.close();
    })
    .unwrap();
    after(&event_loop, 20 * MS, move |_| {
        let mut permissions = fs::metadata(&file).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&file, permissions).unwrap();
    });
    event_loop.run(RunMode::Default);
    log.expect("true");
}

#[test]
fn a_handle_is_stopped_and_started_anew_also_from_its_callback_and_during_a_look() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let poll = FsPoll::new(&event_loop);
    let noted = log.clone();
    poll.start("/nowhere/one", MS, move |_, poll, _| {
        noted.note("one");
        assert!(matches!(poll.start("/nowhere", MS, |_, _, _| unreachable!()), Err(Error::Busy)));
        poll.stop();
        let noted = noted.clone();
        poll.start("/nowhere/two", MS, move |_, poll, _| {
            noted.note("two");
            poll.close();
        })
        .unwrap();
    })
    .unwrap();
    event_loop.run(RunMode::Default);
    log.expect("one two");

    let poll = FsPoll::new(&event_loop);
    poll.start("/nowhere", MS, |_, _, _| unreachable!()).unwrap();
    // The look is under way, or its answer waits.
    poll.stop();
    assert_eq!(poll.path(), None);
    event_loop.run(RunMode::Default);
    poll.close_with(log.noting_once("closed"));
    event_loop.run(RunMode::Default);
    log.expect("closed");
    assert_eq!(poll.start("/", MS, |_, _, _| unreachable!()), Err(Error::Closed));
}

#[test]
fn an_unreferenced_handle_lets_the_loop_end() {
    let event_loop = EventLoop::new().unwrap();
    let poll = FsPoll::new(&event_loop);
    poll.start("/", Duration::from_secs(1000), |_, _, _| unreachable!()).unwrap();
    poll.unreference();
    assert!(!event_loop.run(RunMode::Default));
    poll.close();
    event_loop.run(RunMode::Default);
}

#[test]
fn an_unreferenced_handle_looks_once_before_the_loop_ends() {
    let file = path("poll-unreferenced");
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let poll = FsPoll::new(&event_loop);
    let noted = log.clone();
    poll.start(&file, Duration::from_secs(1000), move |_, _, change| {
        noted.note(if change.current.is_err() { "missing" } else { "there" });
    })
    .unwrap();
    poll.unreference();
    assert!(!event_loop.run(RunMode::Default));
    log.expect("missing");
    poll.close();
    event_loop.run(RunMode::Default);
}

#[test]
fn a_handle_goes_on_after_a_panic_in_its_callback() {
    let file = path("poll-panic");
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let poll = FsPoll::new(&event_loop);
    let noted = log.clone();
    let created = file.clone();
    poll.start(&file, MS, move |_, poll, change| {
        noted.note("told");
        if change.current.is_err() {
            fs::write(&created, "").unwrap();
            panic!("on purpose");
        }
        poll.close();
    })
    .unwrap();
    let run = || std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| event_loop.run(RunMode::Default)));
    assert!(run().is_err());
    assert!(run().is_ok());
    log.expect("told told");
}
