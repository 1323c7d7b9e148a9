//! Two times, or two selectors, beside each other.

use crate::collector::Collector;
use crate::view::{View, api};

#[test]
fn a_comparison_shows_what_changed_in_shares() {
    let collector = Collector::with_api();
    let Some(view) = View::of_api(&collector) else { return };
    let (from, until) = (view.moment(&collector, 302), view.moment(&collector, 598));
    view.after(|browser| browser.drag("mouse", from, until));
    // The base is the time before: the quiet one.
    view.click("#compare");
    view.screenshot("compared");
    assert_eq!(view.parameter("base").unwrap(), format!("{}-{}", collector.began, collector.began + 300));
    assert_eq!(view.row("refresh"), ["refresh", "25.0 %", "62.5 %", "+37.5 pp", "+37.5 pp"]);
    assert_eq!(view.row("parse"), ["parse", "50.0 %", "25.0 %", "−25.0 pp", "−25.0 pp"]);
    assert_eq!(view.row("uv_run"), ["uv_run", "100 %", "100 %", "±0", "±0"]);
    // What changed most comes first.
    let first: Vec<String> = view.rows().iter().take(2).map(|row| row[0].clone()).collect();
    assert_eq!(first, ["refresh", "parse"]);

    // More is orange, less is blue, the same is grey: of red, green and blue, which is most and which is least.
    let colour = |function: &str| {
        let fill = view.browser.run(&format!(
            "const {{ graph, profile: {{ names, layout }} }} = loopscope.work;
             return graph.colours.of(layout.name.findIndex((name) => names[name] === '{function}')).fill"
        ));
        let fill = fill.as_str().unwrap().to_owned();
        [1, 3, 5].map(|at| u8::from_str_radix(&fill[at..at + 2], 16).unwrap())
    };
    let [red, green, blue] = colour("refresh");
    assert!(red > green && green > blue);
    let [red, green, blue] = colour("parse");
    assert!(blue > green && green > red);
    let [red, _, blue] = colour("");
    assert!(blue.abs_diff(red) < 10);

    // The comparison may be had as a file, and so may either side.
    let links = view.browser.run(
        "return [...document.querySelectorAll('#download-popup [data-format=folded]')].map((link) => link.href)",
    );
    let folded = |position: usize| {
        let path =
            links[position].as_str().unwrap().strip_prefix(collector.page().trim_end_matches('/')).unwrap();
        let answer = collector.get(path);
        assert_eq!(answer.status, 200, "{path}");
        String::from_utf8(answer.body).unwrap()
    };
    let refresh = "[timers];uv_run;refresh";
    assert!(folded(0).contains(&format!("{refresh} 1000000000 5000000000\n")), "{}", folded(0));
    assert!(folded(1).contains(&format!("{refresh} 5000000000\n")), "{}", folded(1));
    assert!(folded(2).contains(&format!("{refresh} 1000000000\n")), "{}", folded(2));

    // By label: all of the base is of one host, all that is compared of the other.
    let group = |label: &str| {
        view.after(|browser| {
            browser.run(&format!(
                "const group = document.querySelector('#group'); group.value = '{label}'; group.dispatchEvent(new Event('change'))"
            ));
        });
    };
    group("host");
    assert_eq!(view.row("one"), ["one", "100 %", "0 %", "−100.0 pp", "±0"]);
    assert_eq!(view.row("two")[1..4], ["0 %", "100 %", "+100.0 pp"]);
    view.screenshot("compared-by-host");
    group("phase");

    view.click("#swap");
    assert_eq!(view.row("refresh")[3], "−37.5 pp");
    view.click("#compare-end");
    assert_eq!(view.parameter("base"), None);
    assert_eq!(view.row("refresh").len(), 3);
    view.expect_no_complaints();
}

#[test]
fn a_base_is_dragged_or_has_a_selector_of_its_own() {
    let collector = Collector::with_api();
    let mut parameters = api(&collector);
    parameters.push(("base", "all"));
    let Some(view) = View::of(&collector, &parameters, (1300, 800)) else { return };
    view.settle();
    view.click("#drags input[value=base]");
    view.after(|browser| browser.drag("mouse", view.moment(&collector, 2), view.moment(&collector, 298)));
    assert_eq!(view.parameter("base").unwrap(), format!("{}-{}", collector.began, collector.began + 300));
    assert_eq!(view.row("refresh"), ["refresh", "25.0 %", "50.0 %", "+25.0 pp", "+25.0 pp"]);

    view.after(|browser| {
        browser.run(
            "const field = document.querySelector('#base-query');
             field.value = 'process_cpu:cpu:nanoseconds:cpu:nanoseconds{service=\"api\",phase=\"timers\"}';
             field.dispatchEvent(new Event('change'));",
        );
    });
    assert_eq!(view.row("refresh")[1..4], ["100 %", "50.0 %", "−50.0 pp"]);
    assert_eq!(view.row("parse")[1..4], ["0 %", "33.3 %", "+33.3 pp"]);
    view.expect_no_complaints();
}

#[test]
fn in_a_narrow_window_a_comparison_has_all_of_its_width_and_keeps_the_names() {
    let collector = Collector::with_api();
    let mut parameters = api(&collector);
    let base = format!("{}-{}", collector.began, collector.began + 300);
    let select = format!("{}-{}", collector.began + 300, collector.began + 600);
    parameters.extend([("base", base.as_str()), ("select", select.as_str())]);
    let Some(view) = View::of(&collector, &parameters, (900, 700)) else { return };
    view.settle();
    view.screenshot("compared-narrow");
    let name = "return document.querySelector('#table .row bdi').clientWidth";
    assert!(view.browser.run(name).as_u64().unwrap() > 60, "{}", view.browser.run(name));
    let header = "return document.querySelector('#help').getBoundingClientRect().bottom
        < document.querySelector('#selector').getBoundingClientRect().top
        && document.querySelector('#help').getBoundingClientRect().top < 20";
    assert_eq!(view.browser.run(header), true, "the header is one line");

    view.browser.resize(390, 800);
    let width = "document.querySelector('#graph').clientWidth";
    view.browser.wait_until(&format!("{width} > 350 && loopscope.work.graph.width > 340"));
    view.click("#views input[value=table]");
    assert!(view.browser.run(name).as_u64().unwrap() > 100, "{}", view.browser.run(name));
    view.screenshot("compared-phone");
    view.expect_no_complaints();
}
