//! The collector's store: taking a load in, and merging it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use formats::decode::{Decoded, Limits};
use formats::{otlp, pprof};
use loopscope_collector::ingest::{Origin, batch};
use loopscope_collector::query::Tree;
use loopscope_collector::selector::Selector;
use loopscope_collector::store::embedded::EmbeddedStore;
use loopscope_collector::store::{AppendError, Detail, Query, Store};
use loopscope_collector::times::Range;

use crate::cost::{cpu_s, growth, thread_cpu_s};
use crate::workload::{Load, PERIOD_NS, Program, Random, Sends};

/// Requests that are made side by side.
const CLIENTS: usize = 4;

/// Nodes of a flamegraph.
const NODES: usize = 16_384;

/// What was spent in each stack of a program, and the profile that says so.
pub(crate) type Sent = (Vec<i64>, Vec<u8>);

/// What taking a load in cost.
pub(crate) struct Taken {
    pub(crate) rows: usize,
    pub(crate) sent: usize,
    pub(crate) cpu_s: f64,
    pub(crate) grew_mib: f64,
}

/// What a merge cost.
pub(crate) struct Merge {
    pub(crate) wall_ms: f64,
    pub(crate) cpu_ms: f64,
    /// The tree that is answered, of as many nodes as are told unless more are asked for.
    pub(crate) tree_wall_ms: f64,
    pub(crate) tree_cpu_ms: f64,
    pub(crate) grew_mib: f64,
    pub(crate) total: i64,
    pub(crate) stacks: usize,
}

/// Takes a load in, until all of it is in blocks. `also` is given the programs, the number of the profile and what is sent, by service.
pub(crate) fn ingest(
    store: &EmbeddedStore,
    load: &Load,
    sends: Sends,
    mut also: impl FnMut(&[Program], usize, &[Sent]),
) -> Taken {
    let mut random = Random::default();
    let mut programs = load.programs(&mut random);
    let mut taken = Taken { rows: 0, sent: 0, cpu_s: 0.0, grew_mib: 0.0 };
    let begun_s = cpu_s();
    let mut making_s = 0.0;
    let ((), grew_mib) = growth(|| {
        for profile in 0..load.profiles {
            let before_s = thread_cpu_s();
            let mut make = |program: &mut Program| {
                let values = program.values(&mut random);
                let body = program.body(&values, load.time_ms(profile), sends);
                (values, body)
            };
            let bodies: Vec<Sent> = programs.iter_mut().map(&mut make).collect();
            also(&programs, profile, &bodies);
            making_s += thread_cpu_s() - before_s;
            taken.sent += bodies.iter().map(|(_, body)| body.len()).sum::<usize>();
            taken.rows += append_all(store, &bodies, sends);
        }
        store.flush().expect("room on the disk");
        store.flush().expect("room on the disk");
    });
    taken.cpu_s = cpu_s() - begun_s - making_s;
    taken.grew_mib = grew_mib;
    taken
}

/// Side by side, so that they share flushes of the log as requests would. Returns how many rows there were.
fn append_all(store: &EmbeddedStore, bodies: &[Sent], sends: Sends) -> usize {
    let many = bodies.len().div_ceil(CLIENTS);
    std::thread::scope(|scope| {
        let client = |(chunk, bodies): (usize, &[Sent])| {
            let append = |(at, (_, body)): (usize, &Sent)| append(store, chunk * many + at, body, sends);
            bodies.iter().enumerate().map(append).sum::<usize>()
        };
        let clients: Vec<_> =
            bodies.chunks(many).enumerate().map(|chunk| scope.spawn(move || client(chunk))).collect();
        clients.into_iter().map(|client| client.join().expect("no panic")).sum()
    })
}

fn append(store: &EmbeddedStore, service: usize, body: &[u8], sends: Sends) -> usize {
    loop {
        let labels =
            vec![("service".to_owned(), format!("service{service}")), ("host".to_owned(), "a".to_owned())];
        let made =
            batch(decode(body, sends), &Origin { labels, kind: None, time_ms: 0 }).expect("few labels");
        let rows = made.rows();
        match store.append(made) {
            Ok(()) => return rows,
            // A producer sends it again.
            Err(AppendError::Busy) => std::thread::sleep(Duration::from_millis(5)),
            Err(error) => panic!("{error}"),
        }
    }
}

fn decode(body: &[u8], sends: Sends) -> Decoded {
    match sends {
        Sends::Pprof => pprof::decode(body, &Limits::default()).expect("our own"),
        Sends::Otlp => {
            let mut profiles = otlp::profiles::decode(body, &Limits::default()).expect("our own");
            let mut profile = profiles.pop().expect("one").profile;
            // Each observation stands for a period of CPU time.
            profile.values.iter_mut().for_each(|value| *value *= PERIOD_NS);
            profile
        }
    }
}

/// Merges what a selector chooses.
pub(crate) fn merge(store: &EmbeddedStore, selector: &str, range: Range) -> Merge {
    let query = Query { selector: Selector::parse(selector).expect("ours"), range, by: Vec::new() };
    let (begun, cpu_before_s) = (Instant::now(), cpu_s());
    let (found, grew_mib) = growth(|| store.merge(&query, Detail::Functions).expect("whole"));
    let (wall_ms, cpu_ms) = (begun.elapsed().as_secs_f64() * 1e3, (cpu_s() - cpu_before_s) * 1e3);
    assert_eq!(found.warnings, Vec::<String>::new());
    let (begun, cpu_before_s) = (Instant::now(), cpu_s());
    let tree = Tree::new(&found.value, &[], false).limited(NODES);
    let tree_wall_ms = begun.elapsed().as_secs_f64() * 1e3;
    let tree_cpu_ms = (cpu_s() - cpu_before_s) * 1e3;
    black_box(tree);
    Merge {
        tree_wall_ms,
        tree_cpu_ms,
        wall_ms,
        cpu_ms,
        grew_mib,
        total: found.value.iter().map(|group| black_box(group.merged.total())).sum(),
        stacks: found.value.iter().map(|group| group.merged.values.len()).sum(),
    }
}
