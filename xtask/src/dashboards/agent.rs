//! The agents themselves: do they see everything, what do they cost, does what they measure arrive?

use model::catalogue::{
    LOOPSCOPE_BUILD_INFO, LOOPSCOPE_CONFIG_RELOAD_SUCCESSFUL, LOOPSCOPE_CONFIG_RELOAD_TIME, LOOPSCOPE_CPU,
    LOOPSCOPE_DISCOVERY_DURATION, LOOPSCOPE_OTLP_DROPPED_POINTS, LOOPSCOPE_OTLP_EXPORT_DURATION,
    LOOPSCOPE_OTLP_EXPORTS, LOOPSCOPE_OTLP_QUEUE_BYTES, LOOPSCOPE_PROBE_COST, LOOPSCOPE_PROBE_HITS,
    LOOPSCOPE_PROBE_LOSSES, LOOPSCOPE_RESIDENT_MEMORY, LOOPSCOPE_SCRAPE_DURATION, LOOPSCOPE_SCRAPES_REJECTED,
    LOOPSCOPE_TARGET_ERRORS, LOOPSCOPE_TARGETS, LOOPSCOPE_TIER_ACTIVE,
};
use model::label::{
    EXPORT_LOSS, EXPORT_OUTCOME, PROBE_LOSS, SCRAPE_FORMAT, TARGET_ERROR, TARGET_STATE, TIER, TargetState,
    VERSION,
};

use super::grafana::panel::{Panel, Unit, q};
use super::grafana::{Annotation, Dashboard, Row};
use super::overview::{ASKER, agent_variables, service_variable};
use super::query::{AGENT, PROCESS, and, is};

/// Said where there is nothing unless metrics are sent over OTLP.
const NO_OTLP: &str = "no --otlp-endpoint";

pub(super) fn dashboard() -> Dashboard {
    let mut variables = agent_variables();
    variables.push(service_variable());
    let row = |title, lines| Row { title: Some(title), is_collapsed: false, lines };
    Dashboard {
        uid: "loopscope-agent",
        title: "Loopscope / Agents",
        description: "The agents themselves: whether they see every process, what measuring costs, and whether what they measure arrives.",
        variables,
        annotations: vec![Annotation::alerts(ASKER)],
        rows: vec![
            Row { title: None, is_collapsed: false, lines: vec![(4, stats())] },
            row("What is measured", vec![(8, targets()), (10, vec![tiers()])]),
            row("What it costs the processes", vec![(9, probes())]),
            row("What it costs the host", vec![(8, own_cost())]),
            row("Scrapes and searches", vec![(8, scrapes())]),
            row("Exports over OTLP", vec![(8, exports()), (8, queue())]),
        ],
    }
}

fn stats() -> Vec<Panel> {
    let targets = |state| format!("sum({})", ASKER.series(&LOOPSCOPE_TARGETS, &[is(state)]));
    let info = ASKER.series(&LOOPSCOPE_BUILD_INFO, &[]);
    let read = ASKER.series(&LOOPSCOPE_CONFIG_RELOAD_TIME, &[]);
    let refused = ASKER.series(&LOOPSCOPE_CONFIG_RELOAD_SUCCESSFUL, &[]);
    vec![
        Panel::stat("Agents", Unit::Count, q(format!("count({info})"), "")).says("Agents that Prometheus scrapes."),
        Panel::name("Versions", q(format!("count by ({}) ({info})", VERSION.name), "{{version}}"))
            .says("Versions of the agents. More than one for long: an update did not reach them all."),
        Panel::stat("Measured", Unit::Count, q(targets(TargetState::Measured), ""))
            .says("Processes that publish telemetry or run on libuv, and are measured."),
        Panel::stat("Not measurable", Unit::Count, q(targets(TargetState::Unmeasurable), ""))
            .says("Processes that were found and cannot be measured; the errors below tell why, and `loopscope inspect --pid PID` tells of one.")
            .thresholds(1.0, 10.0),
        Panel::stat("Configurations refused", Unit::Count, q(format!("count({refused}) - sum({refused})"), ""))
            .says("Agents whose configuration could not be used when it was last read; what they had before stays in use. The alert LoopscopeConfigurationRejected tells which.")
            .thresholds(1.0, 2.0),
        Panel::stat("Since the last configuration", Unit::Seconds, q(format!("time() - max({read})"), ""))
            .says("Since an agent last read a configuration that could be used."),
    ]
}

fn targets() -> Vec<Panel> {
    let by_state =
        format!("sum by ({}) ({})", and(AGENT, &TARGET_STATE), ASKER.series(&LOOPSCOPE_TARGETS, &[]));
    let errors = ASKER.sum_of_rates(&and(AGENT, &TARGET_ERROR), &LOOPSCOPE_TARGET_ERRORS, &[]);
    let losses = ASKER.sum_of_rates(&and(AGENT, &PROBE_LOSS), &LOOPSCOPE_PROBE_LOSSES, &[]);
    vec![
        Panel::stacked("Processes", Unit::Count, None, vec![q(by_state, "{{state}} {{instance}}")])
            .width(8)
            .says("Processes that were found, by whether they are measured."),
        Panel::lines("Failures to read a process", Unit::PerSecond, vec![q(errors, "{{cause}} {{instance}}")])
            .width(8)
            .says("permission: the agent lacks a right. invalid: what a process publishes is malformed. version: it is of a version that the agent does not know. vanished: it ended meanwhile, which is no fault."),
        Panel::lines("Measurements lost", Unit::PerSecond, vec![q(losses, "{{cause}} {{instance}}")])
            .width(8)
            .absent("no probes")
            .says("Measurements of probes that had no room, by cause. Above zero, the figures of the probes are too low. Told where any tier beyond `observe` is asked for."),
    ]
}

