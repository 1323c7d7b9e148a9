//! What the code of a function does with addresses that stand in it: which it passes to what it calls, and which variables
//! it reads and writes.
//!
//! Constants are followed along every way through the function, until nothing changes; where ways join that disagree, nothing is
//! known. So a variable is found whether the code names it each time or keeps its address in a register.

use iced_x86::{
    FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register as Name,
};

use super::super::machine::x86_64;

/// A function of more instructions is not looked at.
const INSTRUCTIONS_MAX: usize = 4096;

/// What the sixteen registers hold.
type State = [Option<u64>; 16];

/// Registers of the first six arguments.
const ARGUMENTS: [Name; 6] = [Name::RDI, Name::RSI, Name::RDX, Name::RCX, Name::R8, Name::R9];

/// What a function may leave anything in.
const SCRATCH: [Name; 9] =
    [Name::RAX, Name::RCX, Name::RDX, Name::RSI, Name::RDI, Name::R8, Name::R9, Name::R10, Name::R11];

/// A function's instructions, and what registers hold before each.
pub(super) struct Function {
    body: Vec<Instruction>,
    before: Vec<Option<State>>,
    is_fixed: bool,
}

/// A direct call, or a jump to another function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) target: u64,
    /// The arguments that are constants.
    pub(super) arguments: [Option<u64>; 6],
}

/// A use of memory whose address is a constant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    pub(super) address: u64,
    pub(super) bytes: usize,
    pub(super) reads: bool,
    pub(super) writes: bool,
}

impl Function {
    /// Follows the constants of a function. `is_fixed` where numbers in the code may be addresses.
    pub(super) fn new(mut body: Vec<Instruction>, is_fixed: bool) -> Self {
        body.truncate(INSTRUCTIONS_MAX);
        let before = vec![None; body.len()];
        let mut function = Self { body, before, is_fixed };
        // What is reached only through a table of jumps is begun anew, with nothing known. Padding is never reached, but would
        // lead on to what is.
        for position in 0..function.body.len() {
            let is_padding = matches!(function.body[position].mnemonic(), Mnemonic::Nop | Mnemonic::Int3);
            if function.before[position].is_none() && (position == 0 || !is_padding) {
                function.follow(position);
            }
        }
        function
    }

    /// Registers' states only ever lose constants, so this ends: after at most 17 visits of each instruction.
    fn follow(&mut self, from: usize) {
        let mut factory = InstructionInfoFactory::new();
        self.before[from] = Some([None; 16]);
        let mut waiting = vec![from];
        while let Some(position) = waiting.pop() {
            let Some(state) = self.before[position] else { continue };
            let after = self.after(position, state, &mut factory);
            for next in self.next(position).into_iter().flatten() {
                let merged = match self.before[next] {
                    None => after,
                    Some(known) => std::array::from_fn(|at| known[at].filter(|_| known[at] == after[at])),
                };
                if self.before[next] != Some(merged) {
                    self.before[next] = Some(merged);
                    waiting.push(next);
                }
            }
        }
    }

    /// The instructions that may come next in the same function.
    fn next(&self, position: usize) -> [Option<usize>; 2] {
        let instruction = &self.body[position];
        let behind = Some(position + 1).filter(|&next| next < self.body.len());
        let target = || {
            let target = x86_64::target(instruction)?;
            self.body.binary_search_by_key(&target, Instruction::ip).ok()
        };
        match instruction.flow_control() {
            FlowControl::UnconditionalBranch => [target(), None],
            FlowControl::ConditionalBranch => [target(), behind],
            FlowControl::Next | FlowControl::Call | FlowControl::IndirectCall => [behind, None],
            _ => [None, None],
        }
    }

    fn after(&self, position: usize, mut state: State, factory: &mut InstructionInfoFactory) -> State {
        let instruction = &self.body[position];
        let result = self.result(instruction, &state);
        for used in factory.info(instruction).used_registers() {
            let writes = matches!(
                used.access(),
                OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
            );
            if let Some(at) = number(used.register()).filter(|_| writes) {
                state[at] = None;
            }
        }
        if matches!(instruction.flow_control(), FlowControl::Call | FlowControl::IndirectCall) {
            for at in SCRATCH.into_iter().filter_map(number) {
                state[at] = None;
            }
        } else if let (Some(result), Some(at)) = (result, number(instruction.op0_register())) {
            state[at] = Some(result);
        }
        state
    }

