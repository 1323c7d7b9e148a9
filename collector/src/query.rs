//! What stored profiles are shown as: a tree of calls, a table of functions, and files of other programs' formats.

mod change;
mod file;
mod functions;
mod tree;

pub use crate::store::OTHER;
pub use file::{folded, pprof, svg};
pub(crate) use file::{pprof_message, unknown_value};
pub use functions::{Function, flat, functions};
pub use tree::{Node, Tree};
