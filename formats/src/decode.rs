//! What the decoders of profile formats make: one shape for whatever producer, with all names interned.
//!
//! A [`Decoded`] profile is less than a [`model::profile::Profile`] (it keeps no addresses, mappings or threads) and more: it
//! may have values of several types a sample, and labels. That is what stores of profiles keep. Refused: decoding into
//! `model`'s profile, which is what *our* recorders measure.
//!
//! Decoders trust nothing. What exceeds the [`Limits`] or contradicts itself is refused as a whole, with the reason. What is read
//! takes no more memory than [`Limits::decoded_bytes`], however little of the input stands for it: a stack is one number in the
//! input, and a thousand frames here.

mod error;
mod format;
mod gzip;
mod limits;
mod protobuf;

pub use error::DecodeError;
pub use format::Format;
pub use gzip::{InflateError, inflate, inflated, is_gzip};
pub use limits::Limits;
pub(crate) use protobuf::{Field, Message};

use model::profile::{FrameId, StackId, Stacks, StringId, Strings, Table};

/// A profile as it was sent.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    /// All names, frames and stacks.
    pub symbols: Symbols,
    /// What the values of a sample count, in order.
    pub types: Vec<ValueType>,
    /// What was counted to take a sample, and how much of it passed from one to the next; zero where unknown.
    pub period: Option<(ValueType, i64)>,
    /// When it begins: nanoseconds since the UNIX epoch; `None` where the format or the producer does not tell.
    pub started_unix_ns: Option<i64>,
    /// How long it lasted; zero where unknown.
    pub duration_ns: i64,
    /// Sets of labels that samples have, each once; the first is empty.
    pub label_sets: Vec<Vec<(StringId, StringId)>>,
    /// The samples.
    pub samples: Vec<Sample>,
    /// The values of all samples, [`types`](Self::types) many each.
    pub values: Vec<i64>,
}

/// A sample, or many of equal stack and labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The stack; `None` where it is not known.
    pub stack: Option<StackId>,
    /// A position in [`Decoded::label_sets`].
    pub label_set: u32,
}

/// What a number counts: `cpu` in `nanoseconds`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueType {
    /// What is counted.
    pub kind: String,
    /// In what.
    pub unit: String,
}

impl ValueType {
    /// Such a type.
    pub fn new(kind: impl Into<String>, unit: impl Into<String>) -> Self {
        Self { kind: kind.into(), unit: unit.into() }
    }
}

/// Names, frames and stacks, interned.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    /// All text.
    pub strings: Strings,
    /// Places in code.
    pub frames: Table<FrameId, Place>,
    /// Chains of frames.
    pub stacks: Stacks,
}

/// A place in code, as far as it has a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// The function; never empty.
    pub function: StringId,
    /// The source file; empty where unknown.
    pub file: StringId,
    /// The line; zero where unknown.
    pub line: u32,
}

impl Symbols {
    /// The name of a frame's function.
    pub fn function(&self, frame: FrameId) -> &str {
        self.strings.get(self.frames.get(frame).function)
    }

    /// How many frames there are.
    pub fn frame_count(&self) -> usize {
        self.frames.iter().len()
    }

    /// The places of a stack, from the outermost to the innermost.
    pub fn places(&self, stack: Option<StackId>) -> Vec<Place> {
        self.stacks.frames(stack).into_iter().map(|frame| self.frames.get(frame)).collect()
    }

    /// How much memory they take, about. Quick to ask.
    pub fn size_bytes(&self) -> usize {
        let rows = self.frame_count() + self.stacks.iter().len() + self.strings.iter().len();
        rows * ROW_BYTES + self.strings.text_bytes()
    }

    /// A place whose function has no file.
    pub fn named(&mut self, function: &str) -> FrameId {
        let function = self.strings.intern(if function.is_empty() { UNNAMED } else { function });
        self.frames.intern(Place { function, file: StringId::default(), line: 0 })
    }
}

/// What a function without a name is called.
pub const UNNAMED: &str = "[unknown]";

/// What a frame is called of which no function is known: by its file and its address, as far as these are.
pub(crate) fn unsymbolized(path: &str, address: u64) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    match (file, address) {
        ("", 0) => UNNAMED.to_owned(),
        ("", address) => format!("{address:#x}"),
        (file, 0) => file.to_owned(),
        (file, address) => format!("{file}+{address:#x}"),
    }
}

/// What a row of a table takes beside what it holds: its place in an index, and room to grow.
const ROW_BYTES: usize = 48;

impl Decoded {
    /// Without samples, of these types.
    pub fn new(types: Vec<ValueType>) -> Self {
        Self { types, label_sets: vec![Vec::new()], ..Self::default() }
    }

    /// The values of the sample at a position.
    pub fn values_of(&self, position: usize) -> &[i64] {
        let width = self.types.len();
        &self.values[position * width..(position + 1) * width]
    }

    /// How much memory all takes whose size grows with the rows, about: quick enough to be asked after every row.
    pub(crate) fn row_bytes(&self) -> usize {
        let labels: usize = self.label_sets.len() * ROW_BYTES;
        let samples = self.samples.len() * size_of::<Sample>() + self.values.len() * size_of::<i64>();
        self.symbols.size_bytes() + labels + samples
    }

    /// How much memory it takes, about.
    pub fn size_bytes(&self) -> usize {
        let types = self.types.iter().chain(self.period.as_ref().map(|(value_type, _)| value_type));
        let types: usize = types.map(|kind| size_of::<ValueType>() + kind.kind.len() + kind.unit.len()).sum();
        let labels: usize = self.label_sets.iter().map(|set| size_of_val(set.as_slice())).sum();
        size_of::<Self>() + types + labels + self.row_bytes()
    }

    /// The sum of all values of one type; saturates.
    pub fn total(&self, kind: usize) -> i64 {
        let values = self.values.iter().skip(kind).step_by(self.types.len().max(1));
        values.fold(0, |sum: i64, value| sum.saturating_add(*value))
    }
}
