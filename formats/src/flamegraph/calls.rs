//! Who called whom among the threads of one name, from the outermost frames inwards.
//!
//! [`CallTree`](crate::aggregate::CallTree) merges every call before anyone looks at it. A picture shows a few thousand
//! frames of what may be millions, so here calls are merged only where their callers are wide enough to be drawn; for
//! the others a few sums suffice.

use std::ops::Range;

use model::profile::{FrameId, FrameKind, Profile, StackId, StringId};
use rustc_hash::FxHashMap;

use crate::aggregate::StackTotal;

const NONE: u32 = u32::MAX;

/// The calls of the threads of one name. One value serves for one name after another, to reuse its memory.
pub(super) struct Calls<'a> {
    profile: &'a Profile,
    /// By frame; frames of equal name and kind have equal numbers.
    functions: Vec<u32>,
    /// By stack.
    calls: Vec<Call>,
    /// The stacks of these threads, callers before callees.
    stacks: Vec<StackId>,
    /// The members of all groups that there are yet; no stack is in two.
    members: Vec<StackId>,
}

/// What was spent in a stack and those inside it.
#[derive(Clone, Copy)]
struct Call {
    total: u64,
    frames: u32,
    /// The head of the list of stacks with one frame more, and the next in the list that this one is in.
    first_callee: u32,
    next: u32,
    is_known: bool,
}

const UNKNOWN: Call = Call { total: 0, frames: 0, first_callee: NONE, next: NONE, is_known: false };

/// All calls of one function by the same callers.
pub(super) struct Group {
    /// The frame in which most was spent.
    pub(super) frame: FrameId,
    /// What was spent in them and all that they called.
    pub(super) total: u64,
    /// How many frames they are with all that they called.
    pub(super) frames: usize,
    members: Range<usize>,
}

impl<'a> Calls<'a> {
    pub(super) fn new(profile: &'a Profile) -> Self {
        let mut numbers: FxHashMap<(StringId, FrameKind), u32> = FxHashMap::default();
        let functions = profile.frames.iter().map(|frame| {
            let next = numbers.len() as u32;
            *numbers.entry((frame.function, frame.kind)).or_insert(next)
        });
        Self {
            profile,
            functions: functions.collect(),
            calls: vec![UNKNOWN; profile.stacks.iter().len()],
            stacks: Vec::new(),
            members: Vec::new(),
        }
    }

    /// Forgets the threads before, and takes these. Returns what they called themselves.
    pub(super) fn take(&mut self, totals: &[StackTotal]) -> Vec<Group> {
        for stack in self.stacks.drain(..) {
            self.calls[stack.0 as usize] = UNKNOWN;
        }
        self.members.clear();
        for total in totals {
            if let Some(stack) = total.stack {
                self.make_known(stack);
                let call = &mut self.calls[stack.0 as usize];
                call.total = call.total.saturating_add(total.weight);
            }
        }
        let mut outermost = NONE;
        for &stack in self.stacks.iter().rev() {
            let Call { total, frames, .. } = self.calls[stack.0 as usize];
            let list = match self.profile.stacks.caller(stack) {
                None => &mut outermost,
                Some(caller) => {
                    let caller = &mut self.calls[caller.0 as usize];
                    caller.total = caller.total.saturating_add(total);
                    caller.frames += frames;
                    &mut caller.first_callee
                }
            };
            let next = std::mem::replace(list, stack.0);
            self.calls[stack.0 as usize].next = next;
        }
        self.grouped([outermost])
    }

    /// What a group's functions called.
    pub(super) fn callees(&mut self, group: &Group) -> Vec<Group> {
        let lists: Vec<u32> = (self.members[group.members.clone()].iter())
            .map(|member| self.calls[member.0 as usize].first_callee)
            .collect();
        self.grouped(lists)
    }

    fn make_known(&mut self, stack: StackId) {
        let first = self.stacks.len();
        let mut at = Some(stack);
        while let Some(stack) = at.filter(|stack| !self.calls[stack.0 as usize].is_known) {
            self.calls[stack.0 as usize] = Call { is_known: true, frames: 1, ..UNKNOWN };
            self.stacks.push(stack);
            at = self.profile.stacks.caller(stack);
        }
        self.stacks[first..].reverse();
    }

    fn grouped(&mut self, lists: impl IntoIterator<Item = u32>) -> Vec<Group> {
        let first = self.members.len();
        for list in lists {
            let mut at = list;
            while at != NONE {
                self.members.push(StackId(at));
                at = self.calls[at as usize].next;
            }
        }
        let function = |stack: &StackId| self.functions[self.profile.stacks.frame(*stack).0 as usize];
        let total = |stack: &StackId| self.calls[stack.0 as usize].total;
        self.members[first..]
            .sort_unstable_by_key(|stack| (function(stack), std::cmp::Reverse(total(stack)), *stack));
        let mut end = first;
        let same_function = self.members[first..].chunk_by(|a, b| function(a) == function(b));
        let group = |members: &[StackId]| {
            end += members.len();
            Group {
                frame: self.profile.stacks.frame(members[0]),
                total: members.iter().map(total).fold(0, u64::saturating_add),
                frames: members.iter().map(|stack| self.calls[stack.0 as usize].frames as usize).sum(),
                members: end - members.len()..end,
            }
        };
        same_function.map(group).collect()
    }
}
