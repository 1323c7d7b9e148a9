//! Hashes that nobody can foresee.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;

/// Builds hashers that are seeded once a process, by the system's randomness: for keys that others choose, who would make all of them hash alike
/// otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seeded;

static SEEDS: LazyLock<(u64, SharedSeed)> = LazyLock::new(|| {
    let random = RandomState::new();
    (random.hash_one(0_u8), SharedSeed::from_u64(random.hash_one(1_u8)))
});

impl BuildHasher for Seeded {
    type Hasher = FoldHasher<'static>;

    fn build_hasher(&self) -> Self::Hasher {
        let (seed, shared) = &*SEEDS;
        FoldHasher::with_seed(*seed, shared)
    }
}
