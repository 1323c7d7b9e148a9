//! What TCP streams and listeners can be told.

mod common;
mod support;

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use common::{Log, MS, after, skip};
use loopscope_runtime::{BindOptions, Error, EventLoop, KeepAlive, Read, RunMode, TcpListener, TcpStream};
use rustix::net::sockopt;
use support::in_child;

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// Two ends of a connection, of which one is the loop's.
fn connection(event_loop: &EventLoop) -> (TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind(loopback()).unwrap();
    let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let stream = TcpStream::new(event_loop);
    stream.open(listener.accept().unwrap().0.into()).unwrap();
    (stream, peer)
}

#[test]
fn options_reach_the_socket() {
    let event_loop = EventLoop::new().unwrap();
    let (stream, _peer) = connection(&event_loop);
    let socket = stream.descriptor().unwrap();
    for on in [true, false] {
        stream.set_nodelay(on).unwrap();
        assert_eq!(sockopt::tcp_nodelay(&*socket).unwrap(), on);
    }
    stream.set_keep_alive(Some(KeepAlive::after(Duration::from_secs(60)))).unwrap();
    assert!(sockopt::socket_keepalive(&*socket).unwrap());
    assert_eq!(sockopt::tcp_keepidle(&*socket).unwrap(), Duration::from_secs(60));
    assert_eq!(sockopt::tcp_keepintvl(&*socket).unwrap(), Duration::from_secs(1));
    assert_eq!(sockopt::tcp_keepcnt(&*socket).unwrap(), 10);
    stream.set_keep_alive(None).unwrap();
    assert!(!sockopt::socket_keepalive(&*socket).unwrap());
    let nothing = KeepAlive::after(Duration::from_millis(10));
    assert_eq!(stream.set_keep_alive(Some(nothing)).unwrap_err().code(), libc::EINVAL);
    stream.set_send_buffer_bytes(50_000).unwrap();
    assert!(stream.send_buffer_bytes().unwrap() >= 50_000);
    stream.set_receive_buffer_bytes(50_000).unwrap();
    assert!(stream.receive_buffer_bytes().unwrap() >= 50_000);
}

#[test]
fn a_stream_connects_from_the_address_that_it_was_bound_to() {
    let event_loop = EventLoop::new().unwrap();
    let listener = TcpListener::bind(&event_loop, loopback()).unwrap();
    let stream = TcpStream::new(&event_loop);
    assert_eq!(stream.local_address(), Err(Error::NotOpen));
    stream.bind(loopback(), BindOptions::default()).unwrap();
    let from = stream.local_address().unwrap();
    let seen = Rc::new(Cell::new(None));
    let tell = Rc::clone(&seen);
    listener
        .listen(1, move |_, listener, connection| {
            tell.set(connection.unwrap().peer_address().ok());
            listener.close();
        })
        .unwrap();
    stream
        .connect_to(listener.local_address().unwrap(), |_, stream, result| {
            result.unwrap();
            stream.close();
        })
        .unwrap();
    assert_eq!(stream.connect_to(from, |_, _, _| unreachable!()), Err(Error::Busy));
    event_loop.run(RunMode::Default);
    assert_eq!(seen.get(), Some(from));
}

#[test]
fn a_stream_that_is_closed_with_a_reset_gives_its_peer_an_error() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let (stream, mut peer) = connection(&event_loop);
    stream.close_reset(log.noting_once("closed")).unwrap();
    event_loop.run(RunMode::Default);
    log.expect("closed");
    assert_eq!(peer.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);

    let (stream, mut peer) = connection(&event_loop);
    stream.shutdown(|_, _, result| assert_eq!(result, Err(Error::Cancelled))).unwrap();
    assert_eq!(stream.close_reset(|_| unreachable!()), Err(Error::ShutDown));
    stream.close();
    event_loop.run(RunMode::Default);
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    assert_eq!(stream.close_reset(|_| unreachable!()), Err(Error::Closed));
}

#[test]
fn a_peer_that_resets_ends_the_writes_that_wait() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let (stream, peer) = connection(&event_loop);
    for number in 0..3 {
        let noted = log.clone();
        stream
            .write(vec![0; 10_000_000], move |_, stream, result| {
                let error = result.unwrap_err();
                assert!(
                    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
                    "{error}"
                );
                noted.note(number);
                if number == 2 {
                    assert_eq!(stream.write_queue_bytes(), 0);
                    stream.close();
                }
            })
            .unwrap();
    }
    after(&event_loop, 5 * MS, move |_| {
        sockopt::set_socket_linger(&peer, Some(Duration::ZERO)).unwrap();
        drop(peer);
    });
    event_loop.run(RunMode::Default);
    log.expect("0 1 2");
}

#[test]
fn listeners_share_a_port_if_all_want_to() {
    let event_loop = EventLoop::new().unwrap();
    let options = BindOptions { reuse_port: true, ..BindOptions::default() };
    let one = TcpListener::bind_with(&event_loop, loopback(), options).unwrap();
    let address = one.local_address().unwrap();
    let other = TcpListener::bind_with(&event_loop, address, options).unwrap();
    assert_eq!(other.local_address(), Ok(address));
    one.listen(1, |_, _, _| unreachable!()).unwrap();
    other.listen(1, |_, _, _| unreachable!()).unwrap();
    assert_eq!(other.listen(1, |_, _, _| unreachable!()), Err(Error::Busy));
    let refused = TcpListener::bind(&event_loop, address).map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AddrInUse);
}

