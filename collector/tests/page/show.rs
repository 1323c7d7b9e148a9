//! What the page shows of what was sent.

use std::io::Read;
use std::process::Command;

use serde_json::json;
use tests::browser::{Browser, key};
use tests::requirement;

use crate::collector::Collector;
use crate::proxy::Proxy;
use crate::view::{View, api};

#[test]
fn the_page_loads_nothing_from_elsewhere_and_breaks_no_rule() {
    let collector = Collector::with_api();
    let Some(view) = View::of_api(&collector) else { return };
    let origins = view.browser.run(
        "return [...new Set(performance.getEntriesByType('resource').map(({ name }) => new URL(name).origin))]",
    );
    assert_eq!(origins, json!([collector.page().trim_end_matches('/')]));
    view.expect_no_complaints();

    // The policy holds: what is not a file of the page does not run.
    let hit = view.browser.run(
        "const script = document.createElement('script');
         script.textContent = 'window.hit = true';
         document.body.append(script);
         return window.hit === true",
    );
    assert_eq!(hit, json!(false));
    assert!(view.browser.complaints().iter().any(|complaint| complaint.contains("Content Security Policy")));
}

#[test]
fn below_a_path_of_a_proxy_it_works_as_well() {
    let collector = Collector::with_api();
    let proxy = Proxy::before(&collector, "/profiles");
    let Some(browser) = Browser::visit(&format!("{}/profiles/", proxy.address()), 1300, 800) else { return };
    browser.wait_until("globalThis.loopscope?.work.profile && loopscope.isSettled");
    assert!(browser.text("#details").contains("12.0 s"), "{}", browser.text("#details"));
    let asked = browser.run(
        "return performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname)
             .filter((path) => !path.startsWith('/profiles/'))",
    );
    assert_eq!(asked, json!([]));
}

#[test]
fn a_first_visit_shows_a_service_and_its_cpu_time() {
    let collector = Collector::with_api();
    collector.push("worker", collector.began, "main;work 7");
    let Some(view) = View::of(&collector, &[], (1300, 800)) else { return };
    view.settle();
    view.screenshot("first");
    assert_eq!(view.browser.run("return document.querySelector('#service input').value"), "api");
    assert_eq!(view.text("#type"), "CPU time");
    assert!(view.text("#details").contains("12.0 s"), "{}", view.text("#details"));
    assert_eq!(view.row("refresh"), ["refresh", "6.00 s 50.0 %", "6.00 s 50.0 %"]);
    assert_eq!(view.row("uv_run"), ["uv_run", "0 ns 0 %", "12.0 s 100 %"]);
    // A call within its own call counts once.
    assert_eq!(view.row("serve"), ["serve", "0 ns 0 %", "6.00 s 50.0 %"]);

    view.browser.run("document.querySelector('#service input').focus()");
    view.after(|browser| {
        browser.press(&["work"]);
        browser.press(&[key::ENTER]);
    });
    assert_eq!(view.text("#details").split_whitespace().next(), Some("all"));
    assert_eq!(view.row("work"), ["work", "70.0 ms 100 %", "70.0 ms 100 %"]);
    view.after(|browser| browser.back());
    assert_eq!(view.row("refresh")[1], "6.00 s 50.0 %");
    view.expect_no_complaints();
}

#[test]
fn a_drag_over_the_timeline_chooses_a_part_of_the_time() {
    let collector = Collector::with_api();
    let Some(view) = View::of_api(&collector) else { return };
    let (from, until) = (view.moment(&collector, 302), view.moment(&collector, 598));
    view.after(|browser| browser.drag("mouse", from, until));
    view.screenshot("selected");
    assert_eq!(view.row("refresh"), ["refresh", "5.00 s 62.5 %", "5.00 s 62.5 %"]);
    assert_eq!(
        view.parameter("select").unwrap(),
        format!("{}-{}", collector.began + 300, collector.began + 600)
    );

    // By the keyboard as well: an earlier begin takes in what was before.
    view.browser.run("document.querySelector('.handle.select.from').focus()");
    view.after(|browser| browser.press(&["\u{e010}", key::LEFT]));
    view.browser.run("document.querySelector('.handle.select.from').focus()");
    let selected = view.parameter("select");
    view.after(|browser| browser.press(&[key::SHIFT, key::LEFT]));
    assert_ne!(view.parameter("select"), selected);
    view.after(|browser| browser.press(&[key::ESCAPE]));
    assert_eq!(view.parameter("select"), None);
    assert_eq!(view.row("refresh")[1], "6.00 s 50.0 %");

    // Touch, and closer. While it is dragged, the time is told.
    view.browser.run(
        "const tip = document.querySelector('.tip'); window.told = [];
         new MutationObserver(() => window.told.push(tip.innerText)).observe(tip, { childList: true })",
    );
    view.after(|browser| browser.drag("touch", view.moment(&collector, 2), view.moment(&collector, 298)));
    let told = view.browser.run("return window.told.at(-1)");
    assert!(told.as_str().unwrap().ends_with("(5m)"), "{told}");
    assert_eq!(view.browser.run("return document.querySelector('.tip').hidden"), json!(true));
    assert_eq!(view.row("refresh")[1], "1.00 s 25.0 %");
    view.click("#closer");
    assert_eq!(view.parameter("from").unwrap(), collector.began.to_string());
    assert_eq!(view.row("refresh")[1], "1.00 s 25.0 %");
    view.expect_no_complaints();
}

