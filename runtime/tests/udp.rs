//! UDP sockets.

mod common;

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::rc::Rc;

use common::{Log, MS, after, skip};
use loopscope_runtime::{BindOptions, Error, EventLoop, Interface, ReceiveOptions, Received, RunMode, Udp};

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn bound(event_loop: &EventLoop) -> (Udp, SocketAddr) {
    let udp = Udp::new(event_loop);
    udp.bind(loopback()).unwrap();
    let address = udp.local_address().unwrap();
    (udp, address)
}

/// Datagrams that came, and whether they were cut off.
type Datagrams = Rc<RefCell<Vec<(Vec<u8>, bool)>>>;

/// Collects datagrams until there are `count`, then closes.
fn collect(udp: &Udp, options: ReceiveOptions, count: usize) -> Datagrams {
    let collected = Rc::new(RefCell::new(Vec::new()));
    let into = Rc::clone(&collected);
    udp.receive_start_with(options, move |_, udp, received| {
        let Received::Datagram { data, truncated, .. } = received.unwrap() else { unreachable!() };
        into.borrow_mut().push((data.to_vec(), truncated));
        if into.borrow().len() == count {
            udp.close();
        }
    })
    .unwrap();
    collected
}

/// Whether this machine has IPv6; says that the test is skipped if not.
fn ipv6() -> bool {
    let there = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !there {
        skip("there is no IPv6");
    }
    there
}

#[test]
fn a_datagram_comes_back_to_who_sent_it() {
    for any in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        if any.is_ipv6() && !ipv6() {
            continue;
        }
        let event_loop = EventLoop::new().unwrap();
        let server = Udp::new(&event_loop);
        server.bind(SocketAddr::new(any, 0)).unwrap();
        server
            .receive_start(|_, server, received| {
                let Received::Datagram { data, from, .. } = received.unwrap() else { unreachable!() };
                assert_eq!(data, b"ping");
                server
                    .send("pong", from, |_, server, result| {
                        result.unwrap();
                        server.close();
                    })
                    .unwrap();
            })
            .unwrap();
        let client = Udp::new(&event_loop);
        client.send("ping", server.local_address().unwrap(), |_, _, result| result.unwrap()).unwrap();
        let received = collect(&client, ReceiveOptions::default(), 1);
        event_loop.run(RunMode::Default);
        assert_eq!(*received.borrow(), [(b"pong".to_vec(), false)]);
    }
}

#[test]
fn datagrams_are_sent_in_order_and_their_callbacks_run_after_the_call_that_sends() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let (server, address) = bound(&event_loop);
    let client = Udp::new(&event_loop);
    for number in 0..50 {
        let noted = log.clone();
        client
            .send_vectored([number.to_string().into(), "!".into()], address, move |_, client, result| {
                result.unwrap();
                noted.note(number);
                assert_eq!(client.send_queue_count(), 49 - number);
            })
            .unwrap();
    }
    assert_eq!(client.send_queue_count(), 50);
    assert_eq!(client.send_queue_bytes(), 10 * 2 + 40 * 3);
    assert!(client.is_active());
    log.expect("");
    let received = collect(&server, ReceiveOptions::default(), 50);
    event_loop.run(RunMode::Default);
    let expected: Vec<_> = (0..50).map(|number| (format!("{number}!").into_bytes(), false)).collect();
    assert_eq!(*received.borrow(), expected);
    log.expect(&(0..50).map(|number| number.to_string()).collect::<Vec<_>>().join(" "));
    assert!(!client.is_active(), "what only sent is done");
    assert_eq!((client.send_queue_bytes(), client.send_queue_count()), (0, 0));
}

