//! What the threads of the embedded store share; [`super`] tells who may touch what.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use super::block::{Block, BlockError};
use super::head::Head;
use super::maintenance::Keeper;
use super::objects::Objects;
use super::options::Options;
use super::parts::Caches;
use super::sizes::Counts;
use crate::store::{AppendError, Batch};
use crate::times::Range;

/// What all threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) objects: Objects,
    pub(super) caches: Caches,
    pub(super) state: RwLock<State>,
    pub(super) keeper: Keeper,
    pub(super) counts: Counts,
    pub(super) closing: AtomicBool,
}

/// What there is at one instant.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) head: Head,
    pub(super) frozen: Vec<Arc<Frozen>>,
    pub(super) blocks: Vec<Arc<Block>>,
}

/// A head that gets no more, and the segment of the log that holds the same.
#[derive(Debug)]
pub(super) struct Frozen {
    pub(super) head: Head,
    pub(super) segment: u64,
}

impl Shared {
    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn log_folder(&self) -> PathBuf {
        log_folder(&self.options.folder)
    }

    pub(super) fn check_times(&self, batch: &Batch) -> Result<(), AppendError> {
        let now_ms = crate::times::now_ms();
        let (oldest, newest) = self.accepted_times(now_ms);
        for series in &batch.series {
            if series.time_ms < oldest || series.time_ms > newest {
                let accepted = format!(
                    "profiles of the last {} are, and the clock here says {} s",
                    humantime::format_duration(self.options.retention),
                    now_ms / 1000
                );
                return Err(AppendError::Time { time_ms: series.time_ms, accepted });
            }
        }
        Ok(())
    }

    /// What of a range is told. Times are kept in whole seconds: a range begins with the second that it begins in, and ends before the second that it
    /// ends in, so that none is in two ranges side by side. What is too old is told no more, although it is kept until all of its block is.
    pub(super) fn told(&self, range: Range) -> Range {
        let (oldest_ms, _) = self.accepted_times(crate::times::now_ms());
        let second = |ms: i64| ms.div_euclid(1000).saturating_mul(1000);
        Range { from_ms: second(range.from_ms.max(oldest_ms)), until_ms: second(range.until_ms) }
    }

    pub(super) fn accepted_times(&self, now_ms: i64) -> (i64, i64) {
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let oldest = now_ms.saturating_sub(ms(self.options.retention)).max(0);
        (oldest, now_ms.saturating_add(ms(self.options.future_max)).min(i64::from(u32::MAX) * 1000))
    }

    /// Takes a block out of use that is not what was written. The keeper looks at it again before it moves it away.
    pub(super) fn cannot_read(&self, block: &Block, error: &BlockError) {
        if matches!(error, BlockError::Corrupted(_)) && block.take_out() {
            crate::console::line(format_args!("{error}; the block is left out, and read again"));
            self.keeper.wake();
        }
    }
}

/// Where the log lies.
pub(super) fn log_folder(folder: &Path) -> PathBuf {
    folder.join("wal")
}
