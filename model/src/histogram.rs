//! The one histogram: base-2 exponential buckets at schema 3, so eight buckets to a power of two.
//!
//! Bucket `k` holds the durations in `(2^((k-1)/8), 2^(k/8)]` **seconds**: the boundaries of Prometheus native
//! histograms at schema 3 and of OTLP exponential histograms at scale 3 (whose bucket index is `k - 1`). All
//! measurements share these buckets, so histograms of different loops, processes and hosts add up exactly and are
//! exported without loss. A quantile read from them is off by at most 4.4% (half a bucket's width, geometrically).
//!
//! Durations come as integer nanoseconds. [`slot_of`] finds a duration's bucket exactly, from integer bounds computed
//! at compile time, with one look-up and one comparison; no floating point is involved.
//!
//! Refused: HDR histograms (linear sub-buckets merge with nothing that the exporters speak), and buckets aligned to
//! powers of two of *nanoseconds*, which would be faster still but fall between the boundaries that Prometheus uses.

use std::fmt;

/// The resolution: buckets grow by the factor `2^(2^-SCHEMA)`.
pub const SCHEMA: i32 = 3;

/// Index of the lowest bucket. It holds 1 ns, the shortest duration that is not zero.
pub const INDEX_MIN: i16 = -239;

/// Index of the highest bucket. Its nominal upper bound is 2^20 s, about twelve days; it holds whatever is longer, too.
pub const INDEX_MAX: i16 = 160;

/// The number of buckets between [`INDEX_MIN`] and [`INDEX_MAX`].
pub const SLOTS: usize = (INDEX_MAX - INDEX_MIN + 1) as usize;

/// Where a duration is counted: the position of its bucket, counted from [`INDEX_MIN`].
pub type Slot = usize;

/// `2^(j/8)` for j = 0 to 7, scaled by 2^90 and rounded down.
const ROOTS: [u128; 8] = [
    1237940039285380274899124224,
    1349983185416640037111407380,
    1472167102664922255829854488,
    1605409609231505965841771515,
    1750711592962066872460373069,
    1909164529791845003399616134,
    2081958682668237652883223645,
    2270392042539286511080270765,
];

/// The longest whole number of nanoseconds in each bucket: `floor(2^(k/8) * 10^9)`.
const BOUNDS_NS: [u64; SLOTS] = {
    let mut bounds = [0; SLOTS];
    let mut slot = 0;
    while slot < SLOTS {
        let index = INDEX_MIN as i32 + slot as i32;
        let shift = 90 - index.div_euclid(8);
        bounds[slot] = ((ROOTS[index.rem_euclid(8) as usize] * 1_000_000_000) >> shift) as u64;
        slot += 1;
    }
    bounds
};

/// Durations with the same highest bit and the same four bits below it share a key; their range is narrower than a
/// bucket, so at most one bucket boundary lies inside.
const KEYS: usize = 51 * 16;

/// The slot of the shortest duration of each key.
static FIRST_SLOT: [u16; KEYS] = {
    let mut table = [0; KEYS];
    let mut key = 0;
    let mut slot = 0;
    while key < KEYS {
        let (octave, sixteenth) = (key / 16, (key % 16) as u64);
        let shortest =
            if octave >= 4 { (16 + sixteenth) << (octave - 4) } else { (16 + sixteenth) >> (4 - octave) };
        while slot < SLOTS - 1 && BOUNDS_NS[slot] < shortest {
            slot += 1;
        }
        table[key] = slot as u16;
        key += 1;
    }
    table
};

/// The longest duration of each key that is still in the key's first slot. A table of its own, so that both look-ups
/// of a recording go on at the same time.
static FIRST_BOUND_NS: [u64; KEYS] = {
    let mut table = [u64::MAX; KEYS];
    let mut key = 0;
    while key < KEYS {
        let slot = FIRST_SLOT[key] as usize;
        // The last slot has no bound: it holds whatever is longer, too.
        if slot < SLOTS - 1 {
            table[key] = BOUNDS_NS[slot];
        }
        key += 1;
    }
    table
};

/// The slot that counts a duration of `ns` nanoseconds, or `None` for zero, which has a count of its own.
#[inline]
pub fn slot_of(ns: u64) -> Option<Slot> {
    if ns == 0 {
        return None;
    }
    let octave = 63 - ns.leading_zeros() as usize;
    // The four bits below the highest one.
    let sixteenth = ((ns << (63 - octave)) >> 59) as usize & 15;
    let key = octave * 16 + sixteenth;
    if key >= KEYS {
        return Some(SLOTS - 1);
    }
    Some(FIRST_SLOT[key] as usize + usize::from(ns > FIRST_BOUND_NS[key]))
}

