//! Locations: in pprof a place in the code stands for all functions that the compiler put into one another there.
//!
//! In a profile each of those functions is a frame, so a location is a run of frames: one that is not inlined, and the
//! inlined ones right inside it. A run of frames is interned like a stack is, outermost first.

use model::label::Phase;
use model::profile::{FrameId, FrameKind, Profile, StackId, Stacks, StringId};
use rustc_hash::FxHashMap;

use super::{string, wire};
use crate::aggregate::StackTotal;

/// The locations and functions of a profile.
pub(super) struct Locations<'a> {
    profile: &'a Profile,
    /// Every run, as a stack of its frames. A location's identifier is the run's position plus one.
    runs: Stacks,
    /// By stack: the run that its innermost frame is the last of.
    run_of: Vec<StackId>,
    /// By run: whether it is a location, and not only the beginning of one.
    is_location: Vec<bool>,
    /// By frame: the identifier of its function.
    function_of: Vec<u64>,
    /// By identifier, less one: a frame of the function.
    functions: Vec<FrameId>,
}

impl<'a> Locations<'a> {
    /// The locations of these stacks.
    pub(super) fn new(profile: &'a Profile, totals: &[StackTotal]) -> Self {
        let mut runs = Stacks::default();
        let mut run_of: Vec<StackId> = Vec::with_capacity(profile.stacks.iter().len());
        let mut ended = Vec::new();
        for (caller, frame) in profile.stacks.iter() {
            let outer = caller.filter(|&caller| profile.is_inside(frame, profile.stacks.frame(caller)));
            if outer.is_none() {
                ended.extend(caller);
            }
            run_of.push(runs.push(outer.map(|outer| run_of[outer.0 as usize]), frame));
        }
        ended.extend(totals.iter().filter_map(|total| total.stack));
        let mut is_location = vec![false; runs.iter().len()];
        for stack in ended {
            is_location[run_of[stack.0 as usize].0 as usize] = true;
        }

        let mut functions = Vec::new();
        let mut by_name: FxHashMap<(StringId, StringId), u64> = FxHashMap::default();
        let function_of = (0..).zip(profile.frames.iter()).map(|(id, frame)| {
            *by_name.entry((frame.function, frame.file)).or_insert_with(|| {
                functions.push(FrameId(id));
                functions.len() as u64
            })
        });
        let function_of = function_of.collect();
        Self { profile, runs, run_of, is_location, function_of, functions }
    }

    /// The locations of a stack, innermost first, and the phase of the loop that it ran in.
    pub(super) fn of_stack(&self, stack: Option<StackId>) -> (Vec<u64>, Option<Phase>) {
        let stacks = &self.profile.stacks;
        let mut locations = Vec::new();
        let mut phase = None;
        let mut at = stack;
        let mut rest_of_run = false;
        while let Some(stack) = at {
            if !rest_of_run {
                locations.push(u64::from(self.run_of[stack.0 as usize].0) + 1);
            }
            rest_of_run = self.runs.caller(self.run_of[stack.0 as usize]).is_some();
            if let FrameKind::Phase(its) = self.profile.frames.get(stacks.frame(stack)).kind {
                phase = Some(its);
            }
            at = stacks.caller(stack);
        }
        (locations, phase)
    }

    /// One message a location.
    pub(super) fn rows(&self) -> impl Iterator<Item = wire::Location> {
        let locations = (0..).zip(&self.is_location).filter(|(_, is_location)| **is_location);
        locations.map(|(run, _): (u32, _)| {
            let innermost = self.profile.frames.get(self.runs.frame(StackId(run)));
            let outwards = std::iter::successors(Some(StackId(run)), |&run| self.runs.caller(run));
            let line = outwards.map(|run| {
                let frame = self.runs.frame(run);
                let line = self.profile.frames.get(frame).line.into();
                wire::Line { function_id: self.function_of[frame.0 as usize], line }
            });
            wire::Location {
                id: u64::from(run) + 1,
                mapping_id: innermost.mapping.map_or(0, |mapping| u64::from(mapping.0) + 1),
                address: innermost.address,
                line: line.collect(),
            }
        })
    }

    /// One message a function.
    pub(super) fn functions(&self) -> impl Iterator<Item = wire::Function> {
        (1..).zip(&self.functions).map(|(id, &frame)| {
            let frame = self.profile.frames.get(frame);
            let name = string(frame.function);
            wire::Function { id, name, system_name: name, filename: string(frame.file) }
        })
    }
}
