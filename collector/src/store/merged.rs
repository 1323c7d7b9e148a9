//! What was spent in each stack, added up over whatever it came from.

use formats::decode::{Place, Symbols};
use model::profile::{FrameId, StackId, StringId};

use super::{Detail, Dictionary, StoreError};

/// Different stacks that one answer may have, callers included.
const STACKS_MAX: usize = 2_000_000;

const NONE: u32 = u32::MAX;

/// What was spent, by stack.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    /// The stacks.
    pub symbols: Symbols,
    /// By stack: what was spent in it, without its callees.
    pub values: Vec<i64>,
}

impl Merged {
    /// Adds what was spent in the stacks of a dictionary.
    ///
    /// # Errors
    /// [`StoreError::TooMuch`] where there are too many stacks.
    pub fn add(
        &mut self,
        dictionary: &(impl Dictionary + ?Sized),
        values: &[i64],
        detail: Detail,
    ) -> Result<(), StoreError> {
        let mut ours = Interned::new(dictionary, detail);
        let mut stacks = vec![NONE; values.len()];
        // Callers of what has a value; they come before it, so one pass from the end finds all.
        let mut wanted = vec![false; values.len()];
        for stack in (0..values.len()).rev() {
            wanted[stack] |= values[stack] != 0;
            if wanted[stack]
                && let Some(caller) = dictionary.stack(stack as u32).0
            {
                wanted[caller as usize] = true;
            }
        }
        for stack in (0..values.len()).filter(|stack| wanted[*stack]) {
            let (caller, frame) = dictionary.stack(stack as u32);
            let frame = ours.frame(&mut self.symbols, frame);
            let caller = caller.map(|caller| StackId(stacks[caller as usize]));
            let own = self.symbols.stacks.push(caller, frame);
            stacks[stack] = own.0;
            if own.0 as usize == self.values.len() {
                self.values.push(0);
            }
            let value = &mut self.values[own.0 as usize];
            *value = value.saturating_add(values[stack]);
        }
        if self.values.len() > STACKS_MAX {
            return Err(StoreError::TooMuch { what: "different stacks", limit: STACKS_MAX });
        }
        Ok(())
    }

    /// The sum of all values; saturates.
    pub fn total(&self) -> i64 {
        self.values.iter().fold(0, |sum: i64, value| sum.saturating_add(*value))
    }
}

/// Frames of a dictionary in another's tables, each looked up once.
pub(crate) struct Interned<'a, D: ?Sized> {
    dictionary: &'a D,
    detail: Detail,
    frames: Vec<u32>,
}

impl<'a, D: Dictionary + ?Sized> Interned<'a, D> {
    pub(crate) fn new(dictionary: &'a D, detail: Detail) -> Self {
        Self { dictionary, detail, frames: vec![NONE; dictionary.frame_count()] }
    }

    pub(crate) fn frame(&mut self, symbols: &mut Symbols, frame: u32) -> FrameId {
        let known = &mut self.frames[frame as usize];
        if *known == NONE {
            let (function, file, line) = self.dictionary.place(frame);
            let function = symbols.strings.intern(function);
            let place = match self.detail {
                Detail::Functions => Place { function, file: StringId::default(), line: 0 },
                Detail::Lines => Place { function, file: symbols.strings.intern(file), line },
            };
            *known = symbols.frames.intern(place).0;
        }
        FrameId(*known)
    }

    /// All stacks of the dictionary in the other's table, by their positions.
    pub(crate) fn stacks(&mut self, symbols: &mut Symbols) -> Vec<StackId> {
        let mut stacks: Vec<StackId> = Vec::with_capacity(self.dictionary.stack_count());
        for stack in 0..self.dictionary.stack_count() as u32 {
            let (caller, frame) = self.dictionary.stack(stack);
            let frame = self.frame(symbols, frame);
            let caller = caller.map(|caller| stacks[caller as usize]);
            stacks.push(symbols.stacks.push(caller, frame));
        }
        stacks
    }
}