/// The tables by which [`slot_of`] finds a bucket, for those who count in other places than this process: for each key, the
/// slot of its shortest duration, and the longest duration that is still in that slot. A duration's key is its highest bit
/// times sixteen, plus the four bits below that.
pub fn lookup_tables() -> (&'static [u16], &'static [u64]) {
    (&FIRST_SLOT, &FIRST_BOUND_NS)
}

/// The upper bound, inclusive, of the bucket with this index, in seconds: `2^(index/8)`.
pub fn upper_bound_seconds(index: i16) -> f64 {
    2f64.powf(f64::from(index) / 8.0)
}

/// A distribution of durations, as a value: what a reader took from the cells of an instrument, or a sum of such.
///
/// Sparse: only buckets with a count are held, in ascending order of their index.
///
/// ```
/// use loopscope_model::histogram::Histogram;
///
/// let mut waits = Histogram::from_ns([1_000_000, 2_000_000, 900_000_000]);
/// waits.merge(&Histogram::from_ns([3_000_000]));
/// assert_eq!(waits.count(), 4);
/// assert_eq!(waits.sum_ns(), 906_000_000);
/// assert!((waits.quantile_seconds(0.5).unwrap() - 0.002).abs() < 0.0002);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    sum_ns: u64,
    zero_count: u64,
    buckets: Vec<Bucket>,
}

/// A bucket that holds something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// `k`: the bucket holds the durations in `(2^((k-1)/8), 2^(k/8)]` seconds.
    pub index: i16,
    /// How many durations it holds.
    pub count: u64,
}

impl Histogram {
    /// The distribution of these durations.
    pub fn from_ns(durations: impl IntoIterator<Item = u64>) -> Self {
        let mut slots = [0u64; SLOTS];
        let (mut sum_ns, mut zero_count) = (0u64, 0);
        for ns in durations {
            sum_ns = sum_ns.wrapping_add(ns);
            match slot_of(ns) {
                Some(slot) => slots[slot] += 1,
                None => zero_count += 1,
            }
        }
        Self::from_counts(sum_ns, zero_count, slots)
    }

    /// The distribution with these counts, one for each slot in ascending order; more than [`SLOTS`] are ignored.
    pub fn from_counts(sum_ns: u64, zero_count: u64, slots: impl IntoIterator<Item = u64>) -> Self {
        // First on the stack, without a branch: most slots are empty, and a vector that grows is allocated several times.
        let mut held = [Bucket { index: 0, count: 0 }; SLOTS];
        let mut length = 0;
        for (index, count) in (INDEX_MIN..=INDEX_MAX).zip(slots) {
            held[length] = Bucket { index, count };
            length += usize::from(count > 0);
        }
        let buckets = held[..length].to_vec();
        Self { sum_ns, zero_count, buckets }
    }

    /// The distribution with these buckets, which hold something and ascend.
    pub(crate) fn from_buckets(sum_ns: u64, zero_count: u64, buckets: Vec<Bucket>) -> Self {
        debug_assert!(buckets.is_sorted_by(|a, b| a.index < b.index), "buckets ascend");
        Self { sum_ns, zero_count, buckets }
    }

