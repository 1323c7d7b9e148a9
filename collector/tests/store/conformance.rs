//! Facts about every engine. Each is run on a fresh store, and told whether the engine has put in order what it was given (made
//! blocks, merged parts) or has not yet: that must make no difference.

use loopscope_collector::store::{AppendError, Detail, Line, Steps, Store};
use loopscope_collector::times::Range;

use crate::batches::{batch, expect, folded, labels, query, recent_ms, stacks};

/// A fresh store, and a way to make it put itself in order.
pub(crate) trait Engine {
    fn store(&self) -> &dyn Store;
    fn settle(&mut self);
    /// About when profiles begin, at a whole second.
    fn recent_ms(&self) -> i64 {
        recent_ms()
    }
}

type Fact = fn(&mut dyn Engine);

/// All of them.
pub(crate) const FACTS: &[(&str, Fact)] = &[
    ("an empty store tells nothing", an_empty_store_tells_nothing),
    ("equal stacks add up, whatever batch they came in", equal_stacks_add_up),
    ("a range ends before its end", a_range_ends_before_its_end),
    ("selectors choose series", selectors_choose_series),
    ("groups are apart by label", groups_are_apart_by_label),
    ("series tell their first and last profile", series_tell_their_times),
    ("a timeline tells steps without profiles from zeros", a_timeline_has_gaps),
    ("recursion counts once in a function's share", recursion_counts_once),
    ("sums saturate", sums_saturate),
    ("a batch with a bad time is not half stored", nothing_is_half_stored),
    ("lines are told where they are asked for", lines_are_told),
    ("ten thousand services are told apart", many_services),
];

fn an_empty_store_tells_nothing(engine: &mut dyn Engine) {
    engine.settle();
    let store = engine.store();
    assert!(store.series(&Default::default(), Range::ALL).unwrap().value.is_empty());
    assert!(store.merge(&query("", Range::ALL, &[]), Detail::Functions).unwrap().value.is_empty());
    let steps = Steps { start_ms: engine.recent_ms(), step_ms: 1000, count: 10 };
    assert!(store.timeline(&query("", Range::ALL, &[]), steps, None).unwrap().value.is_empty());
}

fn equal_stacks_add_up(engine: &mut dyn Engine) {
    let now = engine.recent_ms();
    engine.store().append(batch(&[("service", "a")], now, &[("main;x", 1), ("main;y", 2)])).unwrap();
    engine.settle();
    engine.store().append(batch(&[("service", "a")], now, &[("main;y", 40), ("main", 5)])).unwrap();
    engine.settle();
    engine.store().append(batch(&[("service", "b")], now, &[("main;y", 100), ("y;main", 7)])).unwrap();
    let found = folded(engine.store(), "", Range::ALL);
    expect(&found, &[("main", 5), ("main;x", 1), ("main;y", 142), ("y;main", 7)]);
}

fn a_range_ends_before_its_end(engine: &mut dyn Engine) {
    let now = engine.recent_ms();
    for (offset, value) in [(-1000, 1), (0, 10), (999, 100), (1000, 1000), (2000, 10_000)] {
        engine.store().append(batch(&[("service", "a")], now + offset, &[("f", value)])).unwrap();
    }
    engine.settle();
    let sum = |from_ms, until_ms| {
        folded(engine.store(), "", Range { from_ms, until_ms }).first().map_or(0, |(_, value)| *value)
    };
    assert_eq!(sum(now, now + 1000), 110);
    assert_eq!(sum(now, now + 2000), 1110);
    assert_eq!(sum(now - 1000, now), 1);
    assert_eq!(sum(now + 500, now + 1000), 110, "times are kept in whole seconds");
    let side_by_side = [sum(now - 500, now + 500), sum(now + 500, now + 1500), sum(now + 1500, now + 2500)];
    assert_eq!(side_by_side, [1, 110, 1000], "what is in one range is not in the next");
    assert_eq!(sum(now + 3000, now + 9000), 0);
    assert_eq!(sum(i64::MIN, i64::MAX), 11_111);
}

