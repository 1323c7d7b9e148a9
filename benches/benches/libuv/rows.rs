//! What is compared, row by row.

/// One row: the same operations on every runtime that has them.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// What one operation is.
    pub(crate) operation: &'static str,
    /// How many make a round of some tenths of a second.
    pub(crate) count: u64,
}

const fn row(name: &'static str, operation: &'static str, count: u64) -> Row {
    Row { name, operation, count }
}

pub(crate) const ROWS: &[Row] = &[
    row("timers", "one of a million timers: made, started, called back, closed", 1_000_000),
    row("timer_restarts", "one of 10,000 timeouts of a minute is put off", 2_000_000),
    row("loop_count", "an iteration with nothing but an idle handle", 1_000_000),
    row("async_round_trip", "two loops on two threads wake each other", 20_000),
    row("async_pummel", "a callback, while another thread sends without pause", 100_000),
    row("many_asyncs", "a signal to one of 65,536 handles", 2_000),
    row("queue_work", "a task on the pool, one after the other", 20_000),
    row("fs_stat_1", "a stat, one after the other", 20_000),
    row("fs_stat_4", "a stat, 4 in flight", 40_000),
    row("fs_stat_8", "a stat, 8 in flight", 40_000),
    row("fs_stat_32", "a stat, 32 in flight", 60_000),
    row("getaddrinfo", "a look-up of `localhost`, 10 in flight", 3_000),
    row("tcp_ping_pong", "5 bytes there and back over TCP, both ends in one loop", 20_000),
    row("pipe_ping_pong", "5 bytes there and back over a UNIX socket", 20_000),
    row("tcp_pump", "a write of 8 KiB over TCP, and its reading", 60_000),
    row("pipe_pump", "a write of 8 KiB over a UNIX socket, and its reading", 60_000),
    row("tcp_connections", "connect, 2 bytes there and back, close, both ends in one loop", 4_000),
    row("pipe_connections", "the same over a UNIX socket", 5_000),
    row("udp_ping", "a datagram of a socket to itself", 60_000),
    row("udp_pummel", "a datagram of 45 bytes, sent when the last one was", 60_000),
    row("spawn", "a process that ends at once", 200),
    row("resting", "a millisecond of waiting for a timer", 300),
];
