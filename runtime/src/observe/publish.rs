//! Where loops get the scopes that their instruments live in.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use model::segment::{Contents, Identity, Reader, Scope, ScopeKind, WORDS_MIN, Writer};
use model::time::Monotonic;

static WORDS: LazyLock<&'static [AtomicU64]> =
    LazyLock::new(|| (0..WORDS_MIN + 400_000).map(|_| AtomicU64::new(0)).collect::<Vec<_>>().leak());

static WRITER: LazyLock<Writer> = LazyLock::new(|| {
    let identity = Identity {
        pid: std::process::id(),
        created_ns: crate::sys::clock::monotonic().as_ns(),
        service: String::new(),
        producer: concat!("loopscope-runtime ", env!("CARGO_PKG_VERSION")).into(),
    };
    Writer::create(*WORDS, &identity)
});

/// Opens the scope of a new loop that belongs to the calling thread.
pub(crate) fn loop_scope(name: &str) -> Scope {
    static LOOPS: AtomicU64 = AtomicU64::new(0);
    WRITER.open_scope(ScopeKind::Loop, LOOPS.fetch_add(1, Relaxed), 0, name)
}

/// What this process has measured so far: its own segment, read as the agent would read it.
pub fn contents() -> Contents {
    LazyLock::force(&WRITER);
    let now: Monotonic = crate::sys::clock::monotonic();
    Reader::open(*WORDS)
        .and_then(|reader| reader.read(now))
        .expect("the process's own segment is well formed")
}
