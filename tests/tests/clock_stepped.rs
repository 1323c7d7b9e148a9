//! A clock that is stepped while the agent runs: a faked one, of this agent alone.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::folder::Folder;
use loopscope_tests::otlp::{Protocol, Receiver, Request};
use loopscope_tests::requirement;

/// The library that fakes a program's clock, where Debian puts it.
fn library() -> Option<PathBuf> {
    requirement::program("faketime")?;
    let folders = fs::read_dir("/usr/lib").ok()?.flatten();
    let found =
        folders.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.is_file());
    if found.is_none() {
        requirement::skip("libfaketime is missing; `cargo xtask test` installs it");
    }
    found
}

/// How far the points of a request are ahead of the true time when it came, in seconds.
fn ahead(request: &Request) -> f64 {
    let time = request.points().map(|point| point.span().1).max().expect("it has points");
    time as f64 / 1e9 - request.at()
}

#[test]
fn times_never_run_backwards_and_are_those_of_the_clock_again() {
    let Some(library) = library() else { return };
    for temporality in ["cumulative", "delta"] {
        let Some(receiver) = Receiver::start_at(Protocol::Http, 0, &[]) else { return };
        let folder = Folder::new("clock");
        let clock = folder.file("clock");
        // Whole at once, for it is read all the time.
        let step = |offset: &str| {
            fs::write(folder.file("new"), format!("{offset}\n")).expect("our own file");
            fs::rename(folder.file("new"), &clock).expect("our own file");
        };
        step("+0");
        let mut command = receiver.agent_command();
        command
            .env("LD_PRELOAD", &library)
            .env("FAKETIME_TIMESTAMP_FILE", &clock)
            .env("FAKETIME_NO_CACHE", "1");
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
        command.env("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", temporality);
        let agent = receiver.agent_by(&mut command, &[]);
        let expect_ahead = |range: std::ops::Range<f64>| {
            wait_for(&format!("times {range:?} s ahead"), SOON, || {
                let requests = receiver.requests();
                requests.last().filter(|last| range.contains(&ahead(last))).map(|_| requests.len())
            })
        };
        expect_ahead(-5.0..1.0);
        step("+7200");
        let so_far = expect_ahead(7190.0..7201.0);
        // Half an hour back, for a while: exports go on, later than the clock.
        step("+5400");
        receiver.wait_for_requests(so_far + 4);
        assert!(ahead(receiver.requests().last().expect("some came")) > 7000.0);
        // Nearly what it was: soon it is the clock's own time again.
        step("+7199");
        expect_ahead(7190.0..7199.1);
        agent.stop(SOON);

        let mut last: HashMap<String, (u64, u64)> = HashMap::new();
        for request in receiver.requests() {
            for point in request.points() {
                let key =
                    ["name", "resource", "attributes"].map(|field| point.field(field).to_string()).join(" ");
                let (start, time) = point.span();
                assert!(start <= time, "{key}: from {start} to {time}");
                if let Some((last_start, last_time)) = last.insert(key.clone(), (start, time)) {
                    assert!(time > last_time, "{key}: {last_time}, then {time}");
                    assert!(start >= last_start, "{key}: from {last_start}, then from {start}");
                }
            }
        }
        assert!(last.len() > 20, "{last:?}");
    }
}
