//! Pipes: UNIX sockets and FIFOs, and the descriptors that are passed over them.

mod common;

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;

use common::{Log, collect, temporary_folder};
use loopscope_runtime::{
    Error, EventLoop, HandleType, Pipe, PipeListener, PipeName, Prepare, Read, ReceiveOptions, RunMode,
    TcpListener, TcpStream, Udp,
};

fn socket_path(test: &str) -> PathBuf {
    temporary_folder(test).join("socket")
}

fn any_tcp_listener(event_loop: &EventLoop) -> TcpListener {
    TcpListener::bind(event_loop, "127.0.0.1:0".parse().unwrap()).unwrap()
}

#[test]
fn a_listener_serves_by_its_path_and_takes_the_path_with_it() {
    let path = socket_path("serves");
    let event_loop = EventLoop::new().unwrap();
    let listener = PipeListener::bind(&event_loop, path.as_path()).unwrap();
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
    assert_eq!(listener.local_name(), Ok(Some(PipeName::Path(path.clone()))));
    listener
        .listen(16, |_, listener, connection| {
            let pipe = connection.unwrap();
            pipe.write("hello", |_, pipe, result| {
                result.unwrap();
                pipe.close();
            })
            .unwrap();
            listener.close();
        })
        .unwrap();
    let expected = path.clone();
    let client = Pipe::connect(&event_loop, path.as_path(), move |_, pipe, result| {
        result.unwrap();
        assert_eq!(pipe.peer_name(), Ok(Some(PipeName::Path(expected))));
        assert_eq!(pipe.local_name(), Ok(None));
    });
    let received = collect(&client);
    event_loop.run(RunMode::Default);
    assert_eq!(*received.borrow(), b"hello");
    assert!(!path.exists());
}

#[test]
fn a_listener_that_is_dropped_takes_its_path_with_it() {
    let path = socket_path("dropped");
    let event_loop = EventLoop::new().unwrap();
    let listener = PipeListener::bind(&event_loop, path.as_path()).unwrap();
    listener.listen(1, |_, _, _| unreachable!()).unwrap();
    drop(listener);
    assert!(path.exists(), "it is active");
    drop(event_loop);
    assert!(!path.exists());
}

#[test]
fn a_path_that_is_taken_stays_whose_it_is() {
    let path = socket_path("taken");
    let event_loop = EventLoop::new().unwrap();
    let first = PipeListener::bind(&event_loop, path.as_path()).unwrap();
    let second = PipeListener::bind(&event_loop, path.as_path());
    let error = second.map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(path.exists());
    first.close();
    event_loop.run(RunMode::Default);
}

#[test]
fn names_without_a_file_are_any_bytes_or_the_kernels_choice() {
    let event_loop = EventLoop::new().unwrap();
    let name = format!("loopscope\0{}\0", std::process::id()).into_bytes();
    let chosen = PipeName::Abstract(name.clone());
    for (name, expected) in [(chosen.clone(), Some(chosen)), (PipeName::Any, None)] {
        let listener = PipeListener::bind(&event_loop, name).unwrap();
        let found = listener.local_name().unwrap().unwrap();
        assert!(matches!(&found, PipeName::Abstract(name) if !name.is_empty()), "{found:?}");
        assert!(expected.is_none_or(|expected| expected == found));
        listener.listen(1, |_, listener, _| listener.close()).unwrap();
        Pipe::connect(&event_loop, found, |_, pipe, result| {
            result.unwrap();
            pipe.close();
        });
        event_loop.run(RunMode::Default);
    }
}

#[test]
fn a_name_that_nobody_has_is_told_to_the_callback_in_the_next_iteration() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let long = PipeName::Path("x".repeat(200).into());
    for (name, kind) in [
        (PipeName::from("/nowhere/at/all"), std::io::ErrorKind::NotFound),
        (long, std::io::ErrorKind::InvalidFilename),
        (PipeName::from(""), std::io::ErrorKind::InvalidInput),
        (PipeName::Any, std::io::ErrorKind::InvalidInput),
    ] {
        let noted = log.clone();
        Pipe::connect(&event_loop, name, move |_, _, result| {
            assert_eq!(result.unwrap_err().kind(), kind);
            noted.note("told");
        });
        log.expect("");
        event_loop.run(RunMode::Default);
        log.expect("told");
    }
}

