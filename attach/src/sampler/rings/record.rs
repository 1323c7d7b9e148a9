//! One record of the kernel's, as an event: words in, event out.
//!
//! The layout is that of `struct perf_event_header` and `enum perf_event_type` in the kernel's
//! `include/uapi/linux/perf_event.h`, for the fields that [`SAMPLE_FIELDS`] asks for; so it is fixed, and needs no
//! interpreter of attributes. Nothing is trusted: a record whose lengths disagree is malformed, and no input panics.
//! The slices of an event borrow the record.

#[cfg(test)]
mod tests;

use model::label::LossCause;
use model::time::Monotonic;

use crate::sampler::event::{Event, Mapped, Registers, Sample};
use crate::sys::perf_event::bindings as perf;

/// What samples carry. All other records end in the thread, the time and the event.
pub(crate) const SAMPLE_FIELDS: u64 = (perf::PERF_SAMPLE_TID
    | perf::PERF_SAMPLE_TIME
    | perf::PERF_SAMPLE_ID
    | perf::PERF_SAMPLE_CALLCHAIN
    | perf::PERF_SAMPLE_REGS_USER
    | perf::PERF_SAMPLE_STACK_USER) as u64;

/// The registers that samples carry, as the kernel numbers them; they come by ascending number.
pub(crate) const SAMPLE_REGISTERS: u64 = registers::MASK;

#[cfg(target_arch = "x86_64")]
mod registers {
    use super::{Registers, perf};

    pub(super) const MASK: u64 =
        1 << perf::PERF_REG_X86_BP | 1 << perf::PERF_REG_X86_SP | 1 << perf::PERF_REG_X86_IP;
    pub(super) const COUNT: usize = 3;

    pub(super) fn from_words(words: [u64; COUNT]) -> Registers {
        let [fp, sp, ip] = words;
        Registers { ip, sp, fp, lr: 0 }
    }
}

#[cfg(target_arch = "aarch64")]
mod registers {
    use super::{Registers, perf};

    pub(super) const MASK: u64 = 1 << perf::PERF_REG_ARM64_X29
        | 1 << perf::PERF_REG_ARM64_LR
        | 1 << perf::PERF_REG_ARM64_SP
        | 1 << perf::PERF_REG_ARM64_PC;
    pub(super) const COUNT: usize = 4;

    pub(super) fn from_words(words: [u64; COUNT]) -> Registers {
        let [fp, lr, sp, ip] = words;
        Registers { ip, sp, fp, lr }
    }
}

/// Call chains are divided by markers, which are the highest 4095 numbers.
const FIRST_MARKER: u64 = perf::PERF_CONTEXT_MAX;
const KERNEL_MARKER: u64 = perf::PERF_CONTEXT_KERNEL;
const USER_MARKER: u64 = perf::PERF_CONTEXT_USER;

/// What a record tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    /// A thread was sampled, or left the CPU.
    Sampled {
        /// The event that sampled it, or that the one was inherited from.
        event: u64,
        /// How it was found.
        sample: Sample<'a>,
    },
    /// A thread was started.
    Forked {
        /// When.
        time: Monotonic,
        /// Its process.
        pid: u32,
        /// The thread.
        tid: u32,
        /// The process of the thread that started it.
        parent_pid: u32,
        /// The thread that started it.
        parent_tid: u32,
    },
    /// A thread that was off the CPU is on one again. Only where it was asked for.
    Resumed {
        /// When.
        time: Monotonic,
        /// The thread.
        tid: u32,
    },
    /// Anything else.
    Event(Event<'a>),
}

/// A record that contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The number of words of the record that begins with `first`.
///
/// # Errors
/// If it is too short to be one: what follows it cannot be found then.
pub(crate) fn length_in_words(first: u64) -> Result<usize, Malformed> {
    let [_, _, _, bytes] = quarters(first);
    let bytes = usize::from(bytes);
    if bytes >= 8 && bytes.is_multiple_of(8) { Ok(bytes / 8) } else { Err(Malformed) }
}

/// When the record was made, without reading the rest of it.
pub(crate) fn time_of(record: &[u64]) -> Result<Monotonic, Malformed> {
    let (kind, _) = kind_and_flags(*record.first().ok_or(Malformed)?);
    let time = if kind == perf::PERF_RECORD_SAMPLE {
        record.get(2)
    } else {
        record.get(1..).and_then(|body| body.iter().nth_back(1))
    };
    time.copied().map(Monotonic::from_ns).ok_or(Malformed)
}

