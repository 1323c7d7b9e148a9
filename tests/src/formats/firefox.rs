//! The processed format of the Firefox Profiler, version 70:
//! <https://github.com/firefox-devtools/profiler/blob/main/src/types/profile.ts>.

use serde_json::Value;

use crate::recording::{Frame, Recording, Sample};

/// Reads the samples of all threads.
///
/// # Panics
/// If the file is not well-formed.
pub fn read(bytes: &[u8]) -> Recording {
    let file: Value = serde_json::from_slice(bytes).expect("JSON");
    assert_eq!(file["meta"]["preprocessedProfileVersion"], 70);
    let tables = Tables::new(&file["shared"]);
    let mut recording = Recording::default();
    for thread in file["threads"].as_array().expect("threads") {
        let samples = &thread["samples"];
        assert_eq!(samples["weightType"], "samples");
        let (stacks, weights) = (column(samples, "stack"), column(samples, "weight"));
        let times = column(samples, "time").iter().map(|time| time.as_f64().expect("a time"));
        assert!(times.is_sorted(), "samples stand in the order of their times");
        for (stack, weight) in stacks.iter().zip(weights) {
            let frames = stack.as_u64().map_or_else(Vec::new, |stack| tables.frames(stack as usize));
            recording.samples.push(Sample { frames, weight: weight.as_u64().expect("a weight") });
        }
    }
    recording
}

struct Tables<'a> {
    strings: &'a [Value],
    stack_frames: Vec<usize>,
    /// How far before a stack its caller's stands; zero where there is none.
    stack_prefixes: Vec<usize>,
    frame_functions: Vec<usize>,
    frame_depths: Vec<usize>,
    function_names: Vec<usize>,
}

impl<'a> Tables<'a> {
    fn new(shared: &'a Value) -> Self {
        Self {
            strings: shared["stringArray"].as_array().expect("stringArray"),
            stack_frames: numbers(&shared["stackTable"], "frame"),
            stack_prefixes: numbers(&shared["stackTable"], "prefixOffset"),
            frame_functions: numbers(&shared["frameTable"], "func"),
            frame_depths: numbers(&shared["frameTable"], "inlineDepth"),
            function_names: numbers(&shared["funcTable"], "name"),
        }
    }

    /// The frames of a stack, from the innermost.
    fn frames(&self, stack: usize) -> Vec<Frame> {
        let caller = |stack: &usize| match self.stack_prefixes[*stack] {
            0 => None,
            offset => Some(stack - offset),
        };
        std::iter::successors(Some(stack), caller).map(|stack| self.frame(self.stack_frames[stack])).collect()
    }

    fn frame(&self, frame: usize) -> Frame {
        let name = self.function_names[self.frame_functions[frame]];
        Frame {
            function: self.strings[name].as_str().expect("a name").to_owned(),
            module: String::new(),
            inlined: self.frame_depths[frame] > 0,
        }
    }
}

/// A column of a table, as long as the table says.
fn column<'a>(table: &'a Value, name: &str) -> &'a [Value] {
    let column = table[name].as_array().unwrap_or_else(|| panic!("a column {name}"));
    assert_eq!(table["length"].as_u64(), Some(column.len() as u64), "the length of {name}");
    column
}

fn numbers(table: &Value, name: &str) -> Vec<usize> {
    column(table, name).iter().map(|value| value.as_u64().expect("a position") as usize).collect()
}
