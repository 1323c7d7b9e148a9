//! The flamegraph as a file: well formed, complete and safe, whatever the names are.
//!
//! `flamegraph_browser` tests what its script does.

use std::collections::BTreeMap;

use loopscope_formats::aggregate::CallTree;
use loopscope_formats::flamegraph::{Options, encode};
use model::label::LossCause;
use model::profile::{Profile, Weight};
use proptest::prelude::*;
use roxmltree::{Document, Node};
use serde_json::Value;

use crate::synthetic::{self, Builder};
use crate::{golden, node_server};

#[test]
fn the_small_profile_looks_as_it_did() {
    let svg = svg(&synthetic::small_profile(), &Options { min_width: 30.0, ..Options::default() });
    let mut shown = svg.clone();
    // The style and the code are files of their own.
    for (open, close) in [("<style>", "</style>"), ("<script><![CDATA[", "]]></script>")] {
        let from = shown.find(open).unwrap() + open.len();
        let to = shown.find(close).unwrap();
        shown.replace_range(from..to, "…");
    }
    golden::expect("small.svg", &shown);
}

#[test]
fn every_frame_is_drawn_inside_of_its_caller_and_as_wide_as_its_weight() {
    let profile = node_server::profile(0);
    let svg = svg(&profile, &Options { width: 1024, ..Options::default() });
    let document = Document::parse(&svg).unwrap();
    let rows = drawn_rows(&document);
    assert!(rows.len() > 20, "{} rows", rows.len());
    let full_width = |frame: &Frame| weight_of(frame) / profile.total_weight() as f64 * 1000.0;
    for (row, callers) in rows.iter().zip(&rows[1..]) {
        for frame in row {
            // A gap of up to a pixel is left to the neighbour at the right.
            let gap = full_width(frame) - frame.width;
            assert!((-0.1..=1.1).contains(&gap), "{frame:?} should be {} wide", full_width(frame));
            let is_around = |caller: &&Frame| {
                let [right, its_right] = [frame, *caller].map(|frame| frame.x + full_width(frame));
                caller.x <= frame.x + 0.1 && right <= its_right + 0.1
            };
            assert_eq!(callers.iter().filter(is_around).count(), 1, "{frame:?}");
        }
        let overlap = row.windows(2).find(|pair| pair[0].right() > pair[1].x);
        assert!(overlap.is_none(), "{overlap:?}");
    }
    assert_eq!(rows.last().unwrap().len(), 1);
    assert_eq!(rows.last().unwrap()[0].title.lines().next(), Some("all"));
}

#[test]
fn icicles_are_flames_turned_round() {
    let profile = synthetic::small_profile();
    let [flames, icicles] = [false, true].map(|inverted| {
        let svg = svg(&profile, &Options { inverted, ..Options::default() });
        let document = Document::parse(&svg).unwrap();
        drawn_rows(&document).iter().map(|row| row[0].title.clone()).collect::<Vec<_>>()
    });
    assert!(flames.len() > 3);
    assert_eq!(flames, icicles.iter().rev().cloned().collect::<Vec<_>>());
    assert!(icicles[0].starts_with("all\n"));
}

#[test]
fn phases_stand_in_the_order_of_the_loop() {
    let svg = svg(&node_server::profile(0), &Options::default());
    let data = data(&Document::parse(&svg).unwrap());
    let phases: Vec<_> =
        decoded(&data).into_iter().map(|node| node.name).filter(|name| name.starts_with('[')).collect();
    let order = "[timers] [idle] [prepare] [poll wait] [poll callbacks] [check] [close] [ticks] [microtasks]";
    assert_eq!(phases.join(" "), order);
}

