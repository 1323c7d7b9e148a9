//! Finding the instructions that carry probes.

use iced_x86::Instruction;
use object::elf::PT_LOAD;
use object::read::elf::ProgramHeader;
use object::read::{Object, ObjectSection, ObjectSymbol, ObjectSymbolTable, RelocationTarget};

use super::symbols::{Symbol, Symbols};
use super::{Elf, Missing, Points, Site, TaskSite, WorkFunctions, x86_64};

/// Where the size of a function is not told, no more of it is read.
const UNSIZED_BYTES: u64 = 4096;

/// The code of a file, by address.
pub(super) struct Code<'a> {
    bytes: &'a [u8],
    /// Address, length in the file, offset in the file.
    segments: Vec<(u64, u64, u64)>,
    /// The stubs that call the kernel's poll in the C library.
    stubs: Vec<u64>,
}

impl<'a> Code<'a> {
    pub(super) fn new(elf: &Elf<'a>, bytes: &'a [u8]) -> Self {
        let endian = elf.endian();
        let loads = elf.elf_program_headers().iter().filter(|header| header.p_type(endian) == PT_LOAD);
        let segments = loads.map(|load| (load.p_vaddr(endian), load.p_filesz(endian), load.p_offset(endian)));
        Self { bytes, segments: segments.collect(), stubs: poll_stubs(elf) }
    }

    pub(super) fn segments(&self) -> &[(u64, u64, u64)] {
        &self.segments
    }

    /// The instructions of a function.
    fn function(&self, symbol: Symbol) -> Vec<Instruction> {
        let size = if symbol.size > 0 { symbol.size } else { UNSIZED_BYTES };
        let code = self.offset(symbol.address).and_then(|offset| {
            let start = usize::try_from(offset).ok()?;
            let end = start.checked_add(usize::try_from(size).ok()?)?.min(self.bytes.len());
            self.bytes.get(start..end)
        });
        code.map_or_else(Vec::new, |code| x86_64::decode(code, symbol.address))
    }

    fn offset(&self, address: u64) -> Option<u64> {
        let holds = |&&(start, length, _): &&(u64, u64, u64)| address.wrapping_sub(start) < length;
        let &(start, _, offset) = self.segments.iter().find(holds)?;
        offset.checked_add(address - start)
    }

    fn site(&self, instruction: &Instruction) -> Option<Site> {
        let address = instruction.ip();
        Some(Site { address, offset: self.offset(address)? })
    }

    /// Where a function's beginning can be probed.
    fn entry(&self, symbol: Symbol) -> Option<Site> {
        self.site(x86_64::entry(&self.function(symbol))?)
    }

    /// The version that `uv_version` returns.
    pub(super) fn version(&self, symbols: &Symbols) -> Option<(u8, u8, u8)> {
        let number = x86_64::returned_constant(&self.function(symbols.get("uv_version")?))?;
        let [_, major, minor, patch] = number.to_be_bytes();
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
}

/// Where calls of `epoll_wait` and `epoll_pwait` lead: to stubs that jump through a slot, which a relocation fills.
fn poll_stubs(elf: &Elf<'_>) -> Vec<u64> {
    let is_poll = |target| {
        let RelocationTarget::Symbol(index) = target else { return false };
        let symbol = elf.dynamic_symbol_table().and_then(|table| table.symbol_by_index(index).ok());
        let name = symbol.and_then(|symbol| symbol.name().ok());
        name.is_some_and(|name| matches!(name.split('@').next(), Some("epoll_wait" | "epoll_pwait")))
    };
    let relocations = elf.dynamic_relocations().into_iter().flatten();
    let slots: Vec<u64> = relocations.filter(|(_, it)| is_poll(it.target())).map(|(slot, _)| slot).collect();
    let mut stubs = Vec::new();
    for section in [".plt", ".plt.sec", ".plt.got"].iter().filter_map(|name| elf.section_by_name(name)) {
        let Ok(code) = section.data() else { continue };
        for jump in x86_64::decode(code, section.address()).iter().filter_map(x86_64::jump_through) {
            if slots.contains(&jump.slot) {
                // The stub begins with the jump, or with the mark of an indirect branch's target before it.
                stubs.extend([jump.address, jump.address & !15]);
            }
        }
    }
    stubs
}

/// Finds every point that there is, and notes what was not found.
pub(super) fn find(code: &Code<'_>, symbols: &Symbols, missing: &mut Vec<Missing>) -> Points {
    let mut entry = |name: &'static str| {
        let Some(symbol) = symbols.get(name) else {
            missing.push(Missing { what: name, why: "it has no symbol".to_owned() });
            return None;
        };
        let site = code.entry(symbol);
        if site.is_none() {
            missing.push(Missing {
                what: name,
                why: "it begins with what the kernel does not emulate".to_owned(),
            });
        }
        site
    };
    if symbols.get("uv_run").is_none() {
        return Points { garbage_collections: garbage_collections(code, symbols), ..Points::default() };
    }
    let mut points = Points {
        io_poll: entry("uv__io_poll"),
        run_timers: entry("uv__run_timers"),
        run_idle: entry("uv__run_idle"),
        run_prepare: entry("uv__run_prepare"),
        run_check: entry("uv__run_check"),
        work_submit: entry("uv__work_submit"),
        work_done: entry("uv__work_done"),
        garbage_collections: garbage_collections(code, symbols),
        work_functions: work_functions(symbols),
        classes: symbols.classes.as_slice().into(),
        ..Points::default()
    };
    points.poll_returns = poll_returns(code, symbols);
    points.check_returns = check_returns(code, symbols);
    points.work_taken = work_taken(code, symbols);
    points.queue_work = queue_work(code, symbols);
    points.task_starts = task_starts(code, symbols);
    points.task_end = task_end(code, symbols);
    if points.task_end.is_none() {
        missing.push(Missing { what: "worker", why: "its call of a task was not found".to_owned() });
    }
    points
}

