//! Every panel shows something, and the right thing: real programs with known behaviour, the agent, and real Prometheus servers, one of which
//! scrapes native histograms and one classic ones.

use std::process::Command;
use std::time::Duration;

use loopscope_tests::dashboards::{self, Dashboard, Question, substituted};
use loopscope_tests::deadline::within;
use loopscope_tests::exposition::Exposition;
use loopscope_tests::folder::Folder;
use loopscope_tests::loopscope::{self, Agent, Demo};
use loopscope_tests::prometheus::{Scrapes, Series, Server};
use loopscope_tests::truth::{Truthful, number};
use loopscope_tests::{example, fixture, node, requirement};

/// Time enough for a scrape where much else runs that publishes telemetry.
const SCRAPE_INTERVAL: &str = "2s";

/// The width of a rate: some periods of everything that happens.
const RATE_INTERVAL: &str = "15s";

/// The width for what a program did once, some time ago.
const LONG_RATE_INTERVAL: &str = "1m";

/// Long enough for all that has to be found, attached to, scraped and averaged, on a machine that is busy.
const LONG: Duration = Duration::from_secs(120);

/// Panels that no program shows here, and why. That their questions are answered where there is something to tell,
/// `every_question_is_answered_where_every_metric_is_told` shows.
const WITHOUT_DATA: &[(&str, &str, &str)] = &[
    ("Loopscope / tokio", "Polls and spawns", UNSTABLE),
    ("Loopscope / tokio", "Poll time", UNSTABLE),
    ("Loopscope / tokio", "Where tasks are put", UNSTABLE),
    ("Loopscope / tokio", "Local queues", UNSTABLE),
    ("Loopscope / tokio", "Overflows and forced yields", UNSTABLE),
    ("Loopscope / tokio", "Readiness events", UNSTABLE),
];

/// In the legend of what shows a pool that would cost more than the budget. Here nothing does; `attach_budget` shows that such pools are measured.
const OF_A_SAMPLE: &str = "of a sample";

const UNSTABLE: &str = "everything would have to be built a second time, with `--cfg tokio_unstable`";

/// The programs, the agent that measures them, and who scrapes it.
struct World {
    blocked: Truthful,
    crowded: Truthful,
    tokio: Truthful,
    /// On tokio too, but only sampled.
    sampled: Truthful,
    garbage: Truthful,
    demo: Demo,
    dashboards: Vec<Dashboard>,
    servers: [(Scrapes, Server); 2],
    _agent: Agent,
}

impl World {
    fn start() -> Option<Self> {
        if !requirement::root() {
            return None;
        }
        let node = node::all().pop()?;
        let duty = |duty: &str| {
            Truthful::start(Command::new(&node.program).arg(fixture::path("node/duty.js")).arg(duty))
        };
        // Nobody listens on the discard port: exports are tried, and tried again.
        let mut exporting = loopscope::command();
        exporting.env("OTEL_METRIC_EXPORT_INTERVAL", "1000");
        let folder = Folder::new("dashboards");
        let config = folder.file("loopscope.toml");
        std::fs::write(&config, dashboards::configuration("50%")).expect("a scratch file");
        let options = ["--config", config.to_str().expect("UTF-8"), "--otlp-endpoint", "http://127.0.0.1:9"];
        let agent = Agent::start_by(&mut exporting, &options);
        let native = Server::start_every(SCRAPE_INTERVAL, agent.address(), Scrapes::Native)?;
        let classic = Server::start_every(SCRAPE_INTERVAL, agent.address(), Scrapes::Text)?;
        let mut garbage = Command::new(&node.program);
        garbage.args(["--expose-gc"]).arg(fixture::path("node/garbage.js"));
        let world = Self {
            blocked: duty("block"),
            crowded: duty("crowd"),
            tokio: Truthful::start(example::command("loopscope-tokio", "truth").args(["hooked", "probed"])),
            sampled: Truthful::start(example::command("loopscope-tokio", "truth").arg("observed")),
            garbage: Truthful::start(&mut garbage),
            demo: Demo::start(&[]),
            dashboards: dashboards::all(),
            servers: [(Scrapes::Native, native), (Scrapes::Text, classic)],
            _agent: agent,
        };
        for program in [&world.blocked, &world.crowded, &world.garbage] {
            let is_active = format!("loopscope_tier_active{{pid=\"{}\", tier=\"pool\"}} == 1", program.pid());
            for (_, server) in &world.servers {
                assert!(within(LONG, || server.query(&is_active).pop()).is_some(), "{is_active}");
            }
        }
        Some(world)
    }

