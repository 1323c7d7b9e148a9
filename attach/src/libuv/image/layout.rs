//! Where fields lie in libuv's structures.
//!
//! `uv_loop_t`, handles and requests are part of libuv's binary interface, which has not changed since 1.0; only the
//! fields behind `internal_fields` differ: 1.45 put counters before the times.

use super::Layout;

/// The layout of a version on a 64-bit machine.
pub(super) fn of((major, minor, _): (u8, u8, u8)) -> Layout {
    let counts = (major, minor) >= (1, 45);
    let from_metrics = |offset: u32| Some(8 + offset);
    Layout {
        loop_handle_queue: 16,
        loop_internal_fields: 40,
        loop_backend_fd: 64,
        loop_wq: 120,
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
