//! The few symbols that matter, from one pass over a binary's tables.
//!
//! A table and its names are read in pieces, and of neither more is kept than a batch: a table of dynamic symbols is in the order of
//! a hash, so a batch is put into the order of its names before these are read.

use std::collections::HashMap;

use object::elf::{SHN_UNDEF, SHT_DYNSYM, SHT_SYMTAB, STT_TLS, SectionType};
use object::read::elf::Sym;

use super::elf::{Elf, LITTLE};
use super::{Class, shape, task};
use crate::sampler::demangle::demangle;

/// The names that are looked for as they are, besides those that [may be found by their shape](shape::FUNCTIONS).
const WANTED: &[&str] = &[
    "uv_run",
    "uv_version",
    "uv_default_loop",
    "uv_queue_work",
    "uv_cancel",
    "uv_mutex_unlock",
    "epoll_wait",
    "epoll_pwait",
    "uv__epoll_pwait",
    "uv__epoll_wait",
    "uv_async_init",
    "uv_cond_signal",
    "uv_cond_wait",
    "uv_fs_close",
    "uv_fs_stat",
    "uv_fs_unlink",
    "uv_getaddrinfo",
    "uv_getnameinfo",
    "uv_loop_init",
    "uv_loop_size",
    "uv_mutex_lock",
    "uv_once",
    "uv_random",
    "uv_timer_again",
    "uv_timer_stop",
];

/// `v8::internal::Heap::PerformGarbageCollection`; its parameters differ between versions.
const GARBAGE_COLLECTION: &str = "_ZN2v88internal4Heap24PerformGarbageCollectionENS0_16GarbageCollectorE";

/// What Node.js hands to `uv_queue_work` for each of its tasks: the lambda of `node::ThreadPoolWork::ScheduleWork`, as a
/// function (`_FUN` of GCC, `__invoke` of clang).
const NODE_TASK: &str = "_ZZN4node14ThreadPoolWork12ScheduleWorkEvENUlP9uv_work_sE_";

/// What `napi_get_node_version` points its callers to: three numbers.
const NODE_VERSION: &str = "_ZZ21napi_get_node_versionE7version";

/// The virtual tables of Node.js's classes.
const NODE_CLASSES: &str = "_ZTVN4node";

/// The virtual table of the one class of tasks that lies elsewhere: what addons queue by `napi_queue_async_work`.
const NAPI_WORK: &str = "_ZTVN12_GLOBAL__N_16uvimpl4WorkE";

/// A class whose table is bigger is none of a task.
const CLASS_BYTES_MAX: u64 = 4096;

/// More classes than Node.js has; the bound is for files that lie.
const CLASSES_MAX: usize = 4096;

/// Symbols that are looked at together: 2 MB of them, and as much again to put them into order.
const BATCH: usize = 64 << 10;

/// More public functions than libuv has, in two tables.
const PUBLIC_MAX: usize = 4096;

/// A function has no more copies than this.
const COPIES_MAX: usize = 8;

/// An address and a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Symbol {
    pub(super) address: u64,
    pub(super) size: u64,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    named: HashMap<&'static str, Symbol>,
    /// The wanted ones of the dynamic table, by their numbers, whether they are defined in the file or not.
    dynamic: HashMap<u32, &'static str>,
    /// The addresses of libuv's public functions, sorted.
    public: Vec<u64>,
    pub(super) garbage_collections: Vec<Symbol>,
    pub(super) node_task: Option<Symbol>,
    pub(super) node_version: Option<Symbol>,
    pub(super) classes: Vec<Class>,
}

impl Symbols {
    /// Reads the tables of a file: the dynamic one, and the full one where it is there and wanted.
    pub(super) fn read(elf: &Elf<'_>, full: bool) -> Self {
        let mut symbols = Self::default();
        symbols.read_table(elf, SHT_DYNSYM);
        if full {
            symbols.read_table(elf, SHT_SYMTAB);
        }
        symbols.public.sort_unstable();
        symbols.classes.sort_unstable_by_key(|class| class.start);
        symbols.classes.dedup_by_key(|class| class.start);
        task::name_all(&mut symbols.classes);
        symbols
    }

