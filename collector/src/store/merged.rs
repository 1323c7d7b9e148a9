//! What was spent in each stack, added up over whatever it came from.

mod adding;

pub(crate) use adding::Adding;

use formats::decode::{Place, Symbols};
use model::profile::{FrameId, StackId, StringId};

use super::{Detail, Dictionary};

/// The function that stands for what was too small to be told.
pub const OTHER: &str = "(other)";

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
    pub fn add(&mut self, dictionary: &(impl Dictionary + ?Sized), values: &[i64], detail: Detail) {
        let rows = (0..).zip(values.iter().copied()).filter(|(_, value)| *value != 0);
        Adding::new(dictionary, detail).add(self, rows);
    }

    /// Keeps so many stacks, those in which and in whose callees most was spent. What was spent in others is told by their nearest caller that is
    /// kept, as spent in a callee named [`OTHER`]; so there are twice as many stacks at the most.
    pub fn fold(&mut self, stacks_max: usize) {
        if self.values.len() <= stacks_max {
            return;
        }
        let whole = std::mem::take(self);
        let mut weights: Vec<u64> = whole.values.iter().map(|value| value.unsigned_abs()).collect();
        for stack in (0..weights.len()).rev() {
            if let Some(caller) = whole.symbols.stack(stack as u32).0 {
                weights[caller as usize] = weights[caller as usize].saturating_add(weights[stack]);
            }
        }
        let mut order = weights.clone();
        let (_, &mut least, _) = order.select_nth_unstable_by(stacks_max, |one, other| other.cmp(one));
        // A caller has as much as its callee at least, and stands before it: it is kept if that is.
        let mut ties = stacks_max - weights.iter().filter(|weight| **weight > least).count();
        let mut interned = Interned::new(&whole.symbols, Detail::Lines);
        let mut kept = vec![NONE; weights.len()];
        for (stack, weight) in weights.iter().enumerate() {
            let (caller, frame) = whole.symbols.stack(stack as u32);
            let is_kept = *weight > least || (*weight == least && ties > 0);
            ties -= usize::from(is_kept && *weight == least);
            let caller =
                caller.map(|caller| kept[caller as usize]).filter(|caller| *caller != NONE).map(StackId);
            let own = if is_kept {
                let frame = interned.frame(&mut self.symbols, frame);
                self.symbols.stacks.push(caller, frame)
            } else if whole.values[stack] != 0 {
                let other = self.symbols.named(OTHER);
                self.symbols.stacks.push(caller, other)
            } else {
                // Its callees have the same caller.
                kept[stack] = caller.map_or(NONE, |caller| caller.0);
                continue;
            };
            // What an earlier call left out is not told as called by what is left out now.
            kept[stack] = if is_kept { own.0 } else { caller.map_or(NONE, |caller| caller.0) };
            if own.0 as usize == self.values.len() {
                self.values.push(0);
            }
            let value = &mut self.values[own.0 as usize];
            *value = value.saturating_add(whole.values[stack]);
        }
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
    known: Vec<u32>,
}

impl<'a, D: Dictionary + ?Sized> Interned<'a, D> {
    pub(crate) fn new(dictionary: &'a D, detail: Detail) -> Self {
        Self { dictionary, detail, frames: vec![NONE; dictionary.frame_count()], known: Vec::new() }
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
            self.known.push(frame);
        }
        FrameId(*known)
    }

    /// What follows goes into other tables. Costs what was looked up.
    fn forget(&mut self) {
        for frame in self.known.drain(..) {
            self.frames[frame as usize] = NONE;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(stacks: &[(&str, i64)]) -> Merged {
        let mut merged = Merged::default();
        for (stack, value) in stacks {
            let mut symbols = Symbols::default();
            let frames: Vec<FrameId> = stack.split(';').map(|name| symbols.named(name)).collect();
            symbols.stacks.intern(frames);
            let mut values = vec![0; symbols.stack_count()];
            *values.last_mut().expect("a frame") = *value;
            merged.add(&symbols, &values, Detail::Functions);
        }
        merged
    }

    fn folded(merged: &Merged) -> Vec<(String, i64)> {
        let mut found: Vec<(String, i64)> = Vec::new();
        for (stack, value) in (0..).zip(&merged.values).filter(|(_, value)| **value != 0) {
            let frames = merged.symbols.stacks.frames(Some(StackId(stack)));
            let names: Vec<&str> = frames.iter().map(|frame| merged.symbols.function(*frame)).collect();
            found.push((names.join(";"), *value));
        }
        found.sort();
        found
    }

    #[test]
    fn what_is_folded_is_told_by_who_called_it() {
        let mut merged = merged(&[("a;b;c", 1), ("a;b", 2), ("a;d", 50), ("e;f", 3), ("e", 40), ("g", 2)]);
        merged.fold(3);
        let expected = [("(other)", 2), ("a;(other)", 3), ("a;d", 50), ("e", 40), ("e;(other)", 3)];
        assert_eq!(folded(&merged), expected.map(|(stack, value)| (stack.to_owned(), value)));
        assert_eq!(merged.total(), 98);
        // Again, with what came meanwhile.
        merged.add(&Symbols::default(), &[], Detail::Functions);
        merged.fold(2);
        assert_eq!(merged.total(), 98);
        assert!(merged.values.len() <= 4);
    }

    #[test]
    fn few_stacks_are_not_folded() {
        let mut few = merged(&[("a;b", 1), ("c", 0)]);
        let before = folded(&few);
        few.fold(3);
        assert_eq!(folded(&few), before);
        few.fold(0);
        assert_eq!(folded(&few), [("(other)".to_owned(), 1)]);
    }
}
