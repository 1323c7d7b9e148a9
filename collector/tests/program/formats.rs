//! Every question that is answered with profiles, in every format that holds them.

use std::collections::BTreeMap;

use formats::decode::Decoded;
use serde_json::json;

use crate::server::Server;

/// A collector with an hour before the last, and the last, of a service in two phases on two hosts.
fn server() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    for (name, from, body) in [
        ("shop%7Bphase=timers,host=a%7D", "now-90m", "main;a 1\nmain;old 2\n"),
        ("shop%7Bphase=check,host=b%7D", "now-90m", "main;a 5\n"),
        ("shop%7Bphase=timers,host=a%7D", "now-1m", "main;a 3\nmain;new 4\n"),
        ("shop%7Bphase=check,host=b%7D", "now-1m", "main;a 1\n"),
    ] {
        server
            .post(&format!("/ingest?name={name}&from={from}&format=folded"), &[], body.as_bytes())
            .expect(200);
    }
    (folder, server)
}

const MS: i64 = 1_000_000;

/// What a pprof file says: the value of each stack, behind the labels of its samples.
fn rows(pprof: &[u8]) -> BTreeMap<String, i64> {
    let decoded: Decoded = formats::pprof::decode(pprof, &Default::default()).unwrap();
    let text = |id| decoded.symbols.strings.get(id);
    let mut rows = BTreeMap::new();
    for (position, sample) in decoded.samples.iter().enumerate() {
        let labels = &decoded.label_sets[sample.label_set as usize];
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{}={}", text(*name), text(*value))).collect();
        let stack: Vec<&str> =
            decoded.symbols.places(sample.stack).iter().map(|place| text(place.function)).collect();
        *rows.entry(format!("{} {}", labels.join(","), stack.join(";"))).or_default() +=
            decoded.values_of(position)[0] / MS;
    }
    rows
}

fn expect_rows(pprof: &[u8], expected: &[(&str, i64)]) {
    let expected: BTreeMap<String, i64> =
        expected.iter().map(|(row, value)| ((*row).to_owned(), *value)).collect();
    assert_eq!(rows(pprof), expected);
}

#[test]
fn a_group_is_a_label_of_the_samples_in_pprof() {
    let (_folder, server) = server();
    let pprof = server.get("/api/v1/flamegraph?format=pprof&from=now-2h&by=phase").expect(200).body;
    expect_rows(
        &pprof,
        &[
            ("phase=check main;a", 60),
            ("phase=timers main;a", 40),
            ("phase=timers main;new", 40),
            ("phase=timers main;old", 20),
        ],
    );
    let pprof = server.get("/api/v1/flamegraph?format=pprof&from=now-2h").expect(200).body;
    expect_rows(&pprof, &[(" main;a", 100), (" main;new", 40), (" main;old", 20)]);
}

const DIFF: &str = "/api/v1/diff?from=now-1h&base_from=now-2h&base_until=now-1h";

#[test]
fn a_difference_of_times_is_answered_in_every_format_and_by_label() {
    let (_folder, server) = server();
    let answer = server.get(&format!("{DIFF}&by=phase")).expect(200).json();
    assert_eq!(answer["names"], json!(["", "check", "main", "a", "timers", "new", "old"]));
    assert_eq!(answer["nodes"]["parent"], json!([-1, 0, 1, 2, 0, 4, 5, 5, 5]));
    assert_eq!(answer["nodes"]["total"], json!([80, 10, 10, 10, 70, 70, 30, 40, 0].map(|ms: i64| ms * MS)));
    assert_eq!(
        answer["nodes"]["base_total"],
        json!([80, 50, 50, 50, 30, 30, 10, 0, 20].map(|ms: i64| ms * MS))
    );

    let folded = |by: &str| server.get(&format!("{DIFF}&format=folded{by}")).expect(200).text();
    assert_eq!(folded(""), "main;a 60000000 40000000\nmain;new 0 40000000\nmain;old 20000000 0\n");
    let by_phase = "check;main;a 50000000 10000000\ntimers;main;a 10000000 30000000\n\
        timers;main;new 0 40000000\ntimers;main;old 20000000 0\n";
    assert_eq!(folded("&by=phase"), by_phase);

    let pprof = |by: &str| server.get(&format!("{DIFF}&format=pprof{by}")).expect(200).body;
    let base = "pprof::base=true";
    expect_rows(
        &pprof(""),
        &[
            (" main;a", 40),
            (" main;new", 40),
            (&format!("{base} main;a"), -60),
            (&format!("{base} main;old"), -20),
        ],
    );
    let rows = rows(&pprof("&by=phase,host"));
    assert_eq!(rows.len(), 6, "{rows:?}");
    assert_eq!(rows["host=a,phase=timers main;new"], 40);
    assert_eq!(rows[&format!("host=b,phase=check,{base} main;a")], -50);

    let svg = server.get(&format!("{DIFF}&format=svg")).expect(200).text();
    for told in [
        "more than in the base",
        // `new` has half of all now; `a` three quarters before, and half now.
        "50.0 %, 0 % in the base: +50.0 pp",
        "50.0 %, 75.0 % in the base: −25.0 pp",
        "0 %, 25.0 % in the base: −25.0 pp",
        "class=\"m5\"",
        "class=\"l5\"",
        "class=\"l2\"",
        "100 %, on average",
    ] {
        assert!(svg.contains(told), "{told}");
    }
}