    /// The symbol with one of the [wanted](WANTED) names, or what was found without one.
    pub(super) fn get(&self, name: &str) -> Option<Symbol> {
        self.named.get(name).copied()
    }

    /// The address of the symbol with one of the wanted names.
    pub(super) fn address(&self, name: &str) -> Option<u64> {
        self.get(name).map(|symbol| symbol.address)
    }

    /// The wanted name of a dynamic symbol.
    pub(super) fn dynamic(&self, number: u32) -> Option<&'static str> {
        self.dynamic.get(&number).copied()
    }

    /// Whether a public function of libuv begins at an address.
    pub(super) fn is_public(&self, address: u64) -> bool {
        self.public.binary_search(&address).is_ok()
    }

    /// Adds what was found without a symbol; a symbol would win.
    pub(super) fn offer(&mut self, name: &'static str, symbol: Symbol) {
        self.named.entry(name).or_insert(symbol);
    }

    fn read_table(&mut self, elf: &Elf<'_>, kind: SectionType) {
        let Some(mut names) = elf.names(kind) else { return };
        let mut entries = elf.symbols(kind).filter(|(_, entry)| entry.st_type() != STT_TLS);
        let mut batch = Vec::new();
        loop {
            batch.extend(entries.by_ref().take(BATCH));
            if batch.is_empty() {
                return;
            }
            batch.sort_by_key(|(_, entry)| entry.st_name(LITTLE));
            for (number, entry) in batch.drain(..) {
                let name = names.at(entry.st_name(LITTLE)).and_then(|name| std::str::from_utf8(name).ok());
                let Some(name) = name else { continue };
                let symbol = Symbol { address: entry.st_value(LITTLE), size: entry.st_size(LITTLE) };
                if kind == SHT_DYNSYM && self.dynamic.len() < PUBLIC_MAX {
                    self.dynamic.extend(wanted(name).map(|name| (number, name)));
                }
                if entry.st_shndx(LITTLE) != SHN_UNDEF {
                    self.offer_defined(name, symbol);
                }
            }
        }
    }

    fn offer_defined(&mut self, name: &str, symbol: Symbol) {
        if name.starts_with("_Z") {
            return self.offer_cpp(name, symbol);
        }
        let is_public = name.starts_with("uv_") && !name.starts_with("uv__");
        if is_public && self.public.len() < PUBLIC_MAX {
            self.public.push(symbol.address);
        }
        if let Some(name) = wanted(name) {
            self.named.entry(name).or_insert(symbol);
        }
    }

    fn offer_cpp(&mut self, name: &str, symbol: Symbol) {
        if (name.starts_with(NODE_CLASSES) || name == NAPI_WORK)
            && (1..=CLASS_BYTES_MAX).contains(&symbol.size)
            && self.classes.len() < CLASSES_MAX
        {
            let name = demangle(name);
            let name =
                name.strip_prefix("{vtable(").and_then(|rest| rest.strip_suffix(")}")).unwrap_or(&name);
            let end = symbol.address.saturating_add(symbol.size);
            self.classes.push(Class { start: symbol.address, end, name: name.to_owned(), task: None });
        } else if name.starts_with(GARBAGE_COLLECTION) && !name.contains(".cold") {
            // A table may repeat another.
            if self.garbage_collections.len() < COPIES_MAX && !self.garbage_collections.contains(&symbol) {
                self.garbage_collections.push(symbol);
            }
        } else if name.starts_with(NODE_TASK) && (name.contains("4_FUN") || name.contains("8__invoke")) {
            self.node_task.get_or_insert(symbol);
        } else if name == NODE_VERSION {
            self.node_version.get_or_insert(symbol);
        }
    }
}

/// The wanted name that a symbol has, whatever its version.
pub(super) fn wanted(name: &str) -> Option<&'static str> {
    static SORTED: std::sync::OnceLock<Vec<&'static str>> = std::sync::OnceLock::new();
    let sorted = SORTED.get_or_init(|| {
        let mut names = [WANTED, shape::FUNCTIONS, shape::VARIABLES].concat();
        names.sort_unstable();
        names
    });
    let bare = name.split_once('@').map_or(name, |(bare, _)| bare);
    Some(sorted[sorted.binary_search(&bare).ok()?])
}
