//! Files that are broken, by chance or on purpose: names may be missing, nothing else happens.

use std::sync::OnceLock;

use loopscope_attach::sampler::event::Registers;
use proptest::prelude::*;

use super::programs::{self, compile};
use super::scene::{MADE, PID, Scene};

/// A small program with debug information, to be broken.
fn program() -> Option<&'static Vec<u8>> {
    static PROGRAM: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    let compiled = || {
        let compiler = [&programs::C[..], &["-g"]].concat();
        Some(std::fs::read(compile("nest.c", &compiler)?.path).unwrap())
    };
    PROGRAM.get_or_init(compiled).as_ref()
}

const START: u64 = 0x5555_0000_0000;

/// Has a program with this file sampled in all its code, with a stack of all kinds of addresses.
fn sample_everywhere(file: &[u8]) {
    let mut scene = Scene::new();
    scene.file(&format!("{PID}/root/srv/program"), file);
    scene.rename(PID, PID, "program", true);
    scene.map_file("/srv/program", START, 0x1000, 0x1000);
    let sp = 0x7ffd_0000_0000_u64;
    let word = |index: u64| match index % 3 {
        0 => START + index * 7 % 0x1000,
        1 => sp + index * 8,
        _ => index.wrapping_mul(0x9e37_79b9_7f4a_7c15),
    };
    let stack: Vec<u8> = (0..256).flat_map(|index| word(index).to_le_bytes()).collect();
    for offset in (0..0x1000).step_by(16) {
        let registers =
            Registers { ip: START + offset, sp, fp: sp + 16 * (offset % 64), lr: START + offset / 2 };
        scene.sample_stack(registers, &stack, true, &[]);
    }
    let conversion = scene.finish();
    assert_eq!(conversion.profile.samples.len(), 256);
    let profile = &conversion.profile;
    assert!(profile.frames.iter().all(|frame| !profile.text(frame.function).is_empty()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn an_object_file_with_wrong_bytes_does_no_harm(
        wrong in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..200),
    ) {
        let Some(program) = program() else { return Ok(()) };
        let mut file = program.clone();
        for (index, byte) in wrong {
            let at = index.index(file.len());
            file[at] = byte;
        }
        sample_everywhere(&file);
    }

    #[test]
    fn an_object_file_with_wrong_headers_does_no_harm(
        wrong in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..10),
    ) {
        let Some(program) = program() else { return Ok(()) };
        let mut file = program.clone();
        // The headers stand at the beginning and at the end.
        for (index, byte) in wrong {
            let at = index.index(4096);
            let at = if at < 2048 { at } else { file.len() + at - 4096 };
            file[at] = byte;
        }
        sample_everywhere(&file);
    }

    #[test]
    fn an_object_file_that_was_cut_does_no_harm(length in any::<prop::sample::Index>()) {
        let Some(program) = program() else { return Ok(()) };
        sample_everywhere(&program[..length.index(program.len())]);
    }

    #[test]
    fn a_map_with_anything_in_it_does_no_harm(
        lines in prop::collection::vec("[0-9a-f]{0,17} [0-9a-f]{0,17} .{0,30}|7000000000[0-9a-f]{0,2} [0-9a-f]{1,16} (JS:)?.{0,40}", 0..60),
        end in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut scene = Scene::new();
        let mut map = lines.join("\n").into_bytes();
        map.extend(end);
        scene.file(&format!("{PID}/root/tmp/perf-{PID}.map"), map);
        scene.map_made(PID);
        for offset in 0..64 {
            scene.sample(&[], &[MADE + offset * 16]);
        }
        prop_assert_eq!(scene.finish().profile.samples.len(), 64);
    }
}
