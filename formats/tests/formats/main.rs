//! Every format, through the crate's public interface. One program, so that it is linked once.

mod bounds;
mod call_tree;
mod decoders;
mod extremes;
mod firefox;
mod flamegraph;
mod flamegraph_browser;
mod folded;
mod golden;
mod node_server;
mod outside;
mod pprof;
mod prometheus;
mod prometheus_wire;
mod snapshots;
mod speedscope;
mod synthetic;
