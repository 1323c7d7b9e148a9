//! TCP and UNIX sockets, both ends in one loop: the same code for either.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use runtime::{Error, EventLoop, Pipe, PipeListener, Read, RunMode, TcpListener, TcpStream};

const PUMP_BYTES: &[u8] = &[0; 8192];

fn bind_tcp(event_loop: &EventLoop) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(event_loop, "127.0.0.1:0".parse().expect("an address")).expect("a port");
    let address = listener.local_address().expect("a bound listener");
    (listener, address)
}

fn connect_tcp(
    event_loop: &EventLoop,
    address: &SocketAddr,
    connected: impl FnOnce(&EventLoop, &TcpStream, Result<(), Error>) + 'static,
) {
    TcpStream::connect(event_loop, *address, connected).expect("a socket");
}

fn bind_pipe(event_loop: &EventLoop) -> (PipeListener, PathBuf) {
    let path = std::env::temp_dir().join(format!("loopscope-bench-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    (PipeListener::bind(event_loop, path.clone()).expect("a free name"), path)
}

fn connect_pipe(
    event_loop: &EventLoop,
    path: &Path,
    connected: impl FnOnce(&EventLoop, &Pipe, Result<(), Error>) + 'static,
) {
    Pipe::connect(event_loop, path.to_path_buf(), connected);
}

macro_rules! rows {
    ($rows:ident: $Stream:ident, $Listener:ident, $Address:ident, $bind:ident, $connect:ident, $no_delay:expr) => {
        pub(super) mod $rows {
            use super::*;

            fn echo(_: &EventLoop, stream: &$Stream, read: Result<Read<'_>, Error>) {
                match read {
                    Ok(Read::Data(data)) => {
                        stream.write(data.to_vec(), |_, _, _| ()).expect("an open stream")
                    }
                    Ok(Read::End) | Err(_) => stream.close(),
                }
            }

            pub(in super::super) fn ping_pong(event_loop: &EventLoop, count: u64) {
                let (listener, address) = $bind(event_loop);
                let serve = |_: &EventLoop, listener: &$Listener, stream: Result<$Stream, Error>| {
                    let stream = stream.expect("a connection");
                    $no_delay(&stream);
                    stream.read_start(echo).expect("an open stream");
                    listener.close();
                };
                listener.listen(128, serve).expect("a bound listener");
                let mut left = count;
                let pong = move |_: &EventLoop, stream: &$Stream, read: Result<Read<'_>, Error>| {
                    assert!(matches!(read, Ok(Read::Data(_))));
                    left -= 1;
                    match left {
                        0 => stream.close(),
                        _ => stream.write(b"PING\n".to_vec(), |_, _, _| ()).expect("an open stream"),
                    }
                };
                $connect(event_loop, &address, move |_, stream, connected| {
                    connected.expect("a connection");
                    $no_delay(stream);
                    stream.read_start(pong).expect("an open stream");
                    stream.write(b"PING\n".to_vec(), |_, _, _| ()).expect("an open stream");
                });
                event_loop.run(RunMode::Default);
            }

            pub(in super::super) fn pump(event_loop: &EventLoop, count: u64) {
                let (listener, address) = $bind(event_loop);
                let swallow = |_: &EventLoop, stream: &$Stream, read: Result<Read<'_>, Error>| {
                    if !matches!(read, Ok(Read::Data(_))) {
                        stream.close();
                    }
                };
                let serve = move |_: &EventLoop, listener: &$Listener, stream: Result<$Stream, Error>| {
                    let stream = stream.expect("a connection");
                    $no_delay(&stream);
                    stream.read_start(swallow).expect("an open stream");
                    listener.close();
                };
                listener.listen(128, serve).expect("a bound listener");
                $connect(event_loop, &address, move |_, stream, connected| {
                    connected.expect("a connection");
                    write_next(stream, count);
                });
                event_loop.run(RunMode::Default);
            }

            fn write_next(stream: &$Stream, left: u64) {
                let written = move |_: &EventLoop, stream: &$Stream, written: Result<(), Error>| {
                    written.expect("a reader");
                    match left {
                        1 => stream.close(),
                        _ => write_next(stream, left - 1),
                    }
                };
                stream.write(PUMP_BYTES, written).expect("an open stream");
            }

            pub(in super::super) fn connections(event_loop: &EventLoop, count: u64) {
                let (listener, address) = $bind(event_loop);
                let serve = |_: &EventLoop, _: &$Listener, stream: Result<$Stream, Error>| {
                    stream.expect("a connection").read_start(echo).expect("an open stream");
                };
                listener.listen(128, serve).expect("a bound listener");
                connect_next(event_loop, Rc::new(Cell::new(count)), listener, address);
                event_loop.run(RunMode::Default);
            }

            fn connect_next(
                event_loop: &EventLoop,
                left: Rc<Cell<u64>>,
                listener: $Listener,
                address: $Address,
            ) {
                let to = address.clone();
                $connect(event_loop, &to, move |_, stream, connected| {
                    connected.expect("a connection");
                    let mut next = Some((left, listener, address));
                    let answered = move |_: &EventLoop, stream: &$Stream, _: Result<Read<'_>, Error>| {
                        let Some((left, listener, address)) = next.take() else { return };
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
            }
        }
    };
}

rows!(tcp: TcpStream, TcpListener, SocketAddr, bind_tcp, connect_tcp, |stream: &TcpStream| {
    stream.set_nodelay(true).expect("a connection");
});
rows!(pipe: Pipe, PipeListener, PathBuf, bind_pipe, connect_pipe, |_: &Pipe| ());
