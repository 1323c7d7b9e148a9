//! Where fields lie in libuv's structures.
//!
//! `uv_loop_t`, handles and requests are part of libuv's binary interface, which has not changed since 1.0; only the
//! fields behind `internal_fields` differ: 1.45 put counters before the times. One field of the loop is as big as the C library
//! makes it, a mutex: 40 bytes on x86-64, 48 with glibc on arm64. What lies behind it moves along; how big a loop is, libuv tells.

use super::{Layout, Machine};

/// `uv_loop_size()` where a mutex has 40 bytes.
const LOOP_BYTES: u32 = 848;

/// What a mutex of 48 bytes takes more.
const MUTEX_MORE: u32 = 8;

/// The layout of a version, where a mutex has 40 bytes.
pub(super) fn of((major, minor, _): (u8, u8, u8)) -> Layout {
    let counts = (major, minor) >= (1, 45);
    let from_metrics = |offset: u32| Some(8 + offset);
    Layout {
        loop_handle_queue: 16,
        loop_internal_fields: 40,
        loop_backend_fd: 64,
        loop_wq: 120,
        loop_wq_mutex: 136,
        loop_wq_async: 176,
        loop_prepare_handles: 384,
        loop_check_handles: 400,
        loop_idle_handles: 416,
        loop_timer_heap: 520,
        loop_time: 544,
        handle_type: 16,
        handle_queue_node: 32,
        timer_node_due: 24,
        metrics_loop_count: if counts { from_metrics(0) } else { None },
        metrics_events: if counts { from_metrics(8) } else { None },
        metrics_entry_time: from_metrics(if counts { 128 } else { 0 }),
        metrics_idle_time: from_metrics(if counts { 136 } else { 8 }),
        work_queue_node: 24,
        work_request_work: 88,
    }
}

/// Likewise, on a machine, where `uv_loop_size` returns so much.
pub(super) fn on(machine: Machine, version: (u8, u8, u8), loop_bytes: Option<u32>) -> Layout {
    let usual = if machine == Machine::Aarch64 { MUTEX_MORE } else { 0 };
    let more = match loop_bytes {
        Some(LOOP_BYTES) => 0,
        Some(bytes) if bytes == LOOP_BYTES + MUTEX_MORE => MUTEX_MORE,
        _ => usual,
    };
    let layout = of(version);
    Layout {
        loop_wq_async: layout.loop_wq_async + more,
        loop_prepare_handles: layout.loop_prepare_handles + more,
        loop_check_handles: layout.loop_check_handles + more,
        loop_idle_handles: layout.loop_idle_handles + more,
        loop_timer_heap: layout.loop_timer_heap + more,
        loop_time: layout.loop_time + more,
        ..layout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_behind_a_bigger_mutex_moves_along() {
        let version = (1, 51, 0);
        let small = of(version);
        let glibc = on(Machine::Aarch64, version, Some(856));
        assert_eq!((glibc.loop_wq, glibc.loop_wq_mutex), (small.loop_wq, small.loop_wq_mutex));
        assert_eq!(glibc.loop_wq_async, 184);
        assert_eq!(
            (glibc.loop_prepare_handles, glibc.loop_check_handles, glibc.loop_idle_handles),
            (392, 408, 424)
        );
        assert_eq!((glibc.loop_timer_heap, glibc.loop_time), (528, 552));
        assert_eq!(on(Machine::Aarch64, version, None), glibc);
        // musl's has 40 bytes everywhere.
        assert_eq!(on(Machine::Aarch64, version, Some(848)), small);
        assert_eq!(on(Machine::X86_64, version, Some(848)), small);
        assert_eq!(on(Machine::X86_64, version, Some(7)), small);
    }
}