#[test]
fn connecting_in_a_prepare_callback_is_told_in_the_same_iteration() {
    // libuv's pipe_connect_on_prepare: with nobody there the error comes with what was put off.
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let prepare = Prepare::new(&event_loop);
    let noted = log.clone();
    prepare
        .start(move |event_loop, prepare| {
            let noted = noted.clone();
            Pipe::connect(event_loop, "/nowhere/at/all", move |_, pipe, result| {
                assert!(result.is_err());
                noted.note("connect");
                pipe.close();
            });
            prepare.close();
        })
        .unwrap();
    event_loop.run(RunMode::Once);
    log.expect("connect");
    event_loop.run(RunMode::Default);
}

#[test]
fn permissions_are_added_for_everybody() {
    let path = socket_path("permissions");
    let event_loop = EventLoop::new().unwrap();
    let listener = PipeListener::bind(&event_loop, path.as_path()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    listener.add_permissions(true, false).unwrap();
    assert_eq!(mode(), 0o744);
    listener.add_permissions(false, true).unwrap();
    assert_eq!(mode(), 0o766);
}

#[test]
fn both_ends_of_a_pair_write_and_read_and_shut_down() {
    let event_loop = EventLoop::new().unwrap();
    let (one, other) = Pipe::pair(&event_loop).unwrap();
    // More than the kernel holds, so that both wait for each other.
    let much: Vec<u8> = (0..3_000_000u32).map(|n| n as u8).collect();
    for pipe in [&one, &other] {
        pipe.write(much.clone(), |_, pipe, result| {
            result.unwrap();
            pipe.shutdown(|_, _, result| result.unwrap()).unwrap();
        })
        .unwrap();
        assert!(pipe.write_queue_bytes() > 0);
    }
    let (at_one, at_other) = (collect(&one), collect(&other));
    event_loop.run(RunMode::Default);
    assert!(*at_one.borrow() == much && *at_other.borrow() == much);
}

#[test]
fn the_ends_of_a_fifo_are_pipes_and_each_goes_one_way() {
    let event_loop = EventLoop::new().unwrap();
    let (reading, writing) = rustix::pipe::pipe().unwrap();
    let (reader, writer) = (Pipe::new(&event_loop), Pipe::new(&event_loop));
    reader.open(reading).unwrap();
    writer.open(writing).unwrap();
    assert_eq!((reader.is_readable(), reader.is_writable()), (true, false));
    assert_eq!((writer.is_readable(), writer.is_writable()), (false, true));
    let much = vec![7; 500_000];
    writer
        .write_vectored([much.clone().into(), "end".into()], |_, writer, result| {
            result.unwrap();
            writer.close();
        })
        .unwrap();
    let received = collect(&reader);
    event_loop.run(RunMode::Default);
    assert!(*received.borrow() == [much.as_slice(), b"end"].concat());
}

#[test]
fn writing_to_a_pipe_that_nobody_reads_is_an_error_and_no_signal() {
    let event_loop = EventLoop::new().unwrap();
    let (one, other) = Pipe::pair(&event_loop).unwrap();
    other.close();
    event_loop.run(RunMode::NoWait);
    assert_eq!(one.try_write(b"lost").unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    let told = Rc::new(Cell::new(None));
    let tell = Rc::clone(&told);
    one.write("lost", move |_, _, result| tell.set(Some(result))).unwrap();
    assert_eq!(told.get(), None, "not within the call");
    event_loop.run(RunMode::Default);
    assert_eq!(told.get().unwrap().unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
}

#[test]
fn what_is_not_open_says_so_and_what_is_open_cannot_be_opened() {
    let event_loop = EventLoop::new().unwrap();
    let pipe = Pipe::new(&event_loop);
    assert_eq!(pipe.write("x", |_, _, _| unreachable!()), Err(Error::NotOpen));
    assert_eq!(pipe.try_write(b"x"), Err(Error::NotOpen));
    assert_eq!(pipe.read_start(|_, _, _| unreachable!()), Err(Error::NotOpen));
    assert_eq!(pipe.shutdown(|_, _, _| unreachable!()), Err(Error::NotOpen));
    assert_eq!(pipe.local_name(), Err(Error::NotOpen));
    let (one, other) = UnixStream::pair().unwrap();
    pipe.open(one.into()).unwrap();
    assert_eq!(pipe.open(other.into()), Err(Error::Busy));
    assert_eq!(pipe.connect_to("/nowhere", |_, _, _| unreachable!()), Err(Error::Busy));
    pipe.close();
    assert_eq!(pipe.open(UnixStream::pair().unwrap().0.into()), Err(Error::Closed));
    event_loop.run(RunMode::Default);
}

#[test]
fn a_file_cannot_be_watched_and_reading_it_as_a_stream_says_so() {
    let event_loop = EventLoop::new().unwrap();
    let pipe = Pipe::new(&event_loop);
    pipe.open(fs::File::open("/proc/self/exe").unwrap().into()).unwrap();
    let error = pipe.read_start(|_, _, _| unreachable!()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    assert!(!pipe.is_active());
}

#[test]
fn descriptors_arrive_in_order_each_with_the_bytes_that_they_were_sent_with() {
    let event_loop = EventLoop::new().unwrap();
    let (one, other) = Pipe::passing_pair(&event_loop).unwrap();
    let listener = any_tcp_listener(&event_loop);
    let address = listener.local_address().unwrap();
    let (mut near, far) = UnixStream::pair().unwrap();
    one.write("plain ", |_, _, result| result.unwrap()).unwrap();
    one.write_with("tcp ", listener.descriptor().unwrap(), |_, _, result| result.unwrap()).unwrap();
    one.write("between ", |_, _, result| result.unwrap()).unwrap();
    one.write_with("pipe", Rc::new(OwnedFd::from(far)), |_, one, result| {
        result.unwrap();
        one.close();
    })
    .unwrap();
    let text = Rc::new(RefCell::new(String::new()));
    let types = Rc::new(RefCell::new(Vec::new()));
    let (texts, found) = (Rc::clone(&text), Rc::clone(&types));
    other
        .read_start(move |event_loop, other, read| match read.unwrap() {
            Read::Data(data) => {
                texts.borrow_mut().push_str(std::str::from_utf8(data).unwrap());
                while let Some(handle_type) = other.pending_type() {
                    found.borrow_mut().push(handle_type);
                    let received = other.take_pending().unwrap();
                    match handle_type {
                        HandleType::Tcp => {
                            let received = TcpListener::open(event_loop, received).unwrap();
                            assert_eq!(received.local_address(), Ok(address));
                        }
                        _ => UnixStream::from(received).write_all(b"through").unwrap(),
                    }
                }
                assert_eq!(other.pending_count(), 0);
            }
            Read::End => other.close(),
        })
        .unwrap();
    event_loop.run(RunMode::Default);
    assert_eq!(*text.borrow(), "plain tcp between pipe");
    assert_eq!(*types.borrow(), [HandleType::Tcp, HandleType::Pipe]);
    let mut through = [0; 7];
    near.read_exact(&mut through).unwrap();
    assert_eq!(&through, b"through");
}

#[test]
fn a_descriptor_is_sent_once_though_its_write_goes_out_in_pieces() {
    let event_loop = EventLoop::new().unwrap();
    let (one, other) = Pipe::passing_pair(&event_loop).unwrap();
    let much = vec![1u8; 2_000_000];
    let sent = any_tcp_listener(&event_loop);
    one.write("first", |_, _, result| result.unwrap()).unwrap();
    one.write_with(much, sent.descriptor().unwrap(), |_, one, result| {
        result.unwrap();
        one.close();
    })
    .unwrap();
    let taken = Rc::new(Cell::new(0));
    let count = Rc::clone(&taken);
    other
        .read_start(move |_, other, read| match read.unwrap() {
            Read::Data(_) => count.set(count.get() + std::iter::from_fn(|| other.take_pending()).count()),
            Read::End => other.close(),
        })
        .unwrap();
    event_loop.run(RunMode::Default);
    assert_eq!(taken.get(), 1);
}

#[test]
fn a_connection_that_was_accepted_here_is_served_through_another_pipe() {
    let event_loop = EventLoop::new().unwrap();
    let (one, other) = Pipe::passing_pair(&event_loop).unwrap();
    let listener = any_tcp_listener(&event_loop);
    listener
        .listen(1, move |_, listener, connection| {
            let connection = connection.unwrap();
            one.write_with("yours", connection.descriptor().unwrap(), move |_, one, result| {
                result.unwrap();
                connection.close();
                one.close();
            })
            .unwrap();
            listener.close();
        })
        .unwrap();
    other
        .read_start(|event_loop, other, read| match read.unwrap() {
            Read::Data(_) => {
                let stream = TcpStream::new(event_loop);
                stream.open(other.take_pending().unwrap()).unwrap();
                stream
                    .write("served", |_, stream, result| {
                        result.unwrap();
                        stream.close();
                    })
                    .unwrap();
            }
            Read::End => other.close(),
        })
        .unwrap();
    let client =
        TcpStream::connect(&event_loop, listener.local_address().unwrap(), |_, _, result| result.unwrap());
    let text = Rc::new(RefCell::new(Vec::new()));
    let into = Rc::clone(&text);
    client
        .unwrap()
        .read_start(move |_, client, read| match read.unwrap() {
            Read::Data(data) => into.borrow_mut().extend_from_slice(data),
            Read::End => client.close(),
        })
        .unwrap();
    event_loop.run(RunMode::Default);
    assert_eq!(*text.borrow(), b"served");
}

#[test]
fn what_cannot_pass_descriptors_says_so() {
    let event_loop = EventLoop::new().unwrap();
    let (plain, _other) = Pipe::pair(&event_loop).unwrap();
    let sent = Rc::new(OwnedFd::from(fs::File::open("/dev/null").unwrap()));
    let refused = plain.write_with("x", Rc::clone(&sent), |_, _, _| unreachable!());
    assert!(matches!(refused, Err(Error::Invalid { .. })));
    let (passing, _other) = Pipe::passing_pair(&event_loop).unwrap();
    let refused = passing.write_with("", sent, |_, _, _| unreachable!());
    assert!(matches!(refused, Err(Error::Invalid { .. })));
    let fifo = rustix::pipe::pipe().unwrap().0;
    assert!(matches!(Pipe::new_passing(&event_loop).open(fifo), Err(Error::Invalid { .. })));
}

#[test]
fn descriptors_that_nobody_took_are_closed_with_the_pipe() {
    let event_loop = EventLoop::new().unwrap();
    let (one, other) = Pipe::passing_pair(&event_loop).unwrap();
    let (mut near, far) = UnixStream::pair().unwrap();
    one.write_with("x", Rc::new(far.into()), |_, one, _| one.close()).unwrap();
    other
        .read_start(|_, other, _| {
            assert_eq!(other.pending_count(), 1);
            other.close();
        })
        .unwrap();
    event_loop.run(RunMode::Default);
    assert_eq!(near.read(&mut [0]).unwrap(), 0, "the other end is closed");
}

#[test]
fn a_stream_whose_loop_has_ended_waits_for_nothing_and_is_freed() {
    let event_loop = EventLoop::new().unwrap();
    let (own, _peer) = UnixStream::pair().unwrap();
    let pipe = Pipe::new(&event_loop);
    pipe.open(own.into()).unwrap();
    let held = Rc::new(());
    let of_callback = Rc::clone(&held);
    // More than the kernel takes, so that a write waits.
    pipe.write(vec![0; 4 << 20], move |_, _, _| drop(of_callback)).unwrap();
    drop(event_loop);
    pipe.read_stop();
    drop(pipe);
    assert_eq!(Rc::strong_count(&held), 1, "nothing refers to the stream any more");
}

#[test]
fn a_read_gives_at_most_128_kib_also_after_datagrams_made_the_buffer_larger() {
    let event_loop = EventLoop::new().unwrap();
    let udp = Udp::new(&event_loop);
    udp.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    udp.receive_start_with(ReceiveOptions { batch: 20, ..ReceiveOptions::default() }, |_, udp, received| {
        received.unwrap();
        udp.close();
    })
    .unwrap();
    assert!(udp.try_send(b"one", udp.local_address().unwrap()).unwrap());
    event_loop.run(RunMode::Default);

    let (own, peer) = UnixStream::pair().unwrap();
    peer.set_nonblocking(true).unwrap();
    let written = (&peer).write(&[7; 150_000]).unwrap();
    assert!(written > 128 * 1024, "the kernel holds more than one read: {written}");
    drop(peer);
    let pipe = Pipe::new(&event_loop);
    pipe.open(own.into()).unwrap();
    let (longest, all) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (longest_seen, sum) = (Rc::clone(&longest), Rc::clone(&all));
    pipe.read_start(move |_, pipe, read| match read.unwrap() {
        Read::Data(data) => {
            longest_seen.set(longest_seen.get().max(data.len()));
            sum.set(sum.get() + data.len());
        }
        Read::End => pipe.close(),
    })
    .unwrap();
    event_loop.run(RunMode::Default);
    assert_eq!((longest.get(), all.get()), (128 * 1024, written));
}
