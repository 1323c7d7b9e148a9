//! Folded stacks: `outermost;…;innermost COUNT`, one a line.

use crate::recording::{Frame, Recording, Sample};

/// Reads folded stacks. They tell neither modules nor which frames were inlined.
///
/// # Panics
/// If the text is not well-formed.
pub fn read(text: &str) -> Recording {
    let samples = text.lines().map(|line| {
        let (stack, count) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no count: {line:?}"));
        let weight = count.parse().unwrap_or_else(|_| panic!("no count: {line:?}"));
        assert!(!stack.is_empty() && weight > 0, "an empty stack or count: {line:?}");
        let frame = |name: &str| {
            assert!(!name.is_empty(), "a frame without a name: {line:?}");
            Frame { function: name.to_owned(), module: String::new(), inlined: false }
        };
        Sample { frames: stack.rsplit(';').map(frame).collect(), weight }
    });
    Recording { samples: samples.collect() }
}
