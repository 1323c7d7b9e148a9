//! The process's telemetry: one segment, made when something first measures, and its scopes.
//!
//! The segment is made late rather than by a constructor before `main`, so that a program that merely links this crate
//! publishes nothing; a program that counts its allocations has one from its first allocation on.
//!
//! **Making it must not wait for itself.** The counting allocator needs the segment for the first allocation of the
//! process, and making the segment allocates. So the allocator asks through `try_process_scope`, which gives `None`
//! instead of waiting while the segment is being made, on this thread or on another.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::{env, process};

use model::segment::{Contents, Identity, Reader, Scope, ScopeKind, Writer};

use crate::clock;
use crate::segment;
pub use crate::segment::{Publication, Unpublished};
use crate::sys::{memfd, threads};

static TELEMETRY: OnceLock<Telemetry> = OnceLock::new();
static BEING_MADE: AtomicBool = AtomicBool::new(false);

const PRODUCER: &str = concat!("loopscope-telemetry ", env!("CARGO_PKG_VERSION"));

/// Names the service by OpenTelemetry's convention, over any name that the program gives.
const SERVICE: &str = "OTEL_SERVICE_NAME";

/// What this process measures about itself, and whether others can read it.
struct Telemetry {
    words: &'static [AtomicU64],
    writer: Writer,
    process: Scope,
    publication: Publication,
    next_loop: AtomicU64,
    next_part: AtomicU64,
}

/// Whether other processes can read the telemetry of this one, and if not, why.
///
/// ```
/// use loopscope_telemetry::publish::{Publication, publication};
///
/// if let Publication::Unpublished(reason) = publication() {
///     eprintln!("telemetry stays in this process: {reason}");
/// }
/// ```
pub fn publication() -> &'static Publication {
    static FORKED: Publication = Publication::Unpublished(Unpublished::Forked);
    if memfd::is_in_forked_child() { &FORKED } else { &telemetry().publication }
}

/// Keeps telemetry to this process, for a program that reads its own [`contents`] and tells them in a way of its own. Call
/// it before anything measures: what is published already stays so.
pub fn keep_private() {
    segment::KEEPS.store(true, Ordering::Relaxed);
}

/// What this process has measured so far: its own segment, read as the agent would read it.
pub fn contents() -> Contents {
    let now = clock::monotonic();
    reader().read(now).expect("the process's own segment is well formed")
}

/// The name of the service that this process is part of, as it stands in all its series.
pub fn service_name() -> String {
    reader().identity().service
}

/// Names the service that this process is part of, for all its series. The environment variable `OTEL_SERVICE_NAME`
/// has the last word; a program that names nothing is called by the file name of its executable.
///
/// At most 64 bytes are kept. Call it early: a reader may go on using the name that it read first.
pub fn set_service_name(name: &str) {
    if service_from_environment().is_none() {
        telemetry().writer.set_service(name);
    }
}

/// The scope of the process: its thread pools, its heap.
pub fn process_scope() -> &'static Scope {
    &telemetry().process
}

/// As [`process_scope`], but `None` while somebody is just making the telemetry.
pub(crate) fn try_process_scope() -> Option<&'static Scope> {
    let made = TELEMETRY.get().or_else(|| (!BEING_MADE.swap(true, Ordering::Relaxed)).then(telemetry));
    made.map(|telemetry| &telemetry.process)
}

/// As [`process_scope`], but `None` where nobody has made the telemetry so far.
pub(crate) fn existing_process_scope() -> Option<&'static Scope> {
    TELEMETRY.get().map(|telemetry| &telemetry.process)
}

/// Opens the scope of a new loop that belongs to the calling thread. `name` may be empty: the loop is then told from
/// others by its number.
pub fn loop_scope(name: &str) -> Scope {
    open_loop(name, threads::current_id())
}

/// As [`loop_scope`], of a loop that belongs to no thread in particular.
pub fn moving_loop_scope(name: &str) -> Scope {
    open_loop(name, 0)
}

/// Opens the scope of a runtime that has several loops.
pub fn runtime_scope(name: &str) -> Scope {
    open_part(ScopeKind::Runtime, name)
}

/// Opens one more scope of the process, for a part of it that ends before it does: readers add such scopes up.
pub fn process_part_scope() -> Scope {
    open_part(ScopeKind::Process, "")
}

fn open_loop(name: &str, thread_id: u64) -> Scope {
    let telemetry = telemetry();
    let index = telemetry.next_loop.fetch_add(1, Ordering::Relaxed);
    telemetry.writer.open_scope(ScopeKind::Loop, index, thread_id, name)
}

fn open_part(kind: ScopeKind, name: &str) -> Scope {
    let telemetry = telemetry();
    let index = telemetry.next_part.fetch_add(1, Ordering::Relaxed);
    telemetry.writer.open_scope(kind, index, 0, name)
}

fn telemetry() -> &'static Telemetry {
    TELEMETRY.get_or_init(|| {
        BEING_MADE.store(true, Ordering::Relaxed);
        Telemetry::make()
    })
}

fn reader() -> Reader<'static> {
    Reader::open(telemetry().words).expect("the process's own segment is well formed")
}

impl Telemetry {
    fn make() -> Self {
        let identity = Identity {
            pid: process::id(),
            created_ns: clock::monotonic().as_ns(),
            service: service_from_environment().unwrap_or_else(executable_name),
            producer: PRODUCER.to_owned(),
        };
        let (words, writer, publication) = segment::make(&identity);
        let process = writer.open_scope(ScopeKind::Process, 0, 0, "");
        Self {
            words,
            writer,
            process,
            publication,
            next_loop: AtomicU64::new(0),
            next_part: AtomicU64::new(1),
        }
    }
}

/// An empty variable is no name, as OpenTelemetry's specification has it.
fn service_from_environment() -> Option<String> {
    env::var_os(SERVICE).map(|name| name.to_string_lossy().into_owned()).filter(|name| !name.is_empty())
}

/// Empty where the system does not tell.
fn executable_name() -> String {
    let path = env::current_exe().unwrap_or_default();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // The kernel marks an executable that was replaced or removed while it runs.
    name.strip_suffix(" (deleted)").unwrap_or(&name).to_owned()
}
