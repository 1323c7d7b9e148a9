//! An ELF file: its headers, and the tables that they lead to.

use object::LittleEndian;
use object::elf::{
    DT_SONAME, Dyn64, EM_AARCH64, EM_X86_64, ET_EXEC, FileHeader64, NT_GNU_BUILD_ID, PF_W, PF_X, PT_LOAD,
    PT_NOTE, ProgramHeader64, ProgramType, Rela64, SHT_DYNAMIC, SHT_DYNSYM, SHT_RELA, SHT_STRTAB,
    SectionHeader64, SectionType, Sym64,
};
use object::endian::U32;
use object::pod;
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader};

use super::Machine;
use super::bytes::{Bytes, WINDOW_BYTES};

/// Numbers in the file stand in this order.
pub(super) const LITTLE: LittleEndian = LittleEndian;

pub(super) type Section = SectionHeader64<LittleEndian>;
pub(super) type Segment = ProgramHeader64<LittleEndian>;

/// More records than any program has in a table; the bound is for files that lie.
const RECORDS_MAX: u64 = 4 << 20;

/// Longer than what is wanted of names.
const NAME_BYTES_MAX: usize = 4 << 10;

/// More notes than there are at one place.
const NOTES_BYTES_MAX: u64 = 4 << 10;

/// A file of 64 bits, little endian, of a machine that is understood.
#[derive(Debug)]
pub(super) struct Elf<'a> {
    bytes: &'a Bytes<'a>,
    pub(super) machine: Machine,
    /// Whether the file is loaded where it says, so that numbers in its code may be addresses.
    pub(super) is_fixed: bool,
    segments: Vec<Segment>,
    sections: Vec<Section>,
    section_names: Vec<u8>,
}

/// A relocation that is made when the file is loaded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relocation {
    /// Where.
    pub(super) address: u64,
    /// The number of the dynamic symbol whose address is put there; if none, that of the file.
    pub(super) symbol: Option<u32>,
    /// What is added.
    pub(super) addend: i64,
}

impl<'a> Elf<'a> {
    /// Reads the headers; `None` of what is no such file.
    pub(super) fn parse(bytes: &'a Bytes<'a>) -> Option<Self> {
        let header: FileHeader64<LittleEndian> = bytes.record(0)?;
        if !(header.is_supported() && header.is_class_64() && header.is_little_endian()) {
            return None;
        }
        let machine = match header.e_machine(LITTLE) {
            EM_X86_64 => Machine::X86_64,
            EM_AARCH64 => Machine::Aarch64,
            _ => return None,
        };
        let segments = bytes.records(header.e_phoff(LITTLE), header.e_phnum(LITTLE).into()).collect();
        let sections: Vec<Section> =
            bytes.records(header.e_shoff(LITTLE), header.e_shnum(LITTLE).into()).collect();
        let names = header.e_shstrndx(LITTLE).index().and_then(|index| sections.get(usize::from(index)));
        let section_names = names
            .map(|names| bytes.piece(names.sh_offset(LITTLE), names.sh_size(LITTLE)))
            .unwrap_or_default();
        let is_fixed = header.e_type(LITTLE) == ET_EXEC;
        Some(Self { bytes, machine, is_fixed, segments, sections, section_names })
    }

    pub(super) fn bytes(&self) -> &'a Bytes<'a> {
        self.bytes
    }

    /// The parts that are mapped.
    pub(super) fn loads(&self) -> impl Iterator<Item = &Segment> {
        self.segments(PT_LOAD)
    }

    /// Those of them that are mapped so that they can be executed.
    pub(super) fn executable(&self) -> impl Iterator<Item = &Segment> {
        self.loads().filter(|load| load.p_flags(LITTLE).contains(PF_X))
    }

    /// Those of them that are mapped so that they can be written.
    pub(super) fn writable(&self) -> impl Iterator<Item = &Segment> {
        self.loads().filter(|load| load.p_flags(LITTLE).contains(PF_W))
    }

