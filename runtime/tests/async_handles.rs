//! Handles that are awaited: pipes, terminals, UDP, signals, processes, and the bound of what listeners keep.

mod common;
mod support;

use std::cell::Cell;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{FromRawFd, OwnedFd};
use std::rc::Rc;

use common::{MS, temporary_folder};
use loopscope_runtime::future::{Datagram, Pipe, PipeListener, Signals, TcpListener, Tty, Udp};
use loopscope_runtime::{Command, Error, EventLoop, PipeName, RunMode, Stdio};
use support::in_child;

fn loopback() -> std::net::SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

#[test]
fn a_pipe_server_is_awaited_by_its_name() {
    let path = temporary_folder("awaited-pipe").join("socket");
    let event_loop = EventLoop::new().unwrap();
    let listener = PipeListener::bind(&event_loop, path.as_path(), 16).unwrap();
    assert_eq!(listener.local_name(), Ok(Some(PipeName::Path(path.clone()))));
    event_loop.spawn_local(async move {
        let mut pipe = listener.accept().await.unwrap();
        while let Some(chunk) = pipe.read_chunk().await.unwrap() {
            pipe.write(chunk).await.unwrap();
        }
    });
    let local = event_loop.handle();
    let name = path.clone();
    let answer = event_loop.block_on(async move {
        let mut pipe = Pipe::connect(&local, name.as_path()).await.unwrap();
        pipe.write("hello").await.unwrap();
        pipe.shutdown().await.unwrap();
        let mut answer = Vec::new();
        while let Some(chunk) = pipe.read_chunk().await.unwrap() {
            answer.extend(chunk);
        }
        answer
    });
    assert_eq!(answer, b"hello");
    assert!(!event_loop.run(RunMode::Default), "everything is closed with its task");
    assert!(!path.exists());
    let local = event_loop.handle();
    let refused =
        event_loop.block_on(async move { Pipe::connect(&local, path.as_path()).await.unwrap_err() });
    assert_eq!(refused.code(), libc::ENOENT);
}

#[test]
fn what_is_typed_is_awaited_line_by_line() {
    let (mut outer, mut inner) = (0, 0);
    let none = std::ptr::null_mut();
    // SAFETY: both numbers are written by the call and then owned; neither a name, a mode nor a size is given.
    let (mut outer, inner) = unsafe {
        assert_eq!(libc::openpty(&mut outer, &mut inner, none, std::ptr::null(), std::ptr::null()), 0);
        (File::from_raw_fd(outer), OwnedFd::from_raw_fd(inner))
    };
    let event_loop = EventLoop::new().unwrap();
    let mut tty = Tty::open(&event_loop, &inner).unwrap();
    let line = event_loop.block_on(async move {
        outer.write_all(b"first\n").unwrap();
        let first = tty.read_chunk().await.unwrap().unwrap();
        tty.write("seen\n").await.unwrap();
        let mut shown = [0; 13];
        outer.read_exact(&mut shown).unwrap();
        assert_eq!(&shown, b"first\r\nseen\r\n");
        first
    });
    assert_eq!(line, b"first\n");
    assert!(!event_loop.run(RunMode::Default));
}

#[test]
fn datagrams_are_awaited_in_order_and_no_more_are_taken_than_a_task_keeps_up_with() {
    const SENT: usize = 100;
    let event_loop = EventLoop::new().unwrap();
    let mut server = Udp::bind(&event_loop, loopback()).unwrap();
    let address = server.get_ref().local_address().unwrap();
    let mut client = Udp::bind(&event_loop, loopback()).unwrap();
    let from = client.get_ref().local_address().unwrap();
    let local = event_loop.handle();
    event_loop.block_on(async move {
        client.send("0", address).await.unwrap();
        let first = server.receive().await.unwrap();
        assert_eq!(first, Datagram { data: b"0".to_vec(), from, truncated: false });
        for number in 1..SENT {
            client.send(number.to_string(), address).await.unwrap();
        }
        // Nobody receives meanwhile: the socket stops by itself, which makes it inactive.
        while server.get_ref().is_active() {
            local.yield_now().await;
        }
        for number in 1..SENT {
            assert_eq!(server.receive().await.unwrap().data, number.to_string().as_bytes());
        }
        server.get_ref().close();
        assert_eq!(server.receive().await, Err(Error::Closed));
    });
    assert!(!event_loop.run(RunMode::Default));
}

