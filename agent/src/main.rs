//! `loopscope`: shows what event loops are doing.
//!
//! Read in this order: [`cli`] (what can be asked for), then one module a command: [`top`] shows a live table,
//! [`agent`] serves metrics (by the rules of [`serve::web`], with the rights that [`privileges`] leaves), [`profile`] records where CPU time goes, [`demo`] is a workload to look at, [`inspect`] tells what can be measured, [`upload`] sends profiles to a collector.

#![forbid(unsafe_code)]

mod agent;
mod cli;
mod clock;
mod config;
mod console;
mod demo;
mod error;
mod http;
mod inspect;
mod manual;
mod privileges;
mod profile;
mod top;
mod upload;

use std::process::ExitCode;

use cli::Command;
use runtime::alloc::CountingAllocator;

/// musl's own allocator hands most of what a scrape frees back to the kernel, and gets it anew for the next.
#[cfg(target_env = "musl")]
use dlmalloc::GlobalDlmalloc as Memory;
#[cfg(not(target_env = "musl"))]
use std::alloc::System as Memory;

/// For the demo, which publishes what its heap does, and for the agent, which tells it itself. The other commands have no loop
/// that measures itself, so they count without telling.
#[global_allocator]
static ALLOCATOR: CountingAllocator<Memory> = CountingAllocator::waiting_over(Memory);

fn main() -> ExitCode {
    let done = match cli::parse().command {
        Command::Top(options) => top::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Profile(options) => profile::run(&options),
        Command::Agent(options) => agent::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Demo(options) => demo::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Upload(options) => upload::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Inspect(options) => inspect::run(options.pid).map(|()| ExitCode::SUCCESS),
        Command::Completions { shell } => manual::completions(shell).map(|()| ExitCode::SUCCESS),
        Command::Man { directory } => manual::pages(&directory).map(|()| ExitCode::SUCCESS),
        Command::Reference { what } => manual::reference(what).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        console::line(format_args!("{error}"));
        error.exit_code()
    })
}