#[test]
fn a_difference_of_selectors_is_answered_in_every_format() {
    let (_folder, server) = server();
    let of_selectors = "/api/v1/diff?query=%7Bhost=%22a%22%7D&base_query=%7Bhost=%22b%22%7D\
        &from=now-2h&until=now&base_from=now-2h&base_until=now";
    let answer = server.get(of_selectors).expect(200).json();
    assert_eq!((&answer["total"], &answer["base_total"]), (&json!(100 * MS), &json!(60 * MS)));
    let folded = server.get(&format!("{of_selectors}&format=folded")).expect(200).text();
    assert_eq!(folded, "main;a 60000000 40000000\nmain;new 0 40000000\nmain;old 0 20000000\n");
    let pprof = server.get(&format!("{of_selectors}&format=pprof")).expect(200).body;
    assert_eq!(rows(&pprof).values().sum::<i64>(), 40);
    let svg = server.get(&format!("{of_selectors}&format=svg")).expect(200).text();
    assert!(
        svg.contains("base: {host=&quot;b&quot;}") || svg.contains("base: {host=\"b\"}"),
        "it says whose"
    );
}

#[test]
fn functions_are_answered_in_every_format() {
    let (_folder, server) = server();
    let top =
        |format: &str| server.get(&format!("/api/v1/top?from=now-2h&limit=2&format={format}")).expect(200);
    let expected = json!([
        {"name": "a", "self": 100 * MS, "total": 100 * MS},
        {"name": "new", "self": 40 * MS, "total": 40 * MS},
    ]);
    assert_eq!(top("json").json()["functions"], expected);
    assert_eq!(top("folded").text(), "a 100000000\nnew 40000000\n");
    expect_rows(&top("pprof").body, &[(" a", 100), (" new", 40)]);
    assert!(top("svg").text().contains("functions themselves"));
}

#[test]
fn a_share_over_time_is_answered_by_label_as_json_alone() {
    let (_folder, server) = server();
    let target = "/api/v1/series?from=now-2h&step=3h&function=a&share=true&by=phase";
    let answer = server.get(target).expect(200).json();
    let shares: BTreeMap<String, f64> = answer["series"]
        .as_array()
        .unwrap()
        .iter()
        .map(|series| {
            // The range may lie over the border of two steps.
            let values = series["values"].as_array().unwrap().iter().filter_map(|value| value.as_f64());
            (series["labels"]["phase"].as_str().unwrap().to_owned(), values.fold(0.0, f64::max))
        })
        .collect();
    assert_eq!(shares["check"], 1.0);
    assert!((0.3..0.5).contains(&shares["timers"]), "{shares:?}");
    for format in ["pprof", "folded", "svg"] {
        let refused = server.get(&format!("{target}&format={format}")).expect(400);
        assert!(refused.text().contains("as json alone"), "{}", refused.text());
    }
}

#[test]
fn an_unknown_format_is_refused_before_anything_is_looked_for() {
    let (_folder, server) = server();
    for path in ["flamegraph", "diff", "top", "series"] {
        // Of no use is the time either, which is looked at later.
        let refused = server.get(&format!("/api/v1/{path}?format=png&from=now&until=now-1h")).expect(400);
        assert!(refused.text().contains("there are json, pprof, folded and svg"), "{}", refused.text());
    }
}
