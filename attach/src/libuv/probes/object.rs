//! The compiled BPF programs, and loading them into the kernel.
//!
//! The object holds maps and programs and nothing else: no type information, no calls between programs, no fields of the
//! kernel's structures. So loading is making the maps and writing their descriptors into the instructions that name
//! them. Refused: a loading library, for the little that it would do here it brings a second ELF reader.

use std::collections::HashMap;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use object::read::elf::ElfFile64;
use object::{LittleEndian, Object, ObjectSection, ObjectSymbol, RelocationTarget};

use crate::sys::bpf::{self, Map, MapShape};

/// Placed so that the file's numbers are aligned.
#[repr(align(8))]
struct Aligned<B: ?Sized>(B);

#[cfg(target_arch = "x86_64")]
static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!("../../../bpf/libuv.bpf.x86_64.o"));
#[cfg(target_arch = "aarch64")]
static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!("../../../bpf/libuv.bpf.aarch64.o"));

const LICENSE: &CStr = c"Dual MIT/GPL";

/// In an instruction that loads 64 bits: the number is the descriptor of a map.
const SOURCE_IS_MAP: u8 = 1;

/// The maps, and the programs that have been loaded.
pub(super) struct Loaded {
    maps: HashMap<String, Map>,
    programs: HashMap<String, OwnedFd>,
}

/// Why the kernel took a map or a program not.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) what: String,
    pub(super) source: io::Error,
    /// The verifier's words; empty of a map.
    pub(super) words: String,
}

impl Loaded {
    /// Makes all maps and loads all programs.
    pub(super) fn load(multi: bool) -> Result<Self, Refused> {
        let elf = ElfFile64::<LittleEndian>::parse(&OBJECT.0).expect("the object was made by us");
        let maps = make_maps(&elf)?;
        let mut programs = HashMap::new();
        for section in elf.sections() {
            let name = section.name().expect("the object was made by us");
            let Some((_, program)) = name.split_once("probe/").filter(|_| !name.starts_with(".rel")) else {
                continue;
            };
            let instructions = instructions(&elf, &section, &maps);
            let loaded = bpf::load_program(&instructions, LICENSE, multi).map_err(|(source, words)| {
                Refused { what: format!("the program {program}"), source, words }
            })?;
            programs.insert(program.to_owned(), loaded);
        }
        Ok(Self { maps, programs })
    }

    /// A map of the object.
    pub(super) fn map(&self, name: &str) -> &Map {
        self.maps.get(name).expect("the object has this map")
    }

    /// Some program of the object.
    pub(super) fn any_program(&self) -> &OwnedFd {
        self.programs.values().next().expect("the object has programs")
    }

    /// A program of the object.
    pub(super) fn program(&self, name: &str) -> &OwnedFd {
        self.programs.get(name).expect("the object has this program")
    }
}

type Elf<'a> = ElfFile64<'a, LittleEndian, &'a [u8]>;

fn make_maps(elf: &Elf<'_>) -> Result<HashMap<String, Map>, Refused> {
    let section = elf.section_by_name("maps").expect("the object has maps");
    let data = section.data().expect("the object was made by us");
    let mut maps = HashMap::new();
    for symbol in elf.symbols().filter(|symbol| symbol.section_index() == Some(section.index())) {
        let name = symbol.name().expect("the object was made by us");
        if name.is_empty() {
            continue;
        }
        let words: Vec<u32> = data[symbol.address() as usize..][..20]
            .chunks_exact(4)
            .map(|word| u32::from_le_bytes(word.try_into().expect("chunks of four")))
            .collect();
        let shape = MapShape {
            kind: words[0],
            key_bytes: words[1],
            value_bytes: words[2],
            entries_max: words[3],
            flags: words[4],
        };
        let map = Map::create(&shape).map_err(|source| Refused {
            what: format!("the map {name}"),
            source,
            words: String::new(),
        })?;
        maps.insert(name.to_owned(), map);
    }
    Ok(maps)
}

fn instructions<'a>(
    elf: &Elf<'a>,
    section: &impl ObjectSection<'a>,
    maps: &HashMap<String, Map>,
) -> Vec<[u8; 8]> {
    let data = section.data().expect("the object was made by us");
    let mut instructions: Vec<[u8; 8]> =
        data.chunks_exact(8).map(|it| it.try_into().expect("chunks of eight")).collect();
    for (offset, relocation) in section.relocations() {
        let RelocationTarget::Symbol(index) = relocation.target() else { continue };
        let symbol = elf.symbol_by_index(index).expect("the object was made by us");
        let map = maps.get(symbol.name().expect("the object was made by us")).expect("only maps are named");
        let load = &mut instructions[offset as usize / 8];
        load[1] = load[1] & 0x0f | SOURCE_IS_MAP << 4;
        load[4..].copy_from_slice(&map.as_fd().as_raw_fd().to_ne_bytes());
    }
    instructions
}
