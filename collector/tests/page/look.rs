//! What it looks like: by day and by night, on a phone, with names that mean harm.

use serde_json::json;

use crate::collector::Collector;
use crate::view::{View, api};

#[test]
fn the_theme_is_the_systems_until_it_is_chosen() {
    let collector = Collector::with_api();
    let Some(view) = View::of_api(&collector) else { return };
    let look = || {
        view.browser
            .run("return [getComputedStyle(document.body).backgroundColor, loopscope.work.graph.theme.ink]")
    };
    let [light, dark] =
        [json!(["rgb(255, 255, 255)", "rgb(29, 29, 31)"]), json!(["rgb(23, 25, 29)", "rgb(242, 243, 245)"])];
    assert_eq!(look(), light);
    view.browser.prefer("color-scheme", "dark");
    view.browser.wait_until("loopscope.theme.dark");
    assert_eq!(look(), dark);
    view.screenshot("dark");
    view.click("#theme");
    assert_eq!(look(), light);
    view.open(&api(&collector));
    view.settle();
    assert_eq!(look(), light, "it is kept");
    view.expect_no_complaints();
}

#[test]
fn text_can_be_read_by_day_and_by_night() {
    let collector = Collector::with_api();
    let Some(view) = View::of_api(&collector) else { return };
    for scheme in ["light", "dark"] {
        view.browser.prefer("color-scheme", scheme);
        view.browser.wait_until(&format!("loopscope.theme.dark === {}", scheme == "dark"));
        // Every text on what it stands on, by the formula of WCAG.
        let pale = view.browser.run(
            "const parse = (text) => { const c = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
                 c.fillStyle = text; c.fillRect(0, 0, 1, 1); return [...c.getImageData(0, 0, 1, 1).data]; };
             const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((v) => v / 255).map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
                 return .2126 * x + .7152 * y + .0722 * z; };
             const ground = (element) => { for (let at = element; at; at = at.parentElement) {
                 const colour = parse(getComputedStyle(at).backgroundColor); if (colour[3] > 250) return colour; }
                 return parse(getComputedStyle(document.body).backgroundColor); };
             const texts = [...document.querySelectorAll('body *')].filter((element) => element.checkVisibility({ opacityProperty: true })
                 && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
             return texts.map((element) => { const [a, b] = [light(parse(getComputedStyle(element).color)), light(ground(element))];
                 return [(Math.max(a, b) + .05) / (Math.min(a, b) + .05), element.className, element.innerText.slice(0, 30)]; })
                 .filter(([contrast]) => contrast < 4.5);",
        );
        assert_eq!(pale, json!([]), "{scheme}");
        // Labels in the graph, on the colours of their frames.
        let labels = view.browser.run(
            "const { graph, profile } = loopscope.work;
             const light = (hex) => { const [x, y, z] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255).map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
                 return .2126 * x + .7152 * y + .0722 * z; };
             return [...profile.layout.name.keys()].map((node) => { const { fill, light: white } = graph.colours.of(node);
                 const [a, b] = [light(fill), light(white ? '#f2f3f5' : '#1d1d1f')]; return (Math.max(a, b) + .05) / (Math.min(a, b) + .05); });",
        );
        let labels: Vec<f64> = serde_json::from_value(labels).unwrap();
        assert!(labels.iter().all(|contrast| *contrast >= 4.5), "{scheme}: {labels:?}");
    }
}

#[test]
fn a_phone_shows_one_part_at_a_time_and_scrolls_down_only() {
    let collector = Collector::with_api();
    let Some(view) = View::of(&collector, &api(&collector), (390, 800)) else { return };
    view.settle();
    view.screenshot("phone");
    let sides = "return [document.documentElement.scrollWidth <= innerWidth,
        document.querySelector('#graph').checkVisibility(), document.querySelector('#table').checkVisibility()]";
    assert_eq!(view.browser.run(sides), json!([true, true, false]));
    view.browser.run("document.querySelector('#graph').scrollIntoView({ block: 'center' })");
    let place = view.frame("[poll callbacks]");
    view.after(|browser| browser.point("touch", place, true));
    assert!(view.text("#path").contains("[poll callbacks]"), "{}", view.text("#path"));
    view.click("#views input[value=table]");
    assert_eq!(view.browser.run(sides), json!([true, false, true]));
    assert_eq!(view.row("refresh")[1], "6.00 s 50.0 %");
    view.screenshot("phone-table");
    view.expect_no_complaints();
}

#[test]
fn two_fingers_zoom_and_one_moves() {
    let collector = Collector::with_api();
    let Some(view) = View::of(&collector, &api(&collector), (390, 800)) else { return };
    view.settle();
    view.browser.run("document.querySelector('#graph').scrollIntoView({ block: 'center' })");
    let part = || {
        let seen = view.browser.run(
            "const { view } = loopscope.work.graph; return [view.start / view.whole, view.width / view.whole]",
        );
        (seen[0].as_f64().unwrap(), seen[1].as_f64().unwrap())
    };
    assert_eq!(part(), (0.0, 1.0));
    let (_, y) = view.frame("[timers]");
    view.after(|browser| browser.pinch((195.0, y), 30.0, 120.0));
    let (start, width) = part();
    assert!((width - 0.25).abs() < 0.01 && (start - 0.375).abs() < 0.02, "{start} {width}");
    view.after(|browser| browser.drag("touch", (100.0, y), (200.0, y)));
    let (moved, width) = part();
    assert!((start - moved - 100.0 / 366.0 * width).abs() < 0.01, "from {start} to {moved}");
    view.click("#path .reset");
    assert_eq!(part(), (0.0, 1.0));
    view.expect_no_complaints();
}

#[test]
fn a_hostile_name_runs_nothing_in_the_page() {
    let collector = Collector::empty();
    let hostile = "<img src=x onerror=window.hit=1>\"'</script><script>window.hit=1</script>";
    collector.push("evil", collector.began, &format!("{hostile};inner 5"));
    let query = r#"process_cpu:cpu:nanoseconds:cpu:nanoseconds{service="evil"}"#;
    let Some(view) = View::of(&collector, &[("query", query), ("focus", "inner")], (1300, 800)) else {
        return;
    };
    view.settle();
    view.browser.point("mouse", view.frame(hostile), false);
    view.click_frame(hostile);
    assert!(view.text("#path").contains("<img"), "{}", view.text("#path"));
    assert_eq!(view.row(hostile)[2], "50.0 ms 100 %");
    assert_eq!(
        view.browser.run("return [window.hit, document.querySelectorAll('img').length]"),
        json!([null, 0])
    );
    view.expect_no_complaints();
}
