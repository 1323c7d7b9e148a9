//! The flamegraph in a browser: what its script shows after clicks, keys and searches.
//!
//! `LOOPSCOPE_SCREENSHOTS=folder` also writes what it looks like.

use std::path::Path;

use loopscope_formats::flamegraph::{Options, encode};
use loopscope_tests::browser::{Browser, key};
use model::profile::Profile;
use serde_json::json;

use crate::node_server;
use crate::synthetic::Builder;

/// Every label on screen: its text, left and right edge, and row.
const LABELS: &str = "
    return [...document.querySelectorAll('.stacks > g > text')].map((text) => {
        const box = text.getBoundingClientRect();
        return [text.textContent, box.left, box.right, Number(text.getAttribute('y'))];
    });";

#[test]
fn labels_stay_in_their_frames_at_any_width_and_zoom() {
    let Some(browser) = show(&node_server::profile(500), 1200, 800) else { return };
    screenshot(&browser, "light");
    let labels = expect_labels_apart(&browser, 1200.0);
    assert!(labels.len() > 150, "{labels:?}");
    assert!(labels.iter().any(|label| label.text.ends_with('…')), "{labels:?}");

    click(&browser, "node::LibuvStreamWrap::OnUvRead(long, uv_buf_t const*)");
    let zoomed = expect_labels_apart(&browser, 1200.0);
    assert!(zoomed.iter().any(|label| label.text == "RegExpImpl::IrregexpExec"), "{zoomed:?}");
    screenshot(&browser, "zoomed");

    resize(&browser, 420, 700);
    let narrow = expect_labels_apart(&browser, 420.0);
    assert!(narrow.iter().all(|label| label.text != "RegExpImpl::IrregexpExec"), "{narrow:?}");
    assert!(narrow.iter().any(|label| label.text.starts_with("Irregexp")), "{narrow:?}");
    screenshot(&browser, "narrow");
}

#[test]
fn a_window_too_low_for_the_stacks_shows_their_root_first() {
    let Some(browser) = show(&node_server::profile(0), 1200, 500) else { return };
    let gap_below_root = "
        const all = [...document.querySelectorAll('.stacks text')].find((text) => text.textContent === 'all');
        const bottom = document.querySelector('.scroller').getBoundingClientRect().bottom;
        return bottom - all.getBoundingClientRect().bottom";
    for fragment in ["", "#search=uv"] {
        browser.open(fragment);
        let gap = browser.run(gap_below_root).as_f64().unwrap();
        assert!((0.0..18.0).contains(&gap), "{gap}");
    }
    browser.run("document.querySelector('.scroller').scrollTop = 0");
    browser.wait_until(&format!("(() => {{ {gap_below_root} }})() < -200"));
    browser.point("mouse", centre(&browser, "__dev_queue_xmit"), false);
    assert_eq!(browser.text(".details .function"), "__dev_queue_xmit");
    screenshot(&browser, "low");
}

#[test]
fn what_changed_has_its_colour_and_a_label_that_can_be_read() {
    let mut builder = Builder::default();
    let thread = builder.thread(1, 1, "both");
    let names: Vec<String> = (-5..=5).map(|step| format!("step{step}")).collect();
    for name in &names {
        builder.sample(thread, &[name], 10);
    }
    let changes = (-5..=5).collect();
    let options = Options { changes: Some(changes), count_name: String::new(), ..Options::default() };
    let mut svg = Vec::new();
    encode(&builder.profile, &options, &mut svg).unwrap();
    let Some(browser) = Browser::show(&String::from_utf8(svg).unwrap(), 1200, 400) else { return };
    let shown = "
        const light = (colour) => { const [r, g, b] = colour.match(/\\d+/g).map((part) => {
            const x = part / 255; return x <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4; });
            return .2126 * r + .7152 * g + .0722 * b; };
        return [...document.querySelectorAll('.stacks > g > text')].filter((text) => text.textContent.startsWith('step')).map((text) => {
            const box = text.getBoundingClientRect();
            const frame = document.elementsFromPoint(box.left - 1, box.top + box.height / 2).find((at) => at.matches('.stacks path, .stacks rect'));
            const [a, b] = [text, frame].map((one) => light(getComputedStyle(one).fill));
            return [text.textContent, getComputedStyle(frame).fill, (Math.max(a, b) + .05) / (Math.min(a, b) + .05)]; })";
    for scheme in ["light", "dark"] {
        browser.prefer("color-scheme", scheme);
        let found = browser.run(shown);
        let found = found.as_array().unwrap();
        assert_eq!(found.len(), 11, "{found:?}");
        let fills: std::collections::BTreeSet<_> = found.iter().map(|label| label[1].as_str()).collect();
        assert_eq!(fills.len(), 11, "{found:?}");
        assert!(found.iter().all(|label| label[2].as_f64().unwrap() >= 4.5), "{scheme}: {found:?}");
    }
    let legend = browser.run("return document.querySelector('.legend').textContent").to_string();
    assert!(legend.contains("less than in the base"), "{legend}");
}

