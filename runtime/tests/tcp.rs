//! TCP streams and listeners.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use loopscope_runtime::{Error, EventLoop, Read, RunMode, TcpListener, TcpStream};

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// A listener that serves one connection with `serve` and then closes.
fn serve_one(event_loop: &EventLoop, serve: impl Fn(&EventLoop, &TcpStream) + 'static) -> SocketAddr {
    let listener = TcpListener::bind(event_loop, loopback()).unwrap();
    listener
        .listen(16, move |event_loop, listener, connection| {
            serve(event_loop, &connection.unwrap());
            listener.close();
        })
        .unwrap();
    listener.local_address().unwrap()
}

fn echo(_: &EventLoop, stream: &TcpStream) {
    stream
        .read_start(|_, stream, read| match read.unwrap() {
            Read::Data(data) => stream.write(data.to_vec(), |_, _, result| result.unwrap()).unwrap(),
            Read::End => stream.close(),
        })
        .unwrap();
}

/// Collects what comes until the end, then closes.
fn collect(stream: &TcpStream, into: &Rc<RefCell<Vec<u8>>>) {
    let into = Rc::clone(into);
    stream
        .read_start(move |_, stream, read| match read.unwrap() {
            Read::Data(data) => into.borrow_mut().extend_from_slice(data),
            Read::End => stream.close(),
        })
        .unwrap();
}

#[test]
fn an_echo_server_sends_back_what_it_gets() {
    let event_loop = EventLoop::new().unwrap();
    let address = serve_one(&event_loop, echo);
    let received = Rc::new(RefCell::new(Vec::new()));
    let into = Rc::clone(&received);
    TcpStream::connect(&event_loop, address, move |_, stream, result| {
        result.unwrap();
        collect(stream, &into);
        stream
            .write("hello", |_, stream, result| {
                result.unwrap();
                stream.shutdown(|_, _, result| result.unwrap()).unwrap();
            })
            .unwrap();
    })
    .unwrap();
    assert!(!event_loop.run(RunMode::Default));
    assert_eq!(*received.borrow(), b"hello");
}

#[test]
fn writes_arrive_in_the_order_in_which_they_were_asked_for_however_many_fit_the_socket() {
    let event_loop = EventLoop::new().unwrap();
    let received = Rc::new(RefCell::new(Vec::new()));
    let into = Rc::clone(&received);
    let address = serve_one(&event_loop, move |_, stream| collect(stream, &into));
    let stream = TcpStream::connect(&event_loop, address, |_, _, result| result.unwrap()).unwrap();
    let done = Rc::new(RefCell::new(Vec::new()));
    let mut expected = Vec::new();
    for number in 0..200u32 {
        // Sizes that cut across the socket's buffer in ever other places; more than it holds.
        let data = number.to_le_bytes().repeat(1000 + 37 * number as usize);
        expected.extend_from_slice(&data);
        let done = Rc::clone(&done);
        let request = move |_: &EventLoop, _: &TcpStream, result: Result<(), Error>| {
            result.unwrap();
            done.borrow_mut().push(number);
        };
        match number % 2 {
            0 => stream.write(data, request).unwrap(),
            _ => {
                let (head, tail) = data.split_at(data.len() / 3);
                stream.write_vectored([head.to_vec().into(), tail.to_vec().into()], request).unwrap();
            }
        }
    }
    assert!(stream.write_queue_bytes() > 0);
    stream
        .shutdown(|_, stream, result| {
            result.unwrap();
            assert_eq!(stream.write_queue_bytes(), 0);
            stream.close();
        })
        .unwrap();
    assert_eq!(stream.write("late", |_, _, _| unreachable!()), Err(Error::ShutDown));
    event_loop.run(RunMode::Default);
    assert!(*received.borrow() == expected, "the bytes are those that were written");
    assert_eq!(*done.borrow(), (0..200).collect::<Vec<_>>());
}

#[test]
fn a_refused_connection_is_told_to_its_callback() {
    let event_loop = EventLoop::new().unwrap();
    let nobody = TcpListener::bind(&event_loop, loopback()).unwrap();
    let address = nobody.local_address().unwrap();
    let told = Rc::new(Cell::new(None));
    let tell = Rc::clone(&told);
    let stream =
        TcpStream::connect(&event_loop, address, move |_, _, result| tell.set(Some(result))).unwrap();
    let written = Rc::new(Cell::new(None));
    let tell = Rc::clone(&written);
    stream.write("lost", move |_, _, result| tell.set(Some(result))).unwrap();
    assert_eq!(told.get(), None);
    event_loop.run(RunMode::Default);
    let error = told.get().unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(written.get(), Some(Err(Error::Cancelled)));
}