#[test]
fn a_listener_for_ipv6_only_leaves_the_port_of_ipv4_alone() {
    let event_loop = EventLoop::new().unwrap();
    let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    let Ok(both) = TcpListener::bind(&event_loop, any) else { return skip("there is no IPv6") };
    both.listen(1, |_, _, _| unreachable!()).unwrap();
    let ipv4 = |port| TcpListener::bind(&event_loop, SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
    assert!(ipv4(both.local_address().unwrap().port()).is_err());
    let options = BindOptions { ipv6_only: true, ..BindOptions::default() };
    let only = TcpListener::bind_with(&event_loop, any, options).unwrap();
    only.listen(1, |_, _, _| unreachable!()).unwrap();
    ipv4(only.local_address().unwrap().port()).unwrap();
    assert!(matches!(TcpListener::bind_with(&event_loop, loopback(), options), Err(Error::Invalid { .. })));
}

#[test]
fn a_listener_from_elsewhere_is_taken_as_it_is() {
    let event_loop = EventLoop::new().unwrap();
    let socket = std::net::TcpListener::bind(loopback()).unwrap();
    let address = socket.local_addr().unwrap();
    let listener = TcpListener::open(&event_loop, socket.into()).unwrap();
    listener.listen(1, |_, listener, _| listener.close()).unwrap();
    TcpStream::connect(&event_loop, address, |_, stream, result| {
        result.unwrap();
        stream.close();
    })
    .unwrap();
    event_loop.run(RunMode::Default);
}

#[test]
fn what_was_written_before_connecting_goes_out_behind_the_callback_in_order() {
    // libuv's tcp_write_queue_order and tcp_connect_... : one callback for each, in the order of the calls.
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let listener = TcpListener::bind(&event_loop, loopback()).unwrap();
    let text = Rc::new(RefCell::new(Vec::new()));
    let into = Rc::clone(&text);
    listener
        .listen(1, move |_, listener, connection| {
            let into = Rc::clone(&into);
            connection
                .unwrap()
                .read_start(move |_, stream, read| match read.unwrap() {
                    Read::Data(data) => into.borrow_mut().extend_from_slice(data),
                    Read::End => stream.close(),
                })
                .unwrap();
            listener.close();
        })
        .unwrap();
    let noted = log.clone();
    let stream = TcpStream::connect(&event_loop, listener.local_address().unwrap(), move |_, _, result| {
        result.unwrap();
        noted.note("connect");
    })
    .unwrap();
    for word in ["one ", "two ", "three"] {
        let noted = log.clone();
        stream
            .write(word, move |_, _, result| {
                result.unwrap();
                noted.note(word.trim());
            })
            .unwrap();
    }
    let noted = log.clone();
    stream
        .shutdown(move |_, stream, result| {
            result.unwrap();
            noted.note("shutdown");
            stream.close_with(noted.noting_once("close"));
        })
        .unwrap();
    assert_eq!(stream.try_write(b"late"), Err(Error::ShutDown));
    event_loop.run(RunMode::Default);
    log.expect("connect one two three shutdown close");
    assert_eq!(*text.borrow(), b"one two three");
}

#[test]
fn a_listener_refuses_what_it_has_no_descriptor_for_if_it_is_told_to() {
    in_child("a_listener_refuses_what_it_has_no_descriptor_for_if_it_is_told_to", &[], || {
        let event_loop = EventLoop::new().unwrap();
        let log = Log::default();
        let listener = TcpListener::bind(&event_loop, loopback()).unwrap();
        listener.refuse_without_descriptors(true).unwrap();
        let address = listener.local_address().unwrap();
        let noted = log.clone();
        listener
            .listen(8, move |_, listener, connection| match connection {
                Ok(stream) => {
                    noted.note("accepted");
                    stream.close();
                    listener.close();
                }
                Err(error) => {
                    assert_eq!(error.code(), libc::EMFILE);
                    noted.note("refused");
                }
            })
            .unwrap();
        let mut files = common::use_up_descriptors();
        files.pop();
        let noted = log.clone();
        let mut files = Some(files);
        // The first one is dropped at once, the second served when there are descriptors again.
        TcpStream::connect(&event_loop, address, move |_, stream, result| {
            result.unwrap();
            stream
                .read_start(move |event_loop, stream, read| {
                    assert!(matches!(read, Ok(Read::End) | Err(_)));
                    noted.note("dropped");
                    stream.close();
                    drop(files.take());
                    TcpStream::connect(event_loop, address, |_, stream, result| {
                        result.unwrap();
                        stream.close();
                    })
                    .unwrap();
                })
                .unwrap();
        })
        .unwrap();
        event_loop.run(RunMode::Default);
        assert_eq!((log.count("dropped"), log.count("accepted")), (1, 1));
        let refused = log.count("refused");
        assert!((1..=2).contains(&refused), "{refused} times");
    });
}
