//! A part of a profile, as a profile of its own.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use super::{Frame, Mapping, MappingId, Profile, Sample, StackId, StringId, Thread, ThreadId};

type Known<K, V> = HashMap<K, V, FxBuildHasher>;

impl Profile {
    /// The samples of some threads, with all that they need and nothing else. What was lost cannot be told apart, so it is not
    /// told.
    pub fn part(&self, of_thread: impl Fn(&Thread) -> bool) -> Profile {
        let mut part = Part { whole: self, part: Profile::default(), stacks: Known::default() };
        part.part.recording = self.recording.clone();
        let mut threads: Known<ThreadId, ThreadId> = Known::default();
        for sample in &self.samples {
            let thread = self.threads[sample.thread.0 as usize];
            if !of_thread(&thread) {
                continue;
            }
            let next = ThreadId(part.part.threads.len() as u32);
            let id = *threads.entry(sample.thread).or_insert(next);
            if id == next {
                let (process_name, name) = (part.text(thread.process_name), part.text(thread.name));
                part.part.threads.push(Thread { process_name, name, ..thread });
            }
            let stack = sample.stack.map(|stack| part.stack(stack));
            part.part.samples.push(Sample { thread: id, stack, ..*sample });
        }
        part.part
    }
}

struct Part<'a> {
    whole: &'a Profile,
    part: Profile,
    stacks: Known<StackId, StackId>,
}

impl Part<'_> {
    fn text(&mut self, id: StringId) -> StringId {
        self.part.strings.intern(self.whole.text(id))
    }

    fn stack(&mut self, id: StackId) -> StackId {
        let mut missing = Vec::new();
        let mut next = Some(id);
        let mut stack = None;
        while let Some(id) = next {
            if let Some(&known) = self.stacks.get(&id) {
                stack = Some(known);
                break;
            }
            missing.push(id);
            next = self.whole.stacks.caller(id);
        }
        for id in missing.into_iter().rev() {
            let Frame { function, file, mapping, .. } = self.whole.frames.get(self.whole.stacks.frame(id));
            let frame = Frame {
                function: self.text(function),
                file: self.text(file),
                mapping: mapping.map(|mapping| self.mapping(mapping)),
                ..self.whole.frames.get(self.whole.stacks.frame(id))
            };
            let frame = self.part.frames.intern(frame);
            let made = self.part.stacks.push(stack, frame);
            self.stacks.insert(id, made);
            stack = Some(made);
        }
        stack.expect("a stack has a frame")
    }

    fn mapping(&mut self, id: MappingId) -> MappingId {
        let mapping = self.whole.mappings.get(id);
        let mapping =
            Mapping { path: self.text(mapping.path), build_id: self.text(mapping.build_id), ..mapping };
        self.part.mappings.intern(mapping)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::FrameKind;
    use crate::time::Monotonic;

    #[test]
    fn a_part_has_its_own_samples_and_nothing_of_the_others() {
        let mut whole = Profile::default();
        let mut frame = |name: &str| {
            let function = whole.strings.intern(name);
            let file = StringId::default();
            whole.frames.intern(Frame {
                kind: FrameKind::Native,
                function,
                file,
                line: 0,
                mapping: None,
                address: 0,
                inlined: false,
            })
        };
        let (main, shared, alone) = (frame("main"), frame("shared"), frame("alone"));
        let stacks = [whole.stacks.intern([main, shared]), whole.stacks.intern([main, shared, alone])];
        let name = whole.strings.intern("worker");
        whole.threads = [7, 8].map(|pid| Thread { pid, tid: pid, process_name: name, name }).to_vec();
        let sample = |thread, stack| Sample {
            time: Monotonic::from_ns(5),
            thread: ThreadId(thread),
            stack,
            weight: 1,
        };
        whole.samples =
            vec![sample(1, stacks[1]), sample(0, stacks[0]), sample(0, stacks[0]), sample(0, None)];
        let part = whole.part(|thread| thread.pid == 7);
        assert_eq!((part.samples.len(), part.threads.len(), part.threads[0].pid), (3, 1, 7));
        let names: Vec<&str> =
            part.frames_of(part.samples[0].stack).into_iter().map(|frame| part.frame_name(frame)).collect();
        assert_eq!(names, ["main", "shared"]);
        let has = |text: &str| part.strings.iter().any(|own| own == text);
        assert!(part.samples[2].stack.is_none() && !has("alone") && has("worker"));
        assert!(whole.part(|_| false).samples.is_empty());
    }
}
