//! The code of x86-64, as far as probes need to understand it.

pub(super) mod list;
#[cfg(test)]
mod tests;

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register as Name};

use super::{Flow, Instruction as Simple, Probing, Stub};
use crate::libuv::image::Register;

/// The instructions of a piece of code that begins at `address`.
pub(in super::super) fn decode(code: &[u8], address: u64) -> Vec<Instruction> {
    Decoder::with_ip(64, code, address, DecoderOptions::NONE)
        .into_iter()
        .take_while(|it| !it.is_invalid())
        .collect()
}

/// Whether the kernel emulates an instruction when a probe stands on it, instead of executing it out of line
/// (`arch/x86/kernel/uprobes.c`: `branch_setup_xol_ops`, `push_setup_xol_ops`).
fn is_emulated(instruction: &Instruction) -> bool {
    match instruction.mnemonic() {
        Mnemonic::Push => instruction.op0_kind() == OpKind::Register,
        // A nop with prefixes is refused; one of two bytes (66 90) has one.
        Mnemonic::Nop => instruction.len() <= 5 && instruction.len() != 2,
        Mnemonic::Jrcxz | Mnemonic::Jecxz | Mnemonic::Loop | Mnemonic::Loope | Mnemonic::Loopne => false,
        _ => matches!(
            instruction.flow_control(),
            FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch | FlowControl::Call
        ),
    }
}

/// Where a call or jump leads, if that stands in the instruction.
pub(in super::super) fn target(instruction: &Instruction) -> Option<u64> {
    match instruction.flow_control() {
        FlowControl::Call | FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
            Some(instruction.near_branch64())
        }
        _ => None,
    }
}

/// Whether an instruction calls, and where to.
pub(in super::super) fn call(instruction: &Instruction) -> Option<u64> {
    (instruction.flow_control() == FlowControl::Call).then(|| instruction.near_branch64())
}

/// Instructions, as far as probes need to understand them. One that the kernel does not emulate is executed step by step, which
/// was seen to take twenty times as long.
pub(super) fn simplify(code: &[Instruction]) -> Vec<Simple> {
    let simple = |instruction: &Instruction| {
        let flow = match instruction.flow_control() {
            FlowControl::Next => Flow::Next,
            FlowControl::Call => Flow::Call(instruction.near_branch64()),
            FlowControl::UnconditionalBranch => Flow::Jump(instruction.near_branch64()),
            FlowControl::ConditionalBranch => Flow::Branch(instruction.near_branch64()),
            _ => call_through(instruction).map_or(Flow::Elsewhere, |(register, displacement)| {
                Flow::CallThrough(register, displacement)
            }),
        };
        let writes_register = instruction.op0_kind() == OpKind::Register;
        let keeps_arguments = match instruction.mnemonic() {
            Mnemonic::Test | Mnemonic::Cmp | Mnemonic::Endbr64 | Mnemonic::Nop => true,
            _ => writes_register && !is_argument(instruction.op0_register()),
        };
        let makes_arguments = matches!(instruction.mnemonic(), Mnemonic::Lea | Mnemonic::Mov)
            && instruction.op0_register() == Name::RDI;
        let probing = if is_emulated(instruction) { Probing::Emulated } else { Probing::Refused };
        Simple { address: instruction.ip(), flow, probing, keeps_arguments, makes_arguments }
    };
    code.iter().map(simple).collect()
}

fn is_argument(register: Name) -> bool {
    matches!(register.full_register(), Name::RDI | Name::RSI | Name::RDX | Name::RCX | Name::R8 | Name::RSP)
}

/// `call *displacement(register)`: the register, which keeps its value over the call, and the displacement.
pub(in super::super) fn call_through(instruction: &Instruction) -> Option<(Register, i32)> {
    if instruction.flow_control() != FlowControl::IndirectCall || instruction.op0_kind() != OpKind::Memory {
        return None;
    }
    let register = Some(instruction.memory_base()).filter(|&register| is_kept(register)).and_then(number)?;
    Some((register, i32::try_from(instruction.memory_displacement64() as i64).ok()?))
}

/// Whether a function that is called leaves a register as it is.
fn is_kept(register: Name) -> bool {
    matches!(register, Name::RBX | Name::RBP | Name::R12 | Name::R13 | Name::R14 | Name::R15)
}

/// The register by which programs on probes read one of 64 bits, if it is not the stack pointer.
fn number(register: Name) -> Option<Register> {
    const ORDER: [Name; 15] = [
        Name::R15,
        Name::R14,
        Name::R13,
        Name::R12,
        Name::RBP,
        Name::RBX,
        Name::R11,
        Name::R10,
        Name::R9,
        Name::R8,
        Name::RAX,
        Name::RCX,
        Name::RDX,
        Name::RSI,
        Name::RDI,
    ];
    ORDER.iter().position(|&other| other == register).map(|at| Register(at as u8))
}

/// The stubs in a table: `jmp *slot(%rip)`, each perhaps behind a mark of a branch's target.
pub(super) fn stubs(code: &[u8], address: u64) -> Vec<Stub> {
    let code = decode(code, address);
    let mut stubs = Vec::new();
    for (position, instruction) in code.iter().enumerate() {
        let is_jump = instruction.mnemonic() == Mnemonic::Jmp
            && instruction.op0_kind() == OpKind::Memory
            && instruction.is_ip_rel_memory_operand();
        if !is_jump {
            continue;
        }
        let slot = instruction.ip_rel_memory_address();
        stubs.push(Stub { address: instruction.ip(), slot });
        let before = position.checked_sub(1).map(|before| &code[before]);
        if let Some(mark) = before.filter(|before| before.mnemonic() == Mnemonic::Endbr64) {
            stubs.push(Stub { address: mark.ip(), slot });
        }
    }
    stubs
}

/// A number that the code loads into `eax` before it returns: that of `uv_version`.
pub(super) fn returned_constant(code: &[Instruction]) -> Option<u32> {
    let load = code.iter().take(8).find(|instruction| {
        instruction.mnemonic() == Mnemonic::Mov && instruction.op0_register() == Name::EAX
    })?;
    (load.op1_kind() == OpKind::Immediate32).then(|| load.immediate32())
}