#[test]
fn a_subtitle_tells_what_is_missing() {
    let mut builder = Builder::default();
    let thread = builder.thread(1, 1, "main");
    builder.sample(thread, &["hot"], 99_999);
    builder.sample(thread, &["cold", "colder"], 1);
    builder.profile.losses.add(LossCause::BufferFull, 7);
    builder.profile.losses.truncated_stacks = 3;
    let svg = svg(&builder.profile, &Options::default());
    let text = shown_text(&svg);
    assert!(text.contains("100,000 samples at 999 Hz"), "{text}");
    assert!(text.contains("7 samples lost (< 0.01 %: 7 buffer full)"), "{text}");
    assert!(text.contains("3 stacks without outermost frames"), "{text}");
    assert!(text.contains("2 frames narrower than 0.1 px left out (< 0.01 %)"), "{text}");
    assert!(!svg.contains("colder"), "{text}");
}

#[test]
fn an_empty_profile_says_so() {
    let mut profile = Profile::default();
    profile.recording.title = "sleep 10".into();
    for (weight, why) in [
        (Weight::default(), "Nothing ran on a CPU"),
        (Weight::OffCpuNs, "No thread that was recorded waited"),
        (Weight::AllocatedBytes, "Nothing that was recorded allocated"),
    ] {
        profile.recording.weight = weight;
        let svg = svg(&profile, &Options::default());
        let text = shown_text(&svg);
        assert!(text.contains("sleep 10") && text.contains("No samples") && text.contains(why), "{text}");
        assert!(!svg.contains("<script"), "nothing to interact with");
    }
}

#[test]
fn units_are_those_of_the_weight() {
    let mut builder = Builder::default();
    let thread = builder.thread(1, 1, "main");
    builder.sample(thread, &["f"], 3 << 20);
    for (weight, expected) in [
        (Weight::CpuSamples { period_ns: 1000 }, "3,145,728 ticks, 3.15 s, 100 %"),
        (Weight::OffCpuNs, "3.15 ms, 100 %"),
        (Weight::AllocatedBytes, "3.00 MiB, 100 %"),
    ] {
        builder.profile.recording.weight = weight;
        let svg = svg(&builder.profile, &Options { count_name: "ticks".into(), ..Options::default() });
        let document = Document::parse(&svg).unwrap();
        assert_eq!(drawn_rows(&document)[0][0].title, format!("f\n{expected}"));
    }
}

#[test]
fn a_hostile_name_is_only_text() {
    let hostile = [
        "</title><script>alert(1)</script>",
        "]]></script><svg onload=alert(1)>",
        "\"'><img src=x onerror=alert(1)>&amp;&#60;",
        "\u{1b}]0;title\u{7}\0\u{202e}txt.exe\u{ffff}",
    ];
    let mut builder = Builder::default();
    let thread = builder.thread(1, 1, hostile[0]);
    builder.sample(thread, &hostile, 1);
    builder.profile.recording.title = hostile.concat();
    let svg = svg(&builder.profile, &Options::default());
    let document = Document::parse(&svg).unwrap();
    expect_only_our_markup(&document);
    let titles: Vec<_> = drawn_rows(&document).into_iter().map(|row| row[0].title.clone()).collect();
    assert!(titles[3].starts_with(hostile[0]), "{titles:?}");
    assert!(titles[2].starts_with(hostile[1]), "{titles:?}");
    assert!(titles[1].starts_with(hostile[2]), "{titles:?}");
    assert!(titles[0].starts_with("\u{fffd}]0;title\u{fffd}\u{fffd}\u{fffd}txt.exe\u{fffd}\n"), "{titles:?}");
}

#[test]
fn a_stack_may_be_deeper_than_ours() {
    let mut builder = Builder::default();
    let thread = builder.thread(1, 1, "main");
    builder.sample(thread, &vec!["recurse"; 50_000], 1);
    let svg = svg(&builder.profile, &Options::default());
    assert_eq!(svg.matches("<title>recurse").count(), 50_000);
}

