//! Pyroscope's query API, so that Grafana's data source for Pyroscope, and whoever else speaks it, can ask.
//!
//! It is spoken over Connect (<https://connectrpc.com/docs/protocol>): a request is a POST of one message, as protocol buffers or JSON; an error is a
//! status and a JSON object with its code. What Pyroscope calls `service_name` is `service` here, and is given out under Pyroscope's name.

mod graph;
mod json;

use std::collections::{BTreeMap, BTreeSet};

use formats::pyroscope_server::{self as pyroscope, Method, Pairs, Point, ProfileTypeRow, Request, Series};

use crate::labels::{Labels, PROFILE_TYPE, SERVICE, SERVICE_NAME};
use crate::profile_type::ProfileType;
use crate::query::{self, Tree};
use crate::selector::{Selector, canonical};
use crate::store::{Detail, Query, STEPS_MAX, Steps, Store, StoreError};
use crate::times::Range;

/// Nodes of a flamegraph, unless another number is asked for: Pyroscope's own.
const NODES: i64 = 8192;

/// How large a question may be: one that a person or a dashboard asks has a few kilobytes.
pub(crate) const QUESTION_BYTES_MAX: usize = 1 << 20;

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Protobuf,
    Json,
}

/// Why a request is not answered; the codes are Connect's.
#[derive(Debug)]
pub(crate) enum QuerierError {
    InvalidArgument(String),
    Unimplemented(String),
    ResourceExhausted(String),
    Internal(String),
}

/// An answer, before it is written.
enum Answer {
    Names(Vec<String>),
    ProfileTypes(Vec<ProfileTypeRow>),
    LabelsSets(Vec<Pairs>),
    FlameGraph(pyroscope::FlameGraph),
    Diff(pyroscope::FlameGraph),
    Series(Vec<Series>),
    /// `google.v1.Profile`.
    Profile(Vec<u8>),
}

/// Answers one request.
pub(crate) fn answer(
    store: &dyn Store,
    method: &str,
    codec: Codec,
    body: &[u8],
) -> Result<Vec<u8>, QuerierError> {
    let known = Method::named(method);
    let method =
        known.ok_or_else(|| QuerierError::Unimplemented(format!("{method} is not answered here")))?;
    let request = match codec {
        Codec::Protobuf => {
            Request::decode(method, body).map_err(|error| QuerierError::InvalidArgument(error.to_string()))?
        }
        Codec::Json => json::request(body)?,
    };
    let answer = match method {
        Method::ProfileTypes => profile_types(store, &request),
        Method::LabelNames => label_names(store, &request),
        Method::LabelValues => label_values(store, &request),
        Method::Series => series(store, &request),
        Method::SelectMergeStacktraces | Method::SelectMergeSpanProfile => flame_graph(store, &request),
        Method::SelectMergeProfile => profile(store, &request),
        Method::SelectSeries => select_series(store, &request),
        Method::Diff => diff(store, &request),
    }?;
    match codec {
        Codec::Json => json::answer(answer),
        Codec::Protobuf => Ok(match answer {
            Answer::Names(names) => pyroscope::names(names),
            Answer::ProfileTypes(rows) => pyroscope::profile_types(rows),
            Answer::LabelsSets(sets) => pyroscope::labels_sets(sets),
            Answer::FlameGraph(graph) | Answer::Diff(graph) => pyroscope::flame_graph(graph),
            Answer::Series(series) => pyroscope::series(series),
            Answer::Profile(profile) => profile,
        }),
    }
}

/// The time that is asked for; without one, all.
fn range(request: &Request) -> Result<Range, QuerierError> {
    match (request.start_ms, request.end_ms) {
        (0, 0) => Ok(Range::ALL),
        (start, end) if start > end => {
            Err(QuerierError::InvalidArgument("start does not lie before end".to_owned()))
        }
        // The end belongs to it, with the second that it is in.
        (start, end) => Ok(Range { from_ms: start, until_ms: end.saturating_add(1000) }),
    }
}

