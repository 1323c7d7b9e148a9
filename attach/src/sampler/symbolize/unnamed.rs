//! Functions of stripped files: no names, but where they begin, so that a profile can tell them apart. Those of libuv get their names by that.

use addr2line::gimli::{BaseAddresses, EhFrame, EhFrameHdr, EndianSlice, LittleEndian, UnwindSection};
use object::read::{Object, ObjectSection};

use super::image::Elf;

/// For each address of the file, the start of the function that holds it, by the tables that unwinding uses.
pub(super) fn starts(elf: &Elf<'_>, addresses: impl Iterator<Item = u64>) -> Vec<Option<u64>> {
    let section = |name| {
        let section = elf.section_by_name(name)?;
        Some((section.address(), EndianSlice::new(section.data().ok()?, LittleEndian)))
    };
    let sections = section(".eh_frame_hdr").zip(section(".eh_frame"));
    let Some(((hdr_address, hdr), (eh_frame_address, eh_frame))) = sections else {
        return addresses.map(|_| None).collect();
    };
    let text = address_of(elf, ".text");
    let bases =
        BaseAddresses::default().set_eh_frame_hdr(hdr_address).set_eh_frame(eh_frame_address).set_text(text);
    let header = EhFrameHdr::from(hdr).parse(&bases, 8).ok();
    let table = header.as_ref().and_then(|header| header.table());
    let eh_frame = EhFrame::from(eh_frame);
    let start = |address| {
        let entry =
            table.as_ref()?.fde_for_address(&eh_frame, &bases, address, EhFrame::cie_from_offset).ok()?;
        Some(entry.initial_address())
    };
    addresses.map(start).collect()
}

fn address_of(elf: &Elf<'_>, section: &str) -> u64 {
    elf.section_by_name(section).map_or(0, |section| section.address())
}
