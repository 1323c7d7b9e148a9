//! Every format, through the crate's public interface. One program, so that it is linked once.

mod call_tree;
mod synthetic;
