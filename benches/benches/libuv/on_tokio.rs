//! The rows that tokio has, on its runtime of the current thread.
//!
//! There is no counterpart to iterations, nor to signals that coalesce into callbacks; tokio's timers go by the millisecond,
//! and its files and its blocking tasks run on a pool that grows to 512 threads.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::{JoinSet, LocalSet};

/// Performs a row's operations; gives whether there is such a row.
pub(crate) fn run(row: &str, count: u64) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = LocalSet::new();
    let in_flight = row.strip_prefix("fs_stat_").and_then(|number| number.parse().ok());
    local.block_on(&runtime, async {
        match row {
            "timers" => timers(count).await,
            "queue_work" => work(count).await,
            "tcp_ping_pong" => ping_pong(count).await,
            "tcp_pump" => pump(count).await,
            "tcp_connections" => connections(count).await,
            "udp_ping" => udp_ping(count).await,
            "resting" => tokio::time::sleep(Duration::from_millis(count)).await,
            _ => match in_flight {
                Some(in_flight) => stat(count, in_flight).await,
                None => return false,
            },
        }
        true
    })
}

async fn timers(count: u64) {
    let mut timers = JoinSet::new();
    for number in 0..count {
        let timeout = Duration::from_millis(number / 1000 + 1);
        timers.spawn_local(tokio::time::sleep(timeout));
    }
    while timers.join_next().await.is_some() {}
}

async fn work(count: u64) {
    let mut state = 42u32;
    for _ in 0..count {
        let work = move || state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state = tokio::task::spawn_blocking(work).await.expect("the work runs");
    }
}

async fn stat(count: u64, in_flight: u64) {
    let mut running = JoinSet::new();
    for number in 0..in_flight {
        let share = count / in_flight + u64::from(number < count % in_flight);
        running.spawn_local(async move {
            for _ in 0..share {
                tokio::fs::metadata(".").await.expect("there is such a directory");
            }
        });
    }
    while running.join_next().await.is_some() {}
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("a bound listener");
    (listener, address)
}

async fn echo(mut stream: TcpStream) {
    let mut buffer = vec![0; 65_536];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        stream.write_all(&buffer[..length]).await.expect("an open stream");
    }
}

async fn ping_pong(count: u64) {
    let (listener, address) = listen().await;
    tokio::task::spawn_local(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a connection");
        echo(stream).await;
    });
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("a connection");
    let mut buffer = vec![0; 65_536];
    for _ in 0..count {
        stream.write_all(b"PING\n").await.expect("an open stream");
        assert!(stream.read(&mut buffer).await.expect("an open stream") > 0);
    }
}

async fn pump(count: u64) {
    let (listener, address) = listen().await;
    let reader = tokio::task::spawn_local(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut buffer = vec![0; 65_536];
        while stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
    });
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    for _ in 0..count {
        stream.write_all(&[0; 8192]).await.expect("a reader");
    }
    drop(stream);
    reader.await.expect("the reader");
}

async fn connections(count: u64) {
    let (listener, address) = listen().await;
    let server = tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(echo(stream));
        }
    });
    let mut buffer = vec![0; 65_536];
    for _ in 0..count {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(b"QS").await.expect("an open stream");
        assert!(stream.read(&mut buffer).await.expect("an open stream") > 0);
    }
    server.abort();
}

async fn udp_ping(count: u64) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let address = socket.local_addr().expect("a bound socket");
    let mut buffer = vec![0; 65_536];
    for _ in 0..count {
        socket.send_to(b"PING\n", address).await.expect("room in the socket");
        socket.recv_from(&mut buffer).await.expect("a datagram");
    }
}