#[test]
fn a_batch_is_received_one_by_one_and_may_be_stopped_in_between() {
    let event_loop = EventLoop::new().unwrap();
    let (server, address) = bound(&event_loop);
    let sender = UdpSocket::bind(loopback()).unwrap();
    let send_all = || (0..30u8).for_each(|number| assert_eq!(sender.send_to(&[number], address).unwrap(), 1));
    let options = ReceiveOptions { batch: 20, bytes_max: 1500 };

    send_all();
    let stopped = Rc::new(Cell::new(0));
    let count = Rc::clone(&stopped);
    server
        .receive_start_with(options, move |_, server, _| {
            count.set(count.get() + 1);
            if count.get() == 3 {
                server.receive_stop();
            }
        })
        .unwrap();
    event_loop.run(RunMode::Default);
    assert_eq!(stopped.get(), 3);
    assert!(!server.is_active());

    send_all();
    // What was received with the third and not told is lost, as it is in libuv; the rest waited.
    let received = collect(&server, options, 40);
    event_loop.run(RunMode::Default);
    let numbers: Vec<u8> = received.borrow().iter().map(|(data, _)| data[0]).collect();
    assert_eq!(numbers, (20..30).chain(0..30).collect::<Vec<u8>>());
}

#[test]
fn a_datagram_that_is_too_long_is_cut_off_and_says_so() {
    for batch in [1, 8] {
        let event_loop = EventLoop::new().unwrap();
        let (server, address) = bound(&event_loop);
        let client = Udp::new(&event_loop);
        client.send("too long", address, |_, _, result| result.unwrap()).unwrap();
        client.send("fits", address, |_, _, result| result.unwrap()).unwrap();
        client.send("", address, |_, _, result| result.unwrap()).unwrap();
        let received = collect(&server, ReceiveOptions { batch, bytes_max: 4 }, 3);
        event_loop.run(RunMode::Default);
        let expected = [(b"too ".to_vec(), true), (b"fits".to_vec(), false), (Vec::new(), false)];
        assert_eq!(*received.borrow(), expected);
    }
}

#[test]
fn try_send_sends_at_once_or_not_at_all() {
    let event_loop = EventLoop::new().unwrap();
    let (server, address) = bound(&event_loop);
    let client = Udp::new(&event_loop);
    assert_eq!(client.try_send(b"one", address), Ok(true));
    let many: Vec<(&[u8], Option<SocketAddr>)> = vec![(b"many", Some(address)); 45];
    assert_eq!(client.try_send_many(&many), Ok(45));
    client.send("queued", address, |_, _, result| result.unwrap()).unwrap();
    assert_eq!(client.try_send(b"late", address), Ok(false), "something is on its way");
    let received = collect(&server, ReceiveOptions { batch: 20, bytes_max: 100 }, 47);
    event_loop.run(RunMode::Default);
    assert_eq!(received.borrow().last().unwrap().0, b"queued");
}

#[test]
fn a_datagram_that_no_network_carries_is_an_error_for_its_own_callback_only() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let (server, address) = bound(&event_loop);
    let client = Udp::new(&event_loop);
    for data in [vec![1; 100], vec![0; 70_000], vec![2; 100]] {
        let noted = log.clone();
        client
            .send(data, address, move |_, _, result| {
                noted.note(result.map_or_else(|error| error.code(), |()| 0));
            })
            .unwrap();
    }
    let received = collect(&server, ReceiveOptions::default(), 2);
    event_loop.run(RunMode::Default);
    log.expect("0 90 0"); // EMSGSIZE
    assert_eq!(received.borrow()[1].0, vec![2; 100]);
    assert_eq!(client.try_send(&[0; 70_000], address).unwrap_err().code(), 90);
}

