//! What a profiler recorded, whichever it was: the common ground on which two of them are compared.

/// Samples of a run.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// In no particular order.
    pub samples: Vec<Sample>,
}

/// A stack, and how often it was seen.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// The frames, the innermost first.
    pub frames: Vec<Frame>,
    /// How many samples it stands for.
    pub weight: u64,
}

/// A place in code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The function, demangled.
    pub function: String,
    /// The file that its code was mapped from; empty where the profile does not tell.
    pub module: String,
    /// Whether the compiler put it into its caller.
    pub inlined: bool,
}

impl Recording {
    /// The sum of all weights.
    pub fn total(&self) -> u64 {
        self.samples.iter().map(|sample| sample.weight).sum()
    }

    /// The weight of the samples that `pick` takes.
    pub fn weight_where(&self, pick: impl Fn(&Sample) -> bool) -> u64 {
        self.samples.iter().filter(|sample| pick(sample)).map(|sample| sample.weight).sum()
    }
}

impl Sample {
    /// The innermost frame that is a function of the binary. Functions that were put into it are left out, because a
    /// symbol table, and so a profiler that reads no line tables, does not know them.
    pub fn leaf(&self) -> Option<&Frame> {
        self.frames.iter().find(|frame| !frame.inlined)
    }

    /// Whether a function is on the stack.
    pub fn has(&self, function: &str) -> bool {
        self.frames.iter().any(|frame| frame.function == function)
    }

    /// The functions on the stack, from the innermost, without those that were inlined.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.frames.iter().filter(|frame| !frame.inlined).map(|frame| frame.function.as_str())
    }
}
