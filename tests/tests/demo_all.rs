//! The whole of Loopscope in one command: it shows what it should, and leaves nothing behind.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use loopscope_tests::browser::Browser;
use loopscope_tests::collector::Api;
use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::folder::Folder;
use loopscope_tests::http::{self, percent_encoded};
use loopscope_tests::loopscope::{collector_program, command, program};
use loopscope_tests::process::{Ended, Guarded};
use loopscope_tests::requirement;

const DEMO: &str = "loopscope-demo";

/// `loopscope demo --all`, with a folder for temporary files of its own.
struct Whole {
    process: Guarded,
    temporary: Folder,
    page: SocketAddr,
    metrics: SocketAddr,
}

impl Whole {
    #[track_caller]
    fn start(mut command: Command, options: &[&str]) -> Self {
        let temporary = Folder::public("demo");
        fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o1777)).expect("our own folder");
        command.args(["demo", "--all"]).args(options).env("TMPDIR", temporary.path());
        let mut process = Guarded::start(&mut command);
        let mut address = |before: &str| {
            wait_for("an address", 3 * SOON, || {
                assert!(process.is_running(), "it ended: {}", process.stderr());
                let told = process.stderr();
                let (_, behind) = told.split_once(before)?;
                let (address, _) = behind.split_once('/')?;
                address.parse().ok()
            })
        };
        let (page, metrics) = (address("flamegraphs and lag: http://"), address("its metrics: http://"));
        Self { process, temporary, page, metrics }
    }

    fn api(&self) -> Api {
        Api(self.page)
    }

    /// Waits until everything that the page shows is there: services, a function of the demo's work under its phase, and lag.
    #[track_caller]
    fn wait_for_all(&self) {
        let services = wait_for("the services", 6 * SOON, || {
            let services = self.api().services();
            services.iter().any(|service| service == DEMO).then_some(services)
        });
        assert!(services.len() <= 2, "nobody else is profiled: {services:?}");
        // The load asks it to block its loop for 50 ms again and again.
        let blocks = |stack: &str| stack.contains("poll") && stack.contains("block_the_loop");
        wait_for("the function that blocks the loop, under its phase", 6 * SOON, || {
            self.api().stacks(DEMO).iter().any(|(stack, _)| blocks(stack)).then_some(())
        });
        let lag = wait_for("the lag", 6 * SOON, || self.api().lag_max_seconds(DEMO));
        assert!(lag >= 0.05, "{lag}");
        let metrics = http::get(self.metrics, "/metrics", &[]).expect("the agent answers");
        assert!(metrics.text().contains("service=\"loopscope-demo\""), "{}", metrics.text());
    }

    /// The collector's process.
    #[track_caller]
    fn collector(&self) -> u32 {
        let pid = self.process.pid();
        let children = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").flat_map(|task| {
            let children = task.expect("it runs").path().join("children");
            let children = fs::read_to_string(children).unwrap_or_default();
            children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()
        });
        let children: Vec<u32> = children.collect();
        assert_eq!(children.len(), 1, "{children:?}");
        children[0]
    }

    /// Waits for the end, after which nothing is left.
    #[track_caller]
    fn end(self, collector: u32) -> Ended {
        let Self { process, temporary, page, metrics } = self;
        let ended = process.wait(3 * SOON);
        nothing_is_left(collector, &[page, metrics], temporary.path());
        ended
    }
}

#[track_caller]
fn nothing_is_left(collector: u32, addresses: &[SocketAddr], temporary: &Path) {
    wait_for("the collector's end", 3 * SOON, || (!is_process(collector)).then_some(()));
    for address in addresses {
        assert!(TcpStream::connect(address).is_err(), "{address} is still served");
    }
    wait_for("an empty folder of temporary files", SOON, || {
        fs::read_dir(temporary).expect("our own folder").next().is_none().then_some(())
    });
}

fn is_process(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie that nobody waits for is none.
    !stat.is_empty() && !stat.contains(") Z ")
}

