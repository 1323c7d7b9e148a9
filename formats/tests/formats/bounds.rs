//! Little input that stands for much: what is read has a bound, in memory and in time.

use loopscope_formats::decode::{DecodeError, Decoded, Limits};
use loopscope_formats::{firefox, otlp, pprof};
use serde_json::json;

/// A field of a message: its number, and its bytes.
fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut out = varint(u64::from(number << 3 | 2));
    out.extend(varint(content.len() as u64));
    out.extend_from_slice(content);
    out
}

/// A field that is a number.
fn number(number: u32, value: u64) -> Vec<u8> {
    [varint(u64::from(number << 3)), varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn packed(values: impl IntoIterator<Item = u64>) -> Vec<u8> {
    values.into_iter().flat_map(varint).collect()
}

fn innermost(decoded: &Decoded) -> &str {
    let stack = decoded.samples[0].stack.expect("a stack");
    decoded.symbols.function(decoded.symbols.stacks.frame(stack))
}

/// A request of so many profiles, each with one sample of the same stack.
fn otlp_request(profiles: usize, depth: u64) -> Vec<u8> {
    let row = |number, content: Vec<u8>| field(number, &content);
    let mut dictionary = [row(5, Vec::new()), row(2, Vec::new()), row(7, Vec::new())].concat();
    for address in 1..=depth {
        dictionary.extend(row(2, number(2, address)));
    }
    dictionary.extend(row(7, field(1, &packed(1..=depth))));
    let sample = field(2, &number(1, 1));
    let profile = field(2, &[field(1, &[]), sample].concat());
    let resource = field(2, &profile.repeat(profiles));
    [field(1, &resource), field(2, &dictionary)].concat()
}

#[test]
fn profiles_that_share_a_dictionary_have_a_bound_together() {
    let limits = Limits { profile_bytes: 64 << 10, ..Limits::default() };
    let few = otlp::profiles::decode(&otlp_request(2, 500), &limits).unwrap();
    assert_eq!(few.len(), 2);
    let request = otlp_request(1000, 500);
    assert!(request.len() < limits.profile_bytes, "{} bytes", request.len());
    let refused = otlp::profiles::decode(&request, &limits);
    let limit = limits.decoded_bytes();
    assert_eq!(refused.err(), Some(DecodeError::TooMuch { what: "bytes of memory", limit }));
}

#[test]
fn values_within_values_are_counted_before_they_take_memory() {
    // A list of four hundred thousand values that say nothing.
    let list = |value: &[u8]| field(5, &field(1, value));
    let values = field(5, &field(1, &[]).repeat(400_000));
    let attribute = |value: &[u8]| field(1, &[field(1, b"a"), field(2, value)].concat());
    let request = |attributes: &[u8]| field(1, &field(1, attributes));
    let limits = Limits::default();
    assert!(otlp::profiles::decode(&request(&attribute(&values)), &limits).is_ok());
    let refused = otlp::profiles::decode(&request(&attribute(&values).repeat(2)), &limits);
    let rows = DecodeError::TooMuch { what: "rows of the dictionary", limit: 2 * limits.strings };
    assert_eq!(refused.err(), Some(rows));
    let deep =
        (0..100_000).fold(Vec::new(), |value, _| if value.len() < 1 << 20 { list(&value) } else { value });
    let refused = otlp::profiles::decode(&request(&attribute(&deep)), &limits);
    let what = "levels of messages within each other";
    assert_eq!(refused.err(), Some(DecodeError::TooMuch { what, limit: 100 }));
}

#[test]
fn points_of_a_large_resource_have_a_bound_together() {
    let text = |number, text: &str| field(number, &field(1, text.as_bytes()));
    let attribute = |value: &str| field(1, &[field(1, b"name"), text(2, value)].concat());
    let resource = field(1, &attribute(&"v".repeat(4000)).repeat(10));
    let request = |points: usize| {
        let histogram = field(10, &field(1, &[]).repeat(points));
        let metric = field(2, &[field(1, b"eventloop.lag"), histogram].concat());
        field(1, &[resource.clone(), field(2, &metric)].concat())
    };
    let limits = Limits { profile_bytes: 64 << 10, ..Limits::default() };
    let found = otlp::distributions(&request(5), "eventloop.lag", &limits).unwrap();
    assert_eq!(found.points.len(), 5);
    let refused = otlp::distributions(&request(500), "eventloop.lag", &limits);
    let limit = limits.decoded_bytes();
    assert_eq!(refused.err(), Some(DecodeError::TooMuch { what: "bytes of memory", limit }));
}

/// A pprof profile with two kinds of location, of many lines each, and a sample for each pair of them.
fn pairs_of_long_locations(locations: u64, lines: u64) -> Vec<u8> {
    let mut profile = [field(1, &[]), field(6, b""), field(6, b"f")].concat();
    for line in 1..=lines {
        profile.extend(field(5, &[number(1, line), number(2, 1)].concat()));
    }
    for location in 1..=locations {
        let row = |line| field(4, &[number(1, line), number(2, location)].concat());
        let rows: Vec<u8> = (1..=lines).flat_map(row).collect();
        profile.extend(field(4, &[number(1, location), rows].concat()));
    }
    for (outer, inner) in (1..=locations).flat_map(|outer| (1..=locations).map(move |inner| (outer, inner))) {
        profile.extend(field(2, &[field(1, &packed([inner, outer])), field(2, &packed([1]))].concat()));
    }
    profile
}

#[test]
fn stacks_of_long_locations_have_a_bound_in_memory() {
    let limits = Limits { profile_bytes: 256 << 10, ..Limits::default() };
    assert!(pprof::decode(&pairs_of_long_locations(2, 100), &limits).is_ok());
    let profile = pairs_of_long_locations(60, 200);
    assert!(profile.len() < limits.profile_bytes, "{} bytes", profile.len());
    let refused = pprof::decode(&profile, &limits);
    let limit = limits.decoded_bytes();
    assert_eq!(refused.err(), Some(DecodeError::TooMuch { what: "bytes of memory", limit }));
}

#[test]
fn tables_that_threads_share_are_not_gone_through_by_each_thread() {
    let frames = 10_000;
    let shared = json!({
        "frameTable": {"func": vec![0; frames]},
        "funcTable": {"name": [0]},
        "stringArray": ["f"],
    });
    let file = |thread: serde_json::Value| {
        let threads = vec![thread; 2000];
        json!({"meta": {"interval": 1, "preprocessedProfileVersion": 57}, "shared": shared, "threads": threads})
            .to_string()
            .into_bytes()
    };
    // Stacks of its own are no reason to go through all frames again.
    let stacks = json!({"frame": [0], "prefix": [null]});
    let read = firefox::decode(
        &file(json!({"name": "t", "samples": {"stack": [0]}, "stackTable": stacks})),
        &Limits::default(),
    );
    assert_eq!(read.unwrap().samples.len(), 2000);
    // Functions of its own are, and so much is more than a profile has.
    let own =
        json!({"name": "t", "samples": {"stack": [0]}, "stackTable": stacks, "funcTable": {"name": [0]}});
    let refused = firefox::decode(&file(own), &Limits::default()).err();
    assert_eq!(refused, Some(DecodeError::TooMuch { what: "rows of tables", limit: 24 << 19 }));
}

#[test]
fn values_of_a_firefox_profile_are_counted_before_they_are_read() {
    let limits = Limits { samples: 100, ..Limits::default() };
    let file = json!({"meta": {"preprocessedProfileVersion": 57}, "threads": [], "markers": vec![0; 3000]});
    let refused = firefox::decode(file.to_string().as_bytes(), &limits).err();
    assert_eq!(refused, Some(DecodeError::TooMuch { what: "values", limit: 2400 }));
    let file = json!({"meta": {"preprocessedProfileVersion": 57},
        "threads": vec![json!({"samples": {"stack": []}}); 5000]});
    let refused = firefox::decode(file.to_string().as_bytes(), &Limits::default()).err();
    assert_eq!(refused, Some(DecodeError::TooMuch { what: "threads", limit: 4096 }));
}

#[test]
fn a_line_without_a_function_is_named_by_what_is_known() {
    let texts = [field(6, b""), field(6, b"/usr/lib/libc.so.6")].concat();
    let mapping = field(3, &[number(1, 1), number(5, 1)].concat());
    // The address stands behind the line.
    let line = field(4, &number(2, 7));
    let location = field(4, &[number(1, 1), number(2, 1), line, number(3, 0x1234)].concat());
    let sample = field(2, &[field(1, &packed([1])), field(2, &packed([1]))].concat());
    let profile = [field(1, &[]), texts, mapping, location, sample].concat();
    let decoded = pprof::decode(&profile, &Limits::default()).unwrap();
    assert_eq!(innermost(&decoded), "libc.so.6+0x1234");
    assert!(decoded.symbols.frames.iter().all(|place| place.function.0 != 0 && place.line == 7));

    // A function that has no name is no function.
    let function = field(5, &number(1, 9));
    let line = field(4, &number(1, 9));
    let location = field(4, &[number(1, 1), line, number(3, 0xff)].concat());
    let sample = field(2, &[field(1, &packed([1])), field(2, &packed([1]))].concat());
    let profile = [field(1, &[]), field(6, b""), function, location, sample].concat();
    let decoded = pprof::decode(&profile, &Limits::default()).unwrap();
    assert_eq!(innermost(&decoded), "0xff");

    let strings = [field(5, b""), field(5, b"/bin/shop")].concat();
    let mappings = [field(1, &[]), field(1, &number(4, 1))].concat();
    let location = field(2, &[number(1, 1), number(2, 0x42), field(3, &number(2, 3))].concat());
    let stacks = [field(7, &[]), field(7, &field(1, &packed([1])))].concat();
    let dictionary = [mappings, field(2, &[]), location, strings, stacks].concat();
    let profile = field(2, &[field(1, &[]), field(2, &number(1, 1))].concat());
    let request = [field(1, &field(2, &profile)), field(2, &dictionary)].concat();
    let found = otlp::profiles::decode(&request, &Limits::default()).unwrap();
    assert_eq!(innermost(&found[0].profile), "shop+0x42");
}

/// A pprof profile with so many locations of which only the address is known, in a file whose path is this long.
fn unsymbolized_locations(locations: u64, path_bytes: usize) -> Vec<u8> {
    let path = "p".repeat(path_bytes);
    let mut profile = [field(1, &[]), field(6, b""), field(6, path.as_bytes())].concat();
    profile.extend(field(3, &[number(1, 1), number(5, 1)].concat()));
    for location in 1..=locations {
        profile.extend(field(4, &[number(1, location), number(2, 1), number(3, location)].concat()));
    }
    profile
}

#[test]
fn names_that_are_made_of_addresses_have_a_bound_in_memory() {
    let limits = Limits { profile_bytes: 64 << 10, ..Limits::default() };
    assert!(pprof::decode(&unsymbolized_locations(500, 100), &limits).is_ok());
    let profile = unsymbolized_locations(1000, 4000);
    assert!(profile.len() < limits.profile_bytes / 2, "{} bytes", profile.len());
    let too_much = DecodeError::TooMuch { what: "bytes of memory", limit: limits.decoded_bytes() };
    assert_eq!(pprof::decode(&profile, &limits).err(), Some(too_much.clone()));

    // The same as OTLP, of which a stack may be long.
    let strings = [field(5, b""), field(5, "p".repeat(4000).as_bytes())].concat();
    let mut dictionary = [field(1, &[]), field(1, &number(4, 1)), field(2, &[]), strings].concat();
    for address in 1..=1000 {
        dictionary.extend(field(2, &[number(1, 1), number(2, address)].concat()));
    }
    dictionary.extend([field(7, &[]), field(7, &field(1, &packed(1..=1000)))].concat());
    let profile = field(2, &[field(1, &[]), field(2, &number(1, 1))].concat());
    let request = [field(1, &field(2, &profile)), field(2, &dictionary)].concat();
    assert!(request.len() < limits.profile_bytes / 2, "{} bytes", request.len());
    assert_eq!(otlp::profiles::decode(&request, &limits).err(), Some(too_much));
}

#[test]
fn profiles_with_nothing_in_them_have_a_bound_together() {
    let limits = Limits { profile_bytes: 64 << 10, ..Limits::default() };
    // Four bytes each.
    let request = |profiles| field(1, &field(2, &field(2, &field(1, &[])).repeat(profiles)));
    let found = otlp::profiles::decode(&request(100), &limits).unwrap();
    assert_eq!(found.len(), 100);
    let refused = otlp::profiles::decode(&request(2000), &limits);
    let limit = limits.decoded_bytes();
    assert_eq!(refused.err(), Some(DecodeError::TooMuch { what: "bytes of memory", limit }));
}
