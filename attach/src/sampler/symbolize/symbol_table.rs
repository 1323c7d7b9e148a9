//! Names from an object file's symbol tables.

use std::cmp::Reverse;

use object::elf::{SHN_UNDEF, STB_GLOBAL, STB_LOCAL, STB_WEAK, STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE};
use object::read::elf::{Sym, SymbolTable};

use super::image::Elf;
use super::nearest::{Nearest, Rank};

type Table<'a> = SymbolTable<'a, object::elf::FileHeader64<object::LittleEndian>, &'a [u8]>;

/// The mangled name of the function that holds each of these ascending addresses of the file.
pub(super) fn names<'a>(elf: &Elf<'a>, addresses: &[u64]) -> Vec<Option<&'a [u8]>> {
    let full = elf.elf_symbol_table();
    let table = if full.is_empty() { elf.elf_dynamic_symbol_table() } else { full };
    let endian = elf.endian();
    let mut nearest = Nearest::new(addresses);
    for symbol in table.iter() {
        nearest.offer(symbol.st_value(endian), || describe(elf, table, symbol));
    }
    let name = |address: u64, (start, symbol): (u64, &'a Symbol)| {
        let size = symbol.st_size(endian);
        // Only hand-written assembly has no size; it holds what follows it in its section.
        let holds = if size > 0 { address - start < size } else { same_section(elf, symbol, address) };
        holds.then(|| table.symbol_name(endian, symbol).ok()).flatten()
    };
    let found = nearest.finish().into_iter();
    found.zip(addresses).map(|(found, &address)| found.and_then(|found| name(address, found))).collect()
}

/// Whether the file has a function of this name for others to call.
pub(super) fn publishes(elf: &Elf<'_>, name: &[u8]) -> bool {
    let (table, endian) = (elf.elf_dynamic_symbol_table(), elf.endian());
    let is_it = |symbol: &Symbol| table.symbol_name(endian, symbol).is_ok_and(|found| found == name);
    table.iter().any(|symbol| symbol.st_shndx(endian) != SHN_UNDEF && is_it(symbol))
}

type Symbol = object::elf::Sym64<object::LittleEndian>;

/// The rank of a symbol, or `None` of one that names no code.
fn describe<'a>(elf: &Elf<'a>, table: &Table<'a>, symbol: &'a Symbol) -> Option<(Rank, &'a Symbol)> {
    let endian = elf.endian();
    if symbol.st_shndx(endian) == SHN_UNDEF {
        return None;
    }
    let name = table.symbol_name(endian, symbol).ok()?;
    match symbol.st_type() {
        STT_FUNC | STT_GNU_IFUNC => {}
        // Labels of assembly. Those with a dollar sign mark data between instructions on arm64.
        STT_NOTYPE if name.first().is_some_and(|&first| first != b'$') && in_code(elf, symbol) => {}
        _ => return None,
    }
    let bind = symbol.st_bind();
    let rank = Rank {
        sized: symbol.st_size(endian) > 0,
        strong: bind == STB_GLOBAL || bind == STB_LOCAL,
        global: bind == STB_GLOBAL || bind == STB_WEAK,
        underscores: Reverse(name.iter().take_while(|&&byte| byte == b'_').count()),
    };
    (!name.is_empty()).then_some((rank, symbol))
}

fn in_code(elf: &Elf<'_>, symbol: &Symbol) -> bool {
    section(elf, symbol).is_some_and(|(executable, _)| executable)
}

fn same_section(elf: &Elf<'_>, symbol: &Symbol, address: u64) -> bool {
    section(elf, symbol).is_some_and(|(_, range)| range.contains(&address))
}

/// Whether the section of a symbol is code, and its addresses.
fn section(elf: &Elf<'_>, symbol: &Symbol) -> Option<(bool, std::ops::Range<u64>)> {
    use object::read::elf::SectionHeader;
    let endian = elf.endian();
    let index = object::SectionIndex(symbol.st_shndx(endian).index()?.into());
    let header = elf.elf_section_table().section(index).ok()?;
    let start = header.sh_addr(endian);
    let executable = header.sh_flags(endian).contains(object::elf::SHF_EXECINSTR);
    Some((executable, start..start.saturating_add(header.sh_size(endian))))
}
