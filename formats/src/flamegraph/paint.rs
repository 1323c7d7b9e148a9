//! What colour a frame has, as the name of a class in `flamegraph.css`.

use std::borrow::Cow;

use model::label::{LabelValue, Phase};
use model::profile::{Frame, FrameKind};

/// What a colour stands for. Declared in the order of the legend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Meaning {
    /// The root of the picture.
    All,
    /// All threads of one name.
    Thread,
    /// A phase of the event loop.
    Phase(Phase),
    /// Compiled code.
    Native,
    /// Compiled code that the compiler put into its caller.
    Inlined,
    /// Code that the program made while it ran.
    Jit,
    /// The kernel.
    Kernel,
    /// No code is known for the address, or no stack for the sample.
    Unknown,
    /// In a comparison: more or less than in the base, by -5 to 5.
    Change(i8),
}

impl Meaning {
    pub(super) fn of(frame: &Frame) -> Self {
        match frame.kind {
            FrameKind::Phase(phase) => Self::Phase(phase),
            FrameKind::Kernel => Self::Kernel,
            FrameKind::Jit => Self::Jit,
            FrameKind::Unknown => Self::Unknown,
            FrameKind::Native if frame.inlined => Self::Inlined,
            FrameKind::Native => Self::Native,
        }
    }

    /// What the legend calls it.
    pub(super) fn name(self) -> Cow<'static, str> {
        match self {
            Self::All => "all".into(),
            Self::Thread => "thread".into(),
            Self::Phase(phase) => phase.as_str().replace('_', " ").into(),
            Self::Native => "native".into(),
            Self::Inlined => "native, inlined".into(),
            Self::Jit => "JIT (JavaScript)".into(),
            Self::Kernel => "kernel".into(),
            Self::Unknown => "unknown".into(),
            Self::Change(..0) => "less than in the base".into(),
            Self::Change(0) => "as much".into(),
            Self::Change(1..) => "more than in the base".into(),
        }
    }
}

/// A meaning in one of its shades, so that neighbours can be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Paint {
    meaning: Meaning,
    shade: u8,
}

impl Paint {
    const SHADES: u32 = 4;

    /// The paint of a function: by its name, so that it has the same colour in every picture.
    pub(super) fn new(meaning: Meaning, name: &str) -> Self {
        let shade = match meaning {
            Meaning::Native | Meaning::Inlined | Meaning::Jit | Meaning::Kernel => fnv1a(name) % Self::SHADES,
            _ => 0,
        };
        Self { meaning, shade: shade as u8 }
    }

    /// The name of the class. Short, for it stands in the file once a shape.
    pub(super) fn class(self) -> Cow<'static, str> {
        let shaded = |letter: char| format!("{letter}{}", self.shade).into();
        match self.meaning {
            Meaning::Native => shaded('n'),
            Meaning::Inlined => shaded('i'),
            Meaning::Jit => shaded('j'),
            Meaning::Kernel => shaded('k'),
            Meaning::Unknown => "unknown".into(),
            Meaning::All => "all".into(),
            Meaning::Thread => "thread".into(),
            Meaning::Phase(phase) => phase.as_str().into(),
            Meaning::Change(0) => "same".into(),
            Meaning::Change(step) if step > 0 => format!("m{}", step.min(5)).into(),
            Meaning::Change(step) => format!("l{}", step.unsigned_abs().min(5)).into(),
        }
    }

    /// Whether the label on it is light in light mode as well.
    pub(super) fn is_dark(self) -> bool {
        matches!(self.meaning, Meaning::Phase(_) | Meaning::Change(..=-5))
    }
}

/// The Fowler–Noll–Vo hash: the same in every version of the program, as Rust's own need not be.
fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
