//! Terminals.

mod common;
mod support;

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::rc::Rc;

use loopscope_runtime::{Error, EventLoop, Pipe, Read, RunMode, Tty, TtyMode};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::termios::{LocalModes, OutputModes, tcgetattr};
use support::in_child;

/// The outer side of a pseudo-terminal, where a person would sit, and the inner one, where programs are.
fn terminal() -> (File, OwnedFd) {
    let (mut outer, mut inner) = (0, 0);
    let size = libc::winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: both numbers are written by the call and then owned; the size is readable; no mode is given.
    unsafe {
        let result = libc::openpty(&mut outer, &mut inner, std::ptr::null_mut(), std::ptr::null(), &size);
        assert_eq!(result, 0);
        (File::from_raw_fd(outer), OwnedFd::from_raw_fd(inner))
    }
}

fn is_raw(descriptor: impl AsFd) -> bool {
    !tcgetattr(descriptor).unwrap().local_modes.contains(LocalModes::ICANON)
}

#[test]
fn a_program_reads_lines_and_writes_to_the_person() {
    let event_loop = EventLoop::new().unwrap();
    let (mut outer, inner) = terminal();
    let tty = Tty::new(&event_loop, &inner).unwrap();
    assert!(tty.is_readable() && tty.is_writable());
    outer.write_all(b"hello\n").unwrap();
    let read = Rc::new(RefCell::new(Vec::new()));
    let into = Rc::clone(&read);
    tty.read_start(move |_, tty, data| {
        let Read::Data(data) = data.unwrap() else { unreachable!() };
        into.borrow_mut().extend_from_slice(data);
        tty.read_stop();
        tty.write("you too\n", |_, tty, result| {
            result.unwrap();
            tty.close();
        })
        .unwrap();
    })
    .unwrap();
    event_loop.run(RunMode::Default);
    assert_eq!(*read.borrow(), b"hello\n");
    let mut shown = [0; 16];
    outer.read_exact(&mut shown).unwrap();
    assert_eq!(&shown, b"hello\r\nyou too\r\n", "what was typed is shown, too");
}

#[test]
fn the_descriptor_that_others_share_still_blocks() {
    let event_loop = EventLoop::new().unwrap();
    let (_outer, inner) = terminal();
    let tty = Tty::new(&event_loop, &inner).unwrap();
    assert!(!fcntl_getfl(&inner).unwrap().contains(OFlags::NONBLOCK));
    assert!(fcntl_getfl(&*tty.descriptor().unwrap()).unwrap().contains(OFlags::NONBLOCK));
}

#[test]
fn the_outer_side_is_shared_and_works_all_the_same() {
    let event_loop = EventLoop::new().unwrap();
    let (outer, inner) = terminal();
    let tty = Tty::new(&event_loop, &outer).unwrap();
    assert!(!fcntl_getfl(&outer).unwrap().contains(OFlags::NONBLOCK));
    let typed = Rc::new(Cell::new(false));
    let done = Rc::clone(&typed);
    tty.write("typed\n", |_, _, result| result.unwrap()).unwrap();
    tty.read_start(move |_, tty, read| {
        assert_eq!(read, Ok(Read::Data(b"typed\r\n")));
        done.set(true);
        tty.close();
    })
    .unwrap();
    event_loop.run(RunMode::Default);
    assert!(typed.get());
    let mut line = [0; 6];
    File::from(inner).read_exact(&mut line).unwrap();
    assert_eq!(&line, b"typed\n");
}