#[test]
fn a_connected_socket_hears_its_peer_only_until_it_is_disconnected() {
    let event_loop = EventLoop::new().unwrap();
    // A port that the system chose would be given up by disconnecting.
    let (client, client_address) = (Udp::new(&event_loop), nobody());
    client.bind(client_address).unwrap();
    let (peer, other) = (UdpSocket::bind(loopback()).unwrap(), UdpSocket::bind(loopback()).unwrap());
    let peer_address = peer.local_addr().unwrap();
    assert_eq!(client.disconnect(), Err(Error::NotOpen));
    client.connect(peer_address).unwrap();
    assert_eq!(client.connect(peer_address), Err(Error::Busy));
    assert_eq!(client.peer_address(), Ok(peer_address));

    let to_other = client.send("x", other.local_addr().unwrap(), |_, _, _| unreachable!());
    assert!(matches!(to_other, Err(Error::Invalid { .. })));
    client.send("hello", None, |_, _, result| result.unwrap()).unwrap();
    other.send_to(b"not heard", client_address).unwrap();
    peer.send_to(b"heard", client_address).unwrap();
    let heard = Rc::new(RefCell::new(Vec::new()));
    let into = Rc::clone(&heard);
    client
        .receive_start(move |_, client, received| {
            let Received::Datagram { data, .. } = received.unwrap() else { unreachable!() };
            into.borrow_mut().push(data.to_vec());
            client.receive_stop();
        })
        .unwrap();
    event_loop.run(RunMode::Default);
    assert_eq!(*heard.borrow(), [b"heard"]);

    client.disconnect().unwrap();
    assert!(client.peer_address().is_err());
    let unaddressed = client.send("x", None, |_, _, _| unreachable!());
    assert!(matches!(unaddressed, Err(Error::Invalid { .. })));
    other.send_to(b"now", client_address).unwrap();
    let received = collect(&client, ReceiveOptions::default(), 1);
    event_loop.run(RunMode::Default);
    assert_eq!(received.borrow()[0].0, b"now");
}

/// An address on which nobody listens.
fn nobody() -> SocketAddr {
    UdpSocket::bind(loopback()).unwrap().local_addr().unwrap()
}

#[test]
fn a_connected_socket_is_told_that_nobody_listens() {
    let event_loop = EventLoop::new().unwrap();
    let (client, _) = bound(&event_loop);
    client.connect(nobody()).unwrap();
    client.send("lost", None, |_, _, result| result.unwrap()).unwrap();
    let told = Rc::new(Cell::new(None));
    let tell = Rc::clone(&told);
    client
        .receive_start(move |_, client, received| {
            tell.set(received.err());
            assert!(client.is_active(), "it goes on");
            client.close();
        })
        .unwrap();
    event_loop.run(RunMode::Default);
    assert_eq!(told.get().unwrap().kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn an_unconnected_socket_is_told_where_nobody_listens_if_it_asks() {
    let event_loop = EventLoop::new().unwrap();
    let (client, _) = bound(&event_loop);
    client.report_undelivered(true).unwrap();
    let expected = nobody();
    client.send("lost", expected, |_, _, result| result.unwrap()).unwrap();
    let undelivered = Rc::new(Cell::new(None));
    let tell = Rc::clone(&undelivered);
    client
        .receive_start(move |_, client, received| {
            // The socket also has the error for whoever receives first.
            if let Ok(Received::Undelivered { to, reason }) = received {
                tell.set(Some((to, reason.kind())));
                client.close();
            }
        })
        .unwrap();
    event_loop.run(RunMode::Default);
    assert_eq!(undelivered.get(), Some((Some(expected), std::io::ErrorKind::ConnectionRefused)));
}

#[test]
fn closing_cancels_what_is_on_its_way() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let (client, address) = bound(&event_loop);
    client.set_send_buffer_bytes(1).unwrap();
    // More than the socket takes.
    for _ in 0..200 {
        let noted = log.clone();
        client
            .send(vec![0; 9000], address, move |_, _, result| {
                noted.note(if result.is_ok() { "sent" } else { "cancelled" });
                assert!(matches!(result, Ok(()) | Err(Error::Cancelled)));
            })
            .unwrap();
    }
    client.close_with(log.noting_once("closed"));
    assert_eq!(client.send("late", address, |_, _, _| unreachable!()), Err(Error::Closed));
    event_loop.run(RunMode::Default);
    let all = log.take();
    assert!(all.ends_with(" closed"), "{all}");
    assert_eq!(all.split(' ').count(), 201);
}

#[test]
fn a_socket_that_takes_no_more_is_sent_to_when_it_does() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let (client, _) = bound(&event_loop);
    let (_server, address) = bound(&event_loop);
    client.set_send_buffer_bytes(1).unwrap();
    for _ in 0..300 {
        let noted = log.clone();
        client
            .send(vec![0; 30_000], address, move |_, _, result| {
                result.unwrap();
                noted.note("sent");
            })
            .unwrap();
    }
    event_loop.run(RunMode::Default);
    assert_eq!(log.count("sent"), 300);
}

