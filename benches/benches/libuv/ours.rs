//! The rows on our own runtime, with all instruments on: what `libuv.c` does, callback for callback.

mod datagrams;
mod pool;
mod processes;
mod streams;
mod timers;
mod wake_ups;

use runtime::EventLoop;

/// Performs a row's operations; gives whether there is such a row.
pub(crate) fn run(row: &str, count: u64) -> bool {
    let event_loop = EventLoop::builder().name("bench").build().expect("a loop");
    match row {
        "timers" => timers::timers(&event_loop, count),
        "timer_restarts" => timers::restarts(&event_loop, count),
        "loop_count" => timers::iterations(&event_loop, count),
        "resting" => timers::resting(&event_loop, count),
        "async_round_trip" => wake_ups::round_trips(&event_loop, count),
        "async_pummel" => wake_ups::pummel(&event_loop, count),
        "many_asyncs" => wake_ups::many(&event_loop, count),
        "queue_work" => pool::work(&event_loop, count),
        "fs_stat_1" => pool::stat(&event_loop, count, 1),
        "fs_stat_4" => pool::stat(&event_loop, count, 4),
        "fs_stat_8" => pool::stat(&event_loop, count, 8),
        "fs_stat_32" => pool::stat(&event_loop, count, 32),
        "getaddrinfo" => pool::look_ups(&event_loop, count),
        "tcp_ping_pong" => streams::tcp::ping_pong(&event_loop, count),
        "tcp_pump" => streams::tcp::pump(&event_loop, count),
        "tcp_connections" => streams::tcp::connections(&event_loop, count),
        "pipe_ping_pong" => streams::pipe::ping_pong(&event_loop, count),
        "pipe_pump" => streams::pipe::pump(&event_loop, count),
        "pipe_connections" => streams::pipe::connections(&event_loop, count),
        "udp_ping" => datagrams::ping(&event_loop, count),
        "udp_pummel" => datagrams::pummel(&event_loop, count),
        "spawn" => processes::spawn(&event_loop, count),
        _ => return false,
    }
    true
}
