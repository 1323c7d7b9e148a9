//! The code of a file, by address.

use object::elf::{DT_SONAME, ET_EXEC, PF_W, PF_X, PT_LOAD, ProgramFlags};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::read::{Object, ObjectSection, ObjectSymbol, ObjectSymbolTable, RelocationTarget};

use super::frames::Frames;
use super::machine::{self, Instruction, x86_64};
use super::symbols::{Symbol, Symbols, wanted};
use super::{Elf, Machine, Site, TakenSite};

/// Where the size of a function is not told, no more of it is read.
const UNSIZED_BYTES: u64 = 4096;

/// A function longer than this is read in part.
const FUNCTION_BYTES_MAX: u64 = 256 << 10;

/// The code of a file, by address.
pub(super) struct Code<'a> {
    machine: Machine,
    bytes: &'a [u8],
    /// Address, length in the file, offset in the file.
    segments: Vec<(u64, u64, u64)>,
    /// What is mapped executable, and what writable: address, length in memory.
    executable: Vec<(u64, u64)>,
    writable: Vec<(u64, u64)>,
    /// Whether the file is loaded where it says, so that numbers in its code may be addresses.
    is_fixed: bool,
    /// Stubs that jump to wanted functions through a slot, which a relocation fills.
    stubs: Vec<(u64, &'static str)>,
    /// The wanted functions that relocations name.
    related: Vec<&'static str>,
    /// Whether other files may name this one as what they need.
    has_name: bool,
    frames: Option<Frames<'a>>,
}

impl<'a> Code<'a> {
    pub(super) fn new(machine: Machine, elf: &Elf<'a>, bytes: &'a [u8]) -> Self {
        let endian = elf.endian();
        let loads = || elf.elf_program_headers().iter().filter(|header| header.p_type(endian) == PT_LOAD);
        let with = |flag: ProgramFlags| {
            let loads = loads().filter(move |load| load.p_flags(endian) & flag == flag);
            loads.map(|load| (load.p_vaddr(endian), load.p_memsz(endian))).collect()
        };
        let slots = slots(elf);
        let segments =
            loads().map(|load| (load.p_vaddr(endian), load.p_filesz(endian), load.p_offset(endian)));
        Self {
            machine,
            bytes,
            segments: segments.collect(),
            executable: with(PF_X),
            writable: with(PF_W),
            is_fixed: elf.elf_header().e_type(endian) == ET_EXEC,
            stubs: stubs(machine, elf, &slots),
            related: slots.iter().map(|&(_, name)| name).collect(),
            has_name: has_name(elf),
            frames: Frames::new(elf, bytes),
        }
    }

    pub(super) fn segments(&self) -> &[(u64, u64, u64)] {
        &self.segments
    }

    pub(super) fn is_fixed(&self) -> bool {
        self.is_fixed
    }

    /// Whether a variable of so many bytes may lie at an address.
    pub(super) fn may_hold_variable(&self, address: u64, bytes: u64, align: u64) -> bool {
        let holds = |&(start, length): &(u64, u64)| {
            address
                .checked_sub(start)
                .and_then(|offset| offset.checked_add(bytes))
                .is_some_and(|end| end <= length)
        };
        address.is_multiple_of(align) && self.writable.iter().any(holds)
    }

    /// The function that begins at an address.
    pub(super) fn function_at(&self, address: u64) -> Option<Symbol> {
        let is_code = self.executable.iter().any(|&(start, length)| address.wrapping_sub(start) < length);
        let found = if is_code { self.frames.as_ref()?.containing(address)? } else { return None };
        (found.address == address && found.size > 0).then_some(found)
    }

    /// The instructions of a function.
    pub(super) fn function(&self, symbol: Symbol) -> Vec<Instruction> {
        self.bytes_of(symbol).map_or_else(Vec::new, |code| self.machine.decode(code, symbol.address))
    }

    /// Likewise, in full: of x86-64.
    pub(super) fn function_x86_64(&self, symbol: Symbol) -> Vec<iced_x86::Instruction> {
        self.bytes_of(symbol).map_or_else(Vec::new, |code| x86_64::decode(code, symbol.address))
    }

