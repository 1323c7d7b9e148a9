//! Opening a store: what a crash left is put in order before anybody is served.
//!
//! Blocks without their `meta.json` were being written: they go. Blocks that another one replaces go. Segments of the log become blocks,
//! hour by hour, where there is none of that segment and hour yet; then they go. Whatever instant the crash picked, nothing is lost and
//! nothing counts twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, RwLock};
use std::thread;

use rustix::fs::{FlockOperation, flock};

use super::block::{Block, BlockError, META};
use super::head::{Head, seconds};
use super::maintenance::{Keeper, blocks_of_head, hour_of};
use super::objects::Objects;
use super::parts::Caches;
use super::shared::log_folder;
use super::wal;
use super::{Counts, EmbeddedStore, Frozen, Options, Shared, State, WAITING_MAX, Writer};
use crate::console;
use crate::store::AppendError;

/// Where what cannot be read is set aside.
pub(super) const QUARANTINE: &str = "quarantine";

pub(super) fn open(options: Options) -> io::Result<EmbeddedStore> {
    let folder = options.folder.clone();
    let (blocks_folder, log_folder) = (folder.join("blocks"), log_folder(&folder));
    for folder in [&blocks_folder, &log_folder, &folder.join(QUARANTINE)] {
        fs::create_dir_all(folder)?;
    }
    let lock = lock(&folder)?;
    let objects = Objects::open(&options)?;
    let (mut blocks, used) = find_blocks(&objects)?;
    let mut next_segment = 1;
    let mut frozen = Vec::new();
    let mut log_bytes = 0;
    for (number, path) in wal::segments(&log_folder)? {
        next_segment = number + 1;
        if let Some(kept) = recover(&objects, &mut blocks, number, &path, &folder)? {
            frozen.push(kept);
            log_bytes += fs::metadata(&path)?.len();
        }
    }
    // Gone for good, before anything is made of the blocks that took them over.
    wal::sync_folder(&log_folder)?;
    let segment = wal::Segment::create(&log_folder, next_segment.max(used + 1))?;
    let state = State { head: Head::default(), frozen, blocks: blocks.into_iter().map(Arc::new).collect() };
    let shared = Arc::new(Shared {
        caches: Caches::new(options.cache_bytes_max),
        options,
        objects,
        state: RwLock::new(state),
        keeper: Keeper::new(lock),
        counts: Counts { log_bytes: log_bytes.into(), ..Counts::default() },
        closing: AtomicBool::new(false),
    });
    let (sender, asked) = sync_channel(WAITING_MAX);
    let writer = Writer::new(Arc::clone(&shared), segment);
    let keeping = Arc::clone(&shared);
    let threads = vec![
        thread::Builder::new().name("store writer".to_owned()).spawn(move || writer.run(&asked))?,
        thread::Builder::new().name("store keeper".to_owned()).spawn(move || keeping.keeper.run(&keeping))?,
    ];
    Ok(EmbeddedStore { shared, appends: Mutex::new(Some(sender)), threads: Mutex::new(threads) })
}

/// Two processes in one folder would destroy each other's work.
fn lock(folder: &Path) -> io::Result<File> {
    let lock = File::options().create(true).truncate(false).write(true).open(folder.join("lock"))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(io::Error::from)?;
    Ok(lock)
}

/// All blocks that count, by name; the others are removed or set aside. And the last segment of the log that a name has: numbers are never used
/// again, not even those of segments that are gone, because blocks go by the names that others say they replace.
fn find_blocks(objects: &Objects) -> io::Result<(Vec<Block>, u64)> {
    let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (object, _) in objects.list(Some("blocks"))? {
        if let Some((name, file)) = object.rsplit_once('/') {
            by_name.entry(name.to_owned()).or_default().push(file.to_owned());
        }
    }
    let mut used = by_name.keys().filter_map(|name| Block::segment_in(name)).max().unwrap_or(0);
    let mut blocks = Vec::new();
    for (name, files) in by_name {
        if !files.iter().any(|file| file == META) {
            for file in files {
                objects.delete(&format!("{name}/{file}"))?;
            }
            continue;
        }
        // What is wrong is so when it is read again.
        let found = Block::find(objects, &name).or_else(|error| match error {
            BlockError::Corrupted(_) => Block::find(objects, &name),
            error @ BlockError::Io(_) => Err(error),
        });
        match found {
            Ok(block) => blocks.push(block),
            Err(BlockError::Io(error)) => return Err(error),
            Err(BlockError::Corrupted(what)) => {
                console::line(format_args!("{what}; the block is left out, and set aside in {QUARANTINE}"));
                set_aside(objects, &name)?;
            }
        }
    }
    let replaced: BTreeSet<String> = blocks.iter().flat_map(|block| block.meta.replaces.clone()).collect();
    used = replaced.iter().filter_map(|name| Block::segment_in(name)).fold(used, u64::max);
    let (mut gone, blocks): (Vec<_>, Vec<_>) =
        blocks.into_iter().partition(|block| replaced.contains(&block.name));
    // One that goes before those that it replaced would leave them to count again.
    gone.sort_by_key(Block::generation);
    for block in gone {
        block.delete(objects)?;
    }
    Ok((blocks, used))
}

/// Moves a block to where nobody looks for blocks, last of all what makes it one: the rest alone would be taken for one that was being written.
pub(super) fn set_aside(objects: &Objects, name: &str) -> io::Result<()> {
    let base = name.rsplit('/').next().unwrap_or(name);
    let mut listed = objects.list(Some(name))?;
    listed.sort_by_key(|(object, _)| object.ends_with(META));
    for (object, _) in listed {
        let file = object.rsplit('/').next().unwrap_or(&object);
        objects.rename(&object, &format!("{QUARANTINE}/{base}/{file}"))?;
    }
    Ok(())
}

/// Makes blocks of a segment that a crash, or the end of the program, left. Where the disk has no room for them, the head is kept
/// until it has.
fn recover(
    objects: &Objects,
    blocks: &mut Vec<Block>,
    number: u64,
    path: &Path,
    folder: &Path,
) -> io::Result<Option<Arc<Frozen>>> {
    let bytes = fs::read(path)?;
    let mut head = Head::default();
    let is_stored = |hour| blocks.iter().any(|block| block.is_of(number, hour));
    let replay = wal::replay(&bytes, |mut batch| {
        batch.series.retain(|series| !is_stored(hour_of(seconds(series.time_ms))));
        if !batch.series.is_empty() {
            head.add(&batch);
        }
    });
    match blocks_of_head(objects, &head, number, |_| false) {
        Ok(made) => blocks.extend(made),
        Err(error) if matches!(AppendError::from_io(copied(&error)), AppendError::Full(_)) => {
            console::line(format_args!("{}: no block can be made of it yet: {error}", path.display()));
            return Ok(Some(Arc::new(Frozen { head, segment: number })));
        }
        Err(error) => return Err(error),
    }
    if replay.corrupted {
        let aside = folder.join(QUARANTINE).join(path.file_name().unwrap_or_default());
        console::line(format_args!(
            "{}: the last {} bytes are not what was written; they are left out, and the file is kept as {}",
            path.display(),
            replay.torn_bytes,
            aside.display()
        ));
        fs::rename(path, aside)?;
    } else {
        fs::remove_file(path)?;
    }
    Ok(None)
}

fn copied(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}
