//! TCP, both ends in one loop.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use runtime::{Error, EventLoop, Read, RunMode, TcpListener, TcpStream};

const PUMP_BYTES: &[u8] = &[0; 8192];

fn listen(
    event_loop: &EventLoop,
    serve: impl FnMut(&EventLoop, &TcpListener, Result<TcpStream, Error>) + 'static,
) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(event_loop, "127.0.0.1:0".parse().expect("an address")).expect("a port");
    listener.listen(128, serve).expect("a bound listener");
    let address = listener.local_address().expect("a bound listener");
    (listener, address)
}

fn echo(_: &EventLoop, stream: &TcpStream, read: Result<Read<'_>, Error>) {
    match read {
        Ok(Read::Data(data)) => stream.write(data.to_vec(), |_, _, _| ()).expect("an open stream"),
        Ok(Read::End) | Err(_) => stream.close(),
    }
}

pub(super) fn ping_pong(event_loop: &EventLoop, count: u64) {
    let (_, address) = listen(event_loop, |_, listener, stream| {
        let stream = stream.expect("a connection");
        stream.set_nodelay(true).expect("a connection");
        stream.read_start(echo).expect("an open stream");
        listener.close();
    });
    let mut left = count;
    let pong = move |_: &EventLoop, stream: &TcpStream, read: Result<Read<'_>, Error>| {
        assert!(matches!(read, Ok(Read::Data(_))));
        left -= 1;
        match left {
            0 => stream.close(),
            _ => stream.write(b"PING\n".to_vec(), |_, _, _| ()).expect("an open stream"),
        }
    };
    let client = TcpStream::connect(event_loop, address, move |_, stream, connected| {
        connected.expect("a connection");
        stream.set_nodelay(true).expect("a connection");
        stream.read_start(pong).expect("an open stream");
        stream.write(b"PING\n".to_vec(), |_, _, _| ()).expect("an open stream");
    });
    client.expect("a socket");
    event_loop.run(RunMode::Default);
}

pub(super) fn pump(event_loop: &EventLoop, count: u64) {
    let (_, address) = listen(event_loop, |_, listener, stream| {
        let swallow = |_: &EventLoop, stream: &TcpStream, read: Result<Read<'_>, Error>| {
            if !matches!(read, Ok(Read::Data(_))) {
                stream.close();
            }
        };
        let stream = stream.expect("a connection");
        stream.set_nodelay(true).expect("a connection");
        stream.read_start(swallow).expect("an open stream");
        listener.close();
    });
    let client = TcpStream::connect(event_loop, address, move |_, stream, connected| {
        connected.expect("a connection");
        write_next(stream, count);
    });
    client.expect("a socket");
    event_loop.run(RunMode::Default);
}

fn write_next(stream: &TcpStream, left: u64) {
    let written = move |_: &EventLoop, stream: &TcpStream, written: Result<(), Error>| {
        written.expect("a reader");
        match left {
            1 => stream.close(),
            _ => write_next(stream, left - 1),
        }
    };
    stream.write(PUMP_BYTES, written).expect("an open stream");
}

pub(super) fn connections(event_loop: &EventLoop, count: u64) {
    let (listener, address) = listen(event_loop, |_, _, stream| {
        stream.expect("a connection").read_start(echo).expect("an open stream");
    });
    connect_next(event_loop, Rc::new(Cell::new(count)), listener, address);
    event_loop.run(RunMode::Default);
}

fn connect_next(event_loop: &EventLoop, left: Rc<Cell<u64>>, listener: TcpListener, address: SocketAddr) {
    let client = TcpStream::connect(event_loop, address, move |_, stream, connected| {
        connected.expect("a connection");
        let mut next = Some((left, listener));
        let answered = move |_: &EventLoop, stream: &TcpStream, _: Result<Read<'_>, Error>| {
            let Some((left, listener)) = next.take() else { return };
            stream.close_with(move |event_loop| {
                left.set(left.get() - 1);
                match left.get() {
                    0 => listener.close(),
                    _ => connect_next(event_loop, left, listener, address),
                }
            });
        };
        stream.read_start(answered).expect("an open stream");
        stream.write(b"QS".to_vec(), |_, _, _| ()).expect("an open stream");
    });
    client.expect("a socket");
}
