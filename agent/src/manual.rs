//! What a packager asks of the program: completions of shells, man pages, and the reference of the configuration, made from the definitions
//! of the command line and of the file.

use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::{self, Cli, Reference};
use crate::config::reference;
use crate::error::Error;

/// Prints the completions for a shell.
pub(crate) fn completions(shell: Shell) -> Result<(), Error> {
    // Into memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "loopscope", &mut script);
    io::stdout().write_all(&script).map_err(|source| Error::Stdout { source })
}

/// Writes one man page a command into a directory.
pub(crate) fn pages(directory: &Path) -> Result<(), Error> {
    clap_mangen::generate_to(cli::command(), directory)
        .map_err(|source| Error::Output { path: directory.to_owned(), source })
}

/// Prints what is made of the configuration's definition.
pub(crate) fn reference(what: Reference) -> Result<(), Error> {
    let command = Cli::command();
    let agent = command.find_subcommand("agent").expect("there is one");
    let text = match what {
        Reference::Page => reference::page(agent),
        Reference::File => reference::commented_file(agent),
    };
    io::stdout().write_all(text.as_bytes()).map_err(|source| Error::Stdout { source })
}
