//! The handles of a loop, by type.

use model::catalogue;
use model::label::{HandleType, LabelValue};
use model::snapshot::{SharedLabels, Snapshot, Value};

use super::super::image::Layout;
use super::lists;
use super::remote::{Remote, u32_at};

/// `UV_HANDLE_REF`: handles that keep their loop alive.
const REFERENCED: u32 = 0x8;

/// `UV_HANDLE_INTERNAL`: handles of libuv's own.
const INTERNAL: u32 = 0x10;

/// From a handle's list node to its type and flags.
const FLAGS_BEHIND_TYPE: u32 = 72;

/// Adds the number of a loop's handles of each type; nothing where the list changes too fast, or is too long, to be followed.
pub(super) fn add_to(
    remote: &Remote,
    layout: &Layout,
    address: u64,
    snapshot: &mut Snapshot,
    labels: &SharedLabels,
) {
    let Some(counts) = count(remote, layout, address) else { return };
    for (&handle, count) in HandleType::ALL.iter().zip(counts.open).filter(|&(_, count)| count > 0) {
        snapshot.push(&catalogue::EVENTLOOP_HANDLES, labels, &[handle.as_str()], Value::Gauge(count));
    }
}

/// How many handles a loop has.
pub(super) struct Counts {
    /// Of each type.
    open: [i64; HandleType::ALL.len()],
    /// Of each type, those that keep the loop alive.
    pub(super) referenced: [i64; HandleType::ALL.len()],
}

/// Counts a loop's handles; `None` where they cannot be followed.
pub(super) fn count(remote: &Remote, layout: &Layout, address: u64) -> Option<Counts> {
    let head = address.wrapping_add(layout.loop_handle_queue.into());
    let first = remote.word(head).ok()??;
    let mut counts = Counts { open: [0; HandleType::ALL.len()], referenced: [0; HandleType::ALL.len()] };
    for node in lists::nodes(remote, head, first).ok()?? {
        let mut handle = [0; FLAGS_BEHIND_TYPE as usize + 4];
        let from = node.wrapping_sub(layout.handle_queue_node.into()).wrapping_add(layout.handle_type.into());
        remote.read(from, &mut handle).ok()??;
        let flags = u32_at(&handle, FLAGS_BEHIND_TYPE);
        if flags & INTERNAL == 0
            && let Some(of) = type_of(u32_at(&handle, 0))
        {
            counts.open[of as usize] += 1;
            counts.referenced[of as usize] += i64::from(flags & REFERENCED != 0);
        }
    }
    Some(counts)
}

/// `uv_handle_type`.
fn type_of(number: u32) -> Option<HandleType> {
    Some(match number {
        1 => HandleType::Async,
        2 => HandleType::Check,
        3 => HandleType::FsEvent,
        4 => HandleType::FsPoll,
        6 => HandleType::Idle,
        7 => HandleType::Pipe,
        8 => HandleType::Poll,
        9 => HandleType::Prepare,
        10 => HandleType::Process,
        12 => HandleType::Tcp,
        13 => HandleType::Timer,
        14 => HandleType::Tty,
        15 => HandleType::Udp,
        16 => HandleType::Signal,
        _ => return None,
    })
}
