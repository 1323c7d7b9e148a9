//! Where functions begin and end, by the tables that exceptions and profilers unwind with: a stripped binary has them, too.
//!
//! Only the table of `.eh_frame_hdr` is used, which is sorted and searched by halves: the 10 MB of a Node.js binary are not read
//! through for a dozen functions.

use gimli::{BaseAddresses, EhFrame, EhFrameHdr, EndianSlice, LittleEndian, ParsedEhFrameHdr, UnwindSection};
use object::elf::{PT_GNU_EH_FRAME, PT_LOAD};
use object::read::elf::ProgramHeader;

use super::Elf;
use super::symbols::Symbol;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// The bounds of a file's functions.
#[derive(Debug)]
pub(super) struct Frames<'a> {
    header: ParsedEhFrameHdr<Slice<'a>>,
    entries: EhFrame<Slice<'a>>,
    bases: BaseAddresses,
}

impl<'a> Frames<'a> {
    /// The tables of a file, found by its program headers: section headers may be stripped, too.
    pub(super) fn new(elf: &Elf<'a>, bytes: &'a [u8]) -> Option<Self> {
        let endian = elf.endian();
        let mut headers = elf.elf_program_headers().iter();
        let header = headers.find(|header| header.p_type(endian) == PT_GNU_EH_FRAME)?;
        let address = header.p_vaddr(endian);
        let parsed = EhFrameHdr::new(header.data(endian, bytes).ok()?, LittleEndian);
        let bases = BaseAddresses::default().set_eh_frame_hdr(address);
        let parsed = parsed.parse(&bases, 8).ok()?;
        let start = parsed.eh_frame_ptr().direct().ok()?;
        // The section's end is not told; what lies behind it in the segment is never looked at.
        let mut loads = elf.elf_program_headers().iter().filter(|load| load.p_type(endian) == PT_LOAD);
        let (load, skipped) = loads.find_map(|load| {
            let skipped = start.checked_sub(load.p_vaddr(endian))?;
            (skipped < load.p_filesz(endian)).then_some((load, skipped))
        })?;
        let entries = load.data(endian, bytes).ok()?.get(usize::try_from(skipped).ok()?..)?;
        Some(Self {
            header: parsed,
            entries: EhFrame::new(entries, LittleEndian),
            bases: bases.set_eh_frame(start),
        })
    }

    /// The function that an address lies in, or, of a function in several pieces, the piece.
    pub(super) fn containing(&self, address: u64) -> Option<Symbol> {
        let table = self.header.table()?;
        let entry =
            table.fde_for_address(&self.entries, &self.bases, address, EhFrame::cie_from_offset).ok()?;
        Some(Symbol { address: entry.initial_address(), size: entry.len() })
    }
}
