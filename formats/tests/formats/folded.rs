//! Folded stacks.

use std::collections::BTreeMap;

use loopscope_formats::folded;
use model::profile::Profile;
use proptest::prelude::*;

use crate::golden;
use crate::synthetic::{self, Builder};

fn encoded(profile: &Profile) -> String {
    let mut text = Vec::new();
    folded::encode(profile, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn the_small_profile_is_as_blessed() {
    golden::expect("small.folded", &encoded(&synthetic::small_profile()));
}

#[test]
fn separators_in_names_are_replaced() {
    let mut builder = Builder::default();
    let thread = builder.thread(1, 1, "a;b");
    builder.sample(thread, &["f(int; char)", "two\nlines", "1 2 3"], 4);
    assert_eq!(encoded(&builder.profile), "a:b;f(int: char);two lines;1 2 3 4\n");
}

#[test]
fn a_profile_without_samples_has_no_lines() {
    assert_eq!(encoded(&Profile::default()), "");
}

proptest! {
    #[test]
    fn lines_hold_every_stack_and_all_the_weight(profile in synthetic::any_profile()) {
        let text = encoded(&profile);
        let mut weight_by_depth = BTreeMap::new();
        for line in text.split_terminator('\n') {
            let (stack, weight) = line.rsplit_once(' ').unwrap();
            *weight_by_depth.entry(stack.split(';').count()).or_insert(0) += weight.parse::<u64>().unwrap();
        }
        let mut expected = BTreeMap::new();
        for sample in profile.samples.iter().filter(|sample| sample.weight > 0) {
            *expected.entry(1 + profile.frames_of(sample.stack).len()).or_insert(0) += sample.weight;
        }
        prop_assert_eq!(weight_by_depth, expected);
    }
}