#[test]
fn modes_change_the_terminal_and_closing_gives_it_its_own_back() {
    let event_loop = EventLoop::new().unwrap();
    let (_outer, inner) = terminal();
    let before = tcgetattr(&inner).unwrap();
    let tty = Tty::new(&event_loop, &inner).unwrap();
    tty.set_mode(TtyMode::Normal).unwrap();
    for mode in [TtyMode::Raw, TtyMode::Io, TtyMode::Raw] {
        tty.set_mode(mode).unwrap();
        let now = tcgetattr(&inner).unwrap();
        assert!(!now.local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
        assert_eq!(now.output_modes.contains(OutputModes::OPOST), mode == TtyMode::Raw);
    }
    tty.set_mode(TtyMode::Normal).unwrap();
    assert_eq!(tcgetattr(&inner).unwrap().local_modes, before.local_modes);
    tty.set_mode(TtyMode::Raw).unwrap();
    tty.close();
    assert_eq!(tcgetattr(&inner).unwrap().local_modes, before.local_modes);
    assert_eq!(tty.set_mode(TtyMode::Raw), Err(Error::Closed));
    let dropped = Tty::new(&event_loop, &inner).unwrap();
    dropped.set_mode(TtyMode::Io).unwrap();
    assert!(is_raw(&inner));
    drop(dropped);
    assert!(!is_raw(&inner));
}

#[test]
fn raw_keys_come_one_by_one_and_ctrl_c_is_one() {
    let event_loop = EventLoop::new().unwrap();
    let (mut outer, inner) = terminal();
    let tty = Tty::new(&event_loop, &inner).unwrap();
    tty.set_mode(TtyMode::Raw).unwrap();
    outer.write_all(b"a\x03").unwrap();
    let keys = Rc::new(RefCell::new(Vec::new()));
    let into = Rc::clone(&keys);
    tty.read_start(move |_, tty, read| {
        let Read::Data(data) = read.unwrap() else { unreachable!() };
        into.borrow_mut().extend_from_slice(data);
        if into.borrow().len() == 2 {
            tty.close();
        }
    })
    .unwrap();
    event_loop.run(RunMode::Default);
    assert_eq!(*keys.borrow(), b"a\x03");
}

#[test]
fn the_first_terminal_that_was_changed_is_reset_at_the_programs_end() {
    in_child("the_first_terminal_that_was_changed_is_reset_at_the_programs_end", &[], || {
        Tty::reset_mode().unwrap();
        let event_loop = EventLoop::new().unwrap();
        let (_outer, inner) = terminal();
        let tty = Tty::new(&event_loop, &inner).unwrap();
        tty.set_mode(TtyMode::Raw).unwrap();
        assert!(is_raw(&inner));
        Tty::reset_mode().unwrap();
        assert!(!is_raw(&inner));
    });
}

#[test]
fn the_size_of_the_window_is_columns_and_rows() {
    let event_loop = EventLoop::new().unwrap();
    let (outer, inner) = terminal();
    let tty = Tty::new(&event_loop, &inner).unwrap();
    assert_eq!(tty.window_size(), Ok((80, 24)));
    let mut size = rustix::termios::tcgetwinsize(&outer).unwrap();
    size.ws_col = 132;
    rustix::termios::tcsetwinsize(&outer, size).unwrap();
    assert_eq!(tty.window_size(), Ok((132, 24)));
}

#[test]
fn what_is_no_terminal_says_so() {
    let event_loop = EventLoop::new().unwrap();
    let (pipe, _other) = Pipe::pair(&event_loop).unwrap();
    let refused = Tty::new(&event_loop, &*pipe.descriptor().unwrap()).map(drop).unwrap_err();
    assert_eq!(refused.code(), libc::ENOTTY);
    assert!(Tty::new(&event_loop, File::open("/dev/null").unwrap()).is_err());
}

#[test]
fn a_person_who_hangs_up_ends_the_reading() {
    let event_loop = EventLoop::new().unwrap();
    let (outer, inner) = terminal();
    let tty = Tty::new(&event_loop, &inner).unwrap();
    let ended = Rc::new(Cell::new(false));
    let told = Rc::clone(&ended);
    tty.read_start(move |_, tty, read| {
        // The system calls it an error, as it does to every program that reads a terminal.
        assert!(matches!(read, Ok(Read::End) | Err(Error::System { code: libc::EIO, .. })), "{read:?}");
        told.set(true);
        assert!(!tty.is_active());
        tty.close();
    })
    .unwrap();
    drop(outer);
    event_loop.run(RunMode::Default);
    assert!(ended.get());
}
