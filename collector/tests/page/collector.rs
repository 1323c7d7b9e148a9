//! A collector with profiles of which everything is known.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use tests::folder::Folder;
use tests::http;
use tests::loopscope::serve;
use tests::process::Guarded;

/// The selector of the CPU time of the service `api`.
pub(crate) const API: &str = r#"process_cpu:cpu:nanoseconds:cpu:nanoseconds{service="api"}"#;

/// What `api` did every thirty seconds for five minutes, in samples of 10 ms: 4 s in all.
pub(crate) const QUIET: &[(&str, &str)] = &[
    ("timers", "[timers];uv_run;refresh 10"),
    ("poll_callbacks", "[poll callbacks];uv_run;serve;parse 20"),
    ("poll_callbacks", "[poll callbacks];uv_run;serve;render;serve;escape 10"),
];
/// And in the five minutes after: `refresh` takes five times as long, and all of it 8 s.
pub(crate) const BUSY: &[(&str, &str)] = &[
    ("timers", "[timers];uv_run;refresh 50"),
    ("poll_callbacks", "[poll callbacks];uv_run;serve;parse 20"),
    ("poll_callbacks", "[poll callbacks];uv_run;serve;render;serve;escape 10"),
];

/// A running `loopscope-collector`.
pub(crate) struct Collector {
    address: SocketAddr,
    /// When the profiles of `api` begin: five minutes are quiet, five busy.
    pub(crate) began: u64,
    _process: Guarded,
    _data: Folder,
}

impl Collector {
    /// A collector that nothing was sent to.
    pub(crate) fn empty() -> Self {
        let data = Folder::new("collector");
        let mut command = Command::new(env!("CARGO_BIN_EXE_loopscope-collector"));
        command.args(["--listen", "127.0.0.1:0", "--data"]).arg(data.path());
        let (process, address) = serve(&mut command);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        Self { address, began: (now / 60 - 20) * 60, _process: process, _data: data }
    }

    /// A collector with the profiles of `api`: on one host the quiet ones, on another the busy ones.
    pub(crate) fn with_api() -> Self {
        let collector = Self::empty();
        for (part, host, phases) in [(0, "one", QUIET), (1, "two", BUSY)] {
            for step in 0..10 {
                let time = collector.began + part * 300 + step * 30;
                for (phase, stacks) in phases {
                    collector.push(&format!("api{{host={host},phase={phase}}}"), time, stacks);
                }
            }
        }
        collector
    }

    /// Sends folded stacks that began at this time.
    pub(crate) fn push(&self, name: &str, time: u64, stacks: &str) {
        let name = name.replace('{', "%7B").replace('}', "%7D");
        let path =
            format!("/ingest?name={name}&from={time}&until={}&format=folded&sampleRate=100", time + 10);
        let answer = http::post(self.address, &path, stacks.as_bytes()).expect("the collector answers");
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    }

    /// What it answers to a path.
    pub(crate) fn get(&self, path: &str) -> http::Response {
        http::get(self.address, path, &[]).expect("the collector answers")
    }

    /// Where it serves.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the page, without a query.
    pub(crate) fn page(&self) -> String {
        format!("http://{}/", self.address)
    }
}
