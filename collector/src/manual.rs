//! What a packager asks of the program: completions of shells, and the man page, made from the command line's definition.

use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::error::Error;

/// Prints the completions for a shell.
///
/// # Errors
/// Those of the standard output.
pub fn completions(shell: Shell) -> Result<(), Error> {
    // Into memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "loopscope-collector", &mut script);
    let doing = "cannot write to the standard output";
    io::stdout().write_all(&script).map_err(|source| Error::System { doing, source })
}

/// Writes the man page into a directory.
///
/// # Errors
/// Those of the disk.
pub fn page(directory: &Path) -> Result<(), Error> {
    clap_mangen::generate_to(Cli::command(), directory)
        .map_err(|source| Error::Output { path: directory.to_owned(), source })
}
