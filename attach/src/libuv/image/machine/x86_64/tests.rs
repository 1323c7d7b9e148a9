use super::*;
use crate::libuv::image::machine::ListTest;

/// Where the pieces of code are.
const AT: u64 = 0x1_0000;

/// `lea -0x30(%rbp),%r13`, before the call.
const HEAD: &[u8] = &[0x4c, 0x8d, 0x6d, 0xd0];

/// `call .+261`.
const CALL: &[u8] = &[0xe8, 0, 1, 0, 0];

/// `mov -0x30(%rbp),%rax`.
const FIRST: &[u8] = &[0x48, 0x8b, 0x45, 0xd0];

/// `cmp %r13,%rax`.
const COMPARE: &[u8] = &[0x4c, 0x39, 0xe8];

/// `je .+7`.
const BRANCH: &[u8] = &[0x74, 5];

/// Looks behind the call in some pieces of code. Addresses in what is found are those of instructions behind the call.
fn list_test(pieces: &[&[u8]]) -> Option<ListTest> {
    let code = decode(&pieces.concat(), AT);
    let call = code.iter().find(|it| it.mnemonic() == Mnemonic::Call).expect("a call").ip();
    list::test(&code, call).map(|test| ListTest { branch: test.branch - call - 5, ..test })
}

#[test]
fn a_list_on_the_stack_is_known_by_the_registers_that_are_compared() {
    let expected = Some(ListTest { branch: 7, first: Register(10), head: Register(2) });
    assert_eq!(list_test(&[HEAD, CALL, FIRST, COMPARE, BRANCH]), expected);
    // cmp %rax,%r13; jne: the other way around.
    assert_eq!(list_test(&[HEAD, CALL, FIRST, &[0x49, 0x39, 0xc5], &[0x75, 5]]), expected);
    // The head's address made behind the call.
    let expected = Some(ListTest { branch: 11, first: Register(10), head: Register(2) });
    assert_eq!(list_test(&[CALL, FIRST, HEAD, COMPARE, BRANCH]), expected);
    // mov %rsp,%rbx; call; mov (%rsp),%rax; cmp %rbx,%rax; xor %ebp,%ebp would change what the comparison told, lea does not.
    let of_stack: [&[u8]; 4] = [&[0x48, 0x89, 0xe3], CALL, &[0x48, 0x8b, 0x04, 0x24], &[0x48, 0x39, 0xd8]];
    let lea = [0x48, 0x8d, 0x2d, 0, 0, 0, 0];
    let expected = Some(ListTest { branch: 14, first: Register(10), head: Register(5) });
    assert_eq!(list_test(&[&of_stack[..], &[&lea, BRANCH]].concat()), expected);
    assert_eq!(list_test(&[&of_stack[..], &[&[0x31, 0xed], BRANCH]].concat()), None);
}

#[test]
fn what_is_compared_is_a_list_only_if_its_head_is_where_the_node_was_loaded_from() {
    // mov -0x28(%rbp),%rax
    assert_eq!(list_test(&[HEAD, CALL, &[0x48, 0x8b, 0x45, 0xd8], COMPARE, BRANCH]), None);
    // mov -0x30(%rbp),%rax before the call, which may leave anything in it.
    assert_eq!(list_test(&[HEAD, FIRST, CALL, COMPARE, BRANCH]), None);
    // lea -0x30(%rbp),%rcx before the call; cmp %rcx,%rax
    assert_eq!(list_test(&[&[0x48, 0x8d, 0x4d, 0xd0], CALL, FIRST, &[0x48, 0x39, 0xc8], BRANCH]), None);
    // cmp %r13d,%eax
    assert_eq!(list_test(&[HEAD, CALL, FIRST, &[0x44, 0x39, 0xe8], BRANCH]), None);
    // mov -0x30(%rbp),%rax and (%rbx),%r13 last.
    assert_eq!(list_test(&[HEAD, CALL, FIRST, COMPARE, &[0x4c, 0x8b, 0x2b], BRANCH]), None);
    // ja
    assert_eq!(list_test(&[HEAD, CALL, FIRST, COMPARE, &[0x77, 5]]), None);
    assert_eq!(list_test(&[HEAD, CALL, FIRST, COMPARE]), None);
    assert_eq!(list_test(&[CALL]), None);
}

#[test]
fn a_place_that_is_passed_once_a_node_is_none() {
    let body: &[&[u8]] = &[HEAD, CALL, FIRST, COMPARE, BRANCH];
    // The loop's end jumps to where the node is loaded, to the comparison, to the branch.
    for back in [0xf5, 0xf9, 0xfc] {
        assert_eq!(list_test(&[body, &[&[0xeb, back]]].concat()), None, "{back:#x}");
    }
    // To what is behind the branch.
    assert!(list_test(&[body, &[&[0xeb, 0xfe]]].concat()).is_some());
    // Or it begins anew, with the call.
    assert!(list_test(&[body, &[&[0xeb, 0xf0]]].concat()).is_some());
}