fn tiers() -> Panel {
    let active = format!("min by ({}) ({})", and(PROCESS, &TIER), ASKER.series(&LOOPSCOPE_TIER_ACTIVE, &[]));
    Panel::states("Tiers", q(active, "{{service}} {{pid}} {{tier}}"))
        .width(24)
        .absent("nothing is measured from outside")
        .says("Which tiers measure each process from outside. Off: it was asked for, and is not possible (`loopscope inspect` tells why) or cost more than the budget: `pool` then samples as often as the budget allows, and others are shed and tried again after ten minutes. What has no line was not asked for.")
}

fn probes() -> Vec<Panel> {
    let by_tier = and(PROCESS, &TIER);
    vec![
        Panel::stacked("CPU that probes cost", Unit::Share, None, vec![q(ASKER.sum_of_rates(&by_tier, &LOOPSCOPE_PROBE_COST, &[]), "{{service}} {{pid}} {{tier}}")])
            .absent("no probes")
            .says("Estimate: the share of one core that probes take from each process, by tier. The budget (`--budget`) is for each process, 1% unless told otherwise; above it the dearest tier is shed, or sampled if it is `pool`."),
        Panel::lines("Hits of probes", Unit::PerSecond, vec![q(ASKER.sum_of_rates(&by_tier, &LOOPSCOPE_PROBE_HITS, &[]), "{{service}} {{pid}} {{tier}}")])
            .absent("no probes")
            .says("How often processes run into probes, a second, by the tier that needs them. One costs 1.1 to 1.5 µs."),
    ]
}

fn own_cost() -> Vec<Panel> {
    let memory = format!("max by ({AGENT}) ({})", ASKER.series(&LOOPSCOPE_RESIDENT_MEMORY, &[]));
    vec![
        Panel::lines(
            "CPU of the agents",
            Unit::Share,
            vec![q(ASKER.sum_of_rates(AGENT, &LOOPSCOPE_CPU, &[]), "{{instance}}")],
        )
        .says("The share of one core that each agent itself uses."),
        Panel::lines("Memory of the agents", Unit::Bytes, vec![q(memory, "{{instance}}")])
            .says("Resident memory of each agent."),
    ]
}

fn scrapes() -> Vec<Panel> {
    let scrape = ASKER.distribution(&and(AGENT, &SCRAPE_FORMAT), &LOOPSCOPE_SCRAPE_DURATION, &[]);
    let search = ASKER.distribution(AGENT, &LOOPSCOPE_DISCOVERY_DURATION, &[]);
    let rejected = ASKER.sum_of_rates(AGENT, &LOOPSCOPE_SCRAPES_REJECTED, &[]);
    vec![
        Panel::lines("Scrapes, p99", Unit::Seconds, vec![q(scrape.quantile("0.99"), "{{format}} {{instance}}")])
            .width(8)
            .says("From a scrape's request to its encoded answer, by format. protobuf: native histograms; text, openmetrics: classic ones."),
        Panel::lines("Searches for processes, p99", Unit::Seconds, vec![q(search.quantile("0.99"), "{{instance}}")])
            .width(8)
            .says("How long one search for processes took."),
        Panel::lines("Scrapes refused", Unit::PerSecond, vec![q(rejected, "{{instance}}")])
            .width(8)
            .says("Scrapes that were refused because too many were under way: several scrapers, or a slow network."),
    ]
}

fn exports() -> Vec<Panel> {
    let attempts = ASKER.sum_of_rates(&and(AGENT, &EXPORT_OUTCOME), &LOOPSCOPE_OTLP_EXPORTS, &[]);
    let took = ASKER.distribution(AGENT, &LOOPSCOPE_OTLP_EXPORT_DURATION, &[]);
    vec![
        Panel::lines("Attempts to export", Unit::PerSecond, vec![q(attempts, "{{outcome}} {{instance}}")])
            .absent(NO_OTLP)
            .says("Attempts to hand over a batch, by what came of them. retried: the receiver is away or busy, and the batch waits. refused: it will never take it. Told where `--otlp-endpoint` is set."),
        Panel::lines("Time of an attempt, p99", Unit::Seconds, vec![q(took.quantile("0.99"), "{{instance}}")])
            .absent(NO_OTLP)
            .says("From the connection to the receiver's answer, or the time-out. Told where `--otlp-endpoint` is set."),
    ]
}

fn queue() -> Vec<Panel> {
    let waiting = format!("max by ({AGENT}) ({})", ASKER.series(&LOOPSCOPE_OTLP_QUEUE_BYTES, &[]));
    let dropped = ASKER.sum_of_rates(&and(AGENT, &EXPORT_LOSS), &LOOPSCOPE_OTLP_DROPPED_POINTS, &[]);
    vec![
        Panel::lines("Waiting to be exported", Unit::Bytes, vec![q(waiting, "{{instance}}")])
            .absent(NO_OTLP)
            .says("Encoded batches that wait for the receiver, in memory or on disk. It grows while the receiver is away; when it is full the oldest batch goes. Told where `--otlp-endpoint` is set."),
        Panel::lines("Points lost", Unit::PerSecond, vec![q(dropped, "{{cause}} {{instance}}")])
            .absent(NO_OTLP)
            .says("Points that the receiver did not get or did not take, by cause. Told where `--otlp-endpoint` is set."),
    ]
}
