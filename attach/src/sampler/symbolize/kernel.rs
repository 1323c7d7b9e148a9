//! Names of kernel code, from `/proc/kallsyms`.

use std::cmp::Reverse;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use super::nearest::{Nearest, Rank};
use super::{Place, Symbols};

/// No kernel has this many bytes of symbols.
const KALLSYMS_BYTES_MAX: u64 = 256 << 20;

/// Most have no more of code.
const KALLSYMS_BYTES_USUAL: usize = 16 << 20;

/// No function of the kernel is longer: further from the nearest symbol, nothing is known.
const FUNCTION_BYTES_MAX: u64 = 1 << 20;

/// The lowest address of the kernel: user space has the lower half.
pub(crate) const KERNEL_START: u64 = 1 << 63;

/// What came of reading the kernel's symbols.
pub(crate) struct KernelSymbols {
    pub(crate) symbols: Symbols,
    /// Whether the kernel hid all addresses; with the value of `kptr_restrict`.
    pub(crate) hidden: Option<String>,
}

/// The text of the kernel's table, as far as it tells of code.
///
/// The kernel takes tens of milliseconds to write it out. So that nobody waits for that when a recording is over, it is
/// read on a thread of its own as soon as it is sure to be needed.
///
/// It is kept from then on: writing it out anew for each part of a long recording would cost more than everything else.
pub(crate) struct KernelTable {
    path: PathBuf,
    reading: Option<JoinHandle<Vec<u8>>>,
    text: Option<Vec<u8>>,
}

impl KernelTable {
    pub(crate) fn new(proc_dir: &Path) -> Self {
        Self { path: proc_dir.join("kallsyms"), reading: None, text: None }
    }

    /// Begins to read, unless that was begun before.
    pub(crate) fn read_ahead(&mut self) {
        if self.reading.is_none() && self.text.is_none() {
            let path = self.path.clone();
            self.reading = thread::Builder::new().name("kallsyms".into()).spawn(move || read(&path)).ok();
        }
    }

    /// The text; empty where the kernel does not give it.
    pub(crate) fn text(&mut self) -> &[u8] {
        let read_ahead = self.reading.take().and_then(|reading| reading.join().ok());
        self.text.get_or_insert_with(|| read_ahead.unwrap_or_else(|| read(&self.path)))
    }
}

fn read(path: &Path) -> Vec<u8> {
    // Room at once: one that grows is copied again and again. Pages that are not used take no memory.
    let mut text = Vec::with_capacity(KALLSYMS_BYTES_USUAL);
    // What was read before an error serves as far as it goes.
    let _ = File::open(path).and_then(|file| code_lines(file.take(KALLSYMS_BYTES_MAX), &mut text));
    text.shrink_to_fit();
    text
}

/// Keeps the lines that tell of code, and of those that hide its address one, as a sign.
fn code_lines(table: impl Read, kept: &mut Vec<u8>) -> io::Result<()> {
    let mut table = BufReader::with_capacity(64 << 10, table);
    let (mut line, mut hidden) = (Vec::new(), false);
    while table.read_until(b'\n', &mut line)? > 0 {
        let address = parse(&line).filter(|(_, kind, name)| rank(*kind, name).is_some()).map(|it| it.0);
        if address.is_some_and(|address| address != 0 || !hidden) {
            hidden |= address == Some(0);
            kept.extend_from_slice(&line);
        }
        line.clear();
    }
    Ok(())
}

/// The functions of the kernel at these ascending addresses, by the text of its table.
pub(crate) fn resolve(table: &[u8], proc_dir: &Path, addresses: &[u64]) -> KernelSymbols {
    let mut nearest = Nearest::new(addresses);
    let mut visible = false;
    for (address, kind, name) in table.split(|&byte| byte == b'\n').filter_map(parse) {
        visible |= address != 0;
        nearest.offer(address, || Some((rank(kind, name)?, name)));
    }
    let mut symbols = Symbols::default();
    for (found, &address) in nearest.finish().into_iter().zip(addresses) {
        let found = found.filter(|&(start, _)| visible && address - start < FUNCTION_BYTES_MAX);
        let function = found.map(|(_, name)| symbols.function(name));
        symbols.push(function.map(Place::of));
    }
    let restriction = || fs::read_to_string(proc_dir.join("sys/kernel/kptr_restrict")).unwrap_or_default();
    KernelSymbols { symbols, hidden: (!visible).then(|| restriction().trim().to_owned()) }
}

/// Address, kind and name of a line such as `ffffffff81000000 T _stext [module]`.
///
/// By hand, because the table has millions of digits.
fn parse(line: &[u8]) -> Option<(u64, u8, &[u8])> {
    let mut address = 0_u64;
    let mut rest = line;
    while let [digit, after @ ..] = rest
        && let Some(value) = (*digit as char).to_digit(16)
    {
        address = address << 4 | u64::from(value);
        rest = after;
    }
    let &[b' ', kind, b' ', ref name @ ..] = rest else { return None };
    let end = name.iter().position(|byte| byte.is_ascii_whitespace()).unwrap_or(name.len());
    Some((address, kind, &name[..end]))
}

fn rank(kind: u8, name: &[u8]) -> Option<Rank> {
    // Marks between instructions on arm64 begin with a dollar sign.
    let is_code =
        matches!(kind, b't' | b'T' | b'w' | b'W') && name.first().is_some_and(|&first| first != b'$');
    is_code.then(|| Rank {
        sized: true,
        strong: matches!(kind, b't' | b'T'),
        global: kind.is_ascii_uppercase(),
        underscores: Reverse(name.iter().take_while(|&&byte| byte == b'_').count()),
    })
}