    pub(super) fn segments(&self, kind: ProgramType) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(move |segment| segment.p_type(LITTLE) == kind)
    }

    /// Where in the file what is mapped at an address lies.
    pub(super) fn offset(&self, address: u64) -> Option<u64> {
        let holds = |load: &&Segment| address.wrapping_sub(load.p_vaddr(LITTLE)) < load.p_filesz(LITTLE);
        let load = self.loads().find(holds)?;
        load.p_offset(LITTLE).checked_add(address - load.p_vaddr(LITTLE))
    }

    /// The section with a name.
    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| {
            let from = self.section_names.get(section.sh_name(LITTLE) as usize..).unwrap_or_default();
            from.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"\0"))
        })
    }

    /// The symbols of the table of a kind, each with its number.
    pub(super) fn symbols(&self, kind: SectionType) -> impl Iterator<Item = (u32, Sym64<LittleEndian>)> {
        let table = self.table(kind).map(|(_, table)| table);
        (0..).zip(table.into_iter().flat_map(|table| self.records(table)))
    }

    /// The names of these symbols.
    pub(super) fn names(&self, kind: SectionType) -> Option<Names<'a>> {
        let (_, table) = self.table(kind)?;
        let strings = self.sections.get(table.sh_link(LITTLE) as usize)?;
        let (offset, length) = (strings.sh_offset(LITTLE), strings.sh_size(LITTLE));
        let are_strings = strings.sh_type(LITTLE) == SHT_STRTAB;
        are_strings.then(|| Names { bytes: self.bytes, offset, length, window: Vec::new(), window_at: 0 })
    }

    /// The relocations that are made when the file is loaded.
    pub(super) fn relocations(&self) -> impl Iterator<Item = Relocation> {
        let symbols = self.table(SHT_DYNSYM).map(|(number, _)| number as u32);
        let sections = self.sections.iter().filter(move |section| {
            section.sh_type(LITTLE) == SHT_RELA && Some(section.sh_link(LITTLE)) == symbols
        });
        let records = sections.flat_map(|section| self.records::<Rela64<LittleEndian>>(section));
        records.map(|it| Relocation {
            address: it.r_offset.get(LITTLE),
            symbol: Some(it.r_sym(LITTLE, false)).filter(|&symbol| symbol != 0),
            addend: it.r_addend.get(LITTLE),
        })
    }

    fn table(&self, kind: SectionType) -> Option<(usize, &Section)> {
        self.sections.iter().enumerate().find(|(_, section)| section.sh_type(LITTLE) == kind)
    }

    fn records<T: pod::Pod>(&self, section: &Section) -> impl Iterator<Item = T> + use<'a, T> {
        let count = section.sh_size(LITTLE) / size_of::<T>() as u64;
        self.bytes.records(section.sh_offset(LITTLE), count.min(RECORDS_MAX))
    }

    /// Whether the file has a name by which others may need it.
    pub(super) fn has_name(&self) -> bool {
        let Some((_, table)) = self.table(SHT_DYNAMIC) else { return true };
        self.records::<Dyn64<LittleEndian>>(table).any(|entry| entry.d_tag(LITTLE) == DT_SONAME)
    }

    /// The GNU build id.
    pub(super) fn build_id(&self) -> Option<Vec<u8>> {
        self.segments(PT_NOTE).find_map(|segment| {
            let length = segment.p_filesz(LITTLE).min(NOTES_BYTES_MAX);
            build_id(&self.bytes.piece(segment.p_offset(LITTLE), length), segment.p_align(LITTLE))
        })
    }
}

/// The build id among notes: each has the lengths of its name and of its content, its type, and then both, padded.
fn build_id(mut notes: &[u8], align: u64) -> Option<Vec<u8>> {
    let padded = |bytes: usize| bytes.checked_next_multiple_of(if align == 8 { 8 } else { 4 });
    loop {
        let (header, _) = pod::from_bytes::<[U32<LittleEndian>; 3]>(notes).ok()?;
        let [name_bytes, content_bytes, kind] = header.map(|field| field.get(LITTLE));
        let content_at = padded(size_of_val(header).checked_add(name_bytes as usize)?)?;
        let content_end = content_at.checked_add(content_bytes as usize)?;
        let content = notes.get(content_at..content_end)?;
        if kind == NT_GNU_BUILD_ID.0 && notes[size_of_val(header)..].starts_with(b"GNU\0") {
            return Some(content.to_vec());
        }
        notes = notes.get(padded(content_end)?..)?;
    }
}

/// A table of names. A window goes along, so that whoever asks in the order of offsets has everything read once.
#[derive(Debug)]
pub(super) struct Names<'a> {
    bytes: &'a Bytes<'a>,
    offset: u64,
    length: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl Names<'_> {
    /// The name at an offset; `None` where there is none, or one that is too long.
    pub(super) fn at(&mut self, offset: u32) -> Option<&[u8]> {
        let offset = u64::from(offset);
        let wanted = self.length.checked_sub(offset)?.min(NAME_BYTES_MAX as u64);
        let behind = self.window_at + self.window.len() as u64;
        if offset < self.window_at || behind < offset + wanted {
            self.window.resize(WINDOW_BYTES.min((self.length - offset) as usize), 0);
            self.bytes.fill(self.offset.checked_add(offset)?, &mut self.window);
            self.window_at = offset;
        }
        let name = self.window.get((offset - self.window_at) as usize..)?;
        let name = name.get(..NAME_BYTES_MAX).unwrap_or(name);
        name.get(..memchr::memchr(0, name)?)
    }
}
