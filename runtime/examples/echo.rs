//! An echo server that tells every second how many connections it has.
//!
//! `cargo run -p loopscope-runtime --example echo [ADDRESS]`, then `nc 127.0.0.1 7777`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks to its user")]

use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use loopscope_runtime::{EventLoop, Read, RunMode, TcpListener, TcpStream, Timer};

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".into()).parse()?;
    let event_loop = EventLoop::builder().name("main").build()?;
    let connections = Rc::new(Cell::new(0));

    let listener = TcpListener::bind(&event_loop, address)?;
    let counted = Rc::clone(&connections);
    listener.listen(128, move |_, _, connection| match connection {
        Ok(stream) => echo(&stream, &counted),
        Err(error) => eprintln!("{error}"),
    })?;
    println!("listening on {}", listener.local_address()?);

    let report = Timer::new(&event_loop);
    let second = Duration::from_secs(1);
    report.start_repeating(second, second, move |_, _| println!("{} connections", connections.get()))?;

    event_loop.run(RunMode::Default);
    Ok(())
}

/// Sends back what comes, until the peer ends or fails.
fn echo(stream: &TcpStream, connections: &Rc<Cell<usize>>) {
    connections.set(connections.get() + 1);
    let connections = Rc::clone(connections);
    let started = stream.read_start(move |_, stream, read| match read {
        Ok(Read::Data(data)) => {
            let written = stream.write(data.to_vec(), |_, stream, result| {
                if result.is_err() {
                    stream.close();
                }
            });
            written.expect("the stream is open as long as it reads");
        }
        Ok(Read::End) | Err(_) => {
            connections.set(connections.get() - 1);
            stream.close();
        }
    });
    if let Err(error) = started {
        eprintln!("{error}");
        stream.close();
    }
}