fn parsed(text: &str) -> Result<Selector, QuerierError> {
    Selector::parse(text).map_err(|error| QuerierError::InvalidArgument(error.to_string()))
}

/// The labels of all series that match one of the matchers, as Pyroscope would give them.
fn all_labels(store: &dyn Store, request: &Request) -> Result<Vec<BTreeMap<String, String>>, QuerierError> {
    let range = range(request)?;
    let everything = [String::new()];
    let matchers = if request.matchers.is_empty() { &everything[..] } else { &request.matchers };
    let mut all = BTreeSet::new();
    // One after the other: each may take its memory.
    for matcher in matchers {
        let found = store.series(&parsed(matcher)?, range)?.value;
        all.extend(found.into_iter().map(|span| span.labels));
    }
    Ok(all.iter().map(outward).collect())
}

/// A series' labels under Pyroscope's names, with those that follow from the profile's type.
fn outward(labels: &Labels) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> =
        labels.iter().map(|(name, value)| (outward_name(name).to_owned(), value.to_owned())).collect();
    if let Some(kind) = ProfileType::parse(labels.profile_type()) {
        for (name, value) in [
            ("__name__", kind.name),
            ("__type__", kind.value.kind),
            ("__unit__", kind.value.unit),
            ("__period_type__", kind.period.kind),
            ("__period_unit__", kind.period.unit),
        ] {
            all.insert(name.to_owned(), value);
        }
    }
    all
}

fn outward_name(name: &str) -> &str {
    if name == SERVICE { SERVICE_NAME } else { name }
}

fn profile_types(store: &dyn Store, request: &Request) -> Result<Answer, QuerierError> {
    let spans = store.series(&Selector::default(), range(request)?)?.value;
    let ids: BTreeSet<&str> = spans.iter().map(|span| span.labels.profile_type()).collect();
    let row = |id: &&str| {
        let kind = ProfileType::parse(id)?;
        let parts = [kind.name, kind.value.kind, kind.value.unit, kind.period.kind, kind.period.unit];
        Some(ProfileTypeRow { id: (*id).to_owned(), parts })
    };
    Ok(Answer::ProfileTypes(ids.iter().filter_map(row).collect()))
}

fn label_names(store: &dyn Store, request: &Request) -> Result<Answer, QuerierError> {
    let names: BTreeSet<String> =
        all_labels(store, request)?.into_iter().flat_map(BTreeMap::into_keys).collect();
    Ok(Answer::Names(names.into_iter().collect()))
}

fn label_values(store: &dyn Store, request: &Request) -> Result<Answer, QuerierError> {
    let name = outward_name(&request.name);
    let all = all_labels(store, request)?;
    let values: BTreeSet<String> = all.into_iter().filter_map(|mut labels| labels.remove(name)).collect();
    Ok(Answer::Names(values.into_iter().collect()))
}

fn series(store: &dyn Store, request: &Request) -> Result<Answer, QuerierError> {
    let wanted: Vec<&str> = request.label_names.iter().map(|name| outward_name(name)).collect();
    let mut sets = BTreeSet::new();
    for mut labels in all_labels(store, request)? {
        labels.retain(|name, _| wanted.is_empty() || wanted.contains(&name.as_str()));
        if !labels.is_empty() {
            sets.insert(labels);
        }
    }
    Ok(Answer::LabelsSets(sets.into_iter().map(|labels| labels.into_iter().collect()).collect()))
}

/// The selector and time of a request for profiles.
fn query(request: &Request) -> Result<Query, QuerierError> {
    if request.is_by_span {
        return Err(QuerierError::Unimplemented("profiles are not kept by span or by profile".to_owned()));
    }
    if request.profile_type.is_empty() {
        return Err(QuerierError::InvalidArgument("profile_typeID is missing".to_owned()));
    }
    let mut selector = parsed(&request.label_selector)?;
    selector.require(PROFILE_TYPE, &request.profile_type);
    let by = request.group_by.iter().map(|name| canonical(name).to_owned()).collect();
    Ok(Query { selector, range: range(request)?, by })
}

