//! What was written, read again. The receiver of the stories in `tests` reads it with OpenTelemetry's own types.

use model::label::Phase;
use model::profile::{Frame, Recording, Sample, StringId, Thread};
use model::time::Monotonic;

use super::*;

/// A thread whose samples are in `inner`, which the compiler put into `outer`, under a phase, twice, and elsewhere once.
fn profile() -> Profile {
    let mut profile = Profile {
        recording: Recording {
            started_unix_ns: 1_000_000,
            started: Monotonic::from_ns(500),
            duration_ns: 9_000,
            weight: Weight::CpuSamples { period_ns: 52_631_578 },
            ..Recording::default()
        },
        ..Profile::default()
    };
    let mut text = |text: &str| profile.strings.intern(text);
    let (path, build_id, file) = (text("/bin/shop"), text("abcd"), text("shop.c"));
    let names = ["[timers]", "outer", "inner", "read"].map(&mut text);
    let (process_name, name) = (text("shop"), text("worker"));
    let mapping = Mapping { path, build_id, start: 0x1000, end: 0x2000, file_offset: 64 };
    let mapping = Some(profile.mappings.intern(mapping));
    let frame = |kind, function, line, inlined| Frame {
        kind,
        function,
        file: if line > 0 { file } else { StringId::default() },
        line,
        mapping: mapping.filter(|_| kind == FrameKind::Native),
        address: if kind == FrameKind::Native { 0x1234 } else { 0 },
        inlined,
    };
    let [timers, outer, inner, read] = [
        frame(FrameKind::Phase(Phase::Timers), names[0], 0, false),
        frame(FrameKind::Native, names[1], 7, false),
        frame(FrameKind::Native, names[2], 3, true),
        frame(FrameKind::Kernel, names[3], 0, false),
    ]
    .map(|frame| profile.frames.intern(frame));
    let hot = profile.stacks.intern([timers, outer, inner]);
    let cold = profile.stacks.intern([outer, read]);
    profile.threads = vec![
        Thread { pid: 11, tid: 12, process_name, name },
        Thread { pid: 13, tid: 13, process_name, name },
    ];
    let sample = |ns, thread, stack| Sample {
        time: Monotonic::from_ns(ns),
        thread: ThreadId(thread),
        stack,
        weight: 1,
    };
    profile.samples =
        vec![sample(600, 0, hot), sample(700, 0, cold), sample(800, 1, cold), sample(900, 0, hot)];
    profile
}

fn decoded(profiles: Profiles) -> wire::Request {
    wire::Request::decode(&*profiles.encode()).expect("it is well formed")
}

fn of_process(profiles: &mut Profiles, pid: u32) {
    let resource = vec![("process.pid", Attribute::Integer(pid.into()))];
    profiles.push(
        resource,
        "1.2.3",
        &profile(),
        [7; 16],
        |thread| (thread.pid == pid).then_some(Some("main")),
        0,
    );
}

#[test]
fn a_reader_finds_functions_phases_threads_and_times() {
    let mut profiles = Profiles::default();
    of_process(&mut profiles, 11);
    assert_eq!(profiles.samples(), 3);
    let request = decoded(profiles);
    let tables = request.dictionary.unwrap();
    let text = |index: i32| &*tables.string_table[index as usize];
    let profile = &request.resource_profiles[0].scope_profiles[0].profiles[0];
    assert_eq!(
        (profile.time_unix_nano, profile.duration_nano, profile.period),
        (1_000_000, 9_000, 52_631_578)
    );
    assert_eq!(
        profile.sample_type.map(|it| (text(it.type_strindex), text(it.unit_strindex))),
        Some(("samples", "count"))
    );
    assert_eq!(profile.profile_id, [7; 16]);

    let hot = &profile.samples[0];
    assert_eq!((&*hot.values, &*hot.timestamps_unix_nano), (&[][..], &[1_000_100, 1_000_400][..]));
    let attributes = |indices: &[i32]| -> Vec<(String, wire::KeyValueAndUnit)> {
        let row = |&index: &i32| tables.attribute_table[index as usize].clone();
        indices.iter().map(row).map(|row| (text(row.key_strindex).to_owned(), row)).collect()
    };
    let keys: Vec<String> = attributes(&hot.attribute_indices).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["thread.name", "thread.id", "loop", "phase"]);

    let stack = &tables.stack_table[hot.stack_index as usize];
    let lines = |location: &i32| {
        let location = &tables.location_table[*location as usize];
        let name = |line: &wire::Line| {
            let function = tables.function_table[line.function_index as usize];
            (text(function.name_strindex), text(function.filename_strindex), line.line)
        };
        location.lines.iter().map(name).collect::<Vec<_>>()
    };
    let [inlined, phase] = &*stack.location_indices else { panic!("{stack:?}") };
    assert_eq!(lines(inlined), [("inner", "shop.c", 3), ("outer", "shop.c", 7)]);
    assert_eq!(lines(phase), [("[timers]", "", 0)]);
    let mapping = &tables.mapping_table[tables.location_table[*inlined as usize].mapping_index as usize];
    assert_eq!((text(mapping.filename_strindex), mapping.memory_start), ("/bin/shop", 0x1000));
    assert_eq!(attributes(&mapping.attribute_indices)[0].0, "process.executable.build_id.gnu");
}