#[test]
fn filters_narrow_to_phases_and_say_so_in_the_selector() {
    let collector = Collector::with_api();
    let Some(view) = View::of_api(&collector) else { return };
    view.click(".chip.add");
    view.screenshot("filters");
    view.after(|browser| {
        browser.run(
            "[...document.querySelectorAll('#labels-popup label')].find((label) => label.innerText === 'timers').click()",
        );
    });
    assert!(view.parameter("query").unwrap().ends_with(r#"{service="api", phase="timers"}"#));
    assert_eq!(view.row("refresh"), ["refresh", "6.00 s 100 %", "6.00 s 100 %"]);
    assert_eq!(view.text(".chip"), "phase timers");
    view.click(".chip [title=Remove]");
    assert_eq!(view.row("refresh")[1], "6.00 s 50.0 %");

    // The selector can be written by hand, too.
    let typed = |text: &str| {
        view.browser.run(&format!(
            "const field = document.querySelector('#query');
             field.value = {};
             document.querySelector('#selector').requestSubmit();",
            json!(text)
        ));
    };
    view.after(|_| typed(r#"process_cpu:cpu:nanoseconds:cpu:nanoseconds{service="api",phase!="timers"}"#));
    assert_eq!(view.row("parse")[1], "4.00 s 66.7 %");
    typed("cpu{phase}");
    assert!(view.text("#query-error").contains("phase"), "{}", view.text("#query-error"));
    view.expect_no_complaints();
}

#[test]
fn large_answers_come_compressed_to_the_page() {
    let collector = Collector::empty();
    let stacks: String =
        (0..5000).map(|stack| format!("main;step_{};leaf_{stack} 1\n", stack % 10)).collect();
    collector.push("api", collector.began, &stacks);
    let Some(view) = View::of(&collector, &[], (1300, 800)) else { return };
    view.settle();
    assert_eq!(view.row("leaf_0")[1], "10.0 ms 0.02 %");
    let asked = view.browser.run(&format!(
        "return fetch('api/v1/flamegraph?max_nodes=100000&from={}&query=' + encodeURIComponent(loopscope.state.query))
             .then(async (answer) => [answer.headers.get('content-encoding'), (await answer.text()).length])",
        collector.began
    ));
    assert_eq!(asked[0], "gzip");
    assert!(asked[1].as_u64().unwrap() > 50_000, "{asked}");
    view.expect_no_complaints();
}

#[test]
fn downloads_hold_what_is_shown() {
    let collector = Collector::with_api();
    let Some(view) = View::of_api(&collector) else { return };
    let (from, until) = (view.moment(&collector, 302), view.moment(&collector, 598));
    view.after(|browser| browser.drag("mouse", from, until));
    let get = |format: &str| {
        let link = format!("return document.querySelector('#download-popup [data-format={format}]').href");
        let href = view.browser.run(&link);
        let path = href.as_str().unwrap().strip_prefix(collector.page().trim_end_matches('/')).unwrap();
        let answer = collector.get(path);
        assert_eq!(answer.status, 200, "{path}");
        answer.body
    };
    let folded = String::from_utf8(get("folded")).unwrap();
    let mut lines: Vec<&str> = folded.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "[poll callbacks];uv_run;serve;parse 2000000000",
            "[poll callbacks];uv_run;serve;render;serve;escape 1000000000",
            "[timers];uv_run;refresh 5000000000",
        ]
    );
    let mut pprof = Vec::new();
    flate2::read::GzDecoder::new(&*get("pprof")).read_to_end(&mut pprof).unwrap();
    assert!(pprof.windows(7).any(|window| window == b"refresh"));
    let svg = String::from_utf8(get("svg")).unwrap();
    assert!(svg.contains("<svg") && svg.contains("refresh"));
    let json: serde_json::Value = serde_json::from_slice(&get("json")).unwrap();
    assert_eq!(json["total"], 8_000_000_000_u64);
}

#[test]
fn an_empty_collector_tells_how_to_send_and_shows_what_comes() {
    let collector = Collector::empty();
    let Some(view) = View::of(&collector, &[], (1300, 800)) else { return };
    view.browser.wait_until("document.querySelector('#state h2')?.innerText === 'No profiles yet'");
    view.screenshot("empty");
    let commands =
        view.browser.run("return [...document.querySelectorAll('pre')].map((one) => one.textContent)");
    let upload =
        format!("loopscope upload api.pb.gz --to {} --service api", collector.page().trim_end_matches('/'));
    let agent =
        format!("loopscope agent --profile --otlp-endpoint {}", collector.page().trim_end_matches('/'));
    assert_eq!(commands[0], agent);
    assert!(commands[1].as_str().unwrap().ends_with(&upload), "{commands}");
    // What the page tells to do is done, and seen without a touch.
    if requirement::program("curl").is_some() {
        let folded = commands[3].as_str().unwrap();
        let done = Command::new("sh").args(["-c", folded]).output().unwrap();
        assert!(done.status.success() && done.stdout.is_empty(), "{done:?}");
        view.settle();
        assert_eq!(view.row("work")[1], "100 ms 66.7 %");
    }
    view.expect_no_complaints();
}

#[test]
fn a_time_without_profiles_leads_to_one_with() {
    let collector = Collector::with_api();
    let mut parameters = api(&collector);
    (parameters[1].1, parameters[2].1) = ("now-7d", "now-6d");
    let Some(view) = View::of(&collector, &parameters, (1300, 800)) else { return };
    view.browser.wait_until("document.querySelector('#state h2')?.innerText === 'No profiles in this time'");
    view.screenshot("nothing");
    view.click("#state button.primary");
    assert_eq!(view.row("refresh")[1], "6.00 s 50.0 %");
}

#[test]
fn a_failure_is_told_with_its_reason_and_can_be_tried_again() {
    let collector = Collector::with_api();
    let mut parameters = api(&collector);
    parameters[0].1 = r#"process_cpu:cpu:nanoseconds:cpu:nanoseconds{service=~"("}"#;
    let Some(view) = View::of(&collector, &parameters, (1300, 800)) else { return };
    view.browser
        .wait_until("document.querySelector('#state h2')?.innerText === 'The collector refused: 400'");
    view.screenshot("failed");
    assert!(!view.text("#state .evidence").is_empty());
    view.browser.run("document.querySelector('#state button').click()");
    view.browser
        .wait_until("document.querySelector('#state h2')?.innerText === 'The collector refused: 400'");
}

#[test]
fn a_lane_of_lag_stands_above_where_the_collector_tells_of_it() {
    let collector = Collector::with_api();
    let Some(view) = View::of_api(&collector) else { return };
    let height = |view: &View| {
        view.browser.run("return document.querySelector('#plot').clientHeight").as_u64().unwrap()
    };
    let without = height(&view);
    // In the collector's place: one loop, whose lag is known from the third step on.
    let answer = "
        const ask = window.fetch;
        window.fetch = (url, ...rest) => {
            if (!String(url).includes('/api/v1/lag')) return ask(url, ...rest);
            const asked = new URL(url).searchParams;
            const [start, step] = [Number(asked.get('from')), Number(asked.get('step'))];
            const values = (value) => Array.from({ length: 1200 / step }, (_, at) => (at < 2 ? null : value));
            const series = [{ labels: { loop: 'main' }, p50: values(0.001), p99: values(0.04), max: values(0.25) }];
            return Promise.resolve(new Response(JSON.stringify({ unit: 'seconds', step, start, series })));
        };";
    view.browser.developer_tools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": answer }));
    view.open(&api(&collector));
    view.settle();
    assert!(height(&view) > without + 40, "{} beside {without}", height(&view));
    let at = view.moment(&collector, 450);
    view.browser.point("mouse", at, false);
    view.browser.wait_until("!document.querySelector('.tip').hidden");
    view.screenshot("lag");
    let told = view.text(".tip");
    assert!(told.contains("lag main p50 1.00 ms · p99 40.0 ms · max 250 ms"), "{told}");
    assert!(told.contains("timers 0.033 CPU"), "{told}");

    // A tap tells it as well, until one taps elsewhere.
    view.browser.point("mouse", (400.0, 600.0), false);
    view.browser.wait_until("document.querySelector('.tip').hidden");
    view.browser.point("touch", at, true);
    view.browser.wait_until("!document.querySelector('.tip').hidden");
    assert_eq!(view.text(".tip"), told);
    assert_eq!(view.parameter("select"), None);
    view.browser.point("touch", (400.0, 600.0), true);
    view.browser.wait_until("document.querySelector('.tip').hidden");
    // A drag over the lane of lag chooses a part of the time, too.
    let (from, until) = (view.moment(&collector, 302), view.moment(&collector, 598));
    let top = view
        .browser
        .run("return document.querySelector('#plot').getBoundingClientRect().top")
        .as_f64()
        .unwrap();
    view.after(|browser| browser.drag("mouse", (from.0, top + 20.0), (until.0, top + 30.0)));
    assert_eq!(
        view.parameter("select").unwrap(),
        format!("{}-{}", collector.began + 300, collector.began + 600)
    );
    view.expect_no_complaints();
}
