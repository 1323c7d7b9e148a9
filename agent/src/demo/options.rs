//! What can be asked of `loopscope demo`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::{Address, duration};

const EXAMPLES: &str = "\
Examples:
  loopscope demo --all                               (agent, collector and page beside it)
  loopscope demo --agent
  loopscope demo --rate 1000 --block 200ms --duration 1m
  loopscope demo --rate 0 --listen 127.0.0.1:8080    (no load: send your own)
  loopscope demo --duration 10s --json

GET /truth tells what the service counted so far, as JSON: what its metrics have to agree with.";

/// Run a small HTTP service on the included event loop, with a load of its own, to look at
///
/// One route answers at once, one reads a file and one hashes on the thread pool, one blocks the loop on purpose. Look at it
/// with `loopscope agent` and `loopscope profile`. It runs until Ctrl-C or for --duration, then says what it did.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DemoOptions {
    /// Start the whole of Loopscope: an agent, and a collector whose page shows profiles and lag
    ///
    /// loopscope-collector has to lie beside this program, or on the path. Without root it works, too: a process may measure itself.
    #[arg(long)]
    pub(super) all: bool,

    /// With --all: keep what the collector gets there; else it goes away with the demo
    #[arg(long, value_name = "DIR", requires = "all")]
    pub(super) data: Option<PathBuf>,

    /// The address to serve on, with --all that of the page; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(super) listen: Address,

    /// End after this time, such as 30s or 1m30s
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    pub(super) duration: Option<Duration>,

    /// Requests that the load sends each second; 0 for none
    #[arg(short, long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(super) rate: u32,

    /// How long /block blocks the loop
    #[arg(long, value_name = "TIME", default_value = "50ms", value_parser = duration)]
    pub(super) block: Duration,

    /// Serve metrics as well, as `loopscope agent` does
    #[arg(long, value_name = "ADDR", num_args = 0..=1, require_equals = true, default_missing_value = "127.0.0.1:9464")]
    pub(super) agent: Option<Address>,

    /// Write the summary at the end as JSON
    #[arg(long)]
    pub(super) json: bool,
}
