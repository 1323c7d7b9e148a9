//! Moving about in a profile: zoom, search, keys, links.

use serde_json::json;
use tests::browser::key;

use crate::collector::Collector;
use crate::view::View;

#[test]
fn a_click_zooms_and_every_way_back_leads_back() {
    let collector = Collector::with_api();
    let Some(view) = View::of_api(&collector) else { return };
    let width = |view: &View, function: &str| {
        view.browser
            .run(&format!(
                "const {{ graph, profile: {{ names, layout }} }} = loopscope.work;
             const node = layout.name.findIndex((name, node) => names[name] === {} && graph.boxOf(node));
             return node < 0 ? 0 : graph.boxOf(node).width / graph.width;",
                json!(function)
            ))
            .as_f64()
            .unwrap()
    };
    assert!((width(&view, "parse") - 1.0 / 3.0).abs() < 0.01);
    let ways: [&dyn Fn(); 4] = [
        &|| view.after(|browser| browser.back()),
        &|| view.after(|browser| browser.press(&[key::ESCAPE])),
        &|| view.click("#path .reset"),
        &|| view.click("#path button"),
    ];
    for way in ways {
        view.click_frame("serve");
        assert_eq!(view.text("#path"), "all [poll callbacks] uv_run serve Reset zoom");
        assert!((width(&view, "parse") - 2.0 / 3.0).abs() < 0.01);
        assert!((width(&view, "[poll callbacks]") - 1.0).abs() < 0.01);
        assert!(width(&view, "refresh") < 0.01);
        way();
        assert_eq!(view.text("#path"), "all");
        assert!((width(&view, "refresh") - 0.5).abs() < 0.01);
    }
    view.expect_no_complaints();
}

#[test]
fn a_search_tells_the_share_marks_frames_and_filters_the_table() {
    let collector = Collector::with_api();
    let Some(view) = View::of_api(&collector) else { return };
    view.after(|browser| browser.press(&["/"]));
    view.after(|browser| browser.press(&["^(serve|refr)"]));
    view.screenshot("searched");
    assert_eq!(view.text("#found"), "100 % matched · 12.0 s · 2 functions");
    assert_eq!(view.rows().len(), 2);
    view.after(|browser| browser.press(&[key::ESCAPE]));
    assert_eq!(view.text("#found"), "");
    assert!(view.rows().len() > 5);

    // Nested finds count once, and within what is zoomed to as well.
    view.after(|browser| browser.press(&["/"]));
    view.after(|browser| browser.press(&["serve|escape"]));
    assert_eq!(view.text("#found"), "50.0 % matched · 6.00 s · 2 functions");
    view.click_frame("[poll callbacks]");
    assert_eq!(view.text("#found"), "50.0 % matched · 6.00 s · 100 % of the zoomed · 2 functions");
    view.after(|browser| browser.press(&["/"]));
    view.after(|browser| browser.press(&["("]));
    assert_eq!(view.text("#found"), "not a regular expression");
    view.expect_no_complaints();
}

#[test]
fn the_keyboard_reaches_every_frame_and_tells_of_it() {
    let collector = Collector::with_api();
    let Some(view) = View::of_api(&collector) else { return };
    view.browser.run("document.querySelector('#graph').focus()");
    let told = || view.text("#details .function");
    let press = |keys: &[&str]| view.browser.press(keys);
    press(&[key::DOWN]);
    assert_eq!(told(), "[timers]");
    press(&[key::RIGHT]);
    assert_eq!(told(), "[poll callbacks]");
    press(&[key::DOWN, key::DOWN, key::DOWN]);
    assert_eq!(told(), "parse");
    view.screenshot("keyboard");
    press(&[key::RIGHT]);
    assert_eq!(told(), "render");
    press(&[key::UP]);
    assert_eq!(told(), "serve");
    let figures = view.text("#details .figures");
    assert!(figures.contains("total 6.00 s · 50.0 %") && figures.contains("6,000,000,000 ns"), "{figures}");
    view.after(|browser| browser.press(&[key::ENTER]));
    assert_eq!(view.text("#path"), "all [poll callbacks] uv_run serve Reset zoom");
    // The root below: what is called stands above.
    view.after(|browser| browser.press(&["i"]));
    press(&[key::UP]);
    assert_eq!(told(), "parse");
    view.screenshot("flames");
    assert_eq!(view.parameter("root").as_deref(), Some("bottom"));
    view.browser.press(&["?"]);
    assert_eq!(view.browser.run("return document.querySelector('#help-dialog').open"), json!(true));
    view.expect_no_complaints();
}

