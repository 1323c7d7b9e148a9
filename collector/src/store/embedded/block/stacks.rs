//! The stacks of a block, or of some of its services.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::ParquetError;

use super::super::objects::Objects;
use super::table::{self, Parts};
use super::{Block, BlockError, FRAMES, Index, STACKS};
use crate::store::Dictionary;

/// Stacks that lie side by side, by their positions among these.
#[derive(Debug)]
pub(in super::super) struct StackTable {
    /// The position in the block of the first.
    pub(in super::super) first: u32,
    callers: Vec<i32>,
    frames: Vec<i32>,
    places: Arc<FrameTable>,
}

/// The places in code of a block.
#[derive(Debug)]
pub(in super::super) struct FrameTable {
    functions: Vec<Bytes>,
    files: Vec<Bytes>,
    lines: Vec<i32>,
}

impl Block {
    /// Reads the places in code.
    pub(in super::super) fn frames(&self, objects: &Objects) -> Result<FrameTable, BlockError> {
        let bytes = self.read(objects, FRAMES, self.meta.frames)?;
        frames(bytes).map_err(|error| self.corrupted(FRAMES, &error))
    }

    /// Reads stacks, which must be those of whole services.
    pub(in super::super) fn stacks(
        &self,
        objects: &Objects,
        index: &Index,
        wanted: Range<u64>,
        places: Arc<FrameTable>,
    ) -> Result<StackTable, BlockError> {
        let count = (wanted.end - wanted.start) as usize;
        let (mut callers, mut frames) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let first = wanted.start as u32;
        index.stacks.each(self, objects, &[wanted], [0, 1], |[some_callers, some_frames], _| {
            callers.extend(some_callers.small()?.into_iter().map(|caller| {
                match caller.checked_sub(first as i32) {
                    _ if caller == -1 => -1,
                    // Of another service: there is none.
                    None | Some(..0) => i32::MIN,
                    Some(caller) => caller,
                }
            }));
            frames.extend(some_frames.small()?);
            Ok(())
        })?;
        let stacks = StackTable { first, callers, frames, places };
        stacks.checked(count).map_err(|error| self.corrupted(STACKS, &error))
    }
}

fn frames(bytes: Bytes) -> Result<FrameTable, ParquetError> {
    let table = table::open(Parts::whole(bytes))?;
    let text = |position| {
        let column = table::column(&table, position)?.text()?;
        Ok::<_, ParquetError>(
            column.into_iter().map(|text| text.data().to_vec().into()).collect::<Vec<Bytes>>(),
        )
    };
    let frames =
        FrameTable { functions: text(0)?, files: text(1)?, lines: table::column(&table, 2)?.small()? };
    let texts = frames.functions.iter().chain(&frames.files).all(|text| std::str::from_utf8(text).is_ok());
    let lengths =
        frames.files.len() == frames.functions.len() && frames.lines.len() == frames.functions.len();
    if texts && lengths { Ok(frames) } else { Err(table::wrong("columns do not fit together")) }
}

impl FrameTable {
    /// How much memory it takes, about.
    pub(in super::super) fn bytes(&self) -> usize {
        let texts = self.functions.iter().chain(&self.files).map(|text| text.len() + 48);
        texts.sum::<usize>() + 4 * self.lines.len()
    }
}

impl StackTable {
    fn checked(self, count: usize) -> Result<Self, ParquetError> {
        let callers_first =
            (0..).zip(&self.callers).all(|(position, caller)| (-1..position).contains(caller));
        let frames = self.places.functions.len() as i32;
        let known_frames = self.frames.iter().all(|frame| (0..frames).contains(frame));
        if callers_first && known_frames && self.callers.len() == count && self.frames.len() == count {
            Ok(self)
        } else {
            Err(table::wrong("rows refer to what is not there"))
        }
    }

    /// How much memory it takes, about, without the places, which others have, too.
    pub(in super::super) fn bytes(&self) -> usize {
        8 * self.callers.len()
    }
}

impl Dictionary for StackTable {
    fn stack_count(&self) -> usize {
        self.callers.len()
    }

    fn stack(&self, position: u32) -> (Option<u32>, u32) {
        let position = position as usize;
        (u32::try_from(self.callers[position]).ok(), self.frames[position] as u32)
    }

    fn frame_count(&self) -> usize {
        self.places.functions.len()
    }

    fn place(&self, position: u32) -> (&str, &str, u32) {
        let position = position as usize;
        let (function, file) =
            (self.places.functions[position].as_ref(), self.places.files[position].as_ref());
        // Checked when it was read.
        let utf8 = |text| std::str::from_utf8(text).unwrap_or("[unknown]");
        (utf8(function), utf8(file), self.places.lines[position] as u32)
    }
}
