//! From chains of locations to the profile's stacks, each under the phase that it fell in.

use model::label::Phase;
use model::profile::{Frame, FrameId, FrameKind, Profile, StackId, StringId};
use rustc_hash::FxHashMap;

use super::frames::LocationFrames;
use super::locations::Locations;
use super::raw::{Location, Node, NodeId};
use crate::sampler::phase::{self, PhaseWalk, Step};

/// Builds stacks of the profile as samples ask for them.
pub(super) struct StackBuilder<'a> {
    locations: &'a Locations,
    nodes: &'a [Node],
    frames: &'a LocationFrames,
    /// The phase at each node.
    walks: Vec<PhaseWalk>,
    built: FxHashMap<(NodeId, Option<Phase>), Option<StackId>>,
}

impl<'a> StackBuilder<'a> {
    pub(super) fn new(
        locations: &'a Locations,
        nodes: &'a [Node],
        frames: &'a LocationFrames,
        profile: &Profile,
    ) -> Self {
        let step = |frame: Frame| match frame.kind {
            FrameKind::Kernel => Step::KERNEL,
            FrameKind::Native | FrameKind::Jit => Step::of(profile.text(frame.function)),
            FrameKind::Phase(_) | FrameKind::Unknown => Step::Other,
        };
        let steps: Vec<Step> = profile.frames.iter().map(step).collect();
        let mut walks: Vec<PhaseWalk> = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            // A caller always stands before what it calls.
            let outside = node.caller.map_or(PhaseWalk::default(), |caller| walks[caller.0 as usize]);
            let inwards = frames.of(locations.position(NodeId(index as u32))).iter();
            walks.push(inwards.fold(outside, |walk, frame| walk.enter(steps[frame.0 as usize])));
        }
        Self { locations, nodes, frames, walks, built: FxHashMap::default() }
    }

    /// The stack whose innermost frame is this node's.
    pub(super) fn stack(&mut self, innermost: NodeId, profile: &mut Profile) -> Option<StackId> {
        let stack = self.build(innermost, self.walks[innermost.0 as usize].phase(), profile);
        let Location { origin, address } = self.nodes[innermost.0 as usize].location;
        match origin {
            Some(_) => stack,
            // Elsewhere an unmapped address is a mistake of unwinding; here the thread was really there.
            None => {
                let frame = frame(profile, FrameKind::Unknown, "[unknown]", address);
                Some(profile.stacks.push(stack, frame))
            }
        }
    }

    fn build(&mut self, innermost: NodeId, phase: Option<Phase>, profile: &mut Profile) -> Option<StackId> {
        let mut missing = Vec::new();
        let mut next = Some(innermost);
        let mut stack = loop {
            let Some(node) = next else {
                break phase.map(|phase| {
                    let frame = frame(profile, FrameKind::Phase(phase), phase::frame_name(phase), 0);
                    profile.stacks.push(None, frame)
                });
            };
            if let Some(&known) = self.built.get(&(node, phase)) {
                break known;
            }
            missing.push(node);
            next = self.nodes[node.0 as usize].caller;
        };
        for node in missing.into_iter().rev() {
            for &frame in self.frames.of(self.locations.position(node)) {
                stack = Some(profile.stacks.push(stack, frame));
            }
            self.built.insert((node, phase), stack);
        }
        stack
    }
}

fn frame(profile: &mut Profile, kind: FrameKind, function: &str, address: u64) -> FrameId {
    let function = profile.strings.intern(function);
    let file = StringId::default();
    profile.frames.intern(Frame { kind, function, file, line: 0, mapping: None, address, inlined: false })
}
