//! Profiles read again: what our encoders wrote, and what nobody should have written.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use loopscope_formats::decode::{DecodeError, Decoded, Format, Limits, ValueType};
use loopscope_formats::{firefox, folded, otlp, pprof, pyroscope_server};
use proptest::prelude::*;

use crate::node_server;

/// A decoded profile as folded stacks of one of its values, sorted and added up.
fn stacks(decoded: &Decoded, value: usize) -> Vec<(String, i64)> {
    let mut all = std::collections::BTreeMap::new();
    for (position, sample) in decoded.samples.iter().enumerate() {
        let names: Vec<&str> = decoded
            .symbols
            .stacks
            .frames(sample.stack)
            .into_iter()
            .map(|frame| decoded.symbols.function(frame))
            .collect();
        *all.entry(names.join(";")).or_insert(0) += decoded.values_of(position)[value];
    }
    all.into_iter().collect()
}

fn label<'a>(decoded: &'a Decoded, set: u32, wanted: &str) -> Option<&'a str> {
    let text = |id| decoded.symbols.strings.get(id);
    let set = &decoded.label_sets[set as usize];
    set.iter().find(|(name, _)| text(*name) == wanted).map(|(_, value)| text(*value))
}

#[test]
fn what_was_encoded_as_pprof_reads_the_same() {
    let mut profile = node_server::profile(3);
    profile.recording.started_unix_ns = 1_700_000_000_000_000_000;
    let mut written = Vec::new();
    pprof::encode(&profile, &mut written).unwrap();
    let decoded = pprof::decode(&written, &Limits::default()).unwrap();
    assert_eq!(decoded.types, [ValueType::new("samples", "count"), ValueType::new("cpu", "nanoseconds")]);
    assert_eq!(decoded.total(0) as u64, profile.total_weight());
    assert_eq!(decoded.started_unix_ns, Some(profile.recording.started_unix_ns as i64));
    let sample = decoded.samples.iter().find(|sample| label(&decoded, sample.label_set, "phase").is_some());
    let sample = sample.expect("a sample of a phase");
    assert!(label(&decoded, sample.label_set, "pid").is_some());
    assert_eq!(label(&decoded, sample.label_set, "tid"), None, "numbers but the pid are left out");
}

