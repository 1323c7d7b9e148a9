//! Instructions, as far as probes need to understand them, on each type of machine.

pub(super) mod aarch64;
pub(super) mod x86_64;

use super::Register;

/// A function longer than this is read in part.
const CODE_BYTES_MAX: usize = 256 << 10;

/// How far behind an instruction a place for a probe is looked for.
const LOOK_AHEAD: usize = 6;

/// A type of machine whose code is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// x86-64.
    X86_64,
    /// arm64.
    Aarch64,
}

impl Machine {
    /// The one that this program runs on.
    pub const fn native() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::X86_64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::Aarch64)
        } else {
            None
        }
    }
}

/// An instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) address: u64,
    pub(super) flow: Flow,
    pub(super) probing: Probing,
    /// Whether it leaves the registers of arguments as they are.
    pub(super) keeps_arguments: bool,
    /// Whether it does nothing but write registers of arguments.
    pub(super) makes_arguments: bool,
}

/// Where an instruction leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// On to the next.
    Next,
    /// To a function, and back to the next.
    Call(u64),
    /// Likewise, to the function that stands in memory at what a register, which keeps its value over the call, and a displacement
    /// tell; that place is also the first argument.
    CallThrough(Register, i32),
    /// To an address.
    Jump(u64),
    /// To an address, or on to the next.
    Branch(u64),
    /// Where the code does not tell.
    Elsewhere,
}

/// What a probe on an instruction costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probing {
    /// One exception: the kernel emulates the instruction.
    Emulated,
    /// One exception more: the kernel executes it elsewhere, step by step. Where that is not much dearer.
    Stepped,
    /// Too much, or the kernel refuses.
    Refused,
}

/// A stub that jumps through a slot in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stub {
    pub(super) address: u64,
    pub(super) slot: u64,
}

/// A branch behind which it is known whether a list on the stack is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ListTest {
    pub(super) branch: u64,
    /// The register that holds the list's first node, or again its head.
    pub(super) first: Register,
    /// The register that holds the list's head.
    pub(super) head: Register,
}

impl Machine {
    /// The instructions of a piece of code that begins at `address`.
    pub(super) fn decode(self, code: &[u8], address: u64) -> Vec<Instruction> {
        let code = &code[..code.len().min(CODE_BYTES_MAX)];
        match self {
            Self::X86_64 => x86_64::simplify(&x86_64::decode(code, address)),
            Self::Aarch64 => aarch64::decode(code, address),
        }
    }

    /// The stubs in a table of them.
    pub(super) fn stubs(self, code: &[u8], address: u64) -> Vec<Stub> {
        match self {
            Self::X86_64 => x86_64::stubs(code, address),
            Self::Aarch64 => aarch64::stubs(code, address),
        }
    }

    /// Where a function asks, behind the call at an address, whether a list on its stack is empty: a branch that can carry a probe, and that
    /// is passed once for each time that the call returns.
    pub(super) fn list_test(self, code: &[u8], address: u64, call: u64) -> Option<ListTest> {
        match self {
            Self::X86_64 => x86_64::list::test(&x86_64::decode(code, address), call),
            Self::Aarch64 => aarch64::list::test(code, address, call),
        }
    }

    /// A number that a small function returns.
    pub(super) fn returned_constant(self, code: &[u8], address: u64) -> Option<u32> {
        match self {
            Self::X86_64 => x86_64::returned_constant(&x86_64::decode(code, address)),
            Self::Aarch64 => aarch64::returned_constant(code),
        }
    }

    /// The register of the first argument.
    pub(super) fn first_argument(self) -> Register {
        match self {
            Self::X86_64 => Register(14),
            Self::Aarch64 => Register(0),
        }
    }
}

impl Instruction {
    /// Where it calls, if that stands in it.
    pub(super) fn call(&self) -> Option<u64> {
        if let Flow::Call(target) = self.flow { Some(target) } else { None }
    }

    /// Where it calls, jumps or branches, if that stands in it.
    pub(super) fn target(&self) -> Option<u64> {
        match self.flow {
            Flow::Call(target) | Flow::Jump(target) | Flow::Branch(target) => Some(target),
            _ => None,
        }
    }
}

/// The first instruction of a function's straight line that can carry a probe while the arguments are still where the caller put
/// them; if there is none that the kernel emulates, the very first.
pub(super) fn entry(code: &[Instruction]) -> Option<&Instruction> {
    let emulated = || {
        for instruction in code.iter().take(LOOK_AHEAD) {
            if instruction.probing == Probing::Emulated {
                return Some(instruction);
            }
            if !instruction.keeps_arguments || instruction.flow != Flow::Next {
                return None;
            }
        }
        None
    };
    emulated().or_else(|| code.first().filter(|first| first.probing == Probing::Stepped))
}

/// The first instruction behind one that can carry a probe, on the same straight line.
pub(super) fn behind(code: &[Instruction], position: usize) -> Option<&Instruction> {
    for instruction in code.get(position + 1..)?.iter().take(LOOK_AHEAD) {
        if instruction.probing == Probing::Emulated {
            return Some(instruction);
        }
        if instruction.flow != Flow::Next {
            return None;
        }
    }
    None
}

/// The first call through memory: its position, and what it calls through.
pub(super) fn call_through(code: &[Instruction]) -> Option<(usize, Register, i32)> {
    code.iter().enumerate().find_map(|(position, it)| match it.flow {
        Flow::CallThrough(register, displacement) => Some((position, register, displacement)),
        _ => None,
    })
}
