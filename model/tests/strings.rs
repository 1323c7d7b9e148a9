//! Interned text, of whoever sent it.

use std::time::{Duration, Instant};

use loopscope_model::profile::Strings;

const COUNT: usize = 20_000;

/// Texts of 64 bytes that all have one hash by `rustc-hash`, which has no seed: the third block of each takes away what was hashed before.
fn colliding() -> Vec<String> {
    let mixed = |block: &str| {
        let half = |at: usize| u64::from_le_bytes(block.as_bytes()[at..at + 8].try_into().expect("eight"));
        let product =
            u128::from(0x243f_6a88_85a3_08d3 ^ half(0)) * u128::from(0xa409_3822_299f_31d0 ^ half(8));
        (product as u64 ^ (product >> 64) as u64).to_le_bytes()
    };
    let (first, third) = (0..)
        .map(|number| format!("{number:016}"))
        .find_map(|first| Some((String::from_utf8(mixed(&first).to_vec()).ok()?, first)))
        .map(|(third, first)| (first, third))
        .expect("one of a few hundred is text");
    (0..COUNT).map(|number| format!("{first}{:016}{third}{number:08}{:016}", 0, 0)).collect()
}

fn time_to_intern(texts: &[String]) -> Duration {
    let begun = Instant::now();
    let mut strings = Strings::default();
    for text in texts {
        strings.intern(text);
    }
    assert_eq!(strings.iter().len(), texts.len() + 1);
    begun.elapsed()
}

#[test]
fn texts_that_are_made_to_collide_take_no_longer_than_others() {
    let others: Vec<String> = (0..COUNT).map(|number| format!("{number:064}")).collect();
    let usual = time_to_intern(&others).max(Duration::from_millis(1));
    let made = (0..3).map(|_| time_to_intern(&colliding())).min().expect("three");
    assert!(made < usual * 20, "{made:?} instead of {usual:?}");
}

#[test]
fn the_length_of_all_texts_is_known() {
    let mut strings = Strings::default();
    for text in ["", "main", "poll", "main"] {
        strings.intern(text);
    }
    assert_eq!((strings.text_bytes(), strings.clone().text_bytes()), (8, 8));
}