#[test]
fn closing_a_stream_cancels_its_requests_before_its_close_callback() {
    let event_loop = EventLoop::new().unwrap();
    let address = serve_one(&event_loop, |_, stream| stream.close());
    let order = Rc::new(RefCell::new(Vec::new()));
    let note = |what: &'static str| {
        let order = Rc::clone(&order);
        move |_: &EventLoop, _: &TcpStream, result: Result<(), Error>| order.borrow_mut().push((what, result))
    };
    let stream = TcpStream::connect(&event_loop, address, note("connect")).unwrap();
    stream.write("never sent", note("write")).unwrap();
    stream.shutdown(note("shutdown")).unwrap();
    let closed = Rc::clone(&order);
    stream.close_with(move |_| closed.borrow_mut().push(("closed", Ok(()))));
    assert_eq!(stream.write("late", |_, _, _| unreachable!()), Err(Error::Closed));
    event_loop.run(RunMode::NoWait);
    let cancelled = Err(Error::Cancelled);
    let expected =
        [("connect", cancelled), ("write", cancelled), ("shutdown", cancelled), ("closed", Ok(()))];
    assert_eq!(*order.borrow(), expected);
}

#[test]
fn a_peer_that_resets_is_told_to_the_read_callback() {
    let event_loop = EventLoop::new().unwrap();
    let seen = Rc::new(Cell::new(None));
    let tell = Rc::clone(&seen);
    let address = serve_one(&event_loop, move |_, stream| {
        stream.write("never read", |_, _, result| result.unwrap()).unwrap();
        let tell = Rc::clone(&tell);
        stream
            .read_start(move |_, stream, read| {
                tell.set(Some(read.map(|_| ())));
                stream.close();
            })
            .unwrap();
    });
    let client = std::thread::spawn(move || {
        let client = std::net::TcpStream::connect(address).unwrap();
        // Closing a socket that holds unread data resets the connection.
        assert_eq!(client.peek(&mut [0]).unwrap(), 1);
    });
    event_loop.run(RunMode::Default);
    client.join().unwrap();
    assert_eq!(seen.get().unwrap().unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn connections_that_wait_are_told_one_an_iteration_with_everything_else_in_between() {
    let event_loop = EventLoop::new().unwrap();
    let order: Rc<RefCell<Vec<&str>>> = Rc::default();
    let listener = TcpListener::bind(&event_loop, loopback()).unwrap();
    let noted = Rc::clone(&order);
    listener
        .listen(16, move |event_loop, listener, connection| {
            connection.unwrap().close();
            noted.borrow_mut().push("connection");
            let of_tick = Rc::clone(&noted);
            event_loop.next_tick(move |_| of_tick.borrow_mut().push("tick"));
            let of_immediate = Rc::clone(&noted);
            let listener = listener.clone();
            event_loop.set_immediate(move |_| {
                of_immediate.borrow_mut().push("immediate");
                if of_immediate.borrow().len() == 9 {
                    listener.close();
                }
            });
        })
        .unwrap();
    let address = listener.local_address().unwrap();
    let clients: Vec<_> = (0..3).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    event_loop.run(RunMode::Default);
    drop(clients);
    let one = ["connection", "tick", "immediate"];
    assert_eq!(*order.borrow(), [one, one, one].concat());
}

#[test]
fn a_listener_that_pauses_leaves_connections_to_the_kernel_until_it_resumes() {
    let event_loop = EventLoop::new().unwrap();
    let listener = TcpListener::bind(&event_loop, loopback()).unwrap();
    let accepted = Rc::new(Cell::new(0));
    let count = Rc::clone(&accepted);
    listener
        .listen(16, move |_, listener, connection| {
            connection.unwrap().close();
            count.set(count.get() + 1);
            listener.pause().unwrap();
        })
        .unwrap();
    let address = listener.local_address().unwrap();
    let clients: Vec<_> = (0..3).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    for expected in 1..=3 {
        while accepted.get() < expected {
            event_loop.run(RunMode::Once);
        }
        for _ in 0..3 {
            event_loop.run(RunMode::NoWait);
        }
        assert!(accepted.get() == expected && listener.is_active());
        listener.resume().unwrap();
    }
    drop(clients);
    listener.close();
    assert_eq!((listener.pause(), listener.resume()), (Err(Error::Closed), Err(Error::Closed)));
    assert!(!event_loop.run(RunMode::Default));
}
