//! What it costs to take profiles in, to keep them, and to merge an hour or a day of them; and the same beside others.
//!
//! Taking in is everything from the bytes of a request to blocks on the disk that are merged as far as they will be: decompression, decoding, the
//! flushed log, making and merging blocks. CPU time is the whole process's, all threads, without what made the requests.
//!
//! `cargo bench -p loopscope-collector --bench store -- hour` runs one part; there are `hour`, `hundred`, `day` and `peers`.

#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]

mod cost;
mod ours;
mod peers;
mod workload;

use loopscope_collector::store::embedded::{EmbeddedStore, Options};
use loopscope_collector::times::now_ms;

use ours::{Merge, ingest, merge};
use workload::{Load, Sends};

const HOUR_MS: i64 = 3_600_000;

/// Twenty steady services, each of two cores sampled 100 times a second, for an hour that is over.
fn hour() -> Load {
    Load {
        services: 20,
        profiles: 360,
        stacks: 5000,
        start_ms: (now_ms() / HOUR_MS - 2) * HOUR_MS,
        step_ms: 10_000,
    }
}

/// A hundred smaller ones that send each minute.
fn hundred() -> Load {
    Load { services: 100, profiles: 60, stacks: 1000, step_ms: 60_000, ..hour() }
}

/// One of the twenty for a day that is over.
fn day() -> Load {
    Load { services: 1, profiles: 8640, start_ms: (now_ms() / (24 * HOUR_MS) - 2) * 24 * HOUR_MS, ..hour() }
}

fn main() {
    let parts: Vec<String> = std::env::args().skip(1).filter(|part| !part.starts_with("--")).collect();
    let is_wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    if is_wanted("hour") {
        run("an hour of 20 services, pprof", &hour(), Sends::Pprof);
        run("the same as OTLP", &hour(), Sends::Otlp);
    }
    if is_wanted("hundred") {
        run("an hour of 100 services, pprof", &hundred(), Sends::Pprof);
    }
    if is_wanted("day") {
        run("a day of a service, pprof", &day(), Sends::Pprof);
    }
    if is_wanted("peers") {
        peers::run(&hour());
    }
}

/// Takes a load in, and merges all of it and one service's.
fn run(what: &str, load: &Load, sends: Sends) {
    println!("{what}:");
    let folder = tempfile::tempdir().expect("a folder");
    let store = EmbeddedStore::open(Options::new(folder.path())).expect("a fresh store");
    let taken = ingest(&store, load, sends, |_, _, _| ());
    let samples = load.samples() as f64;
    println!("  {} samples in {} rows, {} bytes sent", samples, taken.rows, taken.sent);
    println!(
        "  taken in: {:.2} CPU-s: {:.0} samples and {:.0} rows a CPU-second; memory grew by {:.0} MiB",
        taken.cpu_s,
        samples / taken.cpu_s,
        taken.rows as f64 / taken.cpu_s,
        taken.grew_mib
    );
    let sizes = store.sizes();
    println!(
        "  on the disk: {} blocks, {} rows: {:.3} bytes a sample, {:.2} a row",
        sizes.blocks,
        sizes.block_rows,
        sizes.block_bytes as f64 / samples,
        sizes.block_bytes as f64 / sizes.block_rows as f64
    );
    drop(store);
    let partly = load.range_but_for_a_minute();
    for (what, services, range) in [
        ("one service", 1, load.range()),
        ("one service but for a minute at each end", 1, partly),
        ("all", load.services, load.range()),
        ("all but for a minute at each end", load.services, partly),
    ] {
        let selector = if services == 1 { r#"{service="service0"}"# } else { "" };
        let store = EmbeddedStore::open(Options::new(folder.path())).expect("the same store");
        let cold = merge(&store, selector, range);
        let warm =
            (0..5).map(|_| merge(&store, selector, range)).min_by(|a, b| a.wall_ms.total_cmp(&b.wall_ms));
        let warm = warm.expect("five");
        if range == load.range() {
            assert_eq!(cold.total, load.total(services), "nothing is lost");
        }
        println!("  merge of {what}, {} stacks; memory grew by {:.0} MiB:", cold.stacks, cold.grew_mib);
        for (how, Merge { wall_ms, cpu_ms, tree_wall_ms, tree_cpu_ms, .. }) in
            [("cold", cold), ("warm", warm)]
        {
            println!(
                "    {how}: {wall_ms:.1} ms, {cpu_ms:.1} CPU-ms; its tree {tree_wall_ms:.1} ms, {tree_cpu_ms:.1} CPU-ms"
            );
        }
    }
}
