//! Where a function asks whether a list on its stack is empty: `mov slot,first; cmp head,first; je`.

use iced_x86::{
    FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register as Name,
};

use super::super::{LOOK_AHEAD, ListTest};
use super::{is_kept, number, target};

/// A place in memory: a register, and a displacement.
type Place = (Name, i64);

/// The question that follows the call at an address on the same straight line, to which nothing jumps.
pub(in super::super) fn test(code: &[Instruction], call: u64) -> Option<ListTest> {
    let call = code.binary_search_by_key(&call, Instruction::ip).ok()?;
    let line = code.get(call + 1..)?.iter().take(LOOK_AHEAD);
    let branch = call
        + 1
        + line.into_iter().position(|instruction| instruction.flow_control() != FlowControl::Next)?;
    let is_test = matches!(code[branch].mnemonic(), Mnemonic::Je | Mnemonic::Jne);
    // Who jumps here asks once more, behind each of the list's nodes.
    let line = code[call].next_ip()..=code[branch].ip();
    if !is_test || code.iter().filter_map(target).any(|target| line.contains(&target)) {
        return None;
    }
    let lasting = |it: &Instruction| matches!(it.mnemonic(), Mnemonic::Mov | Mnemonic::Lea);
    let compared = call + 1 + code[call + 1..branch].iter().rposition(|instruction| !lasting(instruction))?;
    let (left, right) = compared_registers(&code[compared])?;
    let pair = [(left, right), (right, left)].into_iter().find(|&(first, head)| {
        let (Some(loads), Some(makes)) = (writes(code, branch, first), writes(code, branch, head)) else {
            return false;
        };
        let is_kept = makes > call || is_kept(head);
        let is_before = (call + 1..compared).contains(&loads) && makes < compared;
        let loaded = loaded_from(&code[loads]);
        let is_same = loaded.is_some() && loaded == address(&code[makes]) || loaded == Some((head, 0));
        is_kept && is_before && is_same
    });
    let (first, head) = pair?;
    Some(ListTest { branch: code[branch].ip(), first: number(first)?, head: number(head)? })
}

/// The two registers of 64 bits that an instruction compares.
fn compared_registers(instruction: &Instruction) -> Option<(Name, Name)> {
    let is_plain = instruction.mnemonic() == Mnemonic::Cmp
        && instruction.op0_kind() == OpKind::Register
        && instruction.op1_kind() == OpKind::Register
        && instruction.op0_register().is_gpr64();
    is_plain.then(|| (instruction.op0_register(), instruction.op1_register()))
}

/// The last instruction before one that writes a register, as the code is written down.
fn writes(code: &[Instruction], before: usize, register: Name) -> Option<usize> {
    let mut factory = InstructionInfoFactory::new();
    code[..before].iter().rposition(|instruction| {
        factory.info(instruction).used_registers().iter().any(|used| {
            let is_read = matches!(used.access(), OpAccess::Read | OpAccess::CondRead | OpAccess::None);
            !is_read && used.register().full_register() == register
        })
    })
}

/// From where an instruction loads a register of 64 bits.
fn loaded_from(instruction: &Instruction) -> Option<Place> {
    let is_load = instruction.mnemonic() == Mnemonic::Mov
        && instruction.op0_kind() == OpKind::Register
        && instruction.op0_register().is_gpr64();
    is_load.then(|| place(instruction)).flatten()
}

/// The place whose address an instruction puts into a register: on the stack.
fn address(instruction: &Instruction) -> Option<Place> {
    let place = match instruction.mnemonic() {
        Mnemonic::Lea => place(instruction)?,
        Mnemonic::Mov if instruction.op1_kind() == OpKind::Register => (instruction.op1_register(), 0),
        _ => return None,
    };
    matches!(place.0, Name::RSP | Name::RBP).then_some(place)
}

fn place(instruction: &Instruction) -> Option<Place> {
    let is_plain = instruction.op1_kind() == OpKind::Memory
        && instruction.memory_index() == Name::None
        && !matches!(instruction.segment_prefix(), Name::FS | Name::GS);
    is_plain.then(|| (instruction.memory_base(), instruction.memory_displacement64() as i64))
}
