//! What the program tells the person who runs it, on the standard error.
//!
//! One short line an event, each beginning with the program's name; whoever collects it (journald, a container's
//! runtime) adds the time. A closed standard error is no reason to stop: what cannot be told is left untold.

use std::fmt;
use std::io::{self, Write};

/// Tells one line.
pub(crate) fn line(message: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "loopscope: {message}");
}
