//! What the program tells the person who runs it: one short line an event, on the standard error.

use std::fmt;
use std::io::{self, Write};

/// Tells one line. A closed standard error is no reason to stop.
pub(crate) fn line(message: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "loopscope-collector: {message}");
}
