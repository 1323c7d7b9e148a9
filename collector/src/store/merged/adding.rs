//! Adding what was spent in stacks of one dictionary to many sums, one after the other: each costs its own stacks, and not all that there are.

use model::profile::StackId;

use super::{Interned, Merged, NONE};
use crate::store::{Detail, Dictionary};

/// The dictionary, and what is kept by its stacks.
pub(crate) struct Adding<'a, D: ?Sized> {
    dictionary: &'a D,
    ours: Interned<'a, D>,
    /// By stack: what is to be added; zeros between two sums.
    values: Vec<i64>,
    /// By stack: its position in the sum, where it is one of the touched; none between two sums.
    stacks: Vec<u32>,
    touched: Vec<u32>,
}

/// Of a stack that is touched, and has no position yet.
const TOUCHED: u32 = NONE - 1;

impl<'a, D: Dictionary + ?Sized> Adding<'a, D> {
    pub(crate) fn new(dictionary: &'a D, detail: Detail) -> Self {
        let count = dictionary.stack_count();
        Self {
            dictionary,
            ours: Interned::new(dictionary, detail),
            values: vec![0; count],
            stacks: vec![NONE; count],
            touched: Vec::new(),
        }
    }

    /// Adds what was spent in each of these stacks; one may come several times.
    pub(crate) fn add(&mut self, merged: &mut Merged, rows: impl Iterator<Item = (u32, i64)> + Clone) {
        for (stack, value) in rows.clone() {
            let sum = &mut self.values[stack as usize];
            *sum = sum.saturating_add(value);
        }
        for (stack, _) in rows {
            if self.values[stack as usize] != 0 {
                self.touch(stack);
            }
        }
        // A caller comes before its callee.
        self.touched.sort_unstable();
        for &stack in &self.touched {
            let (caller, frame) = self.dictionary.stack(stack);
            let frame = self.ours.frame(&mut merged.symbols, frame);
            let caller = caller.map(|caller| StackId(self.stacks[caller as usize]));
            let own = merged.symbols.stacks.push(caller, frame);
            self.stacks[stack as usize] = own.0;
            if own.0 as usize == merged.values.len() {
                merged.values.push(0);
            }
            let value = &mut merged.values[own.0 as usize];
            *value = value.saturating_add(self.values[stack as usize]);
        }
        for stack in self.touched.drain(..) {
            self.stacks[stack as usize] = NONE;
            self.values[stack as usize] = 0;
        }
        self.ours.forget();
    }

    /// A stack and its callers.
    fn touch(&mut self, stack: u32) {
        let mut next = Some(stack);
        while let Some(stack) = next.filter(|stack| self.stacks[*stack as usize] == NONE) {
            self.stacks[stack as usize] = TOUCHED;
            self.touched.push(stack);
            next = self.dictionary.stack(stack).0;
        }
    }
}