    /// The sum of all durations, in nanoseconds; wraps after 584 years.
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns
    }

    /// How many durations were recorded, those of zero included.
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(self.zero_count, |sum, bucket| sum.wrapping_add(bucket.count))
    }

    /// How many durations were zero.
    pub fn zero_count(&self) -> u64 {
        self.zero_count
    }

    /// The buckets that hold something, by ascending index.
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// Adds what `other` holds: exact, commutative and associative.
    pub fn merge(&mut self, other: &Histogram) {
        self.sum_ns = self.sum_ns.wrapping_add(other.sum_ns);
        self.zero_count = self.zero_count.wrapping_add(other.zero_count);
        let mut merged = Vec::with_capacity(self.buckets.len().max(other.buckets.len()));
        let (mut ours, mut theirs) = (self.buckets.as_slice(), other.buckets.as_slice());
        loop {
            match (ours, theirs) {
                ([a, rest_a @ ..], [b, rest_b @ ..]) if a.index == b.index => {
                    merged.push(Bucket { index: a.index, count: a.count.wrapping_add(b.count) });
                    (ours, theirs) = (rest_a, rest_b);
                }
                ([a, rest @ ..], [b, ..]) if a.index < b.index => {
                    merged.push(*a);
                    ours = rest;
                }
                (_, [b, rest @ ..]) => {
                    merged.push(*b);
                    theirs = rest;
                }
                (rest, []) => {
                    merged.extend_from_slice(rest);
                    break;
                }
            }
        }
        self.buckets = merged;
    }

    /// What was recorded since `earlier`, an older reading of the same instrument; `None` where `earlier` counted what
    /// this one does not, so that the instrument was begun anew between the two.
    pub fn since(&self, earlier: &Histogram) -> Option<Histogram> {
        let zero_count = self.zero_count.checked_sub(earlier.zero_count)?;
        let mut buckets = Vec::with_capacity(self.buckets.len());
        let mut before = earlier.buckets.iter().peekable();
        for &Bucket { index, count } in &self.buckets {
            let counted = before.next_if(|bucket| bucket.index == index).map_or(0, |bucket| bucket.count);
            match count.checked_sub(counted)? {
                0 => {}
                count => buckets.push(Bucket { index, count }),
            }
        }
        // Whatever is left was counted in a bucket that is now empty.
        before.next().is_none().then(|| Self {
            sum_ns: self.sum_ns.wrapping_sub(earlier.sum_ns),
            zero_count,
            buckets,
        })
    }

    /// The duration in seconds that a share `q` of all durations does not exceed, or `None` of an empty distribution:
    /// the geometric middle of the bucket in which it lies.
    ///
    /// # Panics
    /// If `q` is not between 0 and 1.
    pub fn quantile_seconds(&self, q: f64) -> Option<f64> {
        assert!((0.0..=1.0).contains(&q), "a quantile is between 0 and 1, not {q}");
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = ((q * count as f64).ceil() as u64).clamp(1, count);
        let mut seen = self.zero_count;
        if seen >= rank {
            return Some(0.0);
        }
        for bucket in &self.buckets {
            seen += bucket.count;
            if seen >= rank {
                return Some(2f64.powf((f64::from(bucket.index) - 0.5) / 8.0));
            }
        }
        unreachable!("the buckets hold `count` durations")
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count())
            .field("sum_ns", &self.sum_ns)
            .field("p50_seconds", &self.quantile_seconds(0.5))
            .field("p99_seconds", &self.quantile_seconds(0.99))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_whole_seconds_where_they_should_be() {
        let bound = |index: i16| BOUNDS_NS[(index - INDEX_MIN) as usize];
        assert_eq!(bound(0), 1_000_000_000);
        assert_eq!(bound(8), 2_000_000_000);
        assert_eq!(bound(-8), 500_000_000);
        assert_eq!(bound(INDEX_MIN), 1);
        assert_eq!(bound(INDEX_MAX), (1 << 20) * 1_000_000_000);
    }

    #[test]
    fn bounds_agree_with_floating_point_as_far_as_that_is_exact() {
        for (slot, &bound) in BOUNDS_NS.iter().enumerate() {
            let exact = upper_bound_seconds(INDEX_MIN + slot as i16) * 1e9;
            assert!((bound as f64 - exact).abs() <= 1.0 + exact * 1e-12, "slot {slot}: {bound} {exact}");
        }
    }

    #[test]
    fn every_boundary_falls_into_its_own_bucket_and_the_next_nanosecond_does_not() {
        for (slot, &bound) in BOUNDS_NS.iter().enumerate() {
            // Below 12 ns a bucket can be narrower than a nanosecond: the first one that reaches the value counts it.
            let first = BOUNDS_NS.iter().position(|&b| b >= bound).unwrap();
            assert_eq!(slot_of(bound), Some(first), "{bound} ns in slot {slot}");
            let next = BOUNDS_NS.iter().position(|&b| b > bound).unwrap_or(SLOTS - 1);
            assert_eq!(slot_of(bound + 1), Some(next), "{} ns", bound + 1);
        }
    }

    #[test]
    fn the_longest_durations_are_counted_in_the_last_bucket() {
        assert_eq!(slot_of(u64::MAX), Some(SLOTS - 1));
        assert_eq!(slot_of(0), None);
    }
}
