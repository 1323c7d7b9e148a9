//! Stacks and what they are made of, wherever they lie.

use formats::decode::Symbols;
use model::profile::{FrameId, StackId};

/// Stacks, as a tree that grows from the outermost frame: a caller's position is smaller than its callee's.
pub trait Dictionary {
    /// How many stacks there are.
    fn stack_count(&self) -> usize;
    /// A stack's caller and its innermost frame.
    fn stack(&self, position: u32) -> (Option<u32>, u32);
    /// How many frames there are.
    fn frame_count(&self) -> usize;
    /// A frame's function, file and line.
    fn place(&self, position: u32) -> (&str, &str, u32);

    /// Whether each stack has a function of this name in it.
    fn stacks_with(&self, function: &str) -> Vec<bool> {
        let frames: Vec<bool> =
            (0..self.frame_count() as u32).map(|frame| self.place(frame).0 == function).collect();
        let mut stacks: Vec<bool> = Vec::with_capacity(self.stack_count());
        for stack in 0..self.stack_count() as u32 {
            let (caller, frame) = self.stack(stack);
            stacks.push(frames[frame as usize] || caller.is_some_and(|caller| stacks[caller as usize]));
        }
        stacks
    }
}

impl Dictionary for Symbols {
    fn stack_count(&self) -> usize {
        self.stacks.iter().len()
    }

    fn stack(&self, position: u32) -> (Option<u32>, u32) {
        let id = StackId(position);
        (self.stacks.caller(id).map(|caller| caller.0), self.stacks.frame(id).0)
    }

    fn frame_count(&self) -> usize {
        Symbols::frame_count(self)
    }

    fn place(&self, position: u32) -> (&str, &str, u32) {
        let place = self.frames.get(FrameId(position));
        (self.strings.get(place.function), self.strings.get(place.file), place.line)
    }
}