/// What a whole record tells, `None` if it is of a kind that we have no use for.
pub(crate) fn parse(record: &[u64]) -> Result<Option<Record<'_>>, Malformed> {
    let (&first, body) = record.split_first().ok_or(Malformed)?;
    let (kind, flags) = kind_and_flags(first);
    if kind == perf::PERF_RECORD_SAMPLE {
        return sample(body).map(Some);
    }
    let (body, &[thread, time, _event]) = body.split_last_chunk().ok_or(Malformed)?;
    let time = Monotonic::from_ns(time);
    Ok(Some(Record::Event(match kind {
        perf::PERF_RECORD_MMAP2 => Event::Mapped(mapped(time, body)?),
        perf::PERF_RECORD_COMM => {
            let (&thread, name) = body.split_first().ok_or(Malformed)?;
            let [pid, tid] = halves(thread);
            let exec = flags & perf::PERF_RECORD_MISC_COMM_EXEC as u16 != 0;
            Event::Renamed { time, pid, tid, name: until_zero(name), exec }
        }
        perf::PERF_RECORD_FORK => {
            let &[processes, threads, ..] = body else { return Err(Malformed) };
            let ([pid, parent_pid], [tid, parent_tid]) = (halves(processes), halves(threads));
            return Ok(Some(Record::Forked { time, pid, tid, parent_pid, parent_tid }));
        }
        perf::PERF_RECORD_EXIT => {
            let &[processes, threads, ..] = body else { return Err(Malformed) };
            let ([pid, _], [tid, _]) = (halves(processes), halves(threads));
            Event::Exited { time, pid, tid }
        }
        perf::PERF_RECORD_LOST => {
            let &[_event, count, ..] = body else { return Err(Malformed) };
            Event::Lost { cause: LossCause::BufferFull, count }
        }
        perf::PERF_RECORD_LOST_SAMPLES => {
            let &[count, ..] = body else { return Err(Malformed) };
            Event::Lost { cause: LossCause::BufferFull, count }
        }
        // The kernel stopped an event until its next tick. How many samples that cost it does not say.
        perf::PERF_RECORD_THROTTLE => Event::Lost { cause: LossCause::Throttled, count: 1 },
        perf::PERF_RECORD_SWITCH if flags & perf::PERF_RECORD_MISC_SWITCH_OUT as u16 == 0 => {
            let [_, tid] = halves(thread);
            return Ok(Some(Record::Resumed { time, tid }));
        }
        _ => return Ok(None),
    })))
}

/// `{ u32 pid, tid; u64 time, id; u64 count, ips[count]; u64 abi, regs[]; u64 size; char data[size]; u64 dyn_size; }`
fn sample(body: &[u64]) -> Result<Record<'_>, Malformed> {
    let mut rest = Words(body);
    let [pid, tid] = halves(rest.next()?);
    let time = Monotonic::from_ns(rest.next()?);
    let event = rest.next()?;
    let count = rest.next()?;
    let (kernel, user_by_frame_pointer) = split_call_chain(rest.take(count)?);
    let registers = match u32::try_from(rest.next()?).map_err(|_| Malformed)? {
        perf::PERF_SAMPLE_REGS_ABI_NONE => None,
        abi => {
            let words = rest.take(registers::COUNT as u64)?.try_into().map_err(|_| Malformed)?;
            // The stack of a 32-bit program has another shape: leave it to its frame pointers.
            (abi == perf::PERF_SAMPLE_REGS_ABI_64).then(|| registers::from_words(words))
        }
    };
    let (stack, stack_cut) = match rest.next()? {
        0 => (&[][..], false),
        reserved => {
            let data: &[u8] = bytemuck::cast_slice(rest.take(reserved / 8)?);
            let copied = usize::try_from(rest.next()?).map_err(|_| Malformed)?;
            (data.get(..copied).ok_or(Malformed)?, copied == data.len())
        }
    };
    let sample =
        Sample { time, pid, tid, weight: 1, kernel, user_by_frame_pointer, registers, stack, stack_cut };
    Ok(Record::Sampled { event, sample })
}

/// `{ u32 pid, tid; u64 start, length, offset; u32 major, minor; u64 inode, generation; u32 prot, flags; char path[]; }`
fn mapped(time: Monotonic, body: &[u64]) -> Result<Mapped<'_>, Malformed> {
    let (&[thread, start, length, file_offset, device, inode, _generation, _protection], path) =
        body.split_first_chunk().ok_or(Malformed)?;
    let [pid, _] = halves(thread);
    let [major, minor] = halves(device);
    Ok(Mapped {
        time,
        pid,
        start,
        length,
        file_offset,
        device: (major, minor),
        inode,
        path: until_zero(path),
    })
}

/// The kernel's and the user's part of a call chain. Those of guests are left out.
fn split_call_chain(chain: &[u64]) -> (&[u64], &[u64]) {
    let (mut kernel, mut user) = (&[][..], &[][..]);
    let mut rest = chain;
    while let Some((&marker, after)) = rest.split_first() {
        let end = after.iter().position(|&address| address >= FIRST_MARKER).unwrap_or(after.len());
        let (addresses, next) = after.split_at(end);
        match marker {
            KERNEL_MARKER => kernel = addresses,
            USER_MARKER => user = addresses,
            _ => {}
        }
        rest = next;
    }
    (kernel, user)
}

/// Words that are taken from the front, as long as there are any.
struct Words<'a>(&'a [u64]);

impl<'a> Words<'a> {
    fn next(&mut self) -> Result<u64, Malformed> {
        let (&word, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(word)
    }

    fn take(&mut self, count: u64) -> Result<&'a [u64], Malformed> {
        let count = usize::try_from(count).map_err(|_| Malformed)?;
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }
}

/// `struct perf_event_header { u32 type; u16 misc; u16 size; }`, without the size.
fn kind_and_flags(first: u64) -> (u32, u16) {
    let ([kind, _], [_, _, flags, _]) = (halves(first), quarters(first));
    (kind, flags)
}

/// A word as two numbers in the order of memory.
fn halves(word: u64) -> [u32; 2] {
    bytemuck::cast(word)
}

/// A word as four numbers in the order of memory.
fn quarters(word: u64) -> [u16; 4] {
    bytemuck::cast(word)
}

/// A name that is padded with zeros to whole words.
fn until_zero(words: &[u64]) -> &[u8] {
    let bytes: &[u8] = bytemuck::cast_slice(words);
    &bytes[..bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len())]
}
