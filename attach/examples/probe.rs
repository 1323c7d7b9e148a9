//! Measures a libuv process for some seconds with every tier: `cargo run -p loopscope-attach --example probe -- PID SECONDS [single]`.

#![expect(clippy::print_stdout, reason = "an example reports on standard output")]

use loopscope_attach::libuv::locate::Images;
use loopscope_attach::libuv::probes::{ProbeOptions, Probes};
use loopscope_attach::libuv::tiers::Tiers;
use loopscope_attach::target::{Pid, Process};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let pid: Pid = arguments.next().ok_or("the id of a process is missing")?.parse()?;
    let seconds: u64 = arguments.next().ok_or("the number of seconds is missing")?.parse()?;
    let single = arguments.next().is_some();
    let located = Images::default().locate(&Process::open(pid)?)?.ok_or("the process has no libuv")?;
    let mut probes = Probes::load(&ProbeOptions { single })?;
    let attachment = probes.attach(pid, &located, Tiers::ALL, 50_000_000)?;
    println!("{} refused: {:?}", attachment.tiers(), attachment.refused());
    std::thread::sleep(std::time::Duration::from_secs(seconds));
    let measured = probes.collect()?.of(&attachment);
    println!("{measured:#?}");
    println!("hits {:?}, losses {:?}", probes.hits(&attachment), probes.losses());
    probes.slow_iterations(|slow| println!("{slow:?}"));
    Ok(())
}
