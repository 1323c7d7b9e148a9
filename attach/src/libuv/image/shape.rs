//! Finding libuv's inner functions and variables where a library has only the symbols of its public functions.
//!
//! Distributions ship `libuv.so.1` stripped. What is public leads to the rest: a function is known by who calls it, by what it
//! calls, and by the fields of public structures that it uses, whose places libuv has promised never to change. Nothing is taken
//! by its distance from something else, or by its bytes: compilers do as they like with these. What has no candidate, or more
//! than one, stays unknown.
//!
//! Only code of x86-64 is understood. [`values`] follows constants through a function, [`loops`] finds what belongs to the event loop,
//! [`pool`] what belongs to the thread pool, [`variables`] what it keeps.

mod loops;
mod pool;
#[cfg(test)]
mod tests;
mod values;
mod variables;

use super::code::Code;
use super::elf::Elf;
use super::machine::x86_64;
use super::symbols::{Symbol, Symbols};
use super::{Machine, Missing};
use values::Function;

/// A function of libuv that is longer is none that is looked for.
const FUNCTION_BYTES_MAX: u64 = 16 << 10;

/// The functions that are looked for, by the names that the full table of symbols would have.
pub(super) const FUNCTIONS: &[&str] = &[
    "uv__io_poll",
    "uv__run_timers",
    "uv__run_idle",
    "uv__run_prepare",
    "uv__run_check",
    "uv__work_submit",
    "uv__work_done",
    "uv__fs_work",
    "uv__getaddrinfo_work",
    "uv__getnameinfo_work",
    "uv__random_work",
    "uv__queue_work",
    "worker",
];

/// The variables, likewise.
pub(super) const VARIABLES: &[&str] = &[
    "default_loop_struct",
    "wq",
    "slow_io_pending_wq",
    "run_slow_work_message",
    "exit_message",
    "idle_threads",
    "nthreads",
];

/// Why something was not found.
type Unfound = &'static str;

const NOTHING: Unfound = "it has no symbol, and nothing in the code has its shape";
const SEVERAL: Unfound = "it has no symbol, and more than one place in the code has its shape";

/// Adds what is found to the symbols of a binary that has libuv's public functions. What has a symbol is not looked for.
pub(super) fn complete(elf: &Elf<'_>, code: &Code<'_>, symbols: &mut Symbols, missing: &mut Vec<Missing>) {
    if code.machine() != Machine::X86_64
        || FUNCTIONS.iter().chain(VARIABLES).all(|name| symbols.get(name).is_some())
    {
        return;
    }
    let mut search = Search { elf, code, symbols, missing };
    loops::find(&mut search);
    pool::find(&mut search);
}

struct Search<'a, 'b> {
    elf: &'a Elf<'b>,
    code: &'a Code<'b>,
    symbols: &'a mut Symbols,
    missing: &'a mut Vec<Missing>,
}

impl Search<'_, '_> {
    /// Whether a call or jump comes to a function with a name.
    fn leads_to(&self, target: Option<u64>, name: &str) -> bool {
        target.is_some_and(|target| self.code.leads_to(self.symbols, target, name))
    }

    /// A function that begins at an address, if it is one that may be libuv's.
    fn function_at(&self, address: u64) -> Option<Symbol> {
        self.code.function_at(address).filter(|found| found.size <= FUNCTION_BYTES_MAX)
    }

    /// A function whose name is known, with its constants.
    fn named(&self, name: &str) -> Option<Function> {
        let symbol = self.symbols.get(name).filter(|symbol| symbol.size <= FUNCTION_BYTES_MAX)?;
        Some(self.analysed(symbol))
    }

    fn analysed(&self, symbol: Symbol) -> Function {
        Function::new(self.code.function_x86_64(symbol), self.code.is_fixed())
    }

    /// What stands at some addresses when the file is loaded, where that is an address in it.
    fn pointers(&self, at: &[u64]) -> Vec<u64> {
        let relative = self.elf.relocations().filter(|it| it.symbol.is_none() && at.contains(&it.address));
        let relative = relative.map(|it| it.addend as u64).take(at.len());
        // Where it is loaded as it is, or where its relocations are packed, the file has the address.
        relative.chain(at.iter().filter_map(|&at| self.code.word(at))).collect()
    }

    /// Whether a function calls another one, which has a name, or jumps to it.
    fn calls(&self, function: Symbol, names: &[&str]) -> bool {
        let body = self.code.function_x86_64(function);
        let mut targets = body.iter().filter_map(x86_64::target);
        targets.any(|target| names.iter().any(|name| self.leads_to(Some(target), name)))
    }

    /// Takes note of a function or variable that has no symbol, or of why it was not found.
    fn offer(&mut self, name: &'static str, found: Result<Symbol, Unfound>) {
        match found {
            Ok(symbol) => self.symbols.offer(name, symbol),
            Err(_) if self.symbols.get(name).is_some() => {}
            Err(why) => self.missing.push(Missing { what: name, why: why.to_owned() }),
        }
    }

    /// Takes note of a variable.
    fn offer_variable(&mut self, name: &'static str, found: Result<u64, Unfound>, bytes: u64) {
        let align = bytes.min(8);
        let found = found.and_then(|address| {
            let may = self.code.may_hold_variable(address, bytes, align);
            may.then_some(Symbol { address, size: bytes }).ok_or(NOTHING)
        });
        self.offer(name, found);
    }
}

/// The one thing that was found, however often.
fn only<T: Copy + PartialEq>(found: impl IntoIterator<Item = T>) -> Result<T, Unfound> {
    let mut found = found.into_iter();
    let first = found.next().ok_or(NOTHING)?;
    if found.all(|other| other == first) { Ok(first) } else { Err(SEVERAL) }
}
