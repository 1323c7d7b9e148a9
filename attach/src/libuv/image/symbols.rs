//! The few symbols that matter, from one pass over a binary's tables.

use std::collections::HashMap;

use object::LittleEndian;
use object::elf::{FileHeader64, SHN_UNDEF, STT_TLS};
use object::read::elf::{Sym, SymbolTable};

use super::{Class, Elf, shape};
use crate::sampler::demangle::demangle;

/// The names that are looked for as they are, besides those that [may be found by their shape](shape::NAMES).
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

/// A class whose table is bigger is none of a task.
const CLASS_BYTES_MAX: u64 = 4096;

/// More classes than Node.js has; the bound is for files that lie.
const CLASSES_MAX: usize = 4096;

type Table<'a> = SymbolTable<'a, FileHeader64<LittleEndian>, &'a [u8]>;

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
        symbols.read_table(elf, elf.elf_dynamic_symbol_table());
        if full {
            symbols.read_table(elf, elf.elf_symbol_table());
        }
        symbols.public.sort_unstable();
        symbols.classes.sort_unstable_by_key(|class| class.start);
        symbols.classes.dedup_by_key(|class| class.start);
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

    /// Whether a public function of libuv begins at an address.
    pub(super) fn is_public(&self, address: u64) -> bool {
        self.public.binary_search(&address).is_ok()
    }

    /// Adds what was found without a symbol; a symbol would win.
    pub(super) fn offer(&mut self, name: &'static str, symbol: Symbol) {
        self.named.entry(name).or_insert(symbol);
    }

    fn read_table<'a>(&mut self, elf: &Elf<'a>, table: &Table<'a>) {
        let endian = elf.endian();
        for entry in table.iter() {
            if entry.st_shndx(endian) == SHN_UNDEF || entry.st_type() == STT_TLS {
                continue;
            }
            let Some(name) =
                table.symbol_name(endian, entry).ok().and_then(|name| std::str::from_utf8(name).ok())
            else {
                continue;
            };
            let symbol = Symbol { address: entry.st_value(endian), size: entry.st_size(endian) };
            match name.as_bytes() {
                [b'_', b'Z', ..] => self.offer_cpp(name, symbol),
                _ => {
                    let is_public = name.starts_with("uv_") && !name.starts_with("uv__");
                    if is_public && self.public.len() < PUBLIC_MAX {
                        self.public.push(symbol.address);
                    }
                    if let Some(name) = wanted(name) {
                        self.named.entry(name).or_insert(symbol);
                    }
                }
            }
        }
    }

    fn offer_cpp(&mut self, name: &str, symbol: Symbol) {
        if name.starts_with(NODE_CLASSES)
            && (1..=CLASS_BYTES_MAX).contains(&symbol.size)
            && self.classes.len() < CLASSES_MAX
        {
            let name = demangle(name);
            let name =
                name.strip_prefix("{vtable(").and_then(|rest| rest.strip_suffix(")}")).unwrap_or(&name);
            let end = symbol.address.saturating_add(symbol.size);
            self.classes.push(Class { start: symbol.address, end, name: name.to_owned() });
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
        let mut names = [WANTED, shape::NAMES].concat();
        names.sort_unstable();
        names
    });
    let bare = name.split_once('@').map_or(name, |(bare, _)| bare);
    Some(sorted[sorted.binary_search(&bare).ok()?])
}
