//! Where functions begin and end, by the tables that exceptions and profilers unwind with: a stripped binary has them, too.
//!
//! The table of `.eh_frame_hdr` is sorted and searched by halves: the 10 MB of a Node.js binary are not read through for a dozen
//! functions. It is read here, in the one form that linkers write; its entries lead to those of `.eh_frame`, which have many.

use gimli::{BaseAddresses, EhFrame, EhFrameOffset, EndianSlice, LittleEndian, UnwindSection};
use object::elf::{PT_GNU_EH_FRAME, PT_LOAD};
use object::read::elf::ProgramHeader;

use super::Elf;
use super::symbols::Symbol;

/// How the header begins: its version, that it finds `.eh_frame` by a distance from the very field, that it has a count, and that
/// the table consists of distances from the header.
const FORM: [u8; 4] = [1, 0x1b, 0x03, 0x3b];

/// The bounds of a file's functions.
#[derive(Debug)]
pub(super) struct Frames<'a> {
    /// Where the header lies.
    address: u64,
    /// Where functions begin, and their entries, as distances from the header.
    table: &'a [[u8; 8]],
    /// Where the entries lie, and what of the file from there on is mapped.
    start: u64,
    entries: EhFrame<EndianSlice<'a, LittleEndian>>,
}

impl<'a> Frames<'a> {
    /// The tables of a file, found by its program headers: section headers may be stripped, too.
    pub(super) fn new(elf: &Elf<'a>, bytes: &'a [u8]) -> Option<Self> {
        let endian = elf.endian();
        let mut headers = elf.elf_program_headers().iter();
        let header = headers.find(|header| header.p_type(endian) == PT_GNU_EH_FRAME)?;
        let address = header.p_vaddr(endian);
        let data: &[u8] = header.data(endian, bytes).ok()?;
        let (form, rest) = data.split_first_chunk::<4>()?;
        let (to_entries, rest) = rest.split_first_chunk::<4>()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        if *form != FORM {
            return None;
        }
        let start = distance(address.wrapping_add(4), *to_entries);
        let table = rest.as_chunks::<8>().0.get(..u32::from_le_bytes(*count) as usize)?;
        // The section's end is not told; what lies behind it in the segment is never looked at.
        let mut loads = elf.elf_program_headers().iter().filter(|load| load.p_type(endian) == PT_LOAD);
        let (load, skipped) = loads.find_map(|load| {
            let skipped = start.checked_sub(load.p_vaddr(endian))?;
            (skipped < load.p_filesz(endian)).then_some((load, skipped))
        })?;
        let entries = load.data(endian, bytes).ok()?.get(usize::try_from(skipped).ok()?..)?;
        Some(Self { address, table, start, entries: EhFrame::new(entries, LittleEndian) })
    }

    /// The function that an address lies in, or, of a function in several pieces, the piece.
    pub(super) fn containing(&self, address: u64) -> Option<Symbol> {
        let begin = |row: &[u8; 8]| distance(self.address, [row[0], row[1], row[2], row[3]]);
        let behind = self.table.partition_point(|row| begin(row) <= address);
        let row = self.table.get(behind.checked_sub(1)?)?;
        let entry = distance(self.address, [row[4], row[5], row[6], row[7]]);
        let offset = EhFrameOffset(usize::try_from(entry.checked_sub(self.start)?).ok()?);
        let bases = BaseAddresses::default().set_eh_frame_hdr(self.address).set_eh_frame(self.start);
        let entry = self.entries.fde_from_offset(&bases, offset, EhFrame::cie_from_offset).ok()?;
        let found = Symbol { address: entry.initial_address(), size: entry.len() };
        (address.checked_sub(found.address)? < found.size).then_some(found)
    }
}

/// An address at a distance, which may be negative.
fn distance(from: u64, bytes: [u8; 4]) -> u64 {
    from.wrapping_add_signed(i32::from_le_bytes(bytes).into())
}
