//! The code of arm64: the few forms that matter. All others are understood as something that may do anything but jump.
//!
//! The kernel emulates branches, calls, returns and addresses near by when a probe stands on one; loads of what lies near by it
//! refuses, and what else there is it executes out of line, with one exception more (`arch/arm64/kernel/probes/decode-insn.c`).
//! Functions mostly begin with a store, so without these there would be nearly no entries.

pub(super) mod list;
mod registers;
#[cfg(test)]
mod tests;

use super::{Flow, Instruction, Probing, Stub};
use crate::libuv::image::Register;
use registers::Registers;

/// Stack pointer, or a register that is always zero: the form tells which.
const SPECIAL: u32 = 31;

/// Registers up to this one carry arguments or nothing that lasts.
const LAST_SCRATCH: u32 = 17;

/// The registers that the programs on probes can read a task from, of those that keep their values over calls.
const KEPT: std::ops::RangeInclusive<u32> = 19..=24;

/// The instructions of a piece of code that begins at `address`.
pub(super) fn decode(code: &[u8], address: u64) -> Vec<Instruction> {
    let mut made = Registers::default();
    let words = code.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
    words
        .zip((0u64..).map(|count| address.wrapping_add(4 * count)))
        .map(|(word, address)| {
            let instruction = one(word, address, &made);
            made.follow(word, &instruction);
            instruction
        })
        .collect()
}

fn one(word: u32, address: u64, made: &Registers) -> Instruction {
    let flow = flow(word, address, made);
    let is_store = is_store(word);
    let writes = destination(word);
    let is_hint = word & 0xffff_f01f == 0xd503_201f;
    let is_known = is_store || is_hint || writes.is_some();
    let is_near_address = word & 0x1f00_0000 == 0x1000_0000;
    let is_branch = matches!(flow, Flow::Call(_) | Flow::CallThrough(..) | Flow::Jump(_) | Flow::Branch(_));
    let is_plain_indirect = word & 0xff9f_fc1f == 0xd61f_0000;
    let probing = if is_branch || is_plain_indirect || is_near_address {
        Probing::Emulated
    } else if is_known && flow == Flow::Next {
        Probing::Stepped
    } else {
        Probing::Refused
    };
    Instruction {
        address,
        flow,
        probing,
        keeps_arguments: is_hint || is_store || writes.is_some_and(|register| register > 7),
        makes_arguments: writes.is_some_and(|register| register <= LAST_SCRATCH) || moves_scratch(word),
    }
}

fn flow(word: u32, address: u64, made: &Registers) -> Flow {
    let to = |bits: u32, at: u32| address.wrapping_add((signed(word >> at, bits) * 4) as u64);
    match word {
        _ if word & 0xfc00_0000 == 0x9400_0000 => Flow::Call(to(26, 0)),
        _ if word & 0xfc00_0000 == 0x1400_0000 => Flow::Jump(to(26, 0)),
        // b.cond, cbz and cbnz; tbz and tbnz.
        _ if word & 0xff00_0010 == 0x5400_0000 || word & 0x7e00_0000 == 0x3400_0000 => {
            Flow::Branch(to(19, 5))
        }
        _ if word & 0x7e00_0000 == 0x3600_0000 => Flow::Branch(to(14, 5)),
        // blr: through what was loaded from where the first argument points.
        _ if word & 0xffff_fc1f == 0xd63f_0000 => match made.loaded[register(word, 5) as usize] {
            Some((base, displacement)) if made.value[0] == Some((base, displacement)) => {
                match i32::try_from(displacement) {
                    Ok(displacement) if KEPT.contains(&base) => {
                        Flow::CallThrough(Register(base as u8), displacement)
                    }
                    _ => Flow::Elsewhere,
                }
            }
            _ => Flow::Elsewhere,
        },
        // Other branches to registers, returns and exceptions.
        _ if word & 0xfe00_0000 == 0xd600_0000 || word & 0xff00_0000 == 0xd400_0000 => Flow::Elsewhere,
        _ => Flow::Next,
    }
}

