//! speedscope's own JSON: <https://www.speedscope.app/file-format-schema.json>.

use serde_json::Value;

use crate::recording::{Frame, Recording, Sample};

/// Reads the sampled profiles of a file, one a thread.
///
/// # Panics
/// If the file is not well-formed.
pub fn read(bytes: &[u8]) -> Recording {
    let file: Value = serde_json::from_slice(bytes).expect("JSON");
    assert_eq!(file["$schema"], "https://www.speedscope.app/file-format-schema.json");
    let frames = file["shared"]["frames"].as_array().expect("shared.frames");
    let mut recording = Recording::default();
    for profile in file["profiles"].as_array().expect("profiles") {
        assert_eq!(profile["type"], "sampled");
        assert!(profile["name"].is_string() && profile["unit"].is_string());
        let stacks = profile["samples"].as_array().expect("samples");
        let weights = profile["weights"].as_array().expect("weights");
        assert_eq!(stacks.len(), weights.len(), "a weight for each sample");
        let sum: u64 = weights.iter().map(|weight| weight.as_u64().expect("a weight")).sum();
        let span = profile["endValue"].as_u64().expect("endValue")
            - profile["startValue"].as_u64().expect("startValue");
        assert_eq!(sum, span, "the weights fill the time line");
        for (stack, weight) in stacks.iter().zip(weights) {
            let stack = stack.as_array().expect("a stack").iter().rev();
            let read = |at: &Value| read_frame(&frames[at.as_u64().expect("a position") as usize]);
            let weight = weight.as_u64().expect("a weight");
            recording.samples.push(Sample { frames: stack.map(read).collect(), weight });
        }
    }
    recording
}

fn read_frame(frame: &Value) -> Frame {
    let function = frame["name"].as_str().expect("a frame has a name").to_owned();
    assert!(!function.is_empty(), "a frame has a name");
    Frame { function, module: String::new(), inlined: false }
}
