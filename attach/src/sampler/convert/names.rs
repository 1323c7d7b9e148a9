//! Looking up the names of all addresses of a recording: each address once, each object file once, on two threads.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::origins::{Origin, Origins};
use super::raw::Location;
use crate::sampler::guard::guarded;
use crate::sampler::process::Backing;
use crate::sampler::symbolize::images::{ImageId, Images};
use crate::sampler::symbolize::kernel::{self, KernelTable};
use crate::sampler::symbolize::{Place, Symbols, resolve_image};

/// Where names of addresses stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Source {
    /// The kernel's table.
    Kernel,
    /// An object file, by its own addresses.
    Image(ImageId),
    /// The map of a process, by position.
    PerfMap(usize),
}

/// Addresses to look up in one source.
struct Request {
    source: Source,
    /// Ascending and distinct.
    addresses: Vec<u64>,
}

/// What a source said.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) symbols: Symbols,
    /// Why the kernel's table names nothing: the value of `kptr_restrict`.
    pub(super) kernel_hidden: Option<String>,
    /// Whether the source was not read to its end.
    pub(super) cut: bool,
}

/// The names of all locations.
pub(super) struct Names {
    /// For each location its request and its position there.
    found: Vec<Option<(u32, u32)>>,
    pub(super) answers: Vec<(Source, Answer)>,
}

/// Enough for the largest program beside everything else; more would take from the programs that run.
const THREADS_MAX: usize = 2;

impl Names {
    /// Looks up every location.
    pub(super) fn look_up(
        locations: &[Location],
        origins: &Origins,
        images: &Images,
        kernel: KernelTable,
        proc_dir: &Path,
    ) -> Self {
        let mut wanted: Vec<(Source, u64, u32)> = locations
            .iter()
            .enumerate()
            .filter_map(|(index, location)| {
                let (source, address) = source(&origins.rows[location.origin?.0 as usize], location.address)?;
                Some((source, address, index as u32))
            })
            .collect();
        wanted.sort_unstable();
        let mut found = vec![None; locations.len()];
        let mut requests: Vec<Request> = Vec::new();
        for (source, address, location) in wanted {
            if requests.last().is_none_or(|last| last.source != source) {
                requests.push(Request { source, addresses: Vec::new() });
            }
            let at = requests.len() - 1;
            let addresses = &mut requests[at].addresses;
            if addresses.last() != Some(&address) {
                addresses.push(address);
            }
            found[location as usize] = Some((at as u32, addresses.len() as u32 - 1));
        }
        let has_kernel = requests.iter().any(|request| request.source == Source::Kernel);
        let table = if has_kernel { kernel.text() } else { Vec::new() };
        let answer = |request: &Request| {
            guarded(|| answer(request, origins, images, &table, proc_dir)).unwrap_or_default()
        };
        let answers = in_parallel(&requests, |request| effort(request, images), answer);
        let sources = requests.iter().map(|request| request.source);
        Self { found, answers: sources.zip(answers).collect() }
    }

    /// The places of a location, from the outermost to the innermost, with the symbols that hold their strings.
    pub(super) fn of(&self, location: u32) -> Option<(usize, &Symbols, &[Place])> {
        let (request, index) = self.found[location as usize]?;
        let symbols = &self.answers[request as usize].1.symbols;
        Some((request as usize, symbols, symbols.places(index as usize)))
    }
}

fn source(origin: &Origin, address: u64) -> Option<(Source, u64)> {
    match origin.region.backing {
        Backing::Kernel => Some((Source::Kernel, address)),
        Backing::Image { image, bias } => Some((Source::Image(image), address.wrapping_sub(bias))),
        Backing::Made => Some((Source::PerfMap(origin.perf_map?), address)),
        Backing::Unreadable => None,
    }
}

fn answer(request: &Request, origins: &Origins, images: &Images, table: &[u8], proc_dir: &Path) -> Answer {
    let addresses = &request.addresses;
    match request.source {
        Source::Image(image) => {
            Answer { symbols: resolve_image(images.get(image), addresses), ..Answer::default() }
        }
        Source::Kernel => {
            let kernel = kernel::resolve(table, proc_dir, addresses);
            Answer { symbols: kernel.symbols, kernel_hidden: kernel.hidden, cut: false }
        }
        Source::PerfMap(map) => {
            let jit = origins.perf_maps[map].resolve(addresses);
            Answer { symbols: jit.symbols, kernel_hidden: None, cut: jit.cut }
        }
    }
}

/// How long a request may take, roughly, in bytes to read.
fn effort(request: &Request, images: &Images) -> usize {
    match request.source {
        Source::Image(image) => images.get(image).length(),
        Source::Kernel | Source::PerfMap(_) => 16 << 20,
    }
}

/// Applies `work` to all items on several threads, those of most effort first.
fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    effort: impl Fn(&T) -> usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(effort(&items[index])));
    let next = AtomicUsize::new(0);
    let run = || {
        let take = || order.get(next.fetch_add(1, Ordering::Relaxed)).copied();
        std::iter::from_fn(take).map(|index| (index, work(&items[index]))).collect::<Vec<_>>()
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX).min(items.len());
    let mut results = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut results = run();
        for other in others {
            results.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        results
    });
    results.sort_unstable_by_key(|&(index, _)| index);
    results.into_iter().map(|(_, result)| result).collect()
}