    /// The constant that an instruction puts into its first operand, a register.
    fn result(&self, instruction: &Instruction, state: &State) -> Option<u64> {
        if instruction.op0_kind() != OpKind::Register || instruction.op0_register().size() < 4 {
            return None;
        }
        match (instruction.mnemonic(), instruction.op1_kind()) {
            (Mnemonic::Lea, _) => self.memory(instruction, state),
            (Mnemonic::Mov, OpKind::Register) if instruction.op0_register().size() == 8 => {
                state[number(instruction.op1_register())?]
            }
            (Mnemonic::Mov, _) => self.immediate(instruction),
            _ => None,
        }
    }

    /// The number that stands in an instruction, where it may be an address.
    fn immediate(&self, instruction: &Instruction) -> Option<u64> {
        let last = instruction.op_count().checked_sub(1)?;
        self.is_fixed.then(|| instruction.try_immediate(last).ok()).flatten()
    }

    /// The constant address of an instruction's operand in memory.
    fn memory(&self, instruction: &Instruction, state: &State) -> Option<u64> {
        let displacement = instruction.memory_displacement64();
        let is_plain = instruction.memory_index() == Name::None
            && !matches!(instruction.memory_segment(), Name::FS | Name::GS);
        match instruction.memory_base() {
            _ if !is_plain => None,
            Name::RIP => Some(displacement),
            Name::None => self.is_fixed.then_some(displacement),
            base => Some(state[number(base)?]?.wrapping_add(displacement)),
        }
    }

    fn states(&self) -> impl Iterator<Item = (&Instruction, &State)> {
        self.body.iter().zip(&self.before).filter_map(|(it, before)| Some((it, before.as_ref()?)))
    }

    /// The calls, and the jumps that leave the function, in the order of their addresses.
    pub(super) fn calls(&self) -> Vec<Call> {
        let leaves = |instruction: &Instruction, target: u64| match instruction.flow_control() {
            FlowControl::Call => true,
            FlowControl::UnconditionalBranch => {
                self.body.binary_search_by_key(&target, Instruction::ip).is_err()
            }
            _ => false,
        };
        self.states()
            .filter_map(|(instruction, state)| {
                let target = x86_64::target(instruction).filter(|&target| leaves(instruction, target))?;
                Some(Call { target, arguments: ARGUMENTS.map(|name| state[number(name)?]) })
            })
            .collect()
    }

    /// The uses of memory at constant addresses.
    pub(super) fn accesses(&self) -> Vec<Access> {
        let mut factory = InstructionInfoFactory::new();
        self.states()
            .filter_map(|(instruction, state)| self.access(instruction, state, &mut factory))
            .collect()
    }

    fn access(
        &self,
        instruction: &Instruction,
        state: &State,
        factory: &mut InstructionInfoFactory,
    ) -> Option<Access> {
        let mut operands = 0..instruction.op_count();
        let operand = operands.find(|&at| instruction.op_kind(at) == OpKind::Memory)?;
        let (reads, writes) = match factory.info(instruction).op_access(operand) {
            OpAccess::Read | OpAccess::CondRead => (true, false),
            OpAccess::Write | OpAccess::CondWrite => (false, true),
            OpAccess::ReadWrite | OpAccess::ReadCondWrite => (true, true),
            _ => return None,
        };
        let address = self.memory(instruction, state)?;
        Some(Access { address, bytes: instruction.memory_size().size(), reads, writes })
    }

    /// Which of some addresses of words is read first, on every way from the function's beginning.
    pub(super) fn reads_first(&self, words: &[u64]) -> Vec<u64> {
        let mut factory = InstructionInfoFactory::new();
        let mut seen = vec![false; self.body.len()];
        let mut waiting: Vec<usize> = (0..self.body.len().min(1)).collect();
        let mut first = Vec::new();
        while let Some(position) = waiting.pop() {
            if std::mem::replace(&mut seen[position], true) {
                continue;
            }
            let Some(state) = &self.before[position] else { continue };
            let access = self.access(&self.body[position], state, &mut factory);
            match access.filter(|it| it.reads && it.bytes == 8 && words.contains(&it.address)) {
                Some(access) => first.push(access.address),
                None => waiting.extend(self.next(position).into_iter().flatten()),
            }
        }
        first
    }

    /// The addresses that stand in the code as values, each once.
    pub(super) fn mentions(&self) -> Vec<u64> {
        let mut mentions: Vec<u64> = self
            .states()
            .filter_map(|(instruction, state)| match instruction.mnemonic() {
                Mnemonic::Lea if instruction.is_ip_rel_memory_operand() => self.memory(instruction, state),
                _ => self.immediate(instruction),
            })
            .collect();
        mentions.sort_unstable();
        mentions.dedup();
        mentions
    }
}

/// A general register's number.
fn number(register: Name) -> Option<usize> {
    register.is_gpr().then(|| register.full_register().number())
}
