//! The flamegraph as a file: well formed, complete and safe, whatever the names.
use loopscope_formats::flamegraph::{Options, encode};

use crate::node_server;

#[test]
fn look() {
    let mut out = Vec::new();
    encode(&node_server::profile(2000), &Options::default(), &mut out).unwrap();
    std::fs::write("/tmp/svg_look.svg", out).unwrap();
}