fn selectors_choose_series(engine: &mut dyn Engine) {
    let now = engine.recent_ms();
    for (phase, value) in [("timers", 1), ("check", 10), ("poll_callbacks", 100)] {
        engine.store().append(batch(&[("service", "a"), ("phase", phase)], now, &[("f", value)])).unwrap();
    }
    engine.store().append(batch(&[("service", "b")], now, &[("f", 1000)])).unwrap();
    engine.settle();
    for (selector, sum) in [
        (r#"{service="a"}"#, 111),
        (r#"{phase=~"timers|check"}"#, 11),
        (r#"{phase!="check"}"#, 1101),
        (r#"{phase=""}"#, 1000),
        (r#"process_cpu:cpu:nanoseconds:cpu:nanoseconds{phase!~".+s"}"#, 1010),
        (r#"memory:inuse_space:bytes:space:bytes{}"#, 0),
    ] {
        let found = folded(engine.store(), selector, Range::ALL);
        assert_eq!(found.iter().map(|(_, value)| value).sum::<i64>(), sum, "{selector}");
    }
}

fn groups_are_apart_by_label(engine: &mut dyn Engine) {
    let now = engine.recent_ms();
    for (host, phase, value) in [("h1", "timers", 1), ("h1", "check", 2), ("h2", "timers", 4)] {
        let pairs = [("service", "a"), ("host", host), ("phase", phase)];
        engine.store().append(batch(&pairs, now, &[("f;g", value)])).unwrap();
        engine.settle();
    }
    let found = engine.store().merge(&query("", Range::ALL, &["host"]), Detail::Functions).unwrap().value;
    let groups: Vec<_> =
        found.iter().map(|group| (group.labels.get("host").unwrap(), stacks(group))).collect();
    assert_eq!(groups, [("h1", vec![("f;g".to_owned(), 3)]), ("h2", vec![("f;g".to_owned(), 4)])]);
}

fn series_tell_their_times(engine: &mut dyn Engine) {
    let now = engine.recent_ms();
    for offset in [5000, 0, 9000] {
        engine.store().append(batch(&[("service", "a")], now + offset, &[("f", 1)])).unwrap();
        engine.settle();
    }
    engine.store().append(batch(&[("service", "b")], now + 1000, &[("f", 1)])).unwrap();
    let found = engine.store().series(&Default::default(), Range::ALL).unwrap().value;
    let told: Vec<_> = found.iter().map(|span| (span.labels.clone(), span.first_ms, span.last_ms)).collect();
    let (a, b) = (labels(&[("service", "a")]), labels(&[("service", "b")]));
    assert_eq!(told, [(a, now, now + 9000), (b, now + 1000, now + 1000)]);
    let later = Range { from_ms: now + 20_000, until_ms: i64::MAX };
    assert!(engine.store().series(&Default::default(), later).unwrap().value.is_empty());
}

fn a_timeline_has_gaps(engine: &mut dyn Engine) {
    let now = engine.recent_ms();
    let mut add = |offset, stacks: &[(&str, i64)]| {
        engine.store().append(batch(&[("service", "a")], now + offset, stacks)).unwrap();
        engine.settle();
    };
    add(0, &[("f;g", 1), ("f", 10)]);
    add(1000, &[("f;h", 5)]);
    add(7000, &[("g;f", 2)]);
    let steps = Steps { start_ms: now, step_ms: 2000, count: 4 };
    let found =
        engine.store().timeline(&query("", Range::ALL, &["service"]), steps, Some("g")).unwrap().value;
    let labels = [("service", "a")].into_iter().collect();
    let totals = vec![Some(16), None, None, Some(2)];
    assert_eq!(found, [Line { labels, totals, in_function: vec![1, 0, 0, 2] }]);
}

fn recursion_counts_once(engine: &mut dyn Engine) {
    let now = engine.recent_ms();
    engine.store().append(batch(&[("service", "a")], now, &[("f;f;f", 3), ("g;f", 1), ("g", 1)])).unwrap();
    engine.settle();
    let steps = Steps { start_ms: now, step_ms: 1000, count: 1 };
    let found = engine.store().timeline(&query("", Range::ALL, &[]), steps, Some("f")).unwrap().value;
    assert_eq!((found[0].totals[0], found[0].in_function[0]), (Some(5), 4));
}

fn sums_saturate(engine: &mut dyn Engine) {
    let now = engine.recent_ms();
    for _ in 0..2 {
        engine.store().append(batch(&[("service", "a")], now, &[("f", i64::MAX)])).unwrap();
        engine.settle();
    }
    expect(&folded(engine.store(), "", Range::ALL), &[("f", i64::MAX)]);
}

fn nothing_is_half_stored(engine: &mut dyn Engine) {
    let now = engine.recent_ms();
    let mut both = batch(&[("service", "a")], now, &[("f", 1)]);
    let old = batch(&[("service", "b")], 1000, &[("f", 1)]);
    both.series.extend(old.series);
    assert!(matches!(engine.store().append(both), Err(AppendError::Time { time_ms: 1000, .. })));
    let future = batch(&[("service", "c")], now + 365 * 24 * 3_600_000, &[("f", 1)]);
    assert!(matches!(engine.store().append(future), Err(AppendError::Time { .. })));
    engine.settle();
    assert!(engine.store().series(&Default::default(), Range::ALL).unwrap().value.is_empty());
}

fn lines_are_told(engine: &mut dyn Engine) {
    let now = engine.recent_ms();
    let text = b"f 1\n";
    let mut decoded = formats::folded::decode(
        text,
        formats::decode::ValueType::new("cpu", "nanoseconds"),
        &Default::default(),
    )
    .unwrap();
    let symbols = &mut decoded.symbols;
    let (function, file) = (symbols.strings.intern("f"), symbols.strings.intern("f.js"));
    let mut rows = Vec::new();
    for line in [7, 9] {
        let frame = symbols.frames.intern(formats::decode::Place { function, file, line });
        rows.push((symbols.stacks.push(None, frame), i64::from(line)));
    }
    let mut sent = batch(&[("service", "a")], now, &[]);
    sent.symbols = decoded.symbols;
    sent.series[0].rows = rows;
    engine.store().append(sent).unwrap();
    engine.settle();
    let group = &engine.store().merge(&query("", Range::ALL, &[]), Detail::Lines).unwrap().value[0];
    let symbols = &group.merged.symbols;
    let mut told: Vec<_> =
        symbols.frames.iter().map(|place| (symbols.strings.get(place.file), place.line)).collect();
    told.sort_unstable();
    assert_eq!(told, [("f.js", 7), ("f.js", 9)]);
    expect(&folded(engine.store(), "", Range::ALL), &[("f", 16)]);
}

fn many_services(engine: &mut dyn Engine) {
    let now = engine.recent_ms();
    for hundred in 0..100 {
        let mut together = batch(&[("service", "x")], now, &[("main;f", 1)]);
        let rows = together.series[0].rows.clone();
        together.series.clear();
        for one in 0..100 {
            let service = format!("service-{:05}", hundred * 100 + one);
            let labels = labels(&[("service", &service)]);
            let rows = rows.iter().map(|(stack, _)| (*stack, hundred * 100 + one + 1)).collect();
            together.series.push(loopscope_collector::store::BatchSeries { labels, time_ms: now, rows });
        }
        engine.store().append(together).unwrap();
    }
    engine.settle();
    assert_eq!(engine.store().series(&Default::default(), Range::ALL).unwrap().value.len(), 10_000);
    expect(&folded(engine.store(), r#"{service="service-04711"}"#, Range::ALL), &[("main;f", 4712)]);
    expect(&folded(engine.store(), "", Range::ALL), &[("main;f", 10_000 * 10_001 / 2)]);
}