    fn bytes_of(&self, symbol: Symbol) -> Option<&'a [u8]> {
        let told = (symbol.size > 0).then_some(symbol.size);
        let size = told.or_else(|| Some(self.function_at(symbol.address)?.size)).unwrap_or(UNSIZED_BYTES);
        let start = usize::try_from(self.offset(symbol.address)?).ok()?;
        let end =
            start.checked_add(usize::try_from(size.min(FUNCTION_BYTES_MAX)).ok()?)?.min(self.bytes.len());
        self.bytes.get(start..end)
    }

    fn offset(&self, address: u64) -> Option<u64> {
        let holds = |&&(start, length, _): &&(u64, u64, u64)| address.wrapping_sub(start) < length;
        let &(start, _, offset) = self.segments.iter().find(holds)?;
        offset.checked_add(address - start)
    }

    /// The word that the file has for an address.
    pub(super) fn word(&self, address: u64) -> Option<u64> {
        let start = usize::try_from(self.offset(address)?).ok()?;
        self.bytes.get(start..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }

    pub(super) fn site(&self, instruction: &Instruction) -> Option<Site> {
        let address = instruction.address;
        Some(Site { address, offset: self.offset(address)? })
    }

    /// Where a function's beginning can be probed.
    pub(super) fn entry(&self, symbol: Symbol) -> Option<Site> {
        self.site(machine::entry(&self.function(symbol))?)
    }

    /// Whether a call or jump to `target` comes to one of the [wanted] functions, directly or by a stub.
    pub(super) fn leads_to(&self, symbols: &Symbols, target: u64, name: &str) -> bool {
        symbols.address(name) == Some(target) || self.stubs.contains(&(target, name))
    }

    /// Whether nothing calls a public function, though it is there: no relocation names it, while calls of others lead through
    /// such, and no other file can name this one as what it needs.
    pub(super) fn leaves_uncalled(&self, symbols: &Symbols, name: &str) -> bool {
        let is_related = |name| symbols.get(name).is_some() && self.related.contains(&name);
        !self.has_name && is_related("uv_mutex_unlock") && !self.related.contains(&name)
    }

    /// The version that `uv_version` returns.
    pub(super) fn version(&self, symbols: &Symbols) -> Option<(u8, u8, u8)> {
        let [_, major, minor, patch] = self.returned_constant(symbols, "uv_version")?.to_be_bytes();
        Some((major, minor, patch))
    }

    /// The version of Node.js, as it stands in the file for Node-API.
    pub(super) fn node_version(&self, symbols: &Symbols) -> Option<(u32, u32, u32)> {
        let start = usize::try_from(self.offset(symbols.node_version?.address)?).ok()?;
        let number = |at: usize| {
            let word = self.bytes.get(start.checked_add(4 * at)?..)?.first_chunk()?;
            // Whatever else lies there is no version.
            Some(u32::from_le_bytes(*word)).filter(|&number| number < 1000)
        };
        Some((number(0)?, number(1)?, number(2)?))
    }

    /// The number that a function returns, whatever it is called with.
    pub(super) fn returned_constant(&self, symbols: &Symbols, name: &str) -> Option<u32> {
        let symbol = symbols.get(name)?;
        self.machine.returned_constant(self.bytes_of(symbol)?, symbol.address)
    }

    /// Where a function asks, behind a call, whether a list on its stack is empty.
    pub(super) fn list_test(&self, symbol: Symbol, call: &Instruction) -> Option<TakenSite> {
        let test = self.machine.list_test(self.bytes_of(symbol)?, symbol.address, call.address)?;
        let site = Site { address: test.branch, offset: self.offset(test.branch)? };
        Some(TakenSite { site, first: test.first, head: test.head })
    }

    pub(super) fn machine(&self) -> Machine {
        self.machine
    }
}

/// Whether a file has a name by which others may need it (`DT_SONAME`).
fn has_name(elf: &Elf<'_>) -> bool {
    let endian = elf.endian();
    let entries = elf.elf_section_table().dynamic(endian, elf.data()).ok().flatten();
    entries.is_none_or(|(entries, _)| entries.iter().any(|entry| entry.d_tag(endian) == DT_SONAME))
}

/// The slots that are filled with wanted functions' addresses when the file is loaded.
fn slots(elf: &Elf<'_>) -> Vec<(u64, &'static str)> {
    let name_of = |target| {
        let RelocationTarget::Symbol(index) = target else { return None };
        let symbol = elf.dynamic_symbol_table()?.symbol_by_index(index).ok()?;
        wanted(symbol.name().ok()?)
    };
    let relocations = elf.dynamic_relocations().into_iter().flatten();
    relocations.filter_map(|(slot, it)| Some((slot, name_of(it.target())?))).collect()
}

/// The stubs by which wanted functions are called.
fn stubs(machine: Machine, elf: &Elf<'_>, slots: &[(u64, &'static str)]) -> Vec<(u64, &'static str)> {
    let mut stubs = Vec::new();
    for section in [".plt", ".plt.sec", ".plt.got"].iter().filter_map(|name| elf.section_by_name(name)) {
        let Ok(code) = section.data() else { continue };
        for stub in machine.stubs(code, section.address()) {
            let name = slots.iter().find(|&&(slot, _)| slot == stub.slot).map(|&(_, name)| name);
            stubs.extend(name.map(|name| (stub.address, name)));
        }
    }
    stubs
}