    fn question(&self, dashboard: &str, panel: &str, letter: &str) -> Question<'_> {
        let all = self.dashboards.iter().flat_map(Dashboard::questions);
        let mut found = all.filter(|it| (it.dashboard, it.panel, it.letter) == (dashboard, panel, letter));
        found.next().unwrap_or_else(|| panic!("{dashboard} has no panel {panel} that asks {letter}"))
    }

    /// Waits until a panel shows what is expected, for these choices, on both servers; of its series, the one that has these labels.
    #[track_caller]
    fn expect(
        &self,
        (dashboard, panel, letter): (&str, &str, &str),
        choices: &[(&str, &str)],
        labels: &[(&str, &str)],
        expected: impl Fn(Scrapes) -> Span,
    ) {
        self.expect_over(RATE_INTERVAL, (dashboard, panel, letter), choices, labels, expected);
    }

    /// The same, with another width of rates.
    #[track_caller]
    fn expect_over(
        &self,
        rate_interval: &str,
        (dashboard, panel, letter): (&str, &str, &str),
        choices: &[(&str, &str)],
        labels: &[(&str, &str)],
        expected: impl Fn(Scrapes) -> Span,
    ) {
        let question = self.question(dashboard, panel, letter);
        let expression = substituted(question.expression, rate_interval, choices);
        for (scrapes, server) in &self.servers {
            let mut last = Vec::new();
            let span = expected(*scrapes);
            let what = format!("{panel} {letter} of {scrapes:?} to be from {} to {}", span.0, span.1);
            let look = || {
                last = server.query(&expression);
                let has = |series: &&Series| {
                    labels
                        .iter()
                        .all(|(name, value)| series.labels.get(*name).is_some_and(|own| own == value))
                };
                let mut fitting = last.iter().filter(has);
                let value = fitting.next().and_then(|series| series.value);
                value.filter(|value| fitting.next().is_none() && (span.0..=span.1).contains(value))
            };
            let found = within(LONG, look);
            let scrapes = server.query("up or scrape_duration_seconds");
            assert!(found.is_some(), "waited in vain for {what}; it is {last:?}; of scrapes: {scrapes:?}");
        }
    }
}

/// From and to, both included.
#[derive(Clone, Copy, Debug)]
struct Span(f64, f64);

/// What a quantile may be of something that took from `least` to `most` seconds: up to the bounds of their buckets.
fn buckets(scrapes: Scrapes, least: f64, most: f64) -> Span {
    let steps = match scrapes {
        Scrapes::Native => 8.0,
        Scrapes::Text => 1.0,
    };
    let bound = |seconds: f64, round: fn(f64) -> f64| (round(seconds.log2() * steps) / steps).exp2();
    Span(bound(least, f64::floor) * 0.999, bound(most, f64::ceil) * 1.001)
}

#[test]
fn every_panel_shows_something_and_the_right_thing() {
    let Some(mut world) = World::start() else { return };
    world.garbage.begin();
    world.tokio.go();
    expect_blocks(&mut world);
    expect_crowd(&mut world);
    // Once more, so that what it did is within the width of a rate.
    world.tokio.go();
    expect_tokio(&world);
    expect_agent(&world);
    expect_data(&mut world);
}

#[test]
fn every_question_is_answered_where_every_metric_is_told() {
    let exposition = Exposition::start();
    let Some(server) = Server::start(exposition.address(), Scrapes::Text) else { return };
    server.wait_for_value("sum(rate(eventloop_time_seconds_total[10s]))", |rate| rate > 0.0);
    let mut silent = Vec::new();
    for dashboard in dashboards::all() {
        for question in dashboard.questions() {
            let expression = substituted(question.expression, "10s", &[("service", "all")]);
            let is_told = |series: &Series| series.value.is_some_and(f64::is_finite);
            let answer = within(Duration::from_secs(10), || {
                server.query(&expression).iter().any(is_told).then_some(())
            });
            if answer.is_none() {
                silent.push(format!("{question:?}"));
            }
            // What series are called by is what they have; a distribution's bounds are read from native ones, too.
            for label in question.legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
                let has_it = server.query(&expression).iter().all(|series| series.labels.contains_key(label));
                assert!(has_it, "{question:?}: not every series has a {label}");
            }
        }
        // And what can be chosen from.
        for variable in dashboard.variables().iter().filter(|variable| variable["type"] == "query") {
            let query = variable["query"]["query"].as_str().expect("a query");
            let (series, label) =
                query.trim_end_matches(')').rsplit_once(", ").expect("label_values(series, label)");
            let series = substituted(series.trim_start_matches("label_values("), "10s", &[]);
            let found = server.query(&series);
            assert!(
                found.iter().all(|series| series.labels.contains_key(label)) && !found.is_empty(),
                "{query}"
            );
        }
    }
    assert!(silent.is_empty(), "these are not answered: {silent:#?}");
}