#[test]
fn signals_are_awaited_one_by_one() {
    let event_loop = EventLoop::new().unwrap();
    let number = libc::SIGRTMIN() + 5;
    let mut signals = Signals::new(&event_loop, number).unwrap();
    let local = event_loop.handle();
    let handle = signals.get_ref().clone();
    event_loop.block_on(async move {
        for _ in 0..3 {
            // SAFETY: the signal is watched.
            assert_eq!(unsafe { libc::raise(number) }, 0);
            signals.next().await;
        }
        // Those that come while nobody waits are kept.
        for _ in 0..2 {
            // SAFETY: as above.
            assert_eq!(unsafe { libc::raise(number) }, 0);
        }
        local.sleep(MS).await;
        signals.next().await;
        signals.next().await;
    });
    assert!(handle.is_closing());
    assert!(!event_loop.run(RunMode::Default));
    assert!(Signals::new(&event_loop, libc::SIGKILL).is_err());
}

#[test]
fn the_end_of_a_process_is_awaited_and_its_output_too() {
    let event_loop = EventLoop::new().unwrap();
    let output = loopscope_runtime::Pipe::new(&event_loop);
    let shell = Command::new("sh").args(["-c", "echo hello; exit 3"]).stdout(Stdio::Pipe(output.clone()));
    let child = shell.start(&event_loop).unwrap();
    let (said, exit) = event_loop.block_on(async move {
        let mut output = Pipe::new(output);
        let mut said = Vec::new();
        while let Some(chunk) = output.read_chunk().await.unwrap() {
            said.extend(chunk);
        }
        (said, child.await.unwrap())
    });
    assert_eq!((said.as_slice(), exit.status), (&b"hello\n"[..], Some(3)));

    let child = Command::new("sleep").arg("1000").start(&event_loop).unwrap();
    child.process().kill(libc::SIGTERM).unwrap();
    assert_eq!(event_loop.block_on(child).unwrap().signal, Some(libc::SIGTERM));
    let child = Command::new("true").start(&event_loop).unwrap();
    child.process().close();
    assert_eq!(event_loop.block_on(child), Err(Error::Closed));
}

#[test]
fn a_listener_keeps_a_few_connections_for_its_task_and_leaves_the_rest_to_the_kernel() {
    const CLIENTS: usize = 50;
    // Alone, for descriptors are counted.
    in_child(
        "a_listener_keeps_a_few_connections_for_its_task_and_leaves_the_rest_to_the_kernel",
        &[],
        || {
            let event_loop = EventLoop::new().unwrap();
            let listener = TcpListener::bind(&event_loop, loopback(), 128).unwrap();
            let address = listener.local_address().unwrap();
            let clients: Vec<_> =
                (0..CLIENTS).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
            let before = common::descriptor_count();
            for _ in 0..3 * CLIENTS {
                event_loop.run(RunMode::NoWait);
            }
            assert_eq!(common::descriptor_count() - before, 16);
            let accepted = Rc::new(Cell::new(0));
            let count = Rc::clone(&accepted);
            event_loop.block_on(async move {
                while count.get() < CLIENTS {
                    listener.accept().await.unwrap().close().await;
                    count.set(count.get() + 1);
                }
            });
            assert_eq!(accepted.get(), CLIENTS);
            drop(clients);
            assert!(!event_loop.run(RunMode::Default));
        },
    );
}
