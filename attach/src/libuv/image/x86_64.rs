//! The code of x86-64, as far as probes need to understand it.

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register as Name};

use super::Register;

/// A function longer than this is read in part.
const CODE_BYTES_MAX: usize = 256 << 10;

/// The instructions of a piece of code that begins at `address`.
pub(super) fn decode(code: &[u8], address: u64) -> Vec<Instruction> {
    let code = &code[..code.len().min(CODE_BYTES_MAX)];
    Decoder::with_ip(64, code, address, DecoderOptions::NONE)
        .into_iter()
        .take_while(|it| !it.is_invalid())
        .collect()
}

/// Whether the kernel emulates an instruction when a probe stands on it, instead of executing it out of line
/// (`arch/x86/kernel/uprobes.c`: `branch_setup_xol_ops`, `push_setup_xol_ops`).
pub(super) fn is_emulated(instruction: &Instruction) -> bool {
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
pub(super) fn target(instruction: &Instruction) -> Option<u64> {
    match instruction.flow_control() {
        FlowControl::Call | FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
            Some(instruction.near_branch64())
        }
        _ => None,
    }
}

/// Whether an instruction calls, and where to.
pub(super) fn call(instruction: &Instruction) -> Option<u64> {
    (instruction.flow_control() == FlowControl::Call).then(|| instruction.near_branch64())
}

/// The first instruction of a straight line that can carry a probe while the arguments are still where the caller
/// put them.
pub(super) fn entry(code: &[Instruction]) -> Option<&Instruction> {
    for instruction in code.iter().take(6) {
        if is_emulated(instruction) {
            return Some(instruction);
        }
        let keeps_arguments = match instruction.mnemonic() {
            Mnemonic::Test | Mnemonic::Cmp | Mnemonic::Endbr64 | Mnemonic::Nop => true,
            _ => instruction.op0_kind() == OpKind::Register && !is_argument(instruction.op0_register()),
        };
        if !keeps_arguments || instruction.flow_control() != FlowControl::Next {
            return None;
        }
    }
    None
}

fn is_argument(register: Name) -> bool {
    matches!(register.full_register(), Name::RDI | Name::RSI | Name::RDX | Name::RCX | Name::R8 | Name::RSP)
}

/// The first instruction behind one that can carry a probe, on the same straight line.
pub(super) fn behind(code: &[Instruction], position: usize) -> Option<&Instruction> {
    for instruction in code.get(position + 1..)?.iter().take(6) {
        if is_emulated(instruction) {
            return Some(instruction);
        }
        if instruction.flow_control() != FlowControl::Next {
            return None;
        }
    }
    None
}

/// `call *displacement(register)`: the register, which keeps its value over the call, and the displacement.
pub(super) fn call_through(instruction: &Instruction) -> Option<(Register, i32)> {
    if instruction.flow_control() != FlowControl::IndirectCall || instruction.op0_kind() != OpKind::Memory {
        return None;
    }
    let register = match instruction.memory_base() {
        Name::RBX => 5,
        Name::RBP => 4,
        Name::R12 => 3,
        Name::R13 => 2,
        Name::R14 => 1,
        Name::R15 => 0,
        _ => return None,
    };
    Some((Register(register), i32::try_from(instruction.memory_displacement64() as i64).ok()?))
}

/// Whether an instruction only makes the first argument of a call.
pub(super) fn writes_first_argument(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Lea | Mnemonic::Mov) && instruction.op0_register() == Name::RDI
}

/// A jump through a slot in memory.
pub(super) struct JumpThrough {
    pub(super) address: u64,
    pub(super) slot: u64,
}

/// `jmp *slot(%rip)`.
pub(super) fn jump_through(instruction: &Instruction) -> Option<JumpThrough> {
    let through = instruction.mnemonic() == Mnemonic::Jmp
        && instruction.op0_kind() == OpKind::Memory
        && instruction.is_ip_rel_memory_operand();
    through.then(|| JumpThrough { address: instruction.ip(), slot: instruction.ip_rel_memory_address() })
}

/// A number that the code loads into `eax` before it returns: that of `uv_version`.
pub(super) fn returned_constant(code: &[Instruction]) -> Option<u32> {
    let load = code.iter().take(8).find(|instruction| {
        instruction.mnemonic() == Mnemonic::Mov && instruction.op0_register() == Name::EAX
    })?;
    (load.op1_kind() == OpKind::Immediate32).then(|| load.immediate32())
}

/// The register of the first argument.
pub(super) const FIRST_ARGUMENT: Register = Register(14);
