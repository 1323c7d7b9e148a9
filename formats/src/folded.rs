//! Folded stacks: one line a stack, `thread;outermost;…;innermost weight`, as Brendan Gregg's `stackcollapse-*.pl` make
//! them and `flamegraph.pl`, inferno, speedscope and many others read them.
//!
//! Lines have no unit, so they count what the profile's samples weigh: samples, nanoseconds or bytes. Equal stacks are
//! added up, lines are sorted.
//!
//! The format knows no escapes. A `;` within a name becomes `:`, and a line break or another control character becomes
//! a space; a space needs no care, because the weight is what follows the last one.

mod decode;

pub use decode::decode;

use std::io;

use model::profile::Profile;

use crate::aggregate::CallTree;
use crate::number::push_integer;

/// As much text as is held before it is handed on.
const CHUNK_BYTES: usize = 64 * 1024;

/// Writes a profile as folded stacks.
///
/// # Errors
/// Those of `out`.
pub fn encode(profile: &Profile, out: &mut impl io::Write) -> io::Result<()> {
    let tree = CallTree::new(profile);
    let mut text = Vec::with_capacity(CHUNK_BYTES * 5 / 4);
    let mut stack = Vec::new();
    // Where each frame of the current stack begins in `stack`.
    let mut starts = Vec::new();
    for node in tree.nodes() {
        if let Some(&start) = starts.get(node.depth) {
            stack.truncate(start);
            starts.truncate(node.depth);
        }
        starts.push(stack.len());
        if node.depth > 0 {
            stack.push(b';');
        }
        push_name(&mut stack, node.name);
        if node.self_weight > 0 {
            text.extend_from_slice(&stack);
            text.push(b' ');
            push_integer(&mut text, node.self_weight);
            text.push(b'\n');
        }
        if text.len() >= CHUNK_BYTES {
            out.write_all(&text)?;
            text.clear();
        }
    }
    out.write_all(&text)
}

fn push_name(stack: &mut Vec<u8>, name: &str) {
    stack.extend(name.bytes().map(|byte| match byte {
        b';' => b':',
        byte if byte.is_ascii_control() => b' ',
        byte => byte,
    }));
}