/// A loop that is blocked for 200 ms each second.
fn expect_blocks(world: &mut World) {
    const PROCESS: &str = "Loopscope / Process";
    const OVERVIEW: &str = "Loopscope / Overview";
    let told = world.blocked.go();
    // As long as it was at most, a fiftieth for what else an iteration did, and once more for what comes until we look.
    let longest = number(&told, "longest").max(0.2) * 1.1;
    let pid = world.blocked.pid().to_owned();
    let this = [("pid", pid.as_str()), ("loop", "main")];
    let share = |_| Span(0.18, 0.32);
    let block = |scrapes| buckets(scrapes, 0.2, longest);
    world.expect((PROCESS, "Lag: median, p99 and longest", "C"), &this, &[], block);
    // Of the phases, the one that blocks.
    world.expect((PROCESS, "Longest stretch in one phase", "A"), &this, &[("phase", "timers")], block);
    world.expect((PROCESS, "Lag: median, p99 and longest", "B"), &this, &[], |scrapes| {
        buckets(scrapes, 0.19, longest)
    });
    world.expect((PROCESS, "Longest block", "A"), &this, &[], block);
    world.expect((PROCESS, "Utilization", "A"), &this, &[], share);
    world.expect((PROCESS, "Utilization of loops", "A"), &this, &[], share);
    world.expect((PROCESS, "Time by phase", "A"), &this, &[("phase", "timers")], share);
    world.expect((PROCESS, "Time by phase", "A"), &this, &[("phase", "poll_wait")], |_| Span(0.68, 0.83));
    world.expect((PROCESS, "Blocks", "A"), &this, &[], |_| Span(46.0, 66.0));
    world.expect((PROCESS, "Blocks", "B"), &this, &[], |_| Span(46.0, 75.0));
    // In the overview's table its row says the same, and names the phase.
    let table = "Event loops, the worst first";
    world.expect((OVERVIEW, table, "A"), &[], &this, share);
    world.expect((OVERVIEW, table, "B"), &[], &this, block);
    world.expect((OVERVIEW, table, "C"), &[], &this, |_| Span(46.0, 66.0));
    world.expect(
        (OVERVIEW, table, "G"),
        &[],
        &[("pid", pid.as_str()), ("loop", "main"), ("phase", "timers")],
        share,
    );
}

/// A pool of four threads with 40 tasks, of which one ends each 50 ms, as it tells itself.
fn expect_crowd(world: &mut World) {
    const PROCESS: &str = "Loopscope / Process";
    let told = world.crowded.go();
    let per_second = number(&told, "ended") / number(&told, "elapsed");
    // Little's law: 36 wait and 4 run at any time.
    let (wait, run) = (36.0 / per_second, 4.0 / per_second);
    let pid = world.crowded.pid().to_owned();
    let this = [("pid", pid.as_str())];
    let of = |panel, letter| (PROCESS, panel, letter);
    world.expect(of("Pool: threads and queue", "A"), &this, &[("state", "busy")], |_| Span(4.0, 4.0));
    world.expect(of("Pool: threads and queue", "A"), &this, &[("state", "idle")], |_| Span(0.0, 0.0));
    world.expect(of("Pool: threads and queue", "B"), &this, &[], |_| Span(35.0, 36.0));
    world.expect(of("Pool: threads and queue", "C"), &this, &[], |_| Span(36.0, 40.0));
    let fs = [("kind", "fs")];
    for letter in ["A", "B"] {
        world.expect(of("Wait for a pool thread by kind", letter), &this, &fs, |scrapes| {
            buckets(scrapes, wait * 0.85, wait * 1.3)
        });
    }
    world.expect(of("Wait for a pool thread, p99", "A"), &this, &[], |scrapes| {
        buckets(scrapes, wait * 0.85, wait * 1.3)
    });
    world.expect(of("Run time by kind, p99", "A"), &this, &fs, |scrapes| {
        buckets(scrapes, run * 0.85, run * 1.6)
    });
    world.expect(of("Threads that each kind keeps busy", "A"), &this, &fs, |_| Span(3.5, 4.4));
    world.expect(of("Tasks", "A"), &this, &fs, |_| Span(per_second * 0.8, per_second * 1.2));
    let table = ("Loopscope / Overview", "Event loops, the worst first", "E");
    world.expect(table, &[], &[("pid", pid.as_str()), ("loop", "main")], |scrapes| {
        buckets(scrapes, wait * 0.85, wait * 1.3)
    });
    let queue = ("Loopscope / Overview", "Event loops, the worst first", "F");
    world.expect(queue, &[], &[("pid", pid.as_str()), ("loop", "main")], |_| Span(36.0, 40.0));
}

