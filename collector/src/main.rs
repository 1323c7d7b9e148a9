//! `loopscope-collector`: stores profiles of any producer and serves flamegraphs.

#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use loopscope_collector::cli::Cli;
use loopscope_collector::config::Settings;
use loopscope_collector::error::Error;
use loopscope_collector::{manual, server};

/// musl's own allocator hands most of what a query frees back to the kernel, and gets it anew for the next.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    // Wrong usage ends here, with status 2.
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed standard error is no reason for another status.
            let _ = writeln!(std::io::stderr(), "loopscope-collector: {error}");
            error.exit_code()
        }
    }
}

fn run(options: &Cli) -> Result<(), Error> {
    match (options.completions, &options.man) {
        (Some(shell), _) => manual::completions(shell),
        (None, Some(directory)) => manual::page(directory),
        (None, None) => server::run(&Settings::new(options)?),
    }
}