#[test]
fn one_command_shows_profiles_and_lag_and_leaves_nothing_behind() {
    let whole = Whole::start(command(), &[]);
    whole.wait_for_all();
    assert!(whole.api().services().iter().any(|service| service == "loopscope-collector"));
    if let Some(browser) = Browser::visit(&format!("http://{}/", whole.page), 1300, 800) {
        let query = format!("?from=now-5m&query={}", percent_encoded(&format!("{{service=\"{DEMO}\"}}")));
        browser.open(&query);
        browser.wait_until("globalThis.loopscope?.work.profile && loopscope.isSettled");
        browser.wait_until("loopscope.timeline?.lag?.series.length === 1");
        let highest = browser.run("return Math.max(...loopscope.timeline.lag.series[0].max)");
        assert!(highest.as_f64().is_some_and(|highest| highest >= 0.05), "{highest}");
        if let Some(folder) = std::env::var_os("LOOPSCOPE_SCREENSHOTS") {
            browser.screenshot(&Path::new(&folder).join("demo-all.png"));
        }
    }
    let collector = whole.collector();
    whole.process.signal("INT");
    let ended = whole.end(collector);
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(!ended.stderr.contains("could not be handed over"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

#[test]
fn nobody_sees_the_same_of_what_is_his() {
    if !requirement::root() {
        return;
    }
    let Some(setpriv) = requirement::program("setpriv") else { return };
    let mut command = Command::new(setpriv);
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(program());
    let whole = Whole::start(command, &[]);
    whole.wait_for_all();
    let collector = whole.collector();
    whole.process.signal("TERM");
    let ended = whole.end(collector);
    assert!(ended.status.success(), "{}", ended.stderr);
}

#[test]
fn where_one_part_dies_all_end_and_nothing_is_left() {
    let whole = Whole::start(command(), &["--rate", "10"]);
    let collector = whole.collector();
    kill(collector);
    let ended = whole.end(collector);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("loopscope-collector: ended before the demo did, or not well: signal: 9"),
        "{}",
        ended.stderr
    );

    let whole = Whole::start(command(), &["--rate", "10"]);
    let (collector, page, metrics) = (whole.collector(), whole.page, whole.metrics);
    // The file that the demo serves cannot be removed by anybody then; what the collector keeps is.
    whole.process.kill();
    let temporary = whole.temporary;
    wait_for("the data to be removed", 3 * SOON, || {
        let mut left = fs::read_dir(temporary.path()).unwrap().map(|file| file.unwrap().path());
        left.all(|path| path.is_file()).then_some(())
    });
    wait_for("the collector's end", 3 * SOON, || (!is_process(collector)).then_some(()));
    for address in [page, metrics] {
        assert!(TcpStream::connect(address).is_err(), "{address} is still served");
    }
}

#[test]
fn what_is_named_to_keep_is_kept() {
    let data = Folder::new("demo-data");
    let path = data.file("kept");
    let whole = Whole::start(command(), &["--data", path.to_str().unwrap(), "--listen", "localhost:0"]);
    wait_for("the services", 6 * SOON, || (!whole.api().services().is_empty()).then_some(()));
    let collector = whole.collector();
    whole.process.signal("INT");
    whole.end(collector);
    assert!(path.join("wal").is_dir() && path.join("lag").is_dir());
}

#[test]
fn without_a_collector_it_says_how_to_get_one() {
    let folder = Folder::new("demo-alone");
    let alone = folder.file("loopscope");
    fs::copy(program(), &alone).expect("a copy");
    let mut command = Command::new(&alone);
    command.args(["demo", "--all"]).env("PATH", folder.path());
    let ended = Guarded::start(&mut command).wait(3 * SOON);
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("cargo build --release --bin loopscope-collector"), "{}", ended.stderr);
    assert!(ended.stderr.contains(&folder.path().display().to_string()), "{}", ended.stderr);

    // One that fails says why.
    let mut command = Command::new(&alone);
    fs::copy(collector_program(), folder.file("loopscope-collector")).expect("a copy");
    fs::write(folder.file("data"), "no folder").expect("a file");
    command.args(["demo", "--all", "--data"]).arg(folder.file("data"));
    let ended = Guarded::start(&mut command).wait(3 * SOON);
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        ended.stderr.contains("loopscope-collector: ") && ended.stderr.contains("data"),
        "{}",
        ended.stderr
    );
}

fn kill(pid: u32) {
    let killed = Command::new("kill").args(["-s", "KILL", &pid.to_string()]).status();
    assert!(killed.expect("kill is everywhere").success());
}
