//! What to record, and what turned out otherwise.

use std::fmt;

/// What is sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Where threads spend CPU time: a sample each period of it, of weight one.
    Cpu,
    /// Where threads wait, or are kept from running: a sample each time one gets a CPU again, with the stack that it left
    /// the CPU with and the nanoseconds that it was away. One that is still away at the end counts up to the end; one
    /// that was away from the beginning on has no known stack and is left out until it runs.
    ///
    /// Every switch costs a sample, so this is for programs that wait more than they switch: at more than some ten
    /// thousand switches a second, samples get lost. The kernel shows switches only to those who may see the kernel.
    OffCpu,
}

/// What to record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordOptions {
    /// What is sampled.
    pub mode: Mode,
    /// Samples per second of CPU time, 1 to 10000. Of no meaning for [`Mode::OffCpu`].
    pub frequency_hz: u32,
    /// The most bytes of a thread's stack that a sample copies, at most 60 KiB. Only what the stack holds is copied, so
    /// a high bound costs little but room in the buffers. Zero leaves unwinding to frame pointers.
    pub stack_bytes: u32,
    /// Whether to follow processes that the target starts from now on. Not to needs Linux 5.13.
    pub children: bool,
}

impl Default for RecordOptions {
    /// 999 Hz, which does not beat in time with what happens every millisecond; 48 KiB of stack, the least that cut off
    /// no stack in our measurements; with children.
    fn default() -> Self {
        Self { mode: Mode::Cpu, frequency_hz: 999, stack_bytes: 48 << 10, children: true }
    }
}

impl RecordOptions {
    /// Off-CPU time, with children. Stacks are cut at 16 KiB, so that bursts of switches find room in the buffers.
    pub fn off_cpu() -> Self {
        Self { mode: Mode::OffCpu, stack_bytes: 16 << 10, ..Self::default() }
    }
}

/// How a recording falls short of what was asked for, for the user to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Time in the kernel is not sampled, because this user may not see it.
    KernelLeftOut {
        /// `kernel.perf_event_paranoid`, where it can be read.
        paranoid: Option<i32>,
    },
    /// The kernel allows only a lower frequency.
    FrequencyLowered {
        /// What was asked for, in Hz.
        asked_hz: u32,
        /// What is used, in Hz: `kernel.perf_event_max_sample_rate`.
        used_hz: u32,
    },
    /// The kernel allows only small buffers, so samples copy less of the stack in order not to get lost.
    StacksShortened {
        /// What was asked for, in bytes.
        asked_bytes: u32,
        /// What is used, in bytes.
        used_bytes: u32,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::KernelLeftOut { paranoid } => {
                write!(f, "time in the kernel is left out: seeing it needs CAP_PERFMON or ")?;
                write!(f, "kernel.perf_event_paranoid at most 1")?;
                paranoid.map_or(Ok(()), |level| write!(f, "; it is {level}"))
            }
            Notice::FrequencyLowered { asked_hz, used_hz } => write!(
                f,
                "sampling at {used_hz} Hz instead of {asked_hz} Hz: more needs a higher \
                 kernel.perf_event_max_sample_rate"
            ),
            Notice::StacksShortened { asked_bytes, used_bytes } => write!(
                f,
                "copying {used_bytes} bytes of each stack instead of {asked_bytes}: more needs more locked memory \
                 (`ulimit -l`, kernel.perf_event_mlock_kb or CAP_IPC_LOCK)"
            ),
        }
    }
}
