//! Where a function asks whether a list on its stack is empty: `ldr first, [sp, …]; cmp first, head; b.eq`.

use super::super::{Flow, LOOK_AHEAD, ListTest};
use super::{SPECIAL, decode, destination, immediate_12, register, signed};
use crate::libuv::image::Register;

/// The register of the frame.
const FRAME: u32 = 29;

/// The registers that keep their values over calls.
const KEPT: std::ops::RangeInclusive<u32> = 19..=28;

/// A place in memory: a register, and a displacement.
type Place = (u32, i64);

/// The question that follows the call at an address on the same straight line, to which nothing jumps.
pub(in super::super) fn test(code: &[u8], address: u64, call: u64) -> Option<ListTest> {
    let words: Vec<u32> = code.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let instructions = decode(code, address);
    let call = usize::try_from(call.checked_sub(address)? / 4).ok()?;
    let line = instructions.get(call.checked_add(1)?..)?.iter().take(LOOK_AHEAD);
    let branch = call + 1 + line.into_iter().position(|instruction| instruction.flow != Flow::Next)?;
    // b.eq, b.ne.
    let is_test = words[branch] & 0xff00_001e == 0x5400_0000;
    // Who jumps here asks once more, behind each of the list's nodes.
    let line = instructions[call + 1].address..=instructions[branch].address;
    let targets = instructions.iter().filter_map(super::Instruction::target);
    if !is_test || targets.into_iter().any(|target| line.contains(&target)) {
        return None;
    }
    let compared = call + 1 + words[call + 1..branch].iter().rposition(|&word| is_comparison(word))?;
    let keeps_flags =
        |&word: &u32| loaded_from(word).is_some() || address_of(word).is_some() || is_move(word);
    if !words[compared + 1..branch].iter().all(keeps_flags) {
        return None;
    }
    let writes = |of: u32| words[..branch].iter().rposition(|&word| destination(word) == Some(of));
    let (left, right) = (register(words[compared], 5), register(words[compared], 16));
    let (first, head) = [(left, right), (right, left)].into_iter().find(|&(first, head)| {
        let (Some(loads), Some(makes)) = (writes(first), writes(head)) else { return false };
        let is_kept = makes > call || KEPT.contains(&head);
        let is_before = (call + 1..compared).contains(&loads) && makes < compared;
        let loaded = loaded_from(words[loads]);
        let is_same = loaded.is_some() && loaded == address_of(words[makes]) || loaded == Some((head, 0));
        is_kept && is_before && is_same
    })?;
    let [first, head] = [first, head].map(|register| Register(register as u8));
    Some(ListTest { branch: instructions[branch].address, first, head })
}

/// Whether a word compares two registers of 64 bits.
fn is_comparison(word: u32) -> bool {
    word & 0xffe0_fc1f == 0xeb00_001f && register(word, 5) != SPECIAL && register(word, 16) != SPECIAL
}

/// Whether a word copies a register of 64 bits.
fn is_move(word: u32) -> bool {
    word & 0xffe0_ffe0 == 0xaa00_03e0
}

/// From where a word loads a register of 64 bits.
fn loaded_from(word: u32) -> Option<Place> {
    match word {
        _ if word & 0xffc0_0000 == 0xf940_0000 => {
            Some((register(word, 5), i64::from(word >> 10 & 0xfff) * 8))
        }
        _ if word & 0xffe0_0c00 == 0xf840_0000 => Some((register(word, 5), signed(word >> 12, 9))),
        _ => None,
    }
}

/// The place whose address a word puts into a register: on the stack.
fn address_of(word: u32) -> Option<Place> {
    let base = register(word, 5);
    let displacement = match word & 0xff80_0000 {
        0x9100_0000 => immediate_12(word),
        0xd100_0000 => -immediate_12(word),
        _ if is_move(word) && register(word, 16) == FRAME => return Some((FRAME, 0)),
        _ => return None,
    };
    matches!(base, SPECIAL | FRAME).then_some((base, displacement))
}