#[test]
fn a_zoom_moves_smoothly_and_arrives() {
    let Some(browser) = show(&node_server::profile(0), 1200, 900) else { return };
    browser.prefer("reduced-motion", "no-preference");
    browser.run(
        "window.seen = [];
         const look = () => {
             const text = [...document.querySelectorAll('.stacks text')].find((text) => text.textContent === 'worker');
             window.seen.push(Number(text.getAttribute('x')));
             requestAnimationFrame(look);
         };
         look();",
    );
    click(&browser, "worker");
    browser.wait_until("window.seen.at(-1) === 3");
    let seen = browser.run("return window.seen");
    let seen: Vec<f64> = seen.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    assert!(seen[0] > 800.0 && seen.is_sorted_by(|a, b| a >= b), "{seen:?}");
}

#[test]
fn a_click_zooms_and_every_way_back_leads_back() {
    let Some(browser) = show(&node_server::profile(0), 1200, 900) else { return };
    let before = labels(&browser);
    let [reset, crumb] = ["button[title^='Show all']", ".path button:first-child"];
    let ways: [&dyn Fn(); 5] = [
        &|| browser.back(),
        &|| browser.press(&[key::ESCAPE]),
        &|| click_element(&browser, reset),
        &|| click_element(&browser, crumb),
        &|| click(&browser, "all"),
    ];
    for way in ways {
        click(&browser, "uv__stream_io");
        browser.wait_until("document.querySelector('.path').lastChild.textContent === 'uv__stream_io'");
        let zoomed = labels(&browser);
        let find = |text: &str| zoomed.iter().find(|label| label.text == text).unwrap();
        // The frame and those that called it fill the width, and nothing else does.
        for full in ["all", "node", "[poll callbacks]", "uv_run", "uv__stream_io"] {
            assert!((find(full).left - 15.0).abs() < 0.5, "{full}: {:?}", find(full));
        }
        assert!(zoomed.iter().all(|label| label.text != "[check]" && label.text != "libuv-worker"));
        assert_eq!(browser.text(".details .function"), "uv__stream_iouv/stream.c:1190");
        way();
        browser.wait_until("document.querySelectorAll('.path button').length === 1");
        assert_eq!(labels(&browser), before);
    }
}

#[test]
fn a_search_marks_what_it_finds_and_counts_nested_time_once() {
    let profile = node_server::profile(0);
    let Some(browser) = show(&profile, 1200, 900) else { return };
    let pattern = "serialize|^tcp_";
    let is_found = |name: &str| name.to_lowercase().contains("serialize") || name.starts_with("tcp_");
    let found: u64 = (profile.samples.iter())
        .filter(|sample| {
            profile.frames_of(sample.stack).iter().any(|&frame| is_found(profile.frame_name(frame)))
        })
        .map(|sample| sample.weight)
        .sum();
    let percent = found as f64 / profile.total_weight() as f64 * 100.0;

    browser.press(&[key::CONTROL, "f"]);
    browser.press(&[pattern]);
    browser.wait_until("document.querySelector('.found').textContent");
    let said = browser.text(".found");
    assert!(
        said.starts_with(&format!("{percent:.1} % matched · {} samples,", grouped(found))),
        "{said}, not {found}"
    );
    assert_ne!(browser.run("return document.querySelector('path.match').getAttribute('d')"), json!(null));
    screenshot(&browser, "searched");

    // Zoomed, the share of what is zoomed to as well.
    click(&browser, "llhttp_execute");
    let said = browser.text(".found");
    assert!(said.contains("% matched · ") && said.ends_with(" % of the zoomed"), "{said}");

    // Enter goes from one to the next, F3 and Ctrl-F back to the field, and Escape ends it.
    browser.press(&[key::F3]);
    browser.press(&[key::ENTER]);
    let first = browser.text(".details .function");
    browser.press(&[key::ENTER]);
    assert_ne!(browser.text(".details .function"), first);
    browser.press(&[key::SHIFT, key::ENTER]);
    assert_eq!(browser.text(".details .function"), first);
    assert!(is_found(&first), "{first}");
    browser.press(&[key::ESCAPE]);
    assert_eq!(browser.text(".found"), "");
    assert_eq!(browser.run("return document.querySelector('path.match').getAttribute('d')"), json!(null));

    browser.press(&["/"]);
    browser.press(&["(unclosed"]);
    assert_eq!(browser.text(".found"), "not a regular expression");
}

