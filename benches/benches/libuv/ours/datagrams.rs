//! UDP.

use std::net::SocketAddr;

use runtime::{Error, EventLoop, Received, RunMode, Udp};

const MESSAGE: &[u8] = b"RANG TANG DING DONG I AM THE JAPANESE SANDMAN";

fn bound(event_loop: &EventLoop) -> (Udp, SocketAddr) {
    let socket = Udp::new(event_loop);
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let address = socket.local_address().expect("a bound socket");
    (socket, address)
}

pub(super) fn ping(event_loop: &EventLoop, count: u64) {
    let (socket, address) = bound(event_loop);
    let mut left = count;
    let received = move |_: &EventLoop, socket: &Udp, received: Result<Received<'_>, Error>| {
        assert!(matches!(received, Ok(Received::Datagram { .. })));
        left -= 1;
        match left {
            0 => socket.close(),
            _ => assert!(socket.try_send(b"PING\n", address).expect("an open socket")),
        }
    };
    socket.receive_start(received).expect("an open socket");
    assert!(socket.try_send(b"PING\n", address).expect("an open socket"));
    event_loop.run(RunMode::Default);
}

pub(super) fn pummel(event_loop: &EventLoop, count: u64) {
    let (receiver, address) = bound(event_loop);
    let received = |_: &EventLoop, _: &Udp, received: Result<Received<'_>, Error>| {
        received.expect("a datagram");
    };
    receiver.receive_start(received).expect("an open socket");
    send_next(&Udp::new(event_loop), receiver, address, count);
    event_loop.run(RunMode::Default);
}

fn send_next(sender: &Udp, receiver: Udp, address: SocketAddr, left: u64) {
    let sent = move |_: &EventLoop, sender: &Udp, sent: Result<(), Error>| {
        sent.expect("room in the socket");
        match left {
            1 => {
                sender.close();
                receiver.close();
            }
            _ => send_next(sender, receiver, address, left - 1),
        }
    };
    sender.send(MESSAGE, address, sent).expect("an open socket");
}
