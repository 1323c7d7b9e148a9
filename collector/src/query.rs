//! What stored profiles are shown as: a tree of calls, a table of functions, and files of other programs' formats.

mod file;
mod functions;
mod tree;

pub(crate) use file::unknown_value;
pub use file::{folded, pprof, svg};
pub use functions::{Function, functions};
pub use tree::{Node, Tree};
