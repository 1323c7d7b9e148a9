//! What the program tells the person who runs it, on the standard error.
//!
//! One short line an event, each beginning with the program's name; whoever collects it (journald, a container's
//! runtime) adds the time. A closed standard error is no reason to stop: what cannot be told is left untold.
//!
//! A command that draws on the whole terminal [holds](hold) the lines back, for they would run into its picture, and
//! shows them in its own way.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lines that are held back; of more, the oldest are dropped.
const HELD_MAX: usize = 100;

static HELD: Mutex<Option<VecDeque<String>>> = Mutex::new(None);

/// Tells one line.
pub(crate) fn line(message: fmt::Arguments<'_>) {
    match &mut *held() {
        Some(lines) => {
            if lines.len() == HELD_MAX {
                lines.pop_front();
            }
            lines.push_back(message.to_string());
        }
        None => write(message),
    }
}

/// What was told already: of the same thing a line is told once, and of more than two hundred things none.
#[derive(Debug, Default)]
pub(crate) struct Once(BTreeSet<String>);

impl Once {
    const TOLD_MAX: usize = 200;

    /// Tells a line, unless it was told.
    pub(crate) fn line(&mut self, message: String) {
        let key = message.clone();
        self.of(key, format_args!("{message}"));
    }

    /// Tells a line of something, unless one was told of that.
    pub(crate) fn of(&mut self, what: String, message: fmt::Arguments<'_>) {
        if self.0.len() < Self::TOLD_MAX && self.0.insert(what) {
            line(message);
        }
    }
}

/// Holds back all lines from now on, until the result is dropped.
pub(crate) fn hold() -> Hold {
    held().get_or_insert_default();
    Hold(())
}

/// Lines are held back.
#[derive(Debug)]
pub(crate) struct Hold(());

impl Hold {
    /// Takes the lines that were held back since the last time.
    pub(crate) fn take(&self) -> Vec<String> {
        held().as_mut().map_or_else(Vec::new, |lines| lines.drain(..).collect())
    }

    /// Tells a line in spite of it.
    pub(crate) fn tell(&self, message: &str) {
        write(format_args!("{message}"));
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        *held() = None;
    }
}

fn write(message: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "loopscope: {message}");
}

fn held() -> MutexGuard<'static, Option<VecDeque<String>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a receiver says, so that it fits into a line.
pub(crate) fn shown(text: &str) -> String {
    const LENGTH_MAX: usize = 300;
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let line: String = clean.take(LENGTH_MAX).collect();
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_receiver_says_stays_in_its_line() {
        assert_eq!(shown(" a\nb\u{1b}[31m\n"), "a b [31m");
        assert_eq!(shown(&"\u{e4}".repeat(1000)).chars().count(), 300);
    }
}