#[test]
fn what_a_send_callback_sends_calls_back_in_its_turn() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let (client, address) = bound(&event_loop);
    let (first, second) = (log.clone(), log.clone());
    client
        .send("one", address, move |_, client, _| {
            first.note("one");
            let noted = first.clone();
            client.send("three", address, move |_, _, _| noted.note("three")).unwrap();
        })
        .unwrap();
    client.send("two", address, move |_, _, _| second.note("two")).unwrap();
    event_loop.run(RunMode::Default);
    log.expect("one two three");
}

#[test]
fn members_of_a_group_get_what_is_sent_to_it_until_they_leave() {
    let event_loop = EventLoop::new().unwrap();
    let group = IpAddr::from([239, 255, 70, 63]);
    let options = BindOptions { reuse_address: true, ..BindOptions::default() };
    let members: Vec<Udp> = (0..2).map(|_| Udp::new(&event_loop)).collect();
    let mut port = 0;
    for member in &members {
        member.bind_with(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), options).unwrap();
        port = member.local_address().unwrap().port();
        if let Err(error) = member.join_group(group, Interface::Address(Ipv4Addr::LOCALHOST)) {
            return skip(&format!("the loopback interface has no multicast: {error}"));
        }
        assert_eq!(
            member.join_group(group, Interface::Address(Ipv4Addr::LOCALHOST)).unwrap_err().code(),
            98, // EADDRINUSE
            "it is a member already"
        );
    }
    let (sender, _) = bound(&event_loop);
    sender.set_multicast_interface(Interface::Address(Ipv4Addr::LOCALHOST)).unwrap();
    sender.set_multicast_loop(true).unwrap();
    sender.set_multicast_hops(1).unwrap();
    sender.send("to all", SocketAddr::new(group, port), |_, _, result| result.unwrap()).unwrap();
    let heard: Vec<_> = members.iter().map(|_| Rc::new(Cell::new(0))).collect();
    for (member, count) in members.iter().zip(&heard) {
        let count = Rc::clone(count);
        member
            .receive_start(move |_, member, received| {
                assert!(matches!(received, Ok(Received::Datagram { data: b"to all", .. })));
                count.set(count.get() + 1);
                member.receive_stop();
            })
            .unwrap();
    }
    event_loop.run(RunMode::Default);
    assert_eq!(heard.iter().map(|count| count.get()).collect::<Vec<_>>(), [1, 1]);

    members[0].leave_group(group, Interface::Address(Ipv4Addr::LOCALHOST)).unwrap();
    assert!(members[0].leave_group(group, Interface::Address(Ipv4Addr::LOCALHOST)).is_err());
    let source = IpAddr::V4(Ipv4Addr::LOCALHOST);
    members[0].join_source_group(group, source, Interface::Address(Ipv4Addr::LOCALHOST)).unwrap();
    members[0].leave_source_group(group, source, Interface::Address(Ipv4Addr::LOCALHOST)).unwrap();
}

#[test]
fn nonsense_is_refused_by_the_system_and_told() {
    let event_loop = EventLoop::new().unwrap();
    let (udp, address) = bound(&event_loop);
    assert!(udp.join_group(Ipv4Addr::LOCALHOST.into(), Interface::Any).is_err(), "no group");
    assert!(udp.set_hops(0).is_err());
    udp.set_hops(12).unwrap();
    assert!(matches!(
        Udp::new(&event_loop).bind_with(address, BindOptions { ipv6_only: true, ..Default::default() }),
        Err(Error::Invalid { .. })
    ));
    assert_eq!(Udp::new(&event_loop).bind(address).unwrap_err().code(), 98);
    assert_eq!(Udp::new(&event_loop).set_broadcast(true), Err(Error::NotOpen));
    udp.receive_start(|_, _, _| unreachable!()).unwrap();
    assert_eq!(udp.receive_start(|_, _, _| unreachable!()), Err(Error::Busy));
}

