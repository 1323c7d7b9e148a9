//! A chat over TCP: every line that somebody sends goes to everybody else.
//!
//! `cargo run -p loopscope-runtime --example chat [ADDRESS]`, then `nc 127.0.0.1 7778` in some terminals.
//!
//! Each connection is a task that reads; what it says is written to the others by callback, so that nobody waits for
//! whoever reads slowly. Who does not read at all is shown out.

#![allow(clippy::print_stdout, reason = "a program speaks to its user")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::rc::Rc;

use loopscope_runtime::future::{TcpListener, TcpStream as AsyncTcpStream};
use loopscope_runtime::{EventLoop, RunMode, TcpStream};

/// The longest line.
const LINE_BYTES_MAX: usize = 4096;

/// How much may wait for somebody who does not read.
const BACKLOG_BYTES_MAX: u64 = 1 << 20;

/// Who is there, by number.
type Guests = Rc<RefCell<BTreeMap<u64, TcpStream>>>;

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7778".into()).parse()?;
    let event_loop = EventLoop::builder().name("main").build()?;
    println!("chatting on {}", serve(&event_loop, address)?);
    event_loop.run(RunMode::Default);
    Ok(())
}

/// Serves from now on, for as long as the loop runs.
pub(crate) fn serve(event_loop: &EventLoop, address: SocketAddr) -> Result<SocketAddr, Box<dyn Error>> {
    let listener = TcpListener::bind(event_loop, address, 128)?;
    let address = listener.local_address()?;
    let local = event_loop.handle();
    event_loop.spawn_local(async move {
        let guests = Guests::default();
        for number in 1.. {
            if let Ok(stream) = listener.accept().await {
                guests.borrow_mut().insert(number, stream.get_ref().clone());
                say_to_others(&guests, number, &format!("* {number} is here\n"));
                local.spawn_local(listen_to(number, stream, Rc::clone(&guests)));
            }
        }
    });
    Ok(address)
}

/// Passes on what a guest says, until it leaves.
async fn listen_to(number: u64, mut stream: AsyncTcpStream, guests: Guests) {
    let mut line = Vec::new();
    while let Ok(Some(chunk)) = stream.read_chunk().await {
        for byte in chunk {
            line.push(byte);
            if byte == b'\n' || line.len() == LINE_BYTES_MAX {
                let said = String::from_utf8_lossy(&line).trim_end().to_owned();
                say_to_others(&guests, number, &format!("{number}: {said}\n"));
                line.clear();
            }
        }
    }
    guests.borrow_mut().remove(&number);
    say_to_others(&guests, number, &format!("* {number} has left\n"));
}

fn say_to_others(guests: &Guests, speaker: u64, what: &str) {
    for stream in guests.borrow().iter().filter(|(guest, _)| **guest != speaker).map(|(_, stream)| stream) {
        if stream.write_queue_bytes() > BACKLOG_BYTES_MAX {
            stream.close();
        }
        // One that has just closed hears nothing, and its own task tells the others.
        let _ = stream.write(what.to_owned(), |_, _, _| {});
    }
}
