//! How the page reads and writes selectors, times and amounts.

use serde_json::{Value, json};

use crate::collector::Collector;
use crate::view::View;

/// What an expression is in the page, with the exports of one of its modules at hand.
fn evaluate(view: &View, module: &str, expression: &str) -> Value {
    view.browser.run(&format!(
        "return import(new URL('assets/{module}.js', location)).then((module) => ({expression})(module))"
    ))
}

#[test]
fn selectors_are_read_and_written_as_the_collector_does() {
    let collector = Collector::empty();
    let Some(view) = View::of(&collector, &[], (800, 600)) else { return };
    let again = |text: &str| {
        evaluate(&view, "selector", &format!("({{ parse, format }}) => format(parse({}))", json!(text)))
    };
    let plain = r#"process_cpu:cpu:nanoseconds:cpu:nanoseconds{service="api", phase=~"timers|check"}"#;
    assert_eq!(again(plain), plain);
    assert_eq!(again(r#" {service = "a\"b\\c" ,host!~"x.*",}"#), r#"{service="a\"b\\c", host!~"x.*"}"#);
    assert_eq!(
        again("process_cpu:cpu:nanoseconds:cpu:nanoseconds"),
        "process_cpu:cpu:nanoseconds:cpu:nanoseconds{}"
    );
    // Whatever names and quotes the collector takes, and no escapes that it does not know.
    assert_eq!(
        again("t{k8s.pod-name='a', http/route=\"x\\ty\\d\u{1}\", größe2=`b\\n`}"),
        "t{k8s.pod-name=\"a\", http/route=\"x\\ty\\\\d\u{1}\", größe2=\"b\\\\n\"}"
    );
    // Values that mean something in a regular expression mean themselves.
    let chosen = evaluate(
        &view,
        "selector",
        "({ format, parse, valuesOf, withValues }) => {
             const text = format(withValues(parse('t{}'), 'host', ['a.b', 'c|d']));
             return [text, valuesOf(parse(text), 'host')]; }",
    );
    assert_eq!(chosen, json!([r#"t{host=~"a\\.b|c\\|d"}"#, ["a.b", "c|d"]]));
    for wrong in ["t{", "t{a}", r#"t{a="b"#, r#"t{a="b" c="d"}"#, "t{a=b}", r#"t{a b="c"}"#] {
        let refused = evaluate(
            &view,
            "selector",
            &format!(
                "({{ parse }}) => {{ try {{ parse({}); return null }} catch (error) {{ return error.name }} }}",
                json!(wrong)
            ),
        );
        assert_eq!(refused, "SyntaxError", "{wrong}");
    }
}

#[test]
fn times_and_amounts_are_told_as_people_say_them() {
    let collector = Collector::empty();
    let Some(view) = View::of(&collector, &[], (800, 600)) else { return };
    let times = evaluate(
        &view,
        "time",
        "({ duration, resolve, stepFor }) => [
             ['now', 'now-90m', ' now - 2d', '1700000000.5', '2026-01-31T13:45:00Z'].map((text) => resolve(text, 1e6)),
             ['soon', 'now+1h', ''].map((text) => Number.isNaN(resolve(text))),
             [0.5, 45, 60, 3661, 90000, 604800].map(duration), [stepFor(3600, 240), stepFor(60, 240), stepFor(2592000, 240)]]",
    );
    let expected = json!([
        [1e6, 994_600.0, 827_200.0, 1_700_000_000.5, 1_769_867_100.0],
        [true, true, true],
        ["0.5s", "45s", "1m", "1h 1m", "1d 1h", "7d"],
        [15, 1, 10800],
    ]);
    assert_eq!(times.to_string(), expected.to_string().replace(".0,", ",").replace(".0]", "]"));
    let amounts = evaluate(
        &view,
        "amount",
        "({ amount, change, exact, rate, share }) => [
             amount(1240000000, 'nanoseconds'), amount(999, 'nanoseconds'), amount(0, 'bytes'), amount(1536, 'bytes'), amount(1234, 'count'),
             exact(1234567, 'nanoseconds'), rate(7500000000, 'nanoseconds', 15), rate(30720, 'bytes', 15),
             share(0, 1), share(1, 1000000), share(1, 200), share(123, 1000), share(1, 0), change(.5, .25), change(.1, .1), change(0, .0003)]",
    );
    let expected = json!([
        "1.24 s",
        "999 ns",
        "0 B",
        "1.50 KiB",
        "1,234",
        "1,234,567 ns",
        "0.50 CPU",
        "2.00 KiB/s",
        "0 %",
        "< 0.01 %",
        "0.50 %",
        "12.3 %",
        "0 %",
        "+25.0 pp",
        "±0",
        "−0.03 pp",
    ]);
    assert_eq!(amounts, expected);
}

#[test]
fn packages_are_told_by_the_manners_of_their_languages() {
    let collector = Collector::empty();
    let Some(view) = View::of(&collector, &[], (800, 600)) else { return };
    let packages = evaluate(
        &view,
        "colours",
        "({ packageOf }) => ['std::io::read', '<alloc::vec::Vec<T> as core::ops::Drop>::drop', 'net/http.(*conn).serve',
             'github.com/a/b/c.F', 'uv__io_poll', '__dev_queue_xmit', 'handle /app/node_modules/@x/y/lib/z.js:12', 'route /app/server.js:3',
             'emit node:events:518', 'main', '[timers]', 'v8::internal::Heap::Collect(int)'].map(packageOf)",
    );
    let expected = json!([
        "std",
        "alloc",
        "net/http",
        "github.com/a/b/c",
        "uv",
        "dev",
        "@x/y",
        "/app/",
        "node:events",
        "",
        "[timers]",
        "v8",
    ]);
    assert_eq!(packages, expected);
}
