//! Records as the kernel writes them, for tests.

use crate::sys::perf_event::bindings as perf;

/// A sample of thread 7 of process 5 by event 3, with this call chain and what follows it: registers and stack.
pub(crate) fn sample(time_ns: u64, chain: &[u64], rest: &[u64]) -> Vec<u64> {
    let mut body = vec![pair(5, 7), time_ns, 3, chain.len() as u64];
    body.extend(chain);
    body.extend(rest);
    record(perf::PERF_RECORD_SAMPLE, 0, &body)
}

/// What stands behind the call chain of a thread that has no user part: no registers, no stack.
pub(crate) const NO_USER_PART: [u64; 2] = [perf::PERF_SAMPLE_REGS_ABI_NONE as u64, 0];

/// A record that is no sample: it ends in the thread, the time and the event.
pub(crate) fn other(kind: u32, flags: u16, body: &[u64], time_ns: u64) -> Vec<u64> {
    record(kind, flags, &[body, &[pair(5, 7), time_ns, 3]].concat())
}

/// The start of thread `tid` in process 5.
pub(crate) fn fork(tid: u32, time_ns: u64) -> Vec<u64> {
    other(perf::PERF_RECORD_FORK, 0, &[pair(5, 5), pair(tid, 7), time_ns], time_ns)
}

/// A record of any kind and with any body.
pub(crate) fn record(kind: u32, flags: u16, body: &[u64]) -> Vec<u64> {
    let bytes = (body.len() + 1) * 8;
    let mut words = vec![bytemuck::cast([kind as u16, (kind >> 16) as u16, flags, bytes as u16])];
    words.extend(body);
    words
}

/// Two numbers that share a word.
pub(crate) fn pair(first: u32, second: u32) -> u64 {
    bytemuck::cast([first, second])
}

/// Text, with at least one zero up to the end of a word.
pub(crate) fn text(text: &str) -> Vec<u64> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize((bytes.len() + 1).next_multiple_of(8), 0);
    bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap())).collect()
}
