//! Many targets that come and go, for minutes: whether memory stays flat, what the agent's CPU time is, how long scrapes take.

use std::time::{Duration, Instant};

use crate::Programs;
use crate::exporter::{Exporter, Format, quantile_ms};
use crate::targets::Targets;

const TARGETS: usize = 200;
const MINUTES: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);
const SECONDS_OF_A_MINUTE: u32 = 60;

/// What happened in one minute.
struct Minute {
    /// The highest of the minute, in MiB.
    resident: f64,
    cpu_share: f64,
    times: Vec<(Format, Duration)>,
    failed: usize,
}

pub(crate) fn run(programs: &Programs) {
    let minutes =
        std::env::var("LOOPSCOPE_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(MINUTES);
    let mut targets = Targets::start(programs, TARGETS);
    let agent = Exporter::agent(programs);
    agent.wait_for_targets(TARGETS);
    println!("### {TARGETS} targets, one of which is replaced each second, and a scrape each second\n");
    println!(
        "| minute | resident MiB | CPU, of a core | scrapes | median ms | 99% ms | slowest ms | failed |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut all = Vec::new();
    for number in 1..=minutes {
        let minute = one(&agent, &mut targets);
        let times: Vec<_> = minute.times.iter().map(|(_, time)| *time).collect();
        println!(
            "| {number} | {:.1} | {:.1}% | {} | {:.1} | {:.1} | {:.1} | {} |",
            minute.resident,
            minute.cpu_share * 100.0,
            times.len(),
            quantile_ms(&times, 0.5),
            quantile_ms(&times, 0.99),
            quantile_ms(&times, 1.0),
            minute.failed
        );
        all.push(minute);
    }
    println!("\n| format | scrapes | median ms | 99% ms |\n|---|---|---|---|");
    for format in Format::ALL {
        let of_format = all.iter().flat_map(|minute| &minute.times).filter(|(own, _)| *own == format);
        let times: Vec<_> = of_format.map(|(_, time)| *time).collect();
        let (median, high) = (quantile_ms(&times, 0.5), quantile_ms(&times, 0.99));
        println!("| {} | {} | {median:.1} | {high:.1} |", format.name(), times.len());
    }
    let peak = agent.memory_mib("VmHWM:");
    let (first, last) = (all[0].resident, all[all.len() - 1].resident);
    println!(
        "\nResident memory: {first:.1} MiB in the first minute, {last:.1} in the last; the peak was {peak:.1}.\n"
    );
}

/// One minute of churn and scrapes.
fn one(agent: &Exporter, targets: &mut Targets<'_>) -> Minute {
    let mut minute = Minute { resident: 0.0, cpu_share: 0.0, times: Vec::new(), failed: 0 };
    let (began, cpu_ns) = (Instant::now(), agent.cpu_ns());
    for second in 1..=SECONDS_OF_A_MINUTE {
        targets.replace_one();
        let format = Format::ALL[second as usize % Format::ALL.len()];
        match agent.scrape(format) {
            Some((_, time)) => minute.times.push((format, time)),
            None => minute.failed += 1,
        }
        minute.resident = minute.resident.max(agent.memory_mib("VmRSS:"));
        std::thread::sleep((SECOND * second).saturating_sub(began.elapsed()));
    }
    minute.cpu_share = (agent.cpu_ns() - cpu_ns) as f64 / began.elapsed().as_nanos() as f64;
    minute
}
