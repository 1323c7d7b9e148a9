//! Prints the loops of a libuv process: `cargo run -p loopscope-attach --example loops -- PID`.

#![expect(clippy::print_stdout, reason = "an example reports on standard output")]

use loopscope_attach::libuv::locate::Images;
use loopscope_attach::libuv::observe::Observer;
use loopscope_attach::target::{Pid, Process};
use model::time::Monotonic;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pid: Pid = std::env::args().nth(1).ok_or("the id of a process is missing")?.parse()?;
    let process = Process::open(pid)?;
    let located = Images::default().locate(&process)?.ok_or("the process has no libuv")?;
    let mut observer = Observer::new(&process, located, Monotonic::from_ns(1))?;
    for second in 1..4 {
        observer.read(Monotonic::from_ns(second * 10_000_000_000))?;
        println!("{:?}", observer.loops().collect::<Vec<_>>());
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    Ok(())
}
