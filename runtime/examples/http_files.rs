//! An HTTP server for the files below a directory, written as async functions.
//!
//! `cargo run -p loopscope-runtime --example http_files [DIRECTORY] [ADDRESS]`, then `curl http://127.0.0.1:8080/README.md`.
//!
//! Every file operation runs on the thread pool, so a slow disk holds up nobody else. A file goes out piece by piece: the
//! memory that a connection takes does not depend on its size.

#![allow(clippy::print_stdout, reason = "a program speaks to its user")]

use std::error::Error;
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use loopscope_runtime::fs::future as files;
use loopscope_runtime::future::{TcpListener, TcpStream};
use loopscope_runtime::{EventLoop, LoopHandle, RunMode};

/// The longest request that is read; browsers send a tenth of that.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How long a client may take to ask.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much of a file is in memory at a time.
const PIECE_BYTES: usize = 64 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().unwrap_or_else(|| ".".into());
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".into()).parse()?;
    let event_loop = EventLoop::builder().name("main").build()?;
    let address = serve(&event_loop, directory.as_ref(), address)?;
    println!("serving {directory} at http://{address}/");
    event_loop.run(RunMode::Default);
    Ok(())
}

/// Serves from now on, for as long as the loop runs.
pub(crate) fn serve(
    event_loop: &EventLoop,
    directory: &Path,
    address: SocketAddr,
) -> Result<SocketAddr, Box<dyn Error>> {
    let directory = directory.canonicalize()?;
    let listener = TcpListener::bind(event_loop, address, 128)?;
    let address = listener.local_address()?;
    let local = event_loop.handle();
    event_loop.spawn_local(async move {
        loop {
            // A connection that could not be accepted is the listener's to wait for: there may be too many open files.
            if let Ok(stream) = listener.accept().await {
                local.spawn_local(answer_all(local.clone(), stream, directory.clone()));
            }
        }
    });
    Ok(address)
}

/// Answers a client's requests until it ends, fails, or takes too long.
async fn answer_all(local: LoopHandle, mut stream: TcpStream, directory: PathBuf) {
    let mut read_ahead = Vec::new();
    loop {
        let head = local.timeout_after(PATIENCE, read_head(&mut stream, &mut read_ahead)).await;
        let Ok(Some(head)) = head else { return };
        if answer(&local, &mut stream, &directory, &head).await.is_err() {
            return;
        }
    }
}

/// A request's lines up to the empty one; `None` if there will be none.
async fn read_head(stream: &mut TcpStream, read_ahead: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = read_ahead.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = read_ahead.split_off(end + 4);
            return String::from_utf8(std::mem::replace(read_ahead, rest)).ok();
        }
        if read_ahead.len() > HEAD_BYTES_MAX {
            return None;
        }
        read_ahead.extend(stream.read_chunk().await.ok()??);
    }
}

async fn answer(
    local: &EventLoop,
    stream: &mut TcpStream,
    directory: &Path,
    head: &str,
) -> Result<(), Box<dyn Error>> {
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if method != "GET" {
        return say(stream, "405 Method Not Allowed").await;
    }
    let Some(path) = path_below(directory, target) else { return say(stream, "400 Bad Request").await };
    // Symbolic links must not lead out of the directory, either.
    let real = files::realpath(local, path).await.ok().filter(|real| real.starts_with(directory));
    let Some(real) = real else { return say(stream, "404 Not Found").await };
    let Ok(file) = files::open(local, real, OpenOptions::new().read(true)).await else {
        return say(stream, "403 Forbidden").await;
    };
    let about = files::fstat(local, &file).await?;
    if !about.is_file() {
        return say(stream, "404 Not Found").await;
    }
    stream.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", about.len())).await?;
    let mut left = about.len();
    while left > 0 {
        let length = left.min(PIECE_BYTES as u64) as usize;
        let piece = files::read(local, &file, vec![0; length], None).await?;
        if piece.is_empty() {
            return Err("the file became shorter than was promised".into());
        }
        left -= piece.len() as u64;
        stream.write(piece).await?;
    }
    files::close(local, file).await?;
    Ok(())
}

async fn say(stream: &mut TcpStream, status: &str) -> Result<(), Box<dyn Error>> {
    stream.write(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")).await?;
    Ok(())
}

/// The path that a request asks for, if it goes down only.
fn path_below(directory: &Path, target: &str) -> Option<PathBuf> {
    let target = target.split(['?', '#']).next()?.strip_prefix('/')?;
    let goes_down = Path::new(target).components().all(|component| matches!(component, Component::Normal(_)));
    goes_down.then(|| directory.join(target))
}
