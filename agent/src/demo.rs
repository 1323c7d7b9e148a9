//! `loopscope demo`: a small HTTP service on the included runtime, with a load of its own, to look at.
//!
//! The [service] runs on the main thread's loop; its [routes](route) are chosen so that every part of the runtime has
//! something to show. The [load] is a second loop on a thread of its own, without instruments, so that all figures are
//! the service's. The service counts what it does by itself: the [truth] that metrics can be compared with.
//!
//! With `--all` there is also a [collector], a child process, to which the [agent](crate::agent) on another thread sends metrics and profiles by
//! OTLP: one protocol for both, and one set of labels, so that lag and profile of a process are found by the same words. (A push to
//! Pyroscope's API would do for the profiles alone.) The agent is no child because it needs no rights where it is: a process may read
//! itself, and the collector that it started.
//!
//! The end comes in order: the load stops and waits for its answers, then the service closes, then its loop has
//! nothing left to do; then the agent sends what it has, and the collector ends. Where one of them ends by itself, all do.

mod collector;
mod folder;
mod hash;
mod http;
mod load;
mod options;
mod route;
mod served_file;
mod service;
mod truth;

pub(crate) use options::DemoOptions;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use attach::target::Pid;
use runtime::observe::publish::{Publication, publication, set_service_name};
use runtime::{Async, AsyncSender, EventLoop, RunMode, Timer};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::agent::Background;
use crate::cli::Address;
use crate::config::Settings;
use crate::console;
use crate::error::Error;
use collector::Collector;
use folder::DataFolder;
use load::Load;
use route::Route;
use served_file::ServedFile;
use service::Service;

const ANY_PORT: Address = Address(SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0));

/// The name of the service in all series.
const SERVICE: &str = "loopscope-demo";

/// Runs the demo until it is stopped or its time is over.
pub(crate) fn run(options: &DemoOptions) -> Result<(), Error> {
    set_service_name(SERVICE);
    let file = ServedFile::make()?;
    let event_loop = EventLoop::builder().name("main").build().map_err(Error::Runtime)?;
    let listen = if options.all { ANY_PORT } else { options.listen };
    let service = Service::start(&event_loop, listen.0, options.block, file.path())
        .map_err(|error| Error::listen(listen, error))?;
    let began = Instant::now();
    let load_done = Async::new(&event_loop, {
        let service = service.clone();
        move |_, load_done| {
            service.close();
            load_done.close();
        }
    });
    let load = Load::start(service.address(), options.rate, load_done.sender())?;
    stop_on_signal(load.stopper())?;
    let surroundings = Surroundings::start(options, &load)?;
    introduce(options, service.address(), &surroundings);
    if let Some(duration) = options.duration {
        stop_after(&event_loop, duration, load.stopper())?;
    }
    event_loop.run(RunMode::Default);

    let (elapsed, report) = (began.elapsed(), load.report());
    surroundings.stop()?;
    let summary = match options.json {
        true => truth::json(elapsed, &service.truth(), &report),
        false => truth::text(elapsed, &service.truth(), &report),
    };
    io::stdout().write_all(summary.as_bytes()).map_err(|source| Error::Stdout { source })
}

/// What runs beside the demo. Its parts end in the order in which they stand here.
struct Surroundings {
    agent: Option<Background>,
    collector: Option<Collector>,
    folder: Option<DataFolder>,
}

impl Surroundings {
    fn start(options: &DemoOptions, load: &Load) -> Result<Self, Error> {
        let stop = || {
            let stopper = load.stopper();
            move || stopper.send()
        };
        let folder = options.all.then(|| DataFolder::new(options.data.as_deref())).transpose()?;
        let collector = folder.as_ref().map(|folder| Collector::start(options.listen, folder, stop()));
        let collector = collector.transpose()?;
        let listen = options.agent.or(options.all.then_some(ANY_PORT));
        let agent = listen.map(|listen| {
            let settings = match &collector {
                None => Settings::default(),
                Some(collector) => {
                    let own = [std::process::id(), collector.pid()].map(Pid::new);
                    Settings::shown_to(collector.address(), BTreeSet::from(own))?
                }
            };
            Background::start(listen, settings, stop())
        });
        Ok(Self { agent: agent.transpose()?, collector, folder })
    }

    fn stop(self) -> Result<(), Error> {
        if let Some(agent) = self.agent {
            agent.stop();
        }
        self.collector.map_or(Ok(()), Collector::stop)
    }
}

/// Says what there is, and what to do with it.
fn introduce(options: &DemoOptions, address: SocketAddr, surroundings: &Surroundings) {
    let agent = surroundings.agent.as_ref().map(Background::address);
    if let (Some(collector), Some(folder)) = (&surroundings.collector, &surroundings.folder) {
        // The selector `{service="…"}`, as a URL has it: the page would begin with whoever was profiled first.
        console::line(format_args!(
            "flamegraphs and lag: http://{}/?from=now-15m&query=%7Bservice%3D%22{SERVICE}%22%7D",
            collector.address()
        ));
        let lasts = if folder.is_temporary() { "goes away with it; --data keeps it" } else { "stays" };
        console::line(format_args!("  what it gets lies in {} and {lasts}", folder.path().display()));
    }
    let pid = std::process::id();
    console::line(format_args!(
        "demo on http://{address}, process {pid}, {} requests a second",
        options.rate
    ));
    for route in Route::ALL {
        console::line(format_args!("  {:<7} {}", route.path(), route.meaning(options.block)));
    }
    match (publication(), agent) {
        (Publication::Unpublished(reason), _) => {
            console::line(format_args!("its telemetry cannot be read by an agent: {reason}"));
        }
        (Publication::Published { .. }, Some(agent)) => {
            console::line(format_args!("its metrics: http://{agent}/metrics"));
        }
        (Publication::Published { .. }, None) => {
            console::line(format_args!("its metrics: `loopscope agent`, then http://127.0.0.1:9464/metrics"));
        }
    }
    console::line(format_args!("a flamegraph of it: `loopscope profile --duration 10s --pid {pid}`"));
    console::line(format_args!("Ctrl-C ends it"));
}

/// The first signal stops the load, and with it the demo; the second one ends the program at once.
fn stop_on_signal(stop: AsyncSender) -> Result<(), Error> {
    let failed = |source| Error::System { doing: "cannot handle signals", source };
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(failed)?;
    let watch = move || {
        for (already, signal) in signals.forever().enumerate() {
            if already > 0 {
                std::process::exit(128 + signal);
            }
            stop.send();
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(watch).map_err(failed)?;
    Ok(())
}

fn stop_after(event_loop: &EventLoop, duration: Duration, stop: AsyncSender) -> Result<(), Error> {
    let timer = Timer::new(event_loop);
    // A demo that is stopped by a signal does not wait for its time to be over.
    timer.unreference();
    timer.start(duration, move |_, _| stop.send()).map_err(Error::Runtime)
}