fn nodes_max(request: &Request) -> usize {
    usize::try_from(request.max_nodes.filter(|nodes| *nodes > 0).unwrap_or(NODES)).unwrap_or(usize::MAX)
}

fn flame_graph(store: &dyn Store, request: &Request) -> Result<Answer, QuerierError> {
    let groups = store.merge(&query(request)?, Detail::Functions)?.value;
    let tree = Tree::new(&groups, &[], false).limited(nodes_max(request));
    Ok(Answer::FlameGraph(graph::single(&tree)))
}

fn diff(store: &dyn Store, request: &Request) -> Result<Answer, QuerierError> {
    let [left, right] = request.sides.as_slice() else {
        return Err(QuerierError::InvalidArgument("left and right are missing".to_owned()));
    };
    let groups = store.merge(&query(left)?, Detail::Functions)?.value;
    let base = store.merge(&query(right)?, Detail::Functions)?.value;
    let tree = Tree::new(&groups, &base, false).limited(nodes_max(left).min(nodes_max(right)));
    Ok(Answer::Diff(graph::of_two(&tree)))
}

fn profile(store: &dyn Store, request: &Request) -> Result<Answer, QuerierError> {
    let query = query(request)?;
    let groups = store.merge(&query, Detail::Lines)?.value;
    let kind = ProfileType::parse(&request.profile_type);
    let kind =
        kind.ok_or_else(|| QuerierError::InvalidArgument("profile_typeID has not five parts".to_owned()))?;
    Ok(Answer::Profile(query::pprof_message(groups, &kind, query.range)))
}

fn select_series(store: &dyn Store, request: &Request) -> Result<Answer, QuerierError> {
    let mut query = query(request)?;
    if request.average {
        return Err(QuerierError::Unimplemented("series are sums, not averages".to_owned()));
    }
    let step_ms = (request.step * 1e3) as i64;
    if step_ms < 1 {
        return Err(QuerierError::InvalidArgument("step must be 1 ms or more".to_owned()));
    }
    // A point tells what began within the step before it; the first stands at the start.
    let span_ms = request.end_ms.saturating_sub(request.start_ms);
    let count = usize::try_from((span_ms / step_ms).saturating_add(1)).unwrap_or(usize::MAX);
    if count > STEPS_MAX || query.range == Range::ALL {
        return Err(QuerierError::InvalidArgument(format!(
            "there would be more than {STEPS_MAX} points: give a longer step or a shorter time"
        )));
    }
    let steps = Steps { start_ms: request.start_ms.saturating_sub(step_ms), step_ms, count: count + 1 };
    // The last step may end after the end, which nothing that is told does.
    query.range.from_ms = steps.start_ms;
    let lines = store.timeline(&query, steps, None)?.value;
    let mut series: Vec<(f64, Series)> = Vec::with_capacity(lines.len());
    for line in lines {
        let mut points = Vec::new();
        let ends = (1..).map(|step: i64| steps.start_ms.saturating_add(step.saturating_mul(step_ms)));
        for (end_ms, total) in ends.zip(&line.totals) {
            points.extend(total.map(|total| Point { value: total as f64, time_ms: end_ms }));
        }
        let labels =
            line.labels.iter().map(|(name, value)| (outward_name(name).to_owned(), value.to_owned()));
        let sum = points.iter().map(|point| point.value).sum();
        series.push((sum, Series { labels: labels.collect(), points }));
    }
    if let Some(limit) =
        request.limit.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0)
    {
        series.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        series.truncate(limit);
    }
    Ok(Answer::Series(series.into_iter().map(|(_, series)| series).collect()))
}

impl From<StoreError> for QuerierError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::TooMuch { .. } => Self::ResourceExhausted(error.to_string()),
            StoreError::Io(_) => Self::Internal(error.to_string()),
        }
    }
}