#[test]
fn what_was_encoded_for_the_firefox_profiler_reads_the_same_as_pprof() {
    let profile = node_server::profile(3);
    let (mut of_firefox, mut of_pprof) = (Vec::new(), Vec::new());
    firefox::encode(&profile, &mut of_firefox).unwrap();
    pprof::encode(&profile, &mut of_pprof).unwrap();
    assert_eq!(Format::detect(&of_firefox), Some(Format::Firefox));
    assert_eq!(Format::detect(&of_pprof), Some(Format::Pprof));
    let of_firefox = firefox::decode(&of_firefox, &Limits::default()).unwrap();
    let of_pprof = pprof::decode(&of_pprof, &Limits::default()).unwrap();
    let named = |stacks: Vec<(String, i64)>| {
        stacks.into_iter().filter(|(stack, _)| !stack.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!(named(stacks(&of_firefox, 0)), named(stacks(&of_pprof, 0)));
}

#[test]
fn tables_of_threads_and_prefixes_are_read_as_older_versions_have_them() {
    let text = br#"{"meta":{"interval":1,"startTime":1700000000000.5,"preprocessedProfileVersion":49},"libs":[],
        "threads":[{"name":"main","pid":"7","processName":"node","samples":{"stack":[1,null,1,0],"weight":null,"length":4},
        "stackTable":{"frame":[0,1],"prefix":[null,0],"length":2},"frameTable":{"func":[0,1],"line":[null,9]},
        "funcTable":{"name":[0,1],"fileName":[null,2]},"stringArray":["main","work","a.js"]}]}"#;
    let decoded = firefox::decode(text, &Limits::default()).unwrap();
    let expected = [("", 1), ("main", 1), ("main;work", 2)].map(|(stack, value)| (stack.to_owned(), value));
    assert_eq!(stacks(&decoded, 0), expected);
    assert_eq!(decoded.started_unix_ns, Some(1_700_000_000_000_500_000));
    assert_eq!(label(&decoded, decoded.samples[0].label_set, "thread"), Some("main"));
}

#[test]
fn what_was_encoded_as_folded_stacks_reads_the_same() {
    let profile = node_server::profile(3);
    let mut written = Vec::new();
    folded::encode(&profile, &mut written).unwrap();
    assert_eq!(Format::detect(&written), Some(Format::Folded));
    let decoded = folded::decode(&written, ValueType::new("samples", "count"), &Limits::default()).unwrap();
    assert_eq!(decoded.total(0) as u64, profile.total_weight());
    let lines: Vec<String> =
        stacks(&decoded, 0).iter().map(|(stack, value)| format!("{stack} {value}")).collect();
    let mut expected: Vec<&str> = std::str::from_utf8(&written).unwrap().lines().collect();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

#[test]
fn what_was_encoded_as_otlp_reads_the_same_as_pprof() {
    let profile = node_server::profile(3);
    let mut profiles = otlp::Profiles::default();
    let shop = vec![("service.name", otlp::Attribute::Text("shop".to_owned()))];
    profiles.push(shop, "1", &profile, [1; 16], |_| Some(None), 0);
    let found = otlp::profiles::decode(&profiles.encode(), &Limits::default()).unwrap();
    assert_eq!(found[0].resource, [("service.name".to_owned(), "shop".to_owned())]);
    let mut of_pprof = Vec::new();
    pprof::encode(&profile, &mut of_pprof).unwrap();
    let of_pprof = pprof::decode(&of_pprof, &Limits::default()).unwrap();
    assert_eq!(stacks(&found[0].profile, 0), stacks(&of_pprof, 0));
}

fn encoded() -> Vec<(&'static str, Vec<u8>)> {
    let profile = node_server::profile(3);
    let mut all = vec![("pprof", Vec::new()), ("firefox", Vec::new()), ("folded", Vec::new())];
    pprof::encode(&profile, &mut all[0].1).unwrap();
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(all[0].1.as_slice()), &mut plain).unwrap();
    all[0].1 = plain;
    firefox::encode(&profile, &mut all[1].1).unwrap();
    folded::encode(&profile, &mut all[2].1).unwrap();
    let mut profiles = otlp::Profiles::default();
    profiles.push(Vec::new(), "1", &profile, [1; 16], |_| Some(None), 0);
    all.push(("otlp", profiles.encode()));
    all
}

fn decode(format: &str, bytes: &[u8], limits: &Limits) -> Result<usize, DecodeError> {
    match format {
        "pprof" => pprof::decode(bytes, limits).map(|decoded| decoded.samples.len()),
        "firefox" => firefox::decode(bytes, limits).map(|decoded| decoded.samples.len()),
        "folded" => folded::decode(bytes, ValueType::default(), limits).map(|decoded| decoded.samples.len()),
        _ => otlp::profiles::decode(bytes, limits)
            .map(|profiles| profiles.iter().map(|found| found.profile.samples.len()).sum()),
    }
}

#[test]
fn a_profile_that_is_cut_anywhere_is_refused_or_smaller_and_never_a_panic() {
    for (format, bytes) in encoded() {
        let whole = decode(format, &bytes, &Limits::default()).unwrap();
        for length in (0..bytes.len()).step_by(bytes.len() / 2000 + 1) {
            if let Ok(samples) = decode(format, &bytes[..length], &Limits::default()) {
                assert!(samples <= whole, "{format}");
            }
        }
    }
}

#[test]
fn each_limit_is_kept() {
    let tight = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        limits
    };
    for (format, bytes) in encoded() {
        for limits in [
            tight(|limits| limits.profile_bytes = 100),
            tight(|limits| limits.samples = 2),
            tight(|limits| limits.depth = 2),
            tight(|limits| limits.strings = 2),
        ] {
            let refused = decode(format, &bytes, &limits);
            assert!(matches!(refused, Err(DecodeError::TooMuch { .. })), "{format}: {limits:?}: {refused:?}");
        }
    }
    let limits = tight(|limits| limits.text_bytes = 5);
    let decoded = folded::decode("größer;ab 1".as_bytes(), ValueType::default(), &limits).unwrap();
    assert_eq!(stacks(&decoded, 0)[0].0, "grö;ab", "names are cut at a character's end");
}

#[test]
fn what_unpacks_to_more_than_is_accepted_is_refused() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..100 {
        gzip.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    let bomb = gzip.finish().unwrap();
    for format in ["pprof", "firefox"] {
        let refused = decode(format, &bomb, &Limits::default());
        assert!(matches!(refused, Err(DecodeError::TooMuch { what: "bytes of a profile", .. })), "{format}");
    }
}

#[test]
fn a_million_empty_rows_are_counted_before_they_take_memory() {
    // Field 2 of a profile, a message of no bytes.
    let empty_samples: Vec<u8> = [0x12, 0].repeat(1 << 20);
    let refused = pprof::decode(&empty_samples, &Limits::default());
    assert_eq!(refused.err(), Some(DecodeError::TooMuch { what: "samples", limit: 1 << 19 }));
    let mut profile = vec![0x12, 0x80, 0x80, 0x80, 0x01];
    profile.extend(&empty_samples);
    let nested = |tag: u8, content: &[u8]| {
        let mut out = vec![tag];
        let mut length = content.len();
        while length >= 0x80 {
            out.push(length as u8 | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
        out.extend_from_slice(content);
        out
    };
    let request = nested(0x0a, &nested(0x12, &nested(0x12, &empty_samples)));
    let refused = otlp::profiles::decode(&request, &Limits::default());
    assert_eq!(refused.err(), Some(DecodeError::TooMuch { what: "samples", limit: 1 << 19 }));
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8)) {
        let limits = Limits::default();
        for (format, mut valid) in encoded() {
            let _ = decode(format, &bytes, &limits);
            for (at, to) in &flips {
                let at = at % valid.len();
                valid[at] = *to;
            }
            let _ = decode(format, &valid, &limits);
        }
        let _ = (Format::detect(&bytes), pyroscope_server::push(&bytes, &limits));
        for method in ["LabelNames", "SelectSeries", "Diff", "SelectMergeStacktraces"] {
            let method = pyroscope_server::Method::named(method).unwrap();
            let _ = pyroscope_server::Request::decode(method, &bytes);
        }
    }
}
