//! `cargo xtask fuzz`: libFuzzer on the stable compiler.
//!
//! `cargo fuzz` asks for a nightly compiler because of the sanitizers that it turns on. The coverage that guides a
//! fuzzer needs none, and decoders in safe Rust fail by panicking, by overflow and by being slow, all of which show
//! without. Seeds are committed in `fuzz/seeds`; what a run finds grows in `fuzz/corpus`, which is not.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{Error, cargo, run};
use crate::repository::root;

/// What makes the compiler count edges and trace comparisons for libFuzzer.
const COVERAGE_FLAGS: &str = "--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Inputs are at most this long: enough for a segment with histograms in it.
const INPUT_BYTES_MAX: u32 = 16 << 10;

/// No single input may take longer: decoders are linear in what they are given.
const INPUT_SECONDS_MAX: u32 = 5;

/// Runs one target, or all, each for some seconds.
pub(crate) fn run_targets(args: &[String]) -> Result<(), Error> {
    let folder = root().join("fuzz");
    let (seconds, chosen) = match args {
        [seconds, chosen @ ..] if seconds.parse::<u32>().is_ok() => (seconds.as_str(), chosen),
        chosen => ("10", chosen),
    };
    let targets = if chosen.is_empty() { all_targets(&folder)? } else { chosen.to_vec() };
    let triple = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    for target in targets {
        // Without a target triple the flags would also go to build scripts, which have nobody to count for.
        let mut cargo = cargo();
        cargo.args(["run", "--quiet", "--release", "--target", &triple, "--bin", &target, "--"]);
        cargo.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={INPUT_BYTES_MAX}"));
        cargo.arg(format!("-timeout={INPUT_SECONDS_MAX}")).arg("-print_final_stats=1");
        cargo.arg(format!("-artifact_prefix={}/", make(folder.join("artifacts").join(&target))?.display()));
        // The fuzzer adds what it finds to the first.
        cargo.arg(make(folder.join("corpus").join(&target))?).arg(make(folder.join("seeds").join(&target))?);
        run(cargo.current_dir(&folder).env("RUSTFLAGS", COVERAGE_FLAGS))?;
    }
    Ok(())
}

fn make(folder: PathBuf) -> Result<PathBuf, Error> {
    match fs::create_dir_all(&folder) {
        Ok(()) => Ok(folder),
        Err(error) => Err(Error::File { path: folder, error }),
    }
}

fn all_targets(folder: &Path) -> Result<Vec<String>, Error> {
    let sources = folder.join("fuzz_targets");
    let entries = fs::read_dir(&sources).map_err(|error| Error::File { path: sources.clone(), error })?;
    let names = entries.flatten().filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned()));
    let mut names: Vec<_> = names.collect();
    names.sort();
    Ok(names)
}
