//! An object file, opened once and held until the profile is done, because the file may be deleted meanwhile.
//!
//! Only headers are read when a file is opened, which happens while a program is being recorded. Symbols and debug
//! information are looked at when the recording is over.

use std::ops::{Deref, Range};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use framehop::ModuleSectionInfo;
use memmap2::Mmap;
use object::LittleEndian;
use object::elf::{PF_X, PT_LOAD};
use object::read::elf::{ElfFile64, ProgramHeader};
use object::read::{Object, ObjectSection};

use crate::libuv::image::functions_by_shape;

/// An ELF file of this machine's kind: 64 bits, little endian.
pub(super) type Elf<'a> = ElfFile64<'a, LittleEndian, &'a [u8]>;

/// The content of a file.
pub(crate) enum Bytes {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Mapped(map) => map,
            Bytes::Owned(bytes) => bytes,
        }
    }
}

/// A part of a file that keeps the whole alive.
#[derive(Clone)]
pub(crate) struct Section {
    bytes: Arc<Bytes>,
    range: Range<usize>,
}

impl Deref for Section {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }
}

/// An object file.
pub(crate) struct Image {
    bytes: Arc<Bytes>,
    segments: Box<[Segment]>,
    /// The build id in hexadecimal; empty where there is none.
    pub(crate) build_id: String,
    /// The path of the file as the process sees it; `None` of what is no file.
    pub(crate) path: Option<PathBuf>,
    /// The directory under which the process sees its files.
    pub(super) root: PathBuf,
    /// What [`Image::libuv_functions`] has found.
    libuv_functions: OnceLock<Box<[(u64, &'static str)]>>,
}

/// A loadable part of an object file, as its program header states it.
struct Segment {
    file_offset: u64,
    file_size: u64,
    address: u64,
    executable: bool,
}

/// The smallest page; segments begin on one in the file as in memory.
const PAGE: u64 = 4096;

impl Image {
    /// Reads the headers. `None` of what is not an object file of this machine's kind.
    pub(crate) fn parse(bytes: Bytes, path: Option<PathBuf>, root: PathBuf) -> Option<Self> {
        let elf = Elf::parse(&*bytes).ok()?;
        let endian = elf.endian();
        let segments = elf
            .elf_program_headers()
            .iter()
            .filter(|header| header.p_type(endian) == PT_LOAD)
            .map(|header| Segment {
                file_offset: header.p_offset(endian),
                file_size: header.p_filesz(endian),
                address: header.p_vaddr(endian),
                executable: header.p_flags(endian).contains(PF_X),
            })
            .collect();
        let build_id = elf.build_id().ok().flatten().map(hexadecimal).unwrap_or_default();
        let libuv_functions = OnceLock::new();
        Some(Self { segments, build_id, path, root, libuv_functions, bytes: Arc::new(bytes) })
    }

    /// The file's structure, or `None` where it changed under our feet.
    pub(super) fn elf(&self) -> Option<Elf<'_>> {
        Elf::parse(&**self.bytes).ok()
    }

    /// What to add to an address of the file to get the process's, for a mapping of code from `file_offset` to `start`.
    ///
    /// Two segments can share a page of the file, so both match; the one that begins later is the mapped one.
    pub(crate) fn bias(&self, start: u64, file_offset: u64) -> Option<u64> {
        let holds = |segment: &&Segment| {
            let first_page = segment.file_offset & !(PAGE - 1);
            first_page <= file_offset && file_offset < segment.file_offset.saturating_add(segment.file_size)
        };
        let matches = |executable| self.segments.iter().filter(holds).rfind(|it| it.executable == executable);
        let segment = matches(true).or_else(|| matches(false))?;
        let mapped = segment.address.wrapping_sub(segment.file_offset).wrapping_add(file_offset);
        Some(start.wrapping_sub(mapped))
    }

    /// The functions of libuv that have no symbols in a stripped file, by where they begin, as far as the shape of their code tells them.
    pub(super) fn libuv_functions(&self) -> &[(u64, &'static str)] {
        self.libuv_functions.get_or_init(|| functions_by_shape(&self.bytes).into())
    }

    /// The number of bytes in the file.
    pub(crate) fn length(&self) -> usize {
        self.bytes.len()
    }

    /// The lowest address that the file asks for.
    pub(crate) fn base(&self) -> u64 {
        self.segments.iter().map(|segment| segment.address).min().unwrap_or(0) & !(PAGE - 1)
    }

    /// What unwinding needs.
    pub(crate) fn unwind_sections(&self) -> impl ModuleSectionInfo<Section> {
        UnwindSections { image: self, elf: self.elf() }
    }
}

/// The sections of an image, as the unwinder asks for them.
struct UnwindSections<'a> {
    image: &'a Image,
    elf: Option<Elf<'a>>,
}

impl ModuleSectionInfo<Section> for UnwindSections<'_> {
    fn base_svma(&self) -> u64 {
        self.image.base()
    }

    fn section_svma_range(&mut self, name: &[u8]) -> Option<Range<u64>> {
        address_range(self.elf.as_ref()?, name)
    }

    fn section_data(&mut self, name: &[u8]) -> Option<Section> {
        let range = self.elf.as_ref()?.section_by_name_bytes(name)?.compressed_file_range().ok()?;
        if range.format != object::CompressionFormat::None {
            return None;
        }
        let start = usize::try_from(range.offset).ok()?;
        let end = start.checked_add(usize::try_from(range.uncompressed_size).ok()?)?;
        let bytes = &self.image.bytes;
        (start < end && end <= bytes.len()).then(|| Section { bytes: bytes.clone(), range: start..end })
    }
}

/// The addresses of a section, as the file states them.
fn address_range(elf: &Elf<'_>, name: &[u8]) -> Option<Range<u64>> {
    let section = elf.section_by_name_bytes(name)?;
    Some(section.address()..section.address().checked_add(section.size())?)
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
