use super::super::{behind, call_through, entry};
use super::*;

/// Where the pieces of code are.
const AT: u64 = 0x1_0000;

fn code(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn decoded(words: &[u32]) -> Vec<Instruction> {
    decode(&code(words), AT)
}

#[track_caller]
fn expect_flow(word: u32, flow: Flow, probing: Probing) {
    let instruction = decoded(&[word])[0];
    assert_eq!((instruction.flow, instruction.probing), (flow, probing), "{word:#x}");
}

#[test]
fn what_branches_is_emulated_and_where_to_is_known() {
    for (word, flow) in [
        (0x9400_0003, Flow::Call(AT + 12)),   // bl .+12
        (0x97ff_ffff, Flow::Call(AT - 4)),    // bl .-4
        (0x1400_0002, Flow::Jump(AT + 8)),    // b .+8
        (0x5400_0040, Flow::Branch(AT + 8)),  // b.eq .+8
        (0x54ff_ffc1, Flow::Branch(AT - 8)),  // b.ne .-8
        (0xb400_0068, Flow::Branch(AT + 12)), // cbz x8, .+12
        (0x3500_0080, Flow::Branch(AT + 16)), // cbnz w0, .+16
        (0x3618_0068, Flow::Branch(AT + 12)), // tbz w8, #3, .+12
        (0xb7ff_ffe0, Flow::Branch(AT - 4)),  // tbnz x0, #63, .-4
        (0xd65f_03c0, Flow::Elsewhere),       // ret
        (0xd61f_0200, Flow::Elsewhere),       // br x16
        (0xd63f_0100, Flow::Elsewhere),       // blr x8, of which nothing is known
        (0x9000_0008, Flow::Next),            // adrp x8
        (0x1000_0000, Flow::Next),            // adr x0
    ] {
        expect_flow(word, flow, Probing::Emulated);
    }
}

#[test]
fn what_is_stepped_is_told_from_what_the_kernel_refuses() {
    for stepped in [
        0xa9bd_7bfd, // stp x29, x30, [sp, #-48]!
        0xd100_43ff, // sub sp, sp, #16
        0xf900_0bf3, // str x19, [sp, #16]
        0xd503_233f, // paciasp
        0xd503_245f, // bti c
        0xd503_201f, // nop
        0xf85f_0001, // ldur x1, [x0, #-16]
    ] {
        expect_flow(stepped, Flow::Next, Probing::Stepped);
    }
    for refused in [
        0x5800_0040, // ldr x0, .+8
        0xc85f_7c01, // ldxr x1, [x0]
        0xd53b_d040, // mrs x0, tpidr_el0
        0x0000_0000, // udf
    ] {
        expect_flow(refused, Flow::Next, Probing::Refused);
    }
    for refused in [0xd65f_0bff, 0xd400_0001, 0xd420_0000] {
        // retaa, svc, brk
        expect_flow(refused, Flow::Elsewhere, Probing::Refused);
    }
}

#[test]
fn an_entry_is_emulated_where_that_is_possible_while_arguments_are_kept() {
    // stp x29, x30, [sp, #-32]!; mov x29, sp; cbz x0
    let kept = decoded(&[0xa9be_7bfd, 0x9100_03fd, 0xb400_0040]);
    assert_eq!(entry(&kept).unwrap().address, AT + 8);
    // stp; ldr x0, [x0, #8]; cbz x0: by then the argument is another.
    let lost = decoded(&[0xa9be_7bfd, 0xf940_0400, 0xb400_0040]);
    assert_eq!(entry(&lost).unwrap().address, AT);
    // ldxr: nothing may stand there.
    assert_eq!(entry(&decoded(&[0xc85f_7c01, 0xd65f_03c0])), None);
    assert_eq!(entry(&[]), None);
}

#[track_caller]
fn expect_task(words: &[u32], expected: Option<(usize, u8, i32)>) {
    let expected =
        expected.map(|(position, register, displacement)| (position, Register(register), displacement));
    assert_eq!(call_through(&decoded(words)), expected);
}

#[test]
fn the_call_of_a_task_is_known_whichever_register_holds_it() {
    // bl; ldur x1, [x19, #-24]; sub x21, x19, #24; mov x0, x21; blr x1
    expect_task(&[0x9400_0000, 0xf85e_8261, 0xd100_6275, 0xaa15_03e0, 0xd63f_0020], Some((4, 19, -24)));
    // mov x21, x19; ldr x8, [x21, #-24]!; mov x0, x21; blr x8
    expect_task(&[0xaa13_03f5, 0xf85e_8ea8, 0xaa15_03e0, 0xd63f_0100], Some((3, 19, -24)));
    // ldr x8, [x21, #-24]!; mov x0, x21; blr x8: the register is moved itself.
    expect_task(&[0xf85e_8ea8, 0xaa15_03e0, 0xd63f_0100], Some((2, 21, 0)));
    // ldr x8, [x19, #8]; mov x0, x19; blr x8: from elsewhere than the argument.
    expect_task(&[0xf940_0668, 0xaa13_03e0, 0xd63f_0100], None);
    // ldur x1, [x25, #-24]; sub x0, x25, #24; blr x1: programs on probes cannot read that register.
    expect_task(&[0xf85e_8321, 0xd100_6320, 0xd63f_0020], None);
    // ldur x1, [x19, #-24]; sub x0, x19, #24; bl; blr x1: a call forgets it.
    expect_task(&[0xf85e_8261, 0xd100_6260, 0x9400_0010, 0xd63f_0020], None);
}

#[test]
fn the_place_behind_a_call_is_on_the_same_line() {
    // blr x8; ldur x0, [x19, #-8]; add x0, x0, #136; bl
    let body = decoded(&[0xd63f_0100, 0xf85f_8260, 0x9102_2000, 0x9400_0010]);
    assert_eq!(behind(&body, 0).unwrap().address, AT + 12);
    assert_eq!(behind(&body, 3), None);
}

#[test]
fn a_list_on_the_stack_is_known_by_the_registers_that_are_compared() {
    let list_test = |words: &[u32]| {
        let call = decoded(words).iter().find(|it| it.call().is_some()).expect("a call").address;
        list::test(&code(words), AT, call).map(|it| ((it.branch - call) / 4, it.first.0, it.head.0))
    };
    // mov x21, sp; bl; ldr x8, [sp]; cmp x8, x21; b.eq
    let of_stack = [0x9100_03f5, 0x9400_0100, 0xf940_03e8, 0xeb15_011f, 0x5400_0040];
    assert_eq!(list_test(&of_stack), Some((3, 8, 21)));
    // bl; sub x20, x29, #32; ldur x0, [x29, #-32]; cmp x20, x0; b.ne
    let of_frame = [0x9400_0100, 0xd100_83b4, 0xf85e_03a0, 0xeb00_029f, 0x5400_0041];
    assert_eq!(list_test(&of_frame), Some((4, 0, 20)));
    // ldr x8, [sp, #8]
    let elsewhere = [0x9100_03f5, 0x9400_0100, 0xf940_07e8, 0xeb15_011f, 0x5400_0040];
    assert_eq!(list_test(&elsewhere), None);
    // mov x9, sp; bl; ldr x8, [sp]; cmp x8, x9: the call may leave anything in it.
    assert_eq!(list_test(&[0x9100_03e9, 0x9400_0100, 0xf940_03e8, 0xeb09_011f, 0x5400_0040]), None);
    // The loop's end jumps to where the node is loaded, or behind the branch.
    assert_eq!(list_test(&[&of_stack[..], &[0x17ff_fffd]].concat()), None);
    assert!(list_test(&[&of_stack[..], &[0x1400_0000]].concat()).is_some());
    assert_eq!(list_test(&of_stack[..4]), None);
}

#[test]
fn small_functions_tell_numbers() {
    // mov w0, #11776; movk w0, #1, lsl #16; ret
    assert_eq!(returned_constant(&code(&[0x5285_c000, 0x72a0_0020, 0xd65f_03c0])), Some(0x1_2e00));
    // bti c; mov x0, #856; ret
    assert_eq!(returned_constant(&code(&[0xd503_245f, 0xd280_6b00, 0xd65f_03c0])), Some(856));
    // ldr w0, [x0]; ret
    assert_eq!(returned_constant(&code(&[0xb940_0000, 0xd65f_03c0])), None);
    assert_eq!(returned_constant(&code(&[0x5285_c000])), None);
}

#[test]
fn stubs_tell_their_slots() {
    // bti c; adrp x16, +1 page; ldr x17, [x16, #24]; add x16, x16, #24; br x17
    let stub = [0xd503_245f, 0xb000_0010, 0xf940_0e11, 0x9100_6210, 0xd61f_0220];
    let slot = AT + 0x1000 + 24;
    assert_eq!(stubs(&code(&stub), AT), [Stub { address: AT + 4, slot }, Stub { address: AT, slot }]);
    assert_eq!(stubs(&code(&stub[..2]), AT), []);
}

#[test]
fn any_word_is_understood_somehow() {
    let mut word = 1u32;
    let words: Vec<u32> = (0..100_000)
        .map(|_| {
            word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            word
        })
        .collect();
    let bytes = code(&words);
    for address in [0, AT, u64::MAX - 7] {
        assert_eq!(decode(&bytes, address).len(), words.len());
        let _ = stubs(&bytes, address);
    }
}
