//! Ending the command that was launched: it does not outlive its recording, so that no server is left behind unattended.

use std::time::{Duration, Instant};

use attach::sampler::recorder::Launched;
use rustix::process::{Pid, Signal, kill_process};

use crate::console;
use crate::error::Error;

/// How long a command may take to end by itself after an interrupt, which the terminal sends to it as well.
const INTERRUPT_GRACE: Duration = Duration::from_secs(2);

/// How long it may take after it was told to.
const TERMINATE_GRACE: Duration = Duration::from_secs(5);

/// Tells the command to end.
pub(super) fn tell_to_end(command: &Launched) {
    send(command, Signal::TERM);
}

/// Sees to the end of a command after an interrupt.
pub(super) fn end_interrupted(command: &mut Launched) -> Result<(), Error> {
    if !ends_within(command, INTERRUPT_GRACE)? {
        tell_to_end(command);
        end_told(command)?;
    }
    Ok(())
}

/// Sees to the end of a command that was told to end.
pub(super) fn end_told(command: &mut Launched) -> Result<(), Error> {
    if !ends_within(command, TERMINATE_GRACE)? {
        console::line(format_args!("process {} did not end when it was told to: killing it", command.pid()));
        send(command, Signal::KILL);
    }
    Ok(())
}

fn ends_within(command: &mut Launched, grace: Duration) -> Result<bool, Error> {
    let began = Instant::now();
    loop {
        if command.try_wait().map_err(Error::Record)?.is_some() {
            return Ok(true);
        }
        if began.elapsed() >= grace {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The id cannot be another process's: this one has not been waited for.
fn send(command: &Launched, signal: Signal) {
    if let Some(pid) = Pid::from_raw(command.pid() as i32) {
        // A command that has ended in the meantime needs no signal any more.
        let _ = kill_process(pid, signal);
    }
}