#[test]
fn processes_share_tables_whose_first_rows_are_empty() {
    let mut profiles = Profiles::default();
    of_process(&mut profiles, 11);
    of_process(&mut profiles, 13);
    of_process(&mut profiles, 14);
    assert_eq!(profiles.samples(), 4);
    let request = decoded(profiles);
    assert_eq!(request.resource_profiles.len(), 2, "what has no samples is left out");
    let tables = request.dictionary.unwrap();
    assert_eq!(tables.string_table.iter().filter(|text| *text == "outer").count(), 1);
    assert_eq!(tables.string_table[0], "");
    assert_eq!(tables.mapping_table[0], wire::Mapping::default());
    assert_eq!(tables.location_table[0], wire::Location::default());
    assert_eq!(tables.function_table[0], wire::Function::default());
    assert_eq!(tables.attribute_table[0], wire::KeyValueAndUnit::default());
    assert_eq!(tables.stack_table[0], wire::Stack::default());
    assert_eq!(tables.link_table[0].trace_id, [0; 16]);
}

#[test]
fn weights_that_differ_are_told_one_by_one() {
    let mut waiting = profile();
    waiting.recording.weight = Weight::OffCpuNs;
    waiting.samples[0].weight = 17;
    let mut profiles = Profiles::default();
    profiles.push(Vec::new(), "1.2.3", &waiting, [7; 16], |_| Some(None), 0);
    let request = decoded(profiles);
    let samples = &request.resource_profiles[0].scope_profiles[0].profiles[0].samples;
    assert_eq!(samples[0].values, [17, 1]);
    assert!(samples.iter().all(|sample| sample.values.len() == sample.timestamps_unix_nano.len()));
}

/// A profile of one thread whose every sample has a stack, and names, of its own.
fn wide(samples: u32) -> Profile {
    let mut profile = profile();
    profile.samples.clear();
    for number in 0..samples {
        let function = profile.strings.intern(&format!("a function with a name that is not short {number}"));
        let frame = Frame {
            kind: FrameKind::Native,
            function,
            file: StringId::default(),
            line: 0,
            mapping: None,
            address: u64::MAX - u64::from(number),
            inlined: false,
        };
        let frame = profile.frames.intern(frame);
        let stack = profile.stacks.intern([frame; 20]);
        let time = Monotonic::from_ns(1000 + u64::from(number));
        profile.samples.push(Sample { time, thread: ThreadId(0), stack, weight: 1 });
    }
    profile
}

#[test]
fn what_is_too_long_for_one_request_is_told_by_several_and_every_sample_once() {
    const BYTES_MAX: usize = 20_000;
    let profile = wide(1000);
    let (mut from, mut times, mut requests) = (Some(0), Vec::new(), 0);
    while let Some(first) = from {
        let mut profiles = Profiles::bounded(BYTES_MAX);
        from = profiles.push(Vec::new(), "1.2.3", &profile, [7; 16], |_| Some(Some("main")), first);
        let samples = profiles.samples();
        let bytes = profiles.encode();
        // By one stack at most beyond the bound, and not half empty.
        assert!(bytes.len() < BYTES_MAX + 500, "{} bytes", bytes.len());
        assert!(from.is_none() || bytes.len() > BYTES_MAX / 2, "{} bytes", bytes.len());
        let request = wire::Request::decode(&*bytes).unwrap();
        let own = &request.resource_profiles[0].scope_profiles[0].profiles[0].samples;
        let own: Vec<u64> = own.iter().flat_map(|sample| sample.timestamps_unix_nano.clone()).collect();
        assert_eq!(own.len() as u64, samples);
        times.extend(own);
        requests += 1;
    }
    assert!(requests > 5, "{requests}");
    let expected: Vec<u64> = (0..1000).map(|number| 1_000_000 + 500 + number).collect();
    assert_eq!(times, expected);
}

#[test]
fn a_request_that_is_full_takes_no_more_and_an_empty_one_takes_a_sample_of_any_length() {
    let profile = wide(3);
    let push = |profiles: &mut Profiles, from| {
        profiles.push(Vec::new(), "1.2.3", &profile, [7; 16], |_| Some(None), from)
    };
    let mut profiles = Profiles::bounded(1);
    assert_eq!(push(&mut profiles, 0), Some(1));
    assert_eq!(push(&mut profiles, 1), Some(1));
    assert_eq!(profiles.samples(), 1);
    assert_eq!(push(&mut Profiles::bounded(1), 2), None);
}

#[test]
fn a_partial_success_is_told() {
    let said = wire::PartialSuccess { rejected_profiles: 2, error_message: "old".into() };
    let response = wire::Response { partial_success: Some(said) }.encode_to_vec();
    assert_eq!(partial(&response), Some(Partial { rejected_points: 2, message: "old".into() }));
    assert_eq!(partial(&[]), None);
}