#[test]
fn the_keyboard_reaches_every_frame() {
    let Some(browser) = show(&node_server::profile(0), 1200, 900) else { return };
    let function = || browser.text(".details .function span");
    browser.run("document.querySelector('input').focus()");
    browser.wait_until("document.activeElement.matches('input')");
    browser.press(&[key::TAB, key::TAB]);
    browser.wait_until("document.activeElement.matches('.path button')");
    browser.press(&[key::TAB]);
    browser.wait_until("document.activeElement.matches('.scroller')");
    assert_eq!(function(), "all");
    browser.press(&[key::UP]);
    assert_eq!(function(), "node");
    browser.press(&[key::RIGHT]);
    assert_eq!(function(), "libuv-worker");
    browser.press(&[key::LEFT, key::UP]);
    assert_eq!(function(), "[poll callbacks]");
    browser.press(&[key::LEFT]);
    assert_eq!(function(), "[poll wait]");
    screenshot(&browser, "keyboard");
    browser.press(&[key::ENTER]);
    browser.wait_until("document.querySelector('.path').lastChild.textContent === '[poll wait]'");
    browser.press(&[key::DOWN]);
    assert_eq!(function(), "node");
    browser.press(&[key::UP, key::RIGHT]);
    assert_eq!(function(), "[poll wait]", "its neighbours are out of sight");
    browser.press(&["i", key::DOWN]);
    assert_eq!(function(), "_start", "icicles grow downwards");
    screenshot(&browser, "icicles");
}

#[test]
fn an_address_leads_to_its_zoom_and_search_and_a_wrong_one_to_all() {
    let Some(browser) = show(&node_server::profile(0), 1200, 900) else { return };
    click(&browser, "uv__stream_io");
    browser.press(&["/"]);
    browser.press(&["tcp"]);
    browser.wait_until("location.hash.endsWith('search=tcp')");
    let state = || (browser.text(".path"), browser.text(".found"), labels(&browser));
    let before = state();
    let fragment = browser.run("return location.hash").as_str().unwrap().to_owned();
    browser.open(&fragment);
    assert_eq!(state(), before);
    for wrong in ["#zoom=999999", "#zoom=-1", "#zoom=x&search=", "#%"] {
        browser.open(wrong);
        assert_eq!(browser.text(".path"), "all", "{wrong}");
    }
}

#[test]
fn a_hostile_name_runs_nothing_in_the_page() {
    let hostile = "</script><script>window.hit=1</script><img src=x onerror=window.hit=1>]]>&lt;";
    let mut builder = Builder::default();
    let thread = builder.thread(1, 1, hostile);
    builder.sample(thread, &[hostile, "inner"], 1);
    builder.profile.recording.title = hostile.into();
    let Some(browser) = show(&builder.profile, 1200, 400) else { return };
    click(&browser, "inner");
    assert_eq!(browser.text(".path button:nth-child(3)").chars().next(), Some('<'));
    assert_eq!(browser.text("h1"), hostile);
    browser.point("mouse", centre(&browser, "inner"), false);
    browser.press(&[key::UP, "/"]);
    browser.press(&["<img"]);
    assert_eq!(browser.run("return [window.hit, document.querySelectorAll('img').length]"), json!([null, 0]));
}

#[test]
fn touch_and_the_dark_work_as_well() {
    let Some(browser) = show(&node_server::profile(500), 1200, 800) else { return };
    browser.prefer("color-scheme", "dark");
    let colours = "
        const style = (selector) => getComputedStyle(document.querySelector(selector));
        return [style('.app').backgroundColor, style('.stacks text').fill]";
    assert_eq!(browser.run(colours), json!(["rgb(23, 25, 29)", "rgb(242, 243, 245)"]));
    browser.point("touch", centre(&browser, "uv__stream_io"), true);
    browser.wait_until("document.querySelector('.path').lastChild.textContent === 'uv__stream_io'");
    browser.press(&["/"]);
    browser.press(&["tcp"]);
    screenshot(&browser, "dark");
}

