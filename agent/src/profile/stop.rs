//! Ending a recording by a signal.
//!
//! The first SIGINT, SIGTERM or SIGHUP ends the recording, and the file is still written. The second one aborts: the
//! half-written file is removed and the program ends at once, whatever it was doing.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::Error;

/// The user's wish to end the recording.
pub(super) struct Stop {
    asked: Arc<AtomicBool>,
}

impl Stop {
    /// Catches the signals from now on. `half_written` is removed on an abort.
    pub(super) fn install(half_written: Option<PathBuf>) -> Result<Self, Error> {
        let failed = |source| Error::System { doing: "cannot handle signals", source };
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(failed)?;
        let asked = Arc::new(AtomicBool::new(false));
        let ask = Arc::clone(&asked);
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for signal in &mut signals {
                    if ask.swap(true, Ordering::Relaxed) {
                        half_written.iter().for_each(|path| drop(std::fs::remove_file(path)));
                        std::process::exit(128 + signal);
                    }
                }
            })
            .map_err(failed)?;
        Ok(Self { asked })
    }

    /// Whether the recording is to end.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}
