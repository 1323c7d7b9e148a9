//! Functions, files and lines from DWARF debug information, with the functions that the compiler put into others.
//!
//! Only the units that the addresses fall in are read.

use std::borrow::Cow;

use addr2line::Context;
use addr2line::gimli::{DwarfSections, EndianSlice, LittleEndian, SectionId};
use object::read::{Object, ObjectSection};

use super::image::Elf;

/// A place as the debug information tells it, from the innermost outwards.
pub(super) struct DebugPlace<'a> {
    /// The name as the linker knows it, where there is one.
    pub(super) name: Option<&'a [u8]>,
    pub(super) file: Option<&'a str>,
    pub(super) line: Option<u32>,
}

/// A section that claims to be this many times longer when decompressed is left out: debug information shrinks to a third
/// or a tenth, what someone made to fill the memory to a thousandth.
const GROWTH_MAX: u64 = 64;

/// Sections that say nothing about places, and may have to be decompressed.
const UNUSED: [SectionId; 6] = [
    SectionId::DebugLoc,
    SectionId::DebugLocLists,
    SectionId::DebugMacinfo,
    SectionId::DebugMacro,
    SectionId::DebugNames,
    SectionId::DebugTypes,
];

/// Deeper chains of inlined functions are cut.
const INLINED_MAX: usize = 256;

/// Calls `found` for the index of each address of which something is known.
///
/// `dwz` holds the file with what several files' debug information has in common.
pub(super) fn resolve(
    elf: &Elf<'_>,
    dwz: Option<&Elf<'_>>,
    addresses: &[u64],
    mut found: impl FnMut(usize, &[DebugPlace<'_>]),
) {
    if elf.section_by_name(".debug_info").is_none() {
        return;
    }
    let Ok(sections) = load(elf) else { return };
    let shared = dwz.and_then(|dwz| load(dwz).ok());
    let dwarf = sections.borrow_with_sup(shared.as_ref(), |section| EndianSlice::new(section, LittleEndian));
    let Ok(context) = Context::from_dwarf(dwarf) else { return };
    let mut places = Vec::new();
    for (index, &address) in addresses.iter().enumerate() {
        places.clear();
        let Ok(mut frames) = context.find_frames(address).skip_all_loads() else { continue };
        while let (Ok(Some(frame)), true) = (frames.next(), places.len() < INLINED_MAX) {
            let location = frame.location.as_ref();
            places.push(DebugPlace {
                name: frame.function.as_ref().map(|function| function.name.slice()),
                file: location.and_then(|location| location.file),
                line: location.and_then(|location| location.line),
            });
        }
        if !places.is_empty() {
            found(index, &places);
        }
    }
}

fn load<'a>(elf: &Elf<'a>) -> object::Result<DwarfSections<Cow<'a, [u8]>>> {
    DwarfSections::load(|id| {
        let section = elf.section_by_name(id.name()).filter(|_| !UNUSED.contains(&id));
        let Some(section) = section else { return Ok(Cow::default()) };
        let data = section.compressed_data()?;
        match data.uncompressed_size > GROWTH_MAX * data.data.len() as u64 {
            true => Ok(Cow::default()),
            false => data.decompress(),
        }
    })
}