#[test]
fn without_scripts_the_static_drawing_is_shown() {
    let Some(browser) = show(&node_server::profile(500), 900, 800) else { return };
    browser.developer_tools("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    browser.open("");
    let shot = |name| screenshot(&browser, name);
    shot("static");
    let shown = browser.run(
        "const box = document.querySelector('#static').getBoundingClientRect();
         return [document.querySelectorAll('foreignObject').length, Math.round(box.width)]",
    );
    assert_eq!(shown, json!([0, 900]), "it shrinks to the window");
    assert_eq!(browser.run("return document.querySelectorAll('path > title').length > 200"), json!(true));
}

#[test]
fn a_hundred_thousand_frames_zoom_without_stalling() {
    let profile = node_server::profile(17_000);
    let mut svg = Vec::new();
    encode(&profile, &Options { min_width: 0.0, ..Options::default() }, &mut svg).unwrap();
    let Some(browser) = Browser::show(&String::from_utf8(svg).unwrap(), 1600, 1000) else { return };
    let frames =
        browser.run("return JSON.parse(document.getElementById('profile').textContent).nodes.length");
    assert!(frames.as_u64().unwrap() > 90_000, "{frames} frames");
    browser.developer_tools("Performance.enable", json!({ "timeDomain": "threadTicks" }));
    let steps: [(&str, &dyn Fn()); 3] = [
        ("node", &|| click(&browser, "node")),
        ("uv__io_poll", &|| click(&browser, "uv__io_poll")),
        ("all", &|| browser.press(&[key::ESCAPE])),
    ];
    for (zoomed, step) in steps {
        let before = busy_seconds(&browser);
        step();
        browser.wait_until(&format!("document.querySelector('.path').lastChild.textContent === '{zoomed}'"));
        let busy = busy_seconds(&browser) - before;
        // Some 0.05 s, of CPU time, because other tests run as well.
        assert!(busy < 0.5, "{busy} s to zoom to {zoomed}");
    }
    screenshot(&browser, "many");
    let elements = browser.run("return document.querySelectorAll('.stacks *').length");
    assert!(elements.as_u64().unwrap() < 2000, "{elements} elements");
}

/// The CPU time that the page's main thread has taken.
fn busy_seconds(browser: &Browser) -> f64 {
    let metrics = browser.developer_tools("Performance.getMetrics", json!({}));
    let metrics = metrics["metrics"].as_array().unwrap();
    metrics.iter().find(|metric| metric["name"] == "TaskDuration").unwrap()["value"].as_f64().unwrap()
}

fn show(profile: &Profile, width: u32, height: u32) -> Option<Browser> {
    let mut svg = Vec::new();
    encode(profile, &Options::default(), &mut svg).unwrap();
    Browser::show(&String::from_utf8(svg).unwrap(), width, height)
}

fn resize(browser: &Browser, width: u32, height: u32) {
    browser.resize(width, height);
    browser.wait_until(&format!("document.querySelector('.stacks').clientWidth < {width}"));
    // The script hears of it with the next picture.
    browser.run("return new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))");
}

#[derive(Clone, Debug, PartialEq)]
struct Label {
    text: String,
    left: f64,
    right: f64,
    y: f64,
}

fn labels(browser: &Browser) -> Vec<Label> {
    let found = browser.run(LABELS);
    let label = |row: &serde_json::Value| Label {
        text: row[0].as_str().unwrap().to_owned(),
        left: row[1].as_f64().unwrap(),
        right: row[2].as_f64().unwrap(),
        y: row[3].as_f64().unwrap(),
    };
    found.as_array().unwrap().iter().map(label).collect()
}

fn expect_labels_apart(browser: &Browser, width: f64) -> Vec<Label> {
    let mut labels = labels(browser);
    labels.sort_by(|a, b| (a.y, a.left).partial_cmp(&(b.y, b.left)).unwrap());
    for pair in labels.windows(2).filter(|pair| pair[0].y == pair[1].y) {
        assert!(pair[0].right + 4.0 < pair[1].left, "{pair:?}");
    }
    let outside = labels.iter().find(|label| label.left < 12.0 || label.right > width - 12.0);
    assert_eq!(outside, None);
    labels
}

fn centre(browser: &Browser, text: &str) -> (f64, f64) {
    let script = format!(
        "const found = [...document.querySelectorAll('.stacks text')].find((text) => text.textContent === {});
         const box = found.getBoundingClientRect();
         return [box.left + box.width / 2, box.top + box.height / 2];",
        json!(text)
    );
    let found = browser.run(&script);
    (found[0].as_f64().unwrap(), found[1].as_f64().unwrap())
}

fn click(browser: &Browser, label: &str) {
    browser.point("mouse", centre(browser, label), true);
}

fn click_element(browser: &Browser, selector: &str) {
    browser.run(&format!("document.querySelector({}).click()", json!(selector)));
}

fn grouped(number: u64) -> String {
    assert!(number < 1_000_000);
    if number < 1000 { number.to_string() } else { format!("{},{:03}", number / 1000, number % 1000) }
}

fn screenshot(browser: &Browser, name: &str) {
    if let Some(folder) = std::env::var_os("LOOPSCOPE_SCREENSHOTS") {
        browser.screenshot(&Path::new(&folder).join(format!("{name}.png")));
    }
}
