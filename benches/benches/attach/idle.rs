//! What measuring does to processes that do nothing, and what it costs the agent.

use std::fs;
use std::time::Duration;

use loopscope_benches::process_cpu_ns;

use crate::Programs;
use crate::observer::{self, Observer, Way};
use crate::server::Server;

const WINDOW: Duration = Duration::from_secs(10);

const TARGETS: usize = 20;

/// Wake-ups of an idle server, and its CPU time.
pub(crate) fn wakeups(programs: &Programs) {
    println!("### An idle server, {} s\n", WINDOW.as_secs());
    println!("| attached | wake-ups/s | CPU ms/s |\n|---|---|---|");
    let plain = Server::start(&programs.node, None);
    // Node.js settles within seconds: it collects garbage, and its compilers end.
    std::thread::sleep(WINDOW);
    let ways =
        [Way::Nothing, Way::Agent("observe"), Way::Agent("all"), Way::Bpftrace("phases"), Way::Nothing];
    for way in ways {
        let Some(observer) = Observer::attach(way, programs, &plain) else { continue };
        report(&way.name(), &plain);
        observer.detach();
    }
    if let Some(path) = &programs.prom_client {
        let instrumented = Server::start(&programs.node, Some(path));
        std::thread::sleep(WINDOW);
        report(&Way::PromClient.name(), &instrumented);
    }
    println!();
}

fn report(name: &str, server: &Server) {
    let (switches, cpu_ns) = (switches(server.pid()), server.cpu_ns());
    std::thread::sleep(WINDOW);
    let seconds = WINDOW.as_secs_f64();
    let wakeups = (self::switches(server.pid()) - switches) as f64 / seconds;
    let cpu_ms = (server.cpu_ns() - cpu_ns) as f64 / 1e6 / seconds;
    println!("| {name} | {wakeups:.1} | {cpu_ms:.3} |");
}

/// How often the threads of a process gave up their CPU by themselves, and so were woken again.
fn switches(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the server runs");
    let of_thread = |task: std::io::Result<fs::DirEntry>| {
        let status = fs::read_to_string(task.ok()?.path().join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse::<u64>().ok()
    };
    tasks.filter_map(of_thread).sum()
}

/// The agent's own CPU time with many idle targets.
pub(crate) fn many_targets(programs: &Programs) {
    println!("### The agent with {TARGETS} idle targets, {} s\n", WINDOW.as_secs());
    println!("| tiers | share of a core | resident MiB |\n|---|---|---|");
    let servers: Vec<Server> = (0..TARGETS).map(|_| Server::start(&programs.node, None)).collect();
    let pids: Vec<u32> = servers.iter().map(Server::pid).collect();
    std::thread::sleep(WINDOW);
    for tiers in ["observe", "observe,loop", "all"] {
        let agent = observer::agent(programs, tiers, observer::UNBOUNDED, &pids);
        let pid = agent.pid().expect("an agent is a process");
        // Reading the binaries, once, is not part of it.
        std::thread::sleep(Duration::from_secs(2));
        let before = process_cpu_ns(pid).expect("the agent runs");
        std::thread::sleep(WINDOW);
        let share = (process_cpu_ns(pid).expect("the agent runs") - before) as f64 / WINDOW.as_nanos() as f64;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the agent runs");
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        let mib = kib.and_then(|kib| kib.parse::<f64>().ok()).expect("a number") / 1024.0;
        println!("| {tiers} | {:.2}% | {mib:.1} |", share * 100.0);
        agent.detach();
    }
    println!();
}