/// Whether a word is a store of one register or a pair, of any size.
fn is_store(word: u32) -> bool {
    let is_pair = word & 0x3a40_0000 == 0x2800_0000;
    let is_scaled = word & 0x3bc0_0000 == 0x3900_0000;
    let is_unscaled = word & 0x3be0_0000 == 0x3800_0000;
    is_pair || is_scaled || is_unscaled
}

/// The one register that a word writes, if it is of a form that is known and writes nothing else.
fn destination(word: u32) -> Option<u32> {
    let to = register(word, 0);
    // add and sub with a number, or of registers; logic likewise; movn, movz, movk; adr and adrp.
    let is_sum = word & 0x1f80_0000 == 0x1100_0000 || word & 0x1f00_0000 == 0x0b00_0000;
    let is_logic = word & 0x1f80_0000 == 0x1200_0000 || word & 0x1f00_0000 == 0x0a00_0000;
    let is_move = word & 0x1f80_0000 == 0x1280_0000;
    let is_near_address = word & 0x1f00_0000 == 0x1000_0000;
    // ldr of a general register, at a displacement that does not move.
    let is_load = word & 0xbfc0_0000 == 0xb940_0000 || word & 0xbfe0_0c00 == 0xb840_0000;
    // sxtw, lsl and the like.
    let is_part = word & 0x1f80_0000 == 0x1300_0000;
    (is_sum || is_logic || is_move || is_near_address || is_load || is_part).then_some(to)
}

/// Whether a word is a load of 64 bits that moves its address first, and both registers carry arguments or nothing that lasts.
fn moves_scratch(word: u32) -> bool {
    let is_load = word & 0xffe0_0c00 == 0xf840_0c00;
    is_load && register(word, 0) <= LAST_SCRATCH && register(word, 5) <= LAST_SCRATCH
}

/// A number that code loads into `w0` before it returns, in one or two halves.
pub(super) fn returned_constant(code: &[u8]) -> Option<u32> {
    let mut number = None;
    for word in code.as_chunks::<4>().0.iter().take(8).map(|word| u32::from_le_bytes(*word)) {
        let half = (word >> 5 & 0xffff) << ((word >> 21 & 1) * 16);
        match word & 0x7fc0_001f {
            0x5280_0000 => number = Some(half),
            0x7280_0000 => {
                let mask = 0xffff << ((word >> 21 & 1) * 16);
                number = number.map(|number| number & !mask | half);
            }
            _ if word == 0xd65f_03c0 => return number,
            _ if word & 0xffff_f01f == 0xd503_201f => {}
            _ => return None,
        }
    }
    None
}

/// The stubs in a table: `adrp x16; ldr x17, [x16, …]; add x16; br x17`, each perhaps behind a mark of a branch's target.
pub(super) fn stubs(code: &[u8], address: u64) -> Vec<Stub> {
    let words: Vec<u32> = code.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let mut stubs = Vec::new();
    for (position, pair) in words.windows(2).enumerate() {
        let [page, load] = *pair else { continue };
        if page & 0x9f00_001f != 0x9000_0010 || load & 0xffc0_03ff != 0xf940_0211 {
            continue;
        }
        let at = address.wrapping_add(4 * position as u64);
        let pages = signed((page >> 5 & 0x7_ffff) << 2 | page >> 29 & 3, 21);
        let slot =
            (at & !0xfff).wrapping_add((pages << 12) as u64).wrapping_add(u64::from(load >> 10 & 0xfff) * 8);
        stubs.push(Stub { address: at, slot });
        // bti c.
        if position.checked_sub(1).is_some_and(|before| words[before] == 0xd503_245f) {
            stubs.push(Stub { address: at.wrapping_sub(4), slot });
        }
    }
    stubs
}

fn register(word: u32, at: u32) -> u32 {
    word >> at & SPECIAL
}

fn immediate_12(word: u32) -> i64 {
    i64::from(word >> 10 & 0xfff) << (12 * (word >> 22 & 1))
}

/// The lowest bits, as a signed number.
fn signed(bits: u32, count: u32) -> i64 {
    i64::from(((bits << (32 - count)) as i32) >> (32 - count))
}
