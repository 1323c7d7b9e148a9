//! The examples do what they say.

#![allow(dead_code, clippy::print_stdout, reason = "their `main` functions are not called")]

#[path = "../examples/chat.rs"]
mod chat;
#[path = "../examples/http_files.rs"]
mod http_files;
#[path = "../examples/primes.rs"]
mod primes;
#[path = "../examples/shutdown.rs"]
mod shutdown;

mod common;
mod files;

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use common::MS;
use files::Scratch;
use loopscope_runtime::{EventLoop, TaskKind};

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// Runs a client, which blocks, on another thread, and the loop until that has ended.
fn with_client<T: Send + 'static>(event_loop: &EventLoop, client: impl FnOnce() -> T + Send + 'static) -> T {
    event_loop.block_on(event_loop.work(TaskKind::Work, client)).unwrap()
}

/// What a server answers to a request, and whether it closes the connection then.
fn ask(stream: &mut TcpStream, request: &str) -> (String, Vec<u8>) {
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head.lines().next().unwrap().to_owned(), body)
}

#[test]
fn the_file_server_serves_files_below_its_directory_and_no_others() {
    let scratch = Scratch::new();
    let large = vec![b'x'; 1_000_000];
    std::fs::create_dir(scratch.path("public")).unwrap();
    std::fs::write(scratch.path("public/large"), &large).unwrap();
    scratch.file("secret", "nobody's business");
    std::os::unix::fs::symlink("../secret", scratch.path("public/link")).unwrap();
    let event_loop = EventLoop::new().unwrap();
    let address = http_files::serve(&event_loop, &scratch.path("public"), loopback()).unwrap();
    with_client(&event_loop, move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let mut get = |target: &str| ask(&mut stream, &format!("GET {target} HTTP/1.1\r\nhost: it\r\n\r\n"));
        let (status, body) = get("/large");
        assert!(status.contains("200") && body == large);
        assert!(get("/none").0.contains("404"));
        assert!(get("/").0.contains("404"), "a directory");
        assert!(get("/../secret").0.contains("400"));
        assert!(get("/link").0.contains("404"), "it leads out");
        assert!(get("//etc/passwd").0.contains("400"));
        assert!(get("/large?query").0.contains("200"), "the connection is as it was");
        assert!(ask(&mut stream, "POST /large HTTP/1.1\r\n\r\n").0.contains("405"));
    });
}

#[test]
fn the_chat_passes_lines_to_everybody_else() {
    let event_loop = EventLoop::new().unwrap();
    let address = chat::serve(&event_loop, loopback()).unwrap();
    with_client(&event_loop, move || {
        let expect = |stream: &mut TcpStream, said: &str| {
            let mut heard = vec![0; said.len()];
            stream.read_exact(&mut heard).unwrap();
            assert_eq!(String::from_utf8(heard).unwrap(), said);
        };
        let mut one = TcpStream::connect(address).unwrap();
        // Who is told of the second guest is there itself.
        let mut two = TcpStream::connect(address).unwrap();
        expect(&mut one, "* 2 is here\n");
        two.write_all(b"hello\nand more").unwrap();
        expect(&mut one, "2: hello\n");
        one.write_all(b"welcome\n").unwrap();
        expect(&mut two, "1: welcome\n");
        drop(two);
        expect(&mut one, "* 2 has left\n");
    });
}

#[test]
fn primes_are_counted_in_pieces_while_timers_run() {
    let event_loop = EventLoop::new().unwrap();
    let (found, beats) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (counted, beat) = (Rc::clone(&found), Rc::clone(&beats));
    let heart = event_loop.set_interval(1.0, move |_, _| beat.set(beat.get() + 1));
    primes::count_primes(&event_loop, 100_000, MS / 4, move |_, primes| {
        counted.set(primes);
        heart.clear();
    });
    event_loop.run(loopscope_runtime::RunMode::Default);
    assert_eq!(found.get(), 9592);
    assert!(beats.get() > 1, "{} heartbeats", beats.get());
}

#[test]
fn a_shutdown_lets_connections_finish_and_then_ends_the_loop() {
    let event_loop = EventLoop::new().unwrap();
    let server = shutdown::Server::start(&event_loop, loopback()).unwrap();
    let address = server.address;
    let mut client = with_client(&event_loop, move || {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"before").unwrap();
        client.read_exact(&mut [0; 6]).unwrap();
        client
    });
    server.shut_down(&event_loop, Duration::from_secs(3600));
    let thread = std::thread::spawn(move || {
        client.write_all(b"after").unwrap();
        client.read_exact(&mut [0; 5]).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
        TcpStream::connect(address).is_err()
    });
    assert!(!event_loop.run(loopscope_runtime::RunMode::Default));
    assert!(thread.join().unwrap(), "nobody listens any more");
    drop(server);
}

#[test]
fn a_shutdown_does_not_wait_for_ever() {
    let event_loop = EventLoop::new().unwrap();
    let server = shutdown::Server::start(&event_loop, loopback()).unwrap();
    let address = server.address;
    let mut client = with_client(&event_loop, move || {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"here").unwrap();
        client.read_exact(&mut [0; 4]).unwrap();
        client
    });
    server.shut_down(&event_loop, 5 * MS);
    assert!(!event_loop.run(loopscope_runtime::RunMode::Default));
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0, "it was closed");
}
