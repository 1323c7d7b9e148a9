use proptest::prelude::*;

use super::fixture::{NO_USER_PART, fork, record, sample};
use super::*;

/// Words in two pieces, as in a ring whose end lies anywhere.
#[derive(Debug, Default)]
struct Words {
    first: Vec<u64>,
    second: Vec<u64>,
}

impl Words {
    fn split_at(mut words: Vec<u64>, end: usize) -> Self {
        let second = words.split_off(end.min(words.len()));
        Self { first: words, second }
    }
}

impl Source for Words {
    fn refresh(&mut self) {}

    fn unread(&self) -> (&[u64], &[u64]) {
        (&self.first, &self.second)
    }

    fn consume(&mut self, words: usize) {
        let from_first = words.min(self.first.len());
        self.first.drain(..from_first);
        self.second.drain(..words - from_first);
    }
}

fn times_of(rings: &mut Rings<Words>, now_ns: Option<u64>) -> Vec<u64> {
    let mut times = Vec::new();
    let mut sink = |record: Record<'_>| match record {
        Record::Sampled { sample, .. } => times.push(sample.time.as_ns()),
        Record::Forked { time, .. } => times.push(time.as_ns()),
        other => panic!("{other:?}"),
    };
    match now_ns {
        Some(now_ns) => rings.drain_settled(Monotonic::from_ns(now_ns), &mut sink),
        None => rings.drain_all(&mut sink),
    }
    times
}

fn samples(times: impl IntoIterator<Item = u64>) -> Vec<u64> {
    times.into_iter().flat_map(|time| sample(time, &[], &NO_USER_PART)).collect()
}

#[test]
fn a_young_record_waits_until_it_has_settled() {
    let mut rings = Rings::new(vec![Words::split_at(samples([10, 2 * SETTLING_NS]), 99)]);
    assert_eq!(times_of(&mut rings, Some(2 * SETTLING_NS)), [10]);
    assert_eq!(times_of(&mut rings, Some(2 * SETTLING_NS)), Vec::<u64>::new());
    assert_eq!(times_of(&mut rings, Some(3 * SETTLING_NS + 1)), [2 * SETTLING_NS]);
}

#[test]
fn a_process_is_started_before_its_samples_come_from_another_ring() {
    for ends in [0, 5, 99] {
        let first = Words::split_at([samples([20, 40])].concat(), ends);
        let second = Words::split_at([fork(11, 10), samples([30])].concat(), ends);
        assert_eq!(times_of(&mut Rings::new(vec![first, second]), None), [10, 20, 30, 40]);
    }
}

#[test]
fn a_record_that_comes_too_late_does_not_turn_time_back() {
    let mut rings = Rings::new(vec![Words::default(), Words::default()]);
    rings.sources[0].first = samples([50]);
    assert_eq!(times_of(&mut rings, Some(SETTLING_NS + 60)), [50]);
    rings.sources[1].first = samples([40, 55]);
    assert_eq!(times_of(&mut rings, Some(SETTLING_NS + 60)), [50, 55]);
}

#[test]
fn what_cannot_be_read_is_counted_and_the_other_rings_go_on() {
    let headless = vec![0, 0, 0];
    let too_long = record(9, 0, &[0; 9])[..3].to_vec();
    let contradictory = sample(20, &[], &[0, 1 << 30]);
    let after = samples([25]);
    for (broken, left) in
        [(headless, vec![30]), (too_long, vec![30]), ([contradictory, after].concat(), vec![25, 30])]
    {
        let mut rings = Rings::new(vec![Words::split_at(broken, 99), Words::split_at(samples([30]), 99)]);
        let (mut times, mut lost) = (Vec::new(), Vec::new());
        rings.drain_all(&mut |record| match record {
            Record::Sampled { sample, .. } => times.push(sample.time.as_ns()),
            Record::Event(Event::Lost { cause, count }) => lost.push((cause, count)),
            other => panic!("{other:?}"),
        });
        assert_eq!((times, lost), (left, vec![(LossCause::Malformed, 1)]));
    }
}

proptest! {
    #[test]
    fn all_records_come_out_in_order(
        mut times in prop::collection::vec(prop::collection::vec(0u64..1_000, 0..20), 1..5),
        end in 0usize..100,
        horizon in 0u64..1_000,
    ) {
        times.iter_mut().for_each(|times| times.sort_unstable());
        let mut expected = times.concat();
        expected.sort_unstable();
        let sources = times.into_iter().map(|times| Words::split_at(samples(times), end)).collect();
        let mut rings = Rings::new(sources);
        let mut seen = times_of(&mut rings, Some(SETTLING_NS + horizon));
        prop_assert!(seen.iter().all(|time| *time < horizon));
        seen.extend(times_of(&mut rings, None));
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn no_words_panic_and_all_are_read(words in prop::collection::vec(any_header(), 0..60), end in 0usize..60) {
        let mut rings = Rings::new(vec![Words::split_at(words, end)]);
        rings.drain_all(&mut |_| {});
        let (first, second) = rings.sources[0].unread();
        prop_assert!(first.is_empty() && second.is_empty());
    }
}

/// Words that are likely to begin a record.
fn any_header() -> impl Strategy<Value = u64> {
    let header = (0u16..20, any::<u16>(), 0u16..12);
    prop_oneof![
        header.prop_map(|(kind, flags, words)| bytemuck::cast([kind, 0, flags, words * 8])),
        any::<u64>()
    ]
}