#[test]
fn around_a_function_stand_its_callers_and_its_callees() {
    let collector = Collector::with_api();
    let Some(view) = View::of_api(&collector) else { return };
    view.browser.run("document.querySelector('#graph').focus()");
    view.browser.press(&[key::DOWN, key::RIGHT, key::DOWN, key::DOWN]);
    view.browser.press(&[key::SHIFT, key::ENTER]);
    view.browser.wait_until("document.querySelector('#frame-menu').matches(':popover-open')");
    view.after(|browser| browser.press(&[key::DOWN, key::ENTER]));
    view.screenshot("around");
    assert_eq!(view.parameter("focus").as_deref(), Some("serve"));
    let levels = view.browser.run(
        "const { names, layout } = loopscope.work.profile;
         return [...layout.name].map((name, node) => [layout.level[node], names[name], layout.total[node] / 1e9]);",
    );
    // The inner call of `serve` is part of the outer one.
    let expected = json!([
        [0, "serve", 6],
        [1, "parse", 4],
        [1, "render", 2],
        [2, "serve", 2],
        [3, "escape", 2],
        [-1, "uv_run", 6],
        [-2, "[poll callbacks]", 6],
    ]);
    assert_eq!(levels, expected);
    view.after(|browser| browser.press(&[key::ESCAPE]));
    assert_eq!(view.parameter("focus"), None);

    // From the functions that ran to those that called them.
    view.click("#shapes input[value=callers]");
    view.screenshot("callers");
    let outer = view.browser.run(
        "const { names, layout } = loopscope.work.profile;
         const [first, end] = layout.rows.get(1);
         return [...layout.name.subarray(first, end)].map((name, at) => [names[name], layout.total[first + at] / 1e9]);",
    );
    assert_eq!(outer, json!([["refresh", 6], ["parse", 4], ["escape", 2]]));
    view.expect_no_complaints();
}

#[test]
fn phases_stand_above_or_not_at_all_or_labels_do() {
    let collector = Collector::with_api();
    let Some(view) = View::of_api(&collector) else { return };
    let first_row = |view: &View| {
        view.browser.run(
            "const { names, layout } = loopscope.work.profile;
             const [first, end] = layout.rows.get(1);
             return [...layout.name.subarray(first, end)].map((name) => names[name]);",
        )
    };
    let choose = |group: &str| {
        view.after(|browser| {
            browser.run(&format!(
                "const field = document.querySelector('#group'); field.value = '{group}'; field.dispatchEvent(new Event('change'))"
            ));
        });
    };
    assert_eq!(first_row(&view), json!(["[timers]", "[poll callbacks]"]));
    choose("none");
    assert_eq!(first_row(&view), json!(["uv_run"]));
    assert_eq!(view.row("uv_run")[2], "12.0 s 100 %");
    choose("host");
    assert_eq!(first_row(&view), json!(["two", "one"]));
    assert_eq!(view.row("two")[2], "8.00 s 66.7 %");
    // What is compared has them, too: before there was one host, and after it the other.
    view.click("#compare");
    assert_eq!(first_row(&view), json!(["one", "two"]));
    assert_eq!(view.browser.run("return document.querySelector('#group').value"), "host");
    view.click("#compare");
    assert_eq!(first_row(&view), json!(["two"]), "the later half is still chosen");
    view.click("#unselect");
    choose("phase");
    assert_eq!(first_row(&view), json!(["[timers]", "[poll callbacks]"]));
    view.expect_no_complaints();
}

