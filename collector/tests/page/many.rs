//! A hundred thousand distinct stacks.

use std::fmt::Write;

use serde_json::json;

use crate::collector::Collector;
use crate::view::View;

const STACKS: u32 = 100_000;

#[test]
fn a_hundred_thousand_stacks_are_drawn_by_what_can_be_seen() {
    let collector = Collector::empty();
    let mut stacks = String::new();
    for stack in 0..STACKS {
        let (a, b, c) = (stack % 7, stack % 211, stack % 1999);
        writeln!(
            stacks,
            "main;module{a}::run;module{a}::step_{b};module{a}::part_{c};leaf_{stack} {}",
            1 + stack % 5
        )
        .unwrap();
    }
    collector.push("many", collector.began, &stacks);
    let query = r#"process_cpu:cpu:nanoseconds:cpu:nanoseconds{service="many"}"#;
    let Some(view) = View::of(&collector, &[("query", query)], (1300, 800)) else { return };
    view.settle();
    view.screenshot("many");
    let known = view.browser.run("const { layout, functions } = loopscope.work.profile; return [layout.parent.length, functions.name.length]");
    assert!(known[0].as_u64().unwrap() > u64::from(STACKS), "{known}");
    assert!(known[1].as_u64().unwrap() > u64::from(STACKS), "{known}");

    // No more rectangles than pixels in the rows that are seen, and of the table only what is seen.
    let expect_little = |doing: &str| {
        let drawn = view.browser.run(
            "const { drawn, width, height } = loopscope.work.graph;
             return [drawn.rectangles <= width * (height / 18 + 1), drawn.rectangles, drawn.labels,
                 document.querySelectorAll('*').length]",
        );
        assert_eq!(drawn[0], json!(true), "{doing}: {drawn}");
        assert!(drawn[1].as_u64().unwrap() < 8_000 && drawn[2].as_u64().unwrap() < 1_000, "{doing}: {drawn}");
        assert!(drawn[3].as_u64().unwrap() < 1_500, "{doing}: {drawn}");
    };
    expect_little("all");
    let times = || view.browser.run("return loopscope.work.graph.drawn.times").as_u64().unwrap();
    let before = times();
    view.click_frame("module3::run");
    assert!(times() - before <= 3, "one zoom is drawn {} times", times() - before);
    expect_little("zoomed");
    view.after(|browser| browser.press(&["/"]));
    view.after(|browser| browser.press(&["leaf_9999"]));
    assert!(view.text("#found").ends_with(" 11 functions"), "{}", view.text("#found"));
    expect_little("searched");
    view.click("#shapes input[value=callers]");
    expect_little("callers");

    // The pointer passes over frames without anything being drawn.
    let before = times();
    for x in 0..20 {
        view.browser.point("mouse", (100.0 + f64::from(x) * 20.0, 420.0), false);
    }
    assert_eq!(times(), before);
    view.expect_no_complaints();
}
