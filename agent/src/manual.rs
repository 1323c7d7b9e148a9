//! What a packager asks of the program: completions of shells, and man pages, made from the command line's definition.

use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::error::Error;

/// Prints the completions for a shell.
pub(crate) fn completions(shell: Shell) -> Result<(), Error> {
    // Into memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "loopscope", &mut script);
    io::stdout().write_all(&script).map_err(|source| Error::Stdout { source })
}

/// Writes one man page a command into a directory.
pub(crate) fn pages(directory: &Path) -> Result<(), Error> {
    clap_mangen::generate_to(Cli::command(), directory)
        .map_err(|source| Error::Output { path: directory.to_owned(), source })
}
