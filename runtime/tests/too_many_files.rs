//! What a listener does when the process has no descriptor left. Alone in its file, for the limit is the process's.

mod common;

use std::net::SocketAddr;

use common::{Log, MS, after, use_up_descriptors};
use loopscope_runtime::{EventLoop, Read, RunMode, TcpListener, TcpStream};

const EMFILE: i32 = 24;

#[test]
fn a_listener_without_descriptors_says_so_does_not_spin_and_accepts_when_there_are_some_again() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let listener = TcpListener::bind(&event_loop, SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let mut files = use_up_descriptors();

    // One for the client; none for the server's side of the connection.
    files.pop();
    let noted = log.clone();
    let mut held = Some(files);
    listener
        .listen(1, move |event_loop, listener, connection| match connection {
            Ok(stream) => {
                noted.note("accepted");
                stream.close();
                listener.close();
            }
            Err(error) => {
                assert_eq!(error.code(), EMFILE);
                assert!(error.to_string().contains("ulimit -n"), "{error}");
                noted.note("refused");
                // For as long as three pauses nothing is freed.
                if let Some(files) = held.take() {
                    after(event_loop, 250 * MS, move |_| drop(files));
                }
            }
        })
        .unwrap();
    TcpStream::connect(&event_loop, listener.local_address().unwrap(), |_, stream, result| {
        result.unwrap();
        stream
            .read_start(|_, stream, read| {
                assert_eq!(read, Ok(Read::End));
                stream.close();
            })
            .unwrap();
    })
    .unwrap();

    event_loop.run(RunMode::Default);

    let refusals = log.count("refused");
    assert!((1..=4).contains(&refusals), "{refusals} refusals in 250 ms");
    assert_eq!(log.count("accepted"), 1);
}