#[test]
fn several_sockets_share_a_port_if_all_want_to() {
    let event_loop = EventLoop::new().unwrap();
    let options = BindOptions { reuse_port: true, ..BindOptions::default() };
    let (one, other) = (Udp::new(&event_loop), Udp::new(&event_loop));
    one.bind_with(loopback(), options).unwrap();
    other.bind_with(one.local_address().unwrap(), options).unwrap();
    assert!(Udp::new(&event_loop).bind(one.local_address().unwrap()).is_err());
}

#[test]
fn a_socket_for_ipv6_only_leaves_the_port_of_ipv4_alone() {
    if !ipv6() {
        return;
    }
    let event_loop = EventLoop::new().unwrap();
    let options = BindOptions { ipv6_only: true, ..BindOptions::default() };
    let both = Udp::new(&event_loop);
    both.bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))).unwrap();
    let port = both.local_address().unwrap().port();
    assert!(Udp::new(&event_loop).bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).is_err());
    both.close();
    event_loop.run(RunMode::Default);
    let only = Udp::new(&event_loop);
    only.bind_with(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), options).unwrap();
    Udp::new(&event_loop).bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).unwrap();
}

#[test]
fn an_unreferenced_socket_that_receives_lets_the_loop_end() {
    let event_loop = EventLoop::new().unwrap();
    let (udp, _) = bound(&event_loop);
    udp.receive_start(|_, _, _| unreachable!()).unwrap();
    udp.unreference();
    assert!(!event_loop.run(RunMode::Default));
    udp.reference();
    after(&event_loop, MS, move |_| udp.close());
    event_loop.run(RunMode::Default);
}

#[test]
fn a_socket_from_elsewhere_is_taken_as_it_is() {
    let event_loop = EventLoop::new().unwrap();
    let socket = UdpSocket::bind(loopback()).unwrap();
    let peer = UdpSocket::bind(loopback()).unwrap();
    socket.connect(peer.local_addr().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let udp = Udp::new(&event_loop);
    udp.open(socket.into()).unwrap();
    assert_eq!(udp.local_address(), Ok(address));
    assert_eq!(udp.open(UdpSocket::bind(loopback()).unwrap().into()), Err(Error::Busy));
    udp.send("connected", None, |_, udp, result| {
        result.unwrap();
        udp.close();
    })
    .unwrap();
    event_loop.run(RunMode::Default);
    let mut buffer = [0; 20];
    assert_eq!(peer.recv(&mut buffer).unwrap(), 9);
}

#[test]
fn a_panic_in_a_send_callback_loses_only_itself() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let (client, address) = bound(&event_loop);
    client.send("one", address, |_, _, _| panic!("on purpose")).unwrap();
    for number in 2..4 {
        let noted = log.clone();
        client.send("more", address, move |_, _, _| noted.note(number)).unwrap();
    }
    let run = || std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| event_loop.run(RunMode::Default)));
    assert!(run().is_err());
    log.expect("");
    assert!(run().is_ok());
    log.expect("2 3");
}

#[test]
fn a_socket_that_is_being_closed_is_not_made_active_again() {
    let event_loop = EventLoop::new().unwrap();
    let (udp, address) = bound(&event_loop);
    let log = Log::default();
    udp.receive_start(|_, _, _| unreachable!()).unwrap();
    let noted = log.clone();
    // Its callback is still to come when the socket is closed.
    udp.send("on its way", address, move |_, udp, result| {
        result.unwrap();
        udp.receive_stop();
        noted.note("called back");
    })
    .unwrap();
    udp.close();
    udp.receive_stop();
    assert!(!udp.is_active());
    assert!(!event_loop.run(RunMode::Default), "the run ends");
    log.expect("called back");
}
