//! Names that mean the same place.
//!
//! A symbol table often has several names for one function (`malloc`, `__libc_malloc`, `__GI___libc_malloc`), and each
//! profiler takes the one that it likes best. Before they are compared, each name is replaced by the first, in
//! alphabetical order, of all that begin at the same address of the same file.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use object::read::{Object, ObjectSymbol, SymbolKind};

use crate::perf::demangle;

/// The names of some files, read when they are first asked for.
#[derive(Debug, Default)]
pub struct Aliases {
    by_module: HashMap<String, HashMap<String, String>>,
}

impl Aliases {
    /// The first of all names of the function with this name in this file, or in `[kernel]`.
    pub fn first(&mut self, module: &str, name: &str) -> String {
        if !self.by_module.contains_key(module) {
            self.by_module.insert(module.to_owned(), read(module));
        }
        let names = &self.by_module[module];
        // Each step leads to an earlier name. One name may stand at several places, and so lead further.
        std::iter::successors(Some(name), |name| names.get(*name).map(String::as_str))
            .last()
            .unwrap_or(name)
            .to_owned()
    }
}

/// For each name that has others, the first of them.
fn read(module: &str) -> HashMap<String, String> {
    let mut by_address: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    if module.starts_with("[kernel") {
        for line in fs::read_to_string("/proc/kallsyms").unwrap_or_default().lines() {
            let mut words = line.split_whitespace();
            let address = words.next().and_then(|address| u64::from_str_radix(address, 16).ok());
            if let (Some(address), Some(name)) = (address, words.nth(1)) {
                by_address.entry(address).or_default().push(name.to_owned());
            }
        }
    } else {
        let file = PathBuf::from(module);
        add_symbols(&file, &mut by_address);
        if let Some(debug_file) = debug_file(&file) {
            add_symbols(&debug_file, &mut by_address);
        }
    }
    let mut first = HashMap::new();
    for mut names in by_address.into_values().filter(|names| names.len() > 1) {
        names.sort();
        names.dedup();
        for name in &names[1..] {
            first.insert(name.clone(), names[0].clone());
        }
    }
    first
}

fn add_symbols(file: &Path, by_address: &mut BTreeMap<u64, Vec<String>>) {
    let Ok(bytes) = fs::read(file) else { return };
    let Ok(object) = object::File::parse(&*bytes) else { return };
    for symbol in object.symbols().chain(object.dynamic_symbols()) {
        let is_code = matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Unknown | SymbolKind::Label);
        if let Some(name) =
            symbol.name().ok().filter(|name| is_code && symbol.is_definition() && !name.is_empty())
        {
            by_address.entry(symbol.address()).or_default().push(demangle(name));
        }
    }
}

/// Where Debian keeps what was stripped from a file.
fn debug_file(file: &Path) -> Option<PathBuf> {
    let bytes = fs::read(file).ok()?;
    let object = object::File::parse(&*bytes).ok()?;
    let build_id: String = object.build_id().ok()??.iter().map(|byte| format!("{byte:02x}")).collect();
    let (folder, name) = build_id.split_at_checked(2)?;
    Some(PathBuf::from(format!("/usr/lib/debug/.build-id/{folder}/{name}.debug")))
}
