//! libuv's lists: rings of nodes, each of which begins with the address of the next and then of the one before.

use super::remote::Remote;
use crate::target::ProcessError;

/// A list longer than this is given up.
pub(super) const NODES_MAX: usize = 16_384;

/// The nodes behind a head, in order; `None` where the list is torn, changes while it is followed, or is too long.
pub(super) fn nodes(remote: &Remote, head: u64, first: u64) -> Result<Option<Vec<u64>>, ProcessError> {
    let mut nodes = Vec::new();
    let (mut node, mut before) = (first, head);
    while node != head {
        let mut links = [0; 16];
        if node == 0 || nodes.len() >= NODES_MAX || remote.read(node, &mut links)?.is_none() {
            return Ok(None);
        }
        let (next, previous) = links.split_at(8);
        let word = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().expect("half of sixteen"));
        // A node that does not point back was taken out meanwhile.
        if word(previous) != before {
            return Ok(None);
        }
        nodes.push(node);
        (before, node) = (node, word(next));
    }
    Ok(Some(nodes))
}
