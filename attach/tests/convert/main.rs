//! From what the kernel records to named stacks: programs that are compiled and recorded here, and events made up.

mod broken;
mod native;
mod programs;
mod recorded;
mod scene;
mod synthetic;
