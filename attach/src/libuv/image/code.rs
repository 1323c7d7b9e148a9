//! The code of a file, by address.

use object::pod::Pod;
use object::read::elf::{ProgramHeader, SectionHeader};

use super::elf::{Elf, LITTLE, Segment};
use super::frames::Frames;
use super::machine::{self, Instruction, x86_64};
use super::symbols::{Symbol, Symbols};
use super::{Machine, Site, TakenSite};

/// Where the size of a function is not told, no more of it is read.
const UNSIZED_BYTES: u64 = 4096;

/// A function longer than this is read in part.
const FUNCTION_BYTES_MAX: u64 = 256 << 10;

/// Tables of stubs are shorter.
const STUBS_BYTES_MAX: u64 = 1 << 20;

/// More slots than a file has for functions that are wanted.
const SLOTS_MAX: usize = 4096;

/// The code of a file, by address.
pub(super) struct Code<'a> {
    elf: &'a Elf<'a>,
    /// Stubs that jump to wanted functions through a slot, which a relocation fills.
    stubs: Vec<(u64, &'static str)>,
    /// The wanted functions that relocations name.
    related: Vec<&'static str>,
    frames: Option<Frames<'a>>,
}

impl<'a> Code<'a> {
    pub(super) fn new(elf: &'a Elf<'a>, symbols: &Symbols) -> Self {
        let slots = slots(elf, symbols);
        Self {
            elf,
            stubs: stubs(elf, &slots),
            related: slots.iter().map(|&(_, name)| name).collect(),
            frames: Frames::new(elf),
        }
    }

    pub(super) fn is_fixed(&self) -> bool {
        self.elf.is_fixed
    }

    /// Whether a variable of so many bytes may lie at an address.
    pub(super) fn may_hold_variable(&self, address: u64, bytes: u64, align: u64) -> bool {
        let holds = |load: &Segment| {
            let end = address.checked_sub(load.p_vaddr(LITTLE)).and_then(|start| start.checked_add(bytes));
            end.is_some_and(|end| end <= load.p_memsz(LITTLE))
        };
        address.is_multiple_of(align) && self.elf.writable().any(holds)
    }

    /// The function that begins at an address.
    pub(super) fn function_at(&self, address: u64) -> Option<Symbol> {
        let holds = |load: &Segment| address.wrapping_sub(load.p_vaddr(LITTLE)) < load.p_memsz(LITTLE);
        let is_code = self.elf.executable().any(holds);
        let found = if is_code { self.frames.as_ref()?.containing(address)? } else { return None };
        (found.address == address && found.size > 0).then_some(found)
    }

    /// The instructions of a function.
    pub(super) fn function(&self, symbol: Symbol) -> Vec<Instruction> {
        self.machine().decode(&self.bytes_of(symbol), symbol.address)
    }

    /// Likewise, in full: of x86-64.
    pub(super) fn function_x86_64(&self, symbol: Symbol) -> Vec<iced_x86::Instruction> {
        x86_64::decode(&self.bytes_of(symbol), symbol.address)
    }

    fn bytes_of(&self, symbol: Symbol) -> Vec<u8> {
        let Some(offset) = self.elf.offset(symbol.address) else { return Vec::new() };
        let told = (symbol.size > 0).then_some(symbol.size);
        let size = told.or_else(|| Some(self.function_at(symbol.address)?.size)).unwrap_or(UNSIZED_BYTES);
        self.elf.bytes().piece(offset, size.min(FUNCTION_BYTES_MAX))
    }

    /// What the file has for an address.
    fn record<T: Pod>(&self, address: u64) -> Option<T> {
        self.elf.bytes().record(self.elf.offset(address)?)
    }

    /// The word that the file has for an address.
    pub(super) fn word(&self, address: u64) -> Option<u64> {
        self.record(address).map(u64::from_le_bytes)
    }

    pub(super) fn site(&self, instruction: &Instruction) -> Option<Site> {
        let address = instruction.address;
        Some(Site { address, offset: self.elf.offset(address)? })
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
        !self.elf.has_name() && is_related("uv_mutex_unlock") && !self.related.contains(&name)
    }

    /// The version that `uv_version` returns.
    pub(super) fn version(&self, symbols: &Symbols) -> Option<(u8, u8, u8)> {
        let [_, major, minor, patch] = self.returned_constant(symbols, "uv_version")?.to_be_bytes();
        Some((major, minor, patch))
    }

    /// The version of Node.js, as it stands in the file for Node-API.
    pub(super) fn node_version(&self, symbols: &Symbols) -> Option<(u32, u32, u32)> {
        let numbers: [[u8; 4]; 3] = self.record(symbols.node_version?.address)?;
        let [major, minor, patch] = numbers.map(u32::from_le_bytes);
        // Whatever else lies there is no version.
        [major, minor, patch].iter().all(|&number| number < 1000).then_some((major, minor, patch))
    }

    /// The number that a function returns, whatever it is called with.
    pub(super) fn returned_constant(&self, symbols: &Symbols, name: &str) -> Option<u32> {
        let symbol = symbols.get(name)?;
        self.machine().returned_constant(&self.bytes_of(symbol), symbol.address)
    }

    /// Where a function asks, behind a call, whether a list on its stack is empty.
    pub(super) fn list_test(&self, symbol: Symbol, call: &Instruction) -> Option<TakenSite> {
        let test = self.machine().list_test(&self.bytes_of(symbol), symbol.address, call.address)?;
        let site = Site { address: test.branch, offset: self.elf.offset(test.branch)? };
        Some(TakenSite { site, first: test.first, head: test.head })
    }

    pub(super) fn machine(&self) -> Machine {
        self.elf.machine
    }
}

/// The slots that are filled with wanted functions' addresses when the file is loaded.
fn slots(elf: &Elf<'_>, symbols: &Symbols) -> Vec<(u64, &'static str)> {
    let wanted = elf.relocations().filter_map(|it| Some((it.address, symbols.dynamic(it.symbol?)?)));
    wanted.take(SLOTS_MAX).collect()
}

/// The stubs by which wanted functions are called.
fn stubs(elf: &Elf<'_>, slots: &[(u64, &'static str)]) -> Vec<(u64, &'static str)> {
    let mut stubs = Vec::new();
    for section in [".plt", ".plt.sec", ".plt.got"].iter().filter_map(|name| elf.section(name)) {
        let code = elf.bytes().piece(section.sh_offset(LITTLE), section.sh_size(LITTLE).min(STUBS_BYTES_MAX));
        for stub in elf.machine.stubs(&code, section.sh_addr(LITTLE)) {
            let name = slots.iter().find(|&&(slot, _)| slot == stub.slot).map(|&(_, name)| name);
            stubs.extend(name.map(|name| (stub.address, name)));
        }
    }
    stubs
}