#[test]
fn every_colour_is_in_the_style() {
    let svg = svg(&node_server::profile(2000), &Options::default());
    let document = Document::parse(&svg).unwrap();
    let style = document.descendants().find(|node| node.has_tag_name("style")).unwrap().text().unwrap();
    let data = data(&document);
    let classes: Vec<_> =
        data["classes"].as_array().unwrap().iter().map(|class| class.as_str().unwrap()).collect();
    assert!(classes.len() > 20, "{classes:?}");
    for class in classes {
        assert!(style.contains(&format!(".{class} {{ fill: #")), "{class}");
    }
}

#[test]
fn the_static_drawing_stays_small_however_much_is_in_the_file() {
    let profile = node_server::profile(20_000);
    let svg = svg(&profile, &Options { min_width: 0.0, ..Options::default() });
    let frames = CallTree::new(&profile).nodes().len();
    let shapes = svg.matches("<path").count();
    assert!(shapes < frames / 20, "{shapes} shapes of {frames} frames");
    assert!(svg.len() < 16 * frames, "{} bytes of {frames} frames", svg.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_profile_the_file_is_well_formed_and_holds_it(profile in synthetic::any_profile()) {
        let svg = svg(&profile, &Options { min_width: 0.0, ..Options::default() });
        let document = Document::parse(&svg).unwrap();
        expect_only_our_markup(&document);
        let tree = CallTree::new(&profile);
        if tree.total_weight() == 0 {
            prop_assert!(shown_text(&svg).contains("No samples"));
            return Ok(());
        }
        // Order among siblings aside: how often which depth, self and total weight occur, with the names' lengths.
        let mut expected = BTreeMap::new();
        for node in tree.nodes().iter().filter(|node| node.total_weight > 0) {
            let name_length = node.name.chars().count();
            *expected.entry((node.depth + 1, node.self_weight, node.total_weight, name_length)).or_insert(0) += 1;
        }
        let mut found = BTreeMap::new();
        for node in decoded(&data(&document)).into_iter().skip(1) {
            *found.entry((node.depth, node.self_weight, node.total, node.name.chars().count())).or_insert(0) += 1;
        }
        prop_assert_eq!(expected, found);
    }

    #[test]
    fn whatever_is_left_out_is_accounted_for(profile in synthetic::any_profile(), min_width in 0.0..400.0) {
        let svg = svg(&profile, &Options { min_width, ..Options::default() });
        let document = Document::parse(&svg).unwrap();
        let total = profile.total_weight();
        if total > 0 {
            let data = data(&document);
            let left_out: u64 = pairs(&data).map(|(_, weight)| weight).sum();
            let own: u64 = decoded(&data).iter().map(|node| node.self_weight).sum();
            prop_assert_eq!(left_out + own, total);
            prop_assert_eq!(left_out > 0, shown_text(&svg).contains("left out"));
        }
    }
}

fn svg(profile: &Profile, options: &Options) -> String {
    let mut svg = Vec::new();
    encode(profile, options, &mut svg).unwrap();
    String::from_utf8(svg).unwrap()
}

/// All text outside of the scripts and the style.
fn shown_text(svg: &str) -> String {
    let document = Document::parse(svg).unwrap();
    let shown = |node: &Node<'_, '_>| node.has_tag_name("text") || node.has_tag_name("title");
    document.descendants().filter(shown).filter_map(|node| node.text()).collect::<Vec<_>>().join("\n")
}

/// No name has become an element, an attribute or a reference.
fn expect_only_our_markup(document: &Document<'_>) {
    let scripts = document.descendants().filter(|node| node.has_tag_name("script")).count();
    assert!(scripts == 2 || scripts == 0, "{scripts} scripts");
    for node in document.descendants().filter(Node::is_element) {
        assert!(
            ["svg", "g", "rect", "path", "text", "title", "style", "script"]
                .contains(&node.tag_name().name()),
            "<{}>",
            node.tag_name().name()
        );
        for attribute in node.attributes() {
            assert!(
                !attribute.name().starts_with("on") && !attribute.name().ends_with("href"),
                "{attribute:?}"
            );
            let ours = |c: char| c.is_ascii_alphanumeric() || " ._-/%()".contains(c);
            assert!(attribute.value().chars().all(ours), "{attribute:?}");
        }
    }
}

/// A frame of the static drawing.
#[derive(Clone, Debug)]
struct Frame {
    x: f64,
    width: f64,
    title: String,
}

impl Frame {
    fn right(&self) -> f64 {
        self.x + self.width
    }
}

/// The weight in a title: `12 samples, …` in its last line.
fn weight_of(frame: &Frame) -> f64 {
    let amount = frame.title.lines().last().unwrap().split(' ').next().unwrap();
    amount.replace(',', "").parse().unwrap()
}

/// The titled frames of each row, from the top.
fn drawn_rows(document: &Document<'_>) -> Vec<Vec<Frame>> {
    let mut rows: BTreeMap<i64, Vec<Frame>> = BTreeMap::new();
    for path in document.descendants().filter(|node| node.has_tag_name("path")) {
        let transform = path.parent().unwrap().attribute("transform").unwrap();
        let y = transform.strip_prefix("translate(0 ").and_then(|rest| rest.strip_suffix(')')).unwrap();
        let row = rows.entry(y.parse().unwrap()).or_default();
        let Some(title) = path.first_element_child() else { continue };
        let shape = path.attribute("d").unwrap().strip_prefix('M').unwrap();
        let (x, shape) = shape.split_once(" 0v17h").unwrap();
        let width = shape.strip_suffix("V0").unwrap();
        row.push(Frame {
            x: x.parse().unwrap(),
            width: width.parse().unwrap(),
            title: title.text().unwrap().to_owned(),
        });
    }
    rows.into_values().collect()
}

/// What the script gets.
fn data(document: &Document<'_>) -> Value {
    let script = document.descendants().find(|node| node.attribute("id") == Some("profile")).unwrap();
    serde_json::from_str(script.text().unwrap()).unwrap()
}

struct Decoded {
    depth: usize,
    name: String,
    total: u64,
    self_weight: u64,
}

/// The nodes as the script reads them.
fn decoded(data: &Value) -> Vec<Decoded> {
    let column = |name: &str| -> Vec<u64> {
        data["nodes"][name].as_array().unwrap().iter().map(|value| value.as_u64().unwrap()).collect()
    };
    let [ups, symbols, rests] = ["up", "symbol", "rest"].map(column);
    let mut nodes: Vec<Decoded> = Vec::new();
    let mut left = vec![data["nodes"]["total"].as_u64().unwrap()];
    let mut open: Vec<usize> = Vec::new();
    for ((up, symbol), rest) in ups.into_iter().zip(symbols).zip(rests) {
        let depth = open.len() - up as usize;
        open.truncate(depth);
        left.truncate(depth + 1);
        let total = left[depth] - rest;
        left[depth] = rest;
        left.push(total);
        if let Some(&caller) = open.last() {
            nodes[caller].self_weight = rest;
        }
        open.push(nodes.len());
        let name = data["symbols"]["name"][symbol as usize].as_u64().unwrap();
        let name = data["names"][name as usize].as_str().unwrap().to_owned();
        nodes.push(Decoded { depth, name, total, self_weight: total });
    }
    for (node, weight) in pairs(data) {
        nodes[node].self_weight -= weight;
    }
    nodes
}

/// The nodes with callees that were left out, and the weight of those.
fn pairs(data: &Value) -> impl Iterator<Item = (usize, u64)> {
    let numbers = data["nodes"]["left_out"].as_array().unwrap();
    let mut node = 0;
    numbers.chunks(2).map(move |pair| {
        node += pair[0].as_u64().unwrap() as usize;
        (node, pair[1].as_u64().unwrap())
    })
}
