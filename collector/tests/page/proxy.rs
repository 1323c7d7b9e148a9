//! A proxy that serves a collector below a path, which it takes away.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::collector::Collector;

/// Serves until the test's process ends.
pub(crate) struct Proxy(SocketAddr);

impl Proxy {
    /// A proxy on a port of its own.
    pub(crate) fn before(collector: &Collector, path: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (target, path) = (collector.address(), path.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let path = path.clone();
                // A browser that goes away breaks its connection.
                thread::spawn(move || _ = pass_on(client, target, &path));
            }
        });
        Self(address)
    }

    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.0)
    }
}

/// Passes one request on, and its answer back.
fn pass_on(client: TcpStream, target: SocketAddr, path: &str) -> io::Result<()> {
    let mut collector = TcpStream::connect(target)?;
    let mut request = BufReader::new(client.try_clone()?);
    let mut line = String::new();
    request.read_line(&mut line)?;
    let taken = line.strip_prefix(&format!("GET {path}/")).map(|rest| format!("GET /{rest}"));
    let Some(taken) = taken else {
        return (&client).write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    };
    collector.write_all(taken.as_bytes())?;
    loop {
        line.clear();
        request.read_line(&mut line)?;
        if line == "\r\n" || line.is_empty() {
            break;
        }
        if !line.to_ascii_lowercase().starts_with("connection:") {
            collector.write_all(line.as_bytes())?;
        }
    }
    collector.write_all(b"connection: close\r\n\r\n")?;
    io::copy(&mut collector, &mut &client)?;
    Ok(())
}