/// A runtime with one worker, which was blocked for up to 450 ms, and with jobs of 100 ms.
fn expect_tokio(world: &World) {
    const TOKIO: &str = "Loopscope / tokio";
    let pid = world.tokio.pid();
    let this = [("service", "truthful"), ("runtime", "truth")];
    let both = Span(2.0, 2.0);
    world.expect_over(LONG_RATE_INTERVAL, (TOKIO, "Workers", "A"), &this, &[], |_| both);
    world.expect_over(
        LONG_RATE_INTERVAL,
        (TOKIO, "Lag: p99 and longest", "B"),
        &this,
        &[("pid", pid)],
        |scrapes| buckets(scrapes, 0.45, 0.7),
    );
    world.expect_over(
        LONG_RATE_INTERVAL,
        (TOKIO, "Wait and run time of jobs, p99", "B"),
        &this,
        &[("pid", pid)],
        |scrapes| buckets(scrapes, 0.1, 0.3),
    );
}

/// The agent's account of what it does.
fn expect_agent(world: &World) {
    const AGENTS: &str = "Loopscope / Agents";
    world.expect((AGENTS, "Agents", "A"), &[], &[], |_| Span(1.0, 1.0));
    world.expect((AGENTS, "Configurations refused", "A"), &[], &[], |_| Span(0.0, 0.0));
    // Ours at least; others may run on this machine.
    world.expect((AGENTS, "Measured", "A"), &[], &[], |_| Span(5.0, 500.0));
    let pid = world.blocked.pid();
    for tier in ["observe", "loop", "phases", "pool"] {
        world.expect((AGENTS, "Tiers", "A"), &[], &[("pid", pid), ("tier", tier)], |_| Span(1.0, 1.0));
    }
    let hits = [("pid", world.crowded.pid()), ("tier", "pool")];
    world.expect((AGENTS, "Hits of probes", "A"), &[], &hits, |_| Span(20.0, 120.0));
    let demo = world.demo.pid().to_string();
    let resident = ("Loopscope / Process", "Memory", "B");
    world.expect(resident, &[("pid", &demo)], &[], |_| Span(1e4, 1e9));
}

/// Every question of every panel is answered by both servers, or stands in the list of those that are not.
fn expect_data(world: &mut World) {
    let World { dashboards, servers, garbage, tokio, sampled, .. } = world;
    let mut open = Vec::new();
    for question in dashboards.iter().flat_map(Dashboard::questions) {
        let expression = substituted(question.expression, LONG_RATE_INTERVAL, &[]);
        let is_listed =
            |listed: &(&str, &str, &str)| (listed.0, listed.1) == (question.dashboard, question.panel);
        if WITHOUT_DATA.iter().any(is_listed) || question.legend.contains(OF_A_SAMPLE) {
            let shows = servers.iter().any(|(_, server)| !server.query(&expression).is_empty());
            assert!(!shows, "{question:?} does show something");
            continue;
        }
        open.extend(
            servers.iter().map(|(scrapes, server)| (question.clone(), expression.clone(), *scrapes, server)),
        );
    }
    // A distribution has no single value, and is something.
    let is_told = |series: &Series| series.value.is_none_or(f64::is_finite);
    let mut round = 0;
    let all_are_answered = within(LONG, || {
        // What is done once in a while is done again, so that it is within the width of a rate.
        if round % 20 == 0 {
            for program in [&mut *garbage, &mut *tokio, &mut *sampled] {
                program.begin();
            }
        }
        round += 1;
        open.retain(|(_, expression, _, server)| !server.query(expression).iter().any(is_told));
        open.is_empty().then_some(())
    });
    let silent: Vec<_> = open.iter().map(|(question, _, scrapes, _)| (question, scrapes)).collect();
    assert!(all_are_answered.is_some(), "these show nothing: {silent:#?}");
}
