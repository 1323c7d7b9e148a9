//! Looking up the names of all addresses of a recording: each address once, each object file once, on two threads.
//!
//! What was found is [known](Known) to the next look-up of the same converter.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustc_hash::FxHashMap;

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
    /// Whether debug information is to be read as well.
    is_thorough: bool,
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

/// What sources have said so far: an address of a file or of the kernel is looked up once, however long a recording goes on.
#[derive(Default)]
pub(super) struct Known {
    answers: Vec<KnownAnswer>,
    by_source: FxHashMap<Source, usize>,
    look_ups: u64,
    /// Files with the same build id have the same names.
    by_build_id: FxHashMap<String, ImageId>,
}

struct KnownAnswer {
    source: Source,
    answer: Answer,
    /// By address: the position among the answer's places.
    positions: FxHashMap<u64, u32>,
    /// Addresses of which only the symbol table was asked.
    provisional: BTreeSet<u64>,
    /// At which look-up to read debug information again, and how many are to pass before the next time.
    next_thorough: u64,
    wait: u64,
}

/// The names of all locations.
pub(super) struct Names<'a> {
    known: &'a Known,
    /// For each location its answer and its position there.
    found: Vec<Option<(u32, u32)>>,
}

/// Enough for the largest program beside everything else; more would take from the programs that run.
const THREADS_MAX: usize = 2;

/// Finding debug information in a file takes long, whatever is looked for: seconds, in a large one. So it is read for the first
/// look-up, and then after so many, and twice as many each time. Meanwhile new addresses have the names of the symbol table: those of
/// functions, without the ones put into them.
const WAIT_FIRST: u64 = 6;
const WAIT_MAX: u64 = 384;

impl Known {
    /// How many addresses are known.
    pub(super) fn addresses(&self) -> usize {
        self.answers.iter().map(|known| known.positions.len()).sum()
    }

    /// Code that a program makes moves, so what its map said counts only once.
    fn forget_made_code(&mut self) {
        for known in self.answers.iter_mut().filter(|known| matches!(known.source, Source::PerfMap(_))) {
            known.answer = Answer::default();
            known.positions.clear();
        }
    }

    /// The file that stands for all with its build id.
    fn representative(&mut self, image: ImageId, images: &Images) -> ImageId {
        let build_id = &images.get(image).build_id;
        match self.by_build_id.get(build_id) {
            _ if build_id.is_empty() => image,
            Some(&known) => known,
            None => *self.by_build_id.entry(build_id.clone()).or_insert(image),
        }
    }

    /// Takes what a source said to a request.
    fn take(&mut self, request: &Request, answer: Answer) {
        let at = *self.by_source.entry(request.source).or_insert_with(|| {
            let answer = Answer::default();
            self.answers.push(KnownAnswer {
                source: request.source,
                answer,
                positions: FxHashMap::default(),
                provisional: BTreeSet::new(),
                next_thorough: 0,
                wait: WAIT_FIRST,
            });
            self.answers.len() - 1
        });
        let known = &mut self.answers[at];
        if request.is_thorough {
            known.provisional.clear();
            known.next_thorough = self.look_ups + known.wait;
            known.wait = (2 * known.wait).min(WAIT_MAX);
        } else if matches!(request.source, Source::Image(_)) {
            known.provisional.extend(&request.addresses);
        }
        let first = known.answer.symbols.len() as u32;
        known.positions.extend(request.addresses.iter().copied().zip(first..));
        if first == 0 {
            known.answer = answer;
            known.answer.symbols.pad_to(request.addresses.len());
            return;
        }
        known.answer.cut |= answer.cut;
        known.answer.symbols.append(&answer.symbols);
        known.answer.symbols.pad_to(first as usize + request.addresses.len());
        known.answer.kernel_hidden = known.answer.kernel_hidden.take().or(answer.kernel_hidden);
    }

    fn position(&self, source: Source, address: u64) -> Option<(u32, u32)> {
        let at = *self.by_source.get(&source)?;
        Some((at as u32, *self.answers[at].positions.get(&address)?))
    }

    /// Looks up every location.
    pub(super) fn look_up(
        &mut self,
        locations: &[Location],
        origins: &Origins,
        images: &Images,
        kernel: &mut KernelTable,
        proc_dir: &Path,
    ) -> Names<'_> {
        self.forget_made_code();
        let sources: Vec<Option<(Source, u64)>> = locations
            .iter()
            .map(|location| {
                let (of, address) = source(&origins.rows[location.origin?.0 as usize], location.address)?;
                Some(match of {
                    Source::Image(image) => (Source::Image(self.representative(image, images)), address),
                    Source::Kernel | Source::PerfMap(_) => (of, address),
                })
            })
            .collect();
        let is_new = |&(source, address): &(Source, u64)| self.position(source, address).is_none();
        let mut wanted: Vec<(Source, u64)> = sources.iter().flatten().copied().filter(is_new).collect();
        self.look_ups += 1;
        let is_due = |known: &&KnownAnswer| known.next_thorough <= self.look_ups;
        for known in self.answers.iter().filter(is_due) {
            wanted.extend(known.provisional.iter().map(|&address| (known.source, address)));
        }
        wanted.sort_unstable();
        wanted.dedup();
        let request = |part: &[(Source, u64)]| {
            let source = part[0].0;
            let known = self.by_source.get(&source).map(|&at| &self.answers[at]);
            let is_thorough = known.as_ref().is_none_or(is_due);
            Request { source, addresses: part.iter().map(|it| it.1).collect(), is_thorough }
        };
        let requests: Vec<Request> = wanted.chunk_by(|one, other| one.0 == other.0).map(request).collect();
        let has_kernel = requests.iter().any(|request| request.source == Source::Kernel);
        let table = if has_kernel { kernel.text() } else { &[] };
        let answer = |request: &Request| {
            guarded(|| answer(request, origins, images, table, proc_dir)).unwrap_or_default()
        };
        let answers = in_parallel(&requests, |request| effort(request, images), answer);
        for (request, answer) in requests.iter().zip(answers) {
            self.take(request, answer);
        }
        let found = sources.into_iter().map(|it| it.and_then(|(source, at)| self.position(source, at)));
        let found = found.collect();
        Names { known: self, found }
    }
}

impl Names<'_> {
    /// The places of a location, from the outermost to the innermost, with the symbols that hold their strings.
    pub(super) fn of(&self, location: u32) -> Option<(usize, &Symbols, &[Place])> {
        let (answer, index) = self.found[location as usize]?;
        let symbols = &self.known.answers[answer as usize].answer.symbols;
        Some((answer as usize, symbols, symbols.places(index as usize)))
    }

    /// What each source that was asked said.
    pub(super) fn answers(&self) -> impl Iterator<Item = (Source, &Answer)> {
        let asked: BTreeSet<u32> = self.found.iter().flatten().map(|(answer, _)| *answer).collect();
        asked.into_iter().map(|answer| &self.known.answers[answer as usize]).map(|it| (it.source, &it.answer))
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
            let symbols = resolve_image(images.get(image), addresses, request.is_thorough);
            Answer { symbols, ..Answer::default() }
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
