//! Where functions begin and end, by the tables that exceptions and profilers unwind with: a stripped binary has them, too.
//!
//! The table of `.eh_frame_hdr` is sorted and searched by halves, and leads to the entries of `.eh_frame`. Both are read in the one
//! form that compilers and linkers write; an entry that has another does not begin where the table says.

use object::elf::PT_GNU_EH_FRAME;
use object::read::elf::ProgramHeader;

use super::elf::{Elf, LITTLE};
use super::symbols::Symbol;

/// How the header begins: its version, that it finds `.eh_frame` by a distance from the very field, that it has a count, and that
/// the table consists of distances from the header.
const FORM: [u8; 4] = [1, 0x1b, 0x03, 0x3b];

/// What is in the header before the table: its form, the distance of `.eh_frame`, the count.
const HEADER_BYTES: u64 = 12;

/// More functions than any program has; the bound is for files that lie.
const FUNCTIONS_MAX: u32 = 512 << 10;

/// The bounds of a file's functions.
#[derive(Debug)]
pub(super) struct Frames<'a> {
    elf: &'a Elf<'a>,
    /// Where the header lies.
    address: u64,
    /// Where functions begin, and their entries, as distances from the header.
    table: Vec<[[u8; 4]; 2]>,
}

impl<'a> Frames<'a> {
    /// The tables of a file, found by its program headers: section headers may be stripped, too.
    pub(super) fn new(elf: &'a Elf<'a>) -> Option<Self> {
        let header = elf.segments(PT_GNU_EH_FRAME).next()?;
        let (address, offset) = (header.p_vaddr(LITTLE), header.p_offset(LITTLE));
        let bytes = elf.bytes();
        let [form, _, count]: [[u8; 4]; 3] = bytes.record(offset)?;
        let count = u32::from_le_bytes(count);
        if form != FORM || count > FUNCTIONS_MAX {
            return None;
        }
        let table = bytes.records(offset.checked_add(HEADER_BYTES)?, count.into()).collect();
        Some(Self { elf, address, table })
    }

    /// The function that an address lies in, or, of a function in several pieces, the piece.
    pub(super) fn containing(&self, address: u64) -> Option<Symbol> {
        let begin = |row: &[[u8; 4]; 2]| distance(self.address, row[0]);
        let behind = self.table.partition_point(|row| begin(row) <= address);
        let row = self.table.get(behind.checked_sub(1)?)?;
        let entry = distance(self.address, row[1]);
        // Its length, the distance of what it shares with others, where the function begins, as seen from that field, and its size.
        let [_, _, to_begin, size]: [[u8; 4]; 4] = self.elf.bytes().record(self.elf.offset(entry)?)?;
        let found = Symbol { address: begin(row), size: u32::from_le_bytes(size).into() };
        let is_of_form = distance(entry.wrapping_add(8), to_begin) == found.address;
        (is_of_form && address.checked_sub(found.address)? < found.size).then_some(found)
    }
}

/// An address at a distance, which may be negative.
fn distance(from: u64, bytes: [u8; 4]) -> u64 {
    from.wrapping_add_signed(i32::from_le_bytes(bytes).into())
}
