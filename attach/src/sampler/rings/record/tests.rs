use proptest::prelude::*;

use super::super::fixture::{NO_USER_PART, other, pair, record, sample, text};
use super::*;

const TIME: Monotonic = Monotonic::from_ns(1_000);

fn event(record: &[u64]) -> Event<'_> {
    assert_eq!(length_in_words(record[0]), Ok(record.len()));
    match parse(record) {
        Ok(Some(Record::Event(event))) => event,
        Ok(Some(Record::Sampled { event: 3, sample })) => Event::Sample(sample),
        other => panic!("{other:?}"),
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_sample_in_user_mode_has_registers_and_the_part_of_the_stack_that_was_copied() {
    let stack = [0x1111, 0x2222, 0x3333, 0x4444];
    let mut rest = vec![perf::PERF_SAMPLE_REGS_ABI_64.into(), 0xb0, 0x50, 0x19];
    rest.extend([32, stack[0], stack[1], stack[2], stack[3], 16]);
    let record = sample(1_000, &[USER_MARKER, 0x19, 0x20], &rest);
    assert_eq!(
        event(&record),
        Event::Sample(Sample {
            time: TIME,
            pid: 5,
            tid: 7,
            weight: 1,
            kernel: &[],
            user_by_frame_pointer: &[0x19, 0x20],
            registers: Some(Registers { ip: 0x19, sp: 0x50, fp: 0xb0, lr: 0 }),
            stack: bytemuck::cast_slice(&stack[..2]),
            stack_cut: false,
        })
    );
}

#[test]
fn a_stack_that_fills_the_room_for_it_counts_as_cut() {
    let mut rest = vec![perf::PERF_SAMPLE_REGS_ABI_64.into()];
    rest.extend([0; registers::COUNT]);
    rest.extend([16, 1, 2, 16]);
    let record = sample(1_000, &[], &rest);
    let Event::Sample(sample) = event(&record) else { panic!("a sample") };
    assert!(sample.stack_cut);
    assert_eq!(sample.stack.len(), 16);
}

#[test]
fn a_call_chain_is_divided_into_the_kernels_and_the_users_part() {
    const GUEST_MARKER: u64 = perf::PERF_CONTEXT_GUEST_KERNEL;
    let chain = [KERNEL_MARKER, 1, 2, GUEST_MARKER, 8, USER_MARKER, 3];
    let record = sample(1_000, &chain, &NO_USER_PART);
    let Event::Sample(sample) = event(&record) else { panic!("a sample") };
    assert_eq!((sample.kernel, sample.user_by_frame_pointer), (&[1, 2][..], &[3][..]));
    assert_eq!((sample.registers, sample.stack), (None, &[][..]));
}

#[test]
fn a_32_bit_program_is_left_to_its_frame_pointers() {
    let mut rest = vec![perf::PERF_SAMPLE_REGS_ABI_32.into()];
    rest.extend([9; registers::COUNT]);
    rest.push(0);
    let record = sample(1_000, &[USER_MARKER, 3], &rest);
    let Event::Sample(sample) = event(&record) else { panic!("a sample") };
    assert_eq!((sample.registers, sample.user_by_frame_pointer), (None, &[3][..]));
}

#[test]
fn a_mapping_is_told_with_its_file() {
    let body =
        [&[pair(5, 7), 0x4000, 0x1000, 0x200, pair(253, 1), 99, 0, 0][..], &text("/bin/true")].concat();
    let record = other(perf::PERF_RECORD_MMAP2, 0, &body, 1_000);
    assert_eq!(
        event(&record),
        Event::Mapped(Mapped {
            time: TIME,
            pid: 5,
            start: 0x4000,
            length: 0x1000,
            file_offset: 0x200,
            device: (253, 1),
            inode: 99,
            path: b"/bin/true",
        })
    );
}

#[test]
fn a_new_name_tells_whether_another_program_began() {
    let body = [&[pair(5, 7)][..], &text("worker")].concat();
    let renamed = |exec| Event::Renamed { time: TIME, pid: 5, tid: 7, name: b"worker", exec };
    assert_eq!(event(&other(perf::PERF_RECORD_COMM, 0, &body, 1_000)), renamed(false));
    let exec = perf::PERF_RECORD_MISC_COMM_EXEC as u16;
    assert_eq!(event(&other(perf::PERF_RECORD_COMM, exec, &body, 1_000)), renamed(true));
}

#[test]
fn threads_begin_and_end() {
    let begun = other(perf::PERF_RECORD_FORK, 0, &[pair(6, 5), pair(8, 7), 1_000], 1_000);
    let told = Record::Forked { time: TIME, pid: 6, tid: 8, parent_pid: 5, parent_tid: 7 };
    assert_eq!(parse(&begun), Ok(Some(told)));
    let ended = other(perf::PERF_RECORD_EXIT, 0, &[pair(6, 5), pair(8, 7), 1_000], 1_000);
    assert_eq!(event(&ended), Event::Exited { time: TIME, pid: 6, tid: 8 });
}

#[test]
fn losses_are_told_by_cause() {
    let lost = |cause, count| Event::Lost { cause, count };
    let full = other(perf::PERF_RECORD_LOST, 0, &[1, 42], 1_000);
    assert_eq!(event(&full), lost(LossCause::BufferFull, 42));
    let samples = other(perf::PERF_RECORD_LOST_SAMPLES, 0, &[17], 1_000);
    assert_eq!(event(&samples), lost(LossCause::BufferFull, 17));
    let throttled = other(perf::PERF_RECORD_THROTTLE, 0, &[1_000, 1, 1], 1_000);
    assert_eq!(event(&throttled), lost(LossCause::Throttled, 1));
}

#[test]
fn a_thread_that_is_back_on_a_cpu_is_told_and_one_that_leaves_is_not() {
    let switch = |flags: u32| other(perf::PERF_RECORD_SWITCH, flags as u16, &[], 1_000);
    assert_eq!(parse(&switch(0)), Ok(Some(Record::Resumed { time: TIME, tid: 7 })));
    assert_eq!(parse(&switch(perf::PERF_RECORD_MISC_SWITCH_OUT)), Ok(None));
}

#[test]
fn a_record_of_another_kind_is_passed_over() {
    assert_eq!(parse(&other(perf::PERF_RECORD_UNTHROTTLE, 0, &[1_000, 1, 1], 1_000)), Ok(None));
    assert_eq!(parse(&other(4_000, 0, &[], 1_000)), Ok(None));
}

#[test]
fn a_record_that_is_shorter_than_its_kind_is_malformed() {
    let mut whole = vec![
        sample(1_000, &[USER_MARKER, 3], &[perf::PERF_SAMPLE_REGS_ABI_64.into(), 1, 2, 3, 4, 8, 1, 8]),
        other(perf::PERF_RECORD_MMAP2, 0, &[0; 8], 1_000),
        other(perf::PERF_RECORD_COMM, 0, &[0], 1_000),
        other(perf::PERF_RECORD_LOST, 0, &[0, 0], 1_000),
        other(perf::PERF_RECORD_FORK, 0, &[0, 0], 1_000),
    ];
    for record in &mut whole {
        record.pop();
        assert_eq!(parse(record), Err(Malformed), "{record:x?}");
    }
}

#[test]
fn lengths_inside_a_sample_are_not_trusted() {
    let too_much_stack = sample(1_000, &[], &[0, 1 << 40]);
    let more_copied_than_there_is = sample(1_000, &[], &[0, 8, 1, 9]);
    let mut too_long_a_chain = sample(1_000, &[1, 2], &NO_USER_PART);
    too_long_a_chain[4] = u64::MAX;
    for record in [too_much_stack, more_copied_than_there_is, too_long_a_chain] {
        assert_eq!(parse(&record), Err(Malformed), "{record:x?}");
    }
}

#[test]
fn a_record_without_a_length_in_whole_words_is_malformed() {
    for bytes in [0u16, 1, 7, 9, u16::MAX] {
        assert_eq!(length_in_words(bytemuck::cast([9, 0, 0, bytes])), Err(Malformed), "{bytes}");
    }
}

#[test]
fn what_fuzzing_begins_with_is_well_formed() {
    let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/perf_records");
    for name in ["kinds", &format!("sample_{}", std::env::consts::ARCH)] {
        let bytes = std::fs::read(seeds.join(name)).expect("a seed");
        let words: Vec<u64> = bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let mut rest = &words[..];
        while let Some(&first) = rest.first() {
            let (record, after) = rest.split_at(length_in_words(first).expect("a length"));
            assert!(matches!(parse(record), Ok(Some(_))), "{name}: {record:x?}");
            rest = after;
        }
    }
}

proptest! {
    #[test]
    fn no_record_panics(kind in 0u32..20, flags: u16, body in prop::collection::vec(any_word(), 0..40)) {
        let record = record(kind, flags, &body);
        let _ = time_of(&record);
        if let Ok(Some(Record::Sampled { sample, .. })) = parse(&record) {
            prop_assert!(sample.stack.len() <= body.len() * 8);
        }
    }
}

/// Words that are likely to be taken for a length, a marker or a number of registers.
fn any_word() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..48, FIRST_MARKER..=u64::MAX, any::<u64>()]
}