fn work_functions(symbols: &Symbols) -> WorkFunctions {
    WorkFunctions {
        fs: symbols.address("uv__fs_work"),
        getaddrinfo: symbols.address("uv__getaddrinfo_work"),
        getnameinfo: symbols.address("uv__getnameinfo_work"),
        random: symbols.address("uv__random_work"),
        queue_work: symbols.address("uv__queue_work"),
    }
}

/// Behind each call in `uv__io_poll` that may be one of the kernel's poll: a call through the table of procedures.
fn poll_returns(code: &Code<'_>, symbols: &Symbols) -> Vec<Site> {
    let Some(poll) = symbols.get("uv__io_poll") else { return Vec::new() };
    let waits: Vec<u64> = ["epoll_pwait", "epoll_wait", "uv__epoll_pwait", "uv__epoll_wait"]
        .iter()
        .filter_map(|name| symbols.address(name))
        .chain(code.stubs.iter().copied())
        .collect();
    let body = code.function(poll);
    let calls =
        body.iter().enumerate().filter(|(_, it)| x86_64::call(it).is_some_and(|to| waits.contains(&to)));
    calls.filter_map(|(position, _)| code.site(x86_64::behind(&body, position)?)).collect()
}

/// Behind the call of `uv__run_check` in `uv_run`.
fn check_returns(code: &Code<'_>, symbols: &Symbols) -> Vec<Site> {
    let (Some(run), Some(check)) = (symbols.get("uv_run"), symbols.address("uv__run_check")) else {
        return Vec::new();
    };
    let body = code.function(run);
    let calls = body.iter().enumerate().filter(|(_, it)| x86_64::call(it) == Some(check));
    calls.filter_map(|(position, _)| code.site(x86_64::behind(&body, position)?)).collect()
}

fn garbage_collections(code: &Code<'_>, symbols: &Symbols) -> Vec<Site> {
    symbols.garbage_collections.iter().filter_map(|&symbol| code.entry(symbol)).collect()
}

/// The calls of `uv_mutex_unlock` in `uv__work_done`.
fn work_taken(code: &Code<'_>, symbols: &Symbols) -> Vec<Site> {
    let (Some(done), Some(unlock)) = (symbols.get("uv__work_done"), symbols.address("uv_mutex_unlock"))
    else {
        return Vec::new();
    };
    let body = code.function(done);
    body.iter().filter(|it| x86_64::call(it) == Some(unlock)).filter_map(|it| code.site(it)).collect()
}

/// `uv_queue_work`, unless it calls `uv__work_submit`, where the task is seen anyway.
fn queue_work(code: &Code<'_>, symbols: &Symbols) -> Option<Site> {
    let (queue_work, submit) = (symbols.get("uv_queue_work")?, symbols.address("uv__work_submit"));
    let body = code.function(queue_work);
    let calls_submit = submit.is_some() && body.iter().any(|it| x86_64::target(it) == submit);
    if calls_submit { None } else { code.site(x86_64::entry(&body)?) }
}

/// The functions of which every task passes exactly one: libuv's own, and for what is given to `uv_queue_work` either
/// `uv__queue_work` or, where that cannot carry a probe, the function that Node.js gives.
fn task_starts(code: &Code<'_>, symbols: &Symbols) -> Vec<TaskSite> {
    let own =
        ["uv__fs_work", "uv__getaddrinfo_work", "uv__getnameinfo_work", "uv__random_work", "uv__queue_work"];
    let at_entry = |symbol: Option<Symbol>, displacement| {
        let site = code.entry(symbol?)?;
        Some(TaskSite { site, register: x86_64::FIRST_ARGUMENT, displacement })
    };
    let mut starts: Vec<TaskSite> = own.iter().filter_map(|name| at_entry(symbols.get(name), 0)).collect();
    if at_entry(symbols.get("uv__queue_work"), 0).is_none() {
        let work = super::layout::of((1, 45, 0)).work_request_work as i32;
        starts.extend(at_entry(symbols.node_task, work));
    }
    starts
}

/// In `worker`, the call of `uv_mutex_lock` that follows the call of the task.
fn task_end(code: &Code<'_>, symbols: &Symbols) -> Option<TaskSite> {
    let body = code.function(symbols.get("worker")?);
    let calls = body.iter().enumerate();
    let (position, (register, displacement)) =
        calls.filter_map(|(position, it)| Some((position, x86_64::call_through(it)?))).next()?;
    let site = code.site(x86_64::behind(&body, position)?)?;
    Some(TaskSite { site, register, displacement })
}