#[test]
fn a_link_restores_what_was_seen() {
    let collector = Collector::with_api();
    let Some(view) = View::of_api(&collector) else { return };
    let (from, until) = (view.moment(&collector, 302), view.moment(&collector, 598));
    view.after(|browser| browser.drag("mouse", from, until));
    view.click_frame("serve");
    view.after(|browser| browser.press(&["/"]));
    view.after(|browser| browser.press(&["parse"]));
    view.click("#table [data-key=total]");
    view.click("#flip");
    let state = || {
        (view.text("#path"), view.text("#found"), view.rows(), view.text("#selected"), view.text("#details"))
    };
    let before = state();
    assert_eq!(before.1, "25.0 % matched · 2.00 s · 66.7 % of the zoomed · 1 function");
    let search = view.browser.run("return location.search").as_str().unwrap().to_owned();
    view.browser.open(&search);
    view.settle();
    assert_eq!(state(), before);

    // A link that leads to nothing leads to all.
    view.browser.open(&format!("{}&zoom=zzzz", search.replace("&zoom=", "&was=")));
    view.settle();
    assert_eq!(view.text("#path"), "all");
    view.expect_no_complaints();
}

#[test]
fn the_table_sorts_and_marks_in_the_graph() {
    let collector = Collector::with_api();
    let Some(view) = View::of_api(&collector) else { return };
    let names = |view: &View| view.rows().iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    assert_eq!(names(&view)[..3], ["refresh", "parse", "escape"]);
    view.click("#table [data-key=total]");
    assert_eq!(names(&view)[0], "uv_run");
    assert_eq!(view.parameter("sort").as_deref(), Some("total"));
    view.click("#table [data-key=total]");
    assert_eq!(names(&view)[..2], ["render", "escape"]);
    view.click("#table [data-key=name]");
    assert_eq!(names(&view)[..3], ["[poll callbacks]", "[timers]", "escape"]);
    let sorted = view.browser.run("return document.querySelector('#table [aria-sort=ascending]').innerText");
    assert_eq!(sorted, "Function");

    view.after(|browser| {
        browser.run("[...document.querySelectorAll('#table .row')].find((row) => row.innerText.startsWith('serve')).click()");
    });
    view.screenshot("marked");
    let marked = view
        .browser
        .run("const { profile, graph } = loopscope.work; return profile.names[graph.highlighted]");
    assert_eq!(marked, "serve");
    view.after(|browser| browser.press(&[key::ESCAPE]));
    assert_eq!(view.browser.run("return loopscope.work.graph.highlighted"), json!(-1));
    view.expect_no_complaints();
}

#[test]
fn what_comes_later_is_shown_at_the_place_where_the_reader_is() {
    let collector = Collector::with_api();
    let Some(view) = View::of_api(&collector) else { return };
    view.click_frame("serve");
    view.browser.run("document.querySelector('#graph').focus()");
    view.browser.press(&[key::DOWN]);
    assert!(view.text("#details").starts_with("parse"), "{}", view.text("#details"));
    collector.push(
        "api{host=two,phase=poll_callbacks}",
        collector.began + 601,
        "[poll callbacks];uv_run;serve;parse 800",
    );
    view.after(|browser| browser.press(&["r"]));
    assert_eq!(view.text("#path"), "all [poll callbacks] uv_run serve Reset zoom");
    let details = view.text("#details");
    assert!(details.starts_with("parse") && details.contains("12.0 s · 60.0 %"), "{details}");
    view.expect_no_complaints();
}

#[test]
fn a_link_and_a_name_are_copied() {
    let collector = Collector::with_api();
    let Some(view) = View::of_api(&collector) else { return };
    let grant = json!({ "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"] });
    view.browser.developer_tools("Browser.grantPermissions", grant);
    view.click("#share");
    view.browser.wait_until("document.querySelector('#toast').innerText");
    assert_eq!(view.text("#toast"), "Copied the link to this view");
    let copied = || view.browser.run("return navigator.clipboard.readText()").as_str().unwrap().to_owned();
    let link = copied();
    assert!(
        link.starts_with(&collector.page()) && link.contains("&from=") && !link.contains("now"),
        "{link}"
    );

    view.browser.run("document.querySelector('#graph').focus()");
    view.browser.press(&[key::DOWN, key::DOWN, key::DOWN]);
    view.browser.press(&[key::CONTROL, "c"]);
    view.browser.wait_until("document.querySelector('#toast').innerText.includes('name')");
    assert_eq!(copied(), "refresh");
}
