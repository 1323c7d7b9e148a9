//! A small HTTP/1.1 client: one request, or a bounded load.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::deadline::{SOON, wait_for};

/// The answer to a request.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, put together if it came in chunks.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }
}

/// A port of this machine's loopback address.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Sends a `GET` request on a connection of its own.
///
/// # Errors
/// If there is no connection, or no HTTP comes back within half a minute.
pub fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> io::Result<Response> {
    let mut connection = Connection::open(address)?;
    let headers: Vec<_> = headers.iter().copied().chain([("connection", "close")]).collect();
    connection.get(path, &headers)
}

/// Sends a `POST` request with this body on a connection of its own.
///
/// # Errors
/// If there is no connection, or no HTTP comes back within half a minute.
pub fn post(address: SocketAddr, path: &str, body: &[u8]) -> io::Result<Response> {
    let mut connection = Connection::open(address)?;
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    connection.0.get_mut().write_all(head.as_bytes())?;
    connection.0.get_mut().write_all(body)?;
    connection.response()
}

/// Clients that send requests one after the other, as fast as they are answered, until dropped.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<io::Result<()>>>,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    answered: AtomicU64,
}

impl Load {
    /// No load lasts longer, whatever becomes of the story.
    const LIMIT: Duration = Duration::from_secs(120);

    /// Starts `clients` clients, each of which asks for the `paths` in turn. Each waits `pause` between an answer and the
    /// next request.
    pub fn start(address: SocketAddr, paths: &[&str], clients: usize, pause: Duration) -> Self {
        assert!(address.ip().is_loopback(), "load goes to the loopback address only");
        let shared = Arc::new(Shared { stop: AtomicBool::new(false), answered: AtomicU64::new(0) });
        let paths: Arc<[String]> = paths.iter().map(|&path| path.to_owned()).collect();
        let clients = (0..clients).map(|number| {
            let (shared, paths) = (Arc::clone(&shared), Arc::clone(&paths));
            thread::spawn(move || {
                let end = Instant::now() + Self::LIMIT;
                let mut connection = Connection::open(address)?;
                for path in paths.iter().cycle().skip(number) {
                    if shared.stop.load(Ordering::Relaxed) || Instant::now() > end {
                        break;
                    }
                    let response = connection.get(path, &[])?;
                    if response.status != 200 {
                        return Err(io::Error::other(format!("{path}: status {}", response.status)));
                    }
                    shared.answered.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(pause);
                }
                Ok(())
            })
        });
        Self { clients: clients.collect(), shared }
    }

    /// Requests answered so far.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Waits until `count` requests have been answered.
    ///
    /// # Panics
    /// If that takes too long, or all clients have given up.
    #[track_caller]
    pub fn wait_for_answers(&self, count: u64) {
        wait_for(&format!("{count} answers"), SOON, || {
            assert!(!self.clients.iter().all(JoinHandle::is_finished), "no client of the load is left");
            (self.answered() >= count).then_some(())
        });
    }

    /// Ends the load.
    ///
    /// # Panics
    /// If a client did not get the answers that it should.
    #[track_caller]
    pub fn stop(mut self) -> u64 {
        self.shared.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.join().expect("clients do not panic").expect("every request is answered");
        }
        self.answered()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            let _ = client.join();
        }
    }
}

/// A value within the query of a URL.
pub fn percent_encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, SOON)?;
        stream.set_read_timeout(Some(SOON))?;
        stream.set_write_timeout(Some(SOON))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> io::Result<Response> {
        let mut request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        self.0.get_mut().write_all((request + "\r\n").as_bytes())?;
        self.response()
    }

    fn response(&mut self) -> io::Result<Response> {
        let status_line = self.line()?;
        let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no HTTP: {status_line:?}")))?;
        let mut response = Response { status, headers: Vec::new(), body: Vec::new() };
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) =
                line.split_once(':').ok_or_else(|| io::Error::other("a header without `:`"))?;
            response.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        if response.header("transfer-encoding") == Some("chunked") {
            self.chunks(&mut response.body)?;
        } else if let Some(length) = response.header("content-length") {
            let length = length.parse().map_err(io::Error::other)?;
            self.bytes(length, &mut response.body)?;
        } else {
            self.0.read_to_end(&mut response.body)?;
        }
        Ok(response)
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let length = usize::from_str_radix(&self.line()?, 16).map_err(io::Error::other)?;
            self.bytes(length, body)?;
            self.line()?;
            if length == 0 {
                return Ok(());
            }
        }
    }

    fn bytes(&mut self, length: usize, body: &mut Vec<u8>) -> io::Result<()> {
        let begin = body.len();
        body.resize(begin + length, 0);
        self.0.read_exact(&mut body[begin..])
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_end_matches(['\r', '\n']).len());
        Ok(line)
    }
}
