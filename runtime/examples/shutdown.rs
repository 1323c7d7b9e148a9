//! A graceful shutdown: no new connections, those that there are may finish, but not for ever.
//!
//! `cargo run -p loopscope-runtime --example shutdown [ADDRESS]`, then `nc 127.0.0.1 7779`; Enter ends the server.

#![allow(clippy::print_stdout, reason = "a program speaks to its user")]

use std::cell::RefCell;
use std::error::Error;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use loopscope_runtime::future::{JoinHandle, TcpListener, TcpStream};
use loopscope_runtime::{Async, EventLoop, RunMode};

/// How long connections may take to finish.
const GRACE: Duration = Duration::from_secs(5);

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7779".into()).parse()?;
    let event_loop = EventLoop::builder().name("main").build()?;
    let server = Rc::new(Server::start(&event_loop, address)?);
    println!("echoing on {}; Enter ends it", server.address);

    // Standard input blocks, so another thread waits for it and wakes the loop.
    let ending = Rc::clone(&server);
    let enter = Async::new(&event_loop, move |event_loop, enter| {
        enter.close();
        ending.shut_down(event_loop, GRACE);
    });
    let sender = enter.sender();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_line(&mut String::new());
        sender.send();
    });

    // The loop ends by itself when nothing is left to do: that is the shutdown's end.
    event_loop.run(RunMode::Default);
    drop(server);
    match event_loop.close() {
        Ok(()) => println!("everything is closed"),
        Err(busy) => println!("{busy}"),
    }
    Ok(())
}

/// An echo server that can end.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    accepting: JoinHandle<()>,
    connections: Rc<RefCell<Vec<JoinHandle<()>>>>,
}

impl Server {
    pub(crate) fn start(event_loop: &EventLoop, address: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let listener = TcpListener::bind(event_loop, address, 128)?;
        let address = listener.local_address()?;
        let connections = Rc::<RefCell<Vec<JoinHandle<()>>>>::default();
        let (local, of_task) = (event_loop.handle(), Rc::clone(&connections));
        let accepting = event_loop.spawn_local(async move {
            loop {
                if let Ok(stream) = listener.accept().await {
                    let mut connections = of_task.borrow_mut();
                    connections.retain(|connection| !connection.is_finished());
                    connections.push(local.spawn_local(echo(stream)));
                }
            }
        });
        Ok(Self { address, accepting, connections })
    }

    /// Listens no more, lets connections finish, and closes after `grace` those that have not.
    pub(crate) fn shut_down(&self, event_loop: &EventLoop, grace: Duration) {
        // The task owns the listener: ending it closes that.
        self.accepting.abort();
        let connections = std::mem::take(&mut *self.connections.borrow_mut());
        println!("{} connections may finish", connections.iter().filter(|it| !it.is_finished()).count());
        let deadline = event_loop.sleep(grace);
        // Neither the limit's task nor its timer is a reason for the loop to go on.
        deadline.unreference();
        let limit = event_loop.spawn_local(async move {
            deadline.await;
            connections.iter().for_each(JoinHandle::abort);
        });
        limit.unreference();
    }
}

async fn echo(mut stream: TcpStream) {
    while let Ok(Some(chunk)) = stream.read_chunk().await {
        if stream.write(chunk).await.is_err() {
            return;
        }
    }
}
