//! What is answered under `/api/v1`: docs/collector.md is its contract.

mod answer;
mod parameters;
pub(crate) mod querier;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

pub(crate) use answer::{ApiError, Content};
pub(crate) use parameters::Parameters;

use crate::labels::{Labels, PROFILE_TYPE, SERVICE};
use crate::profile_type::{ProfileType, unit};
use crate::query::{self, Tree};
use crate::selector::Selector;
use crate::store::{Detail, Found, Group, Query, STEPS_MAX, Steps, Store};
use crate::times::Range;

/// Nodes of a flamegraph, unless another number is asked for: what a screen can show.
const NODES: usize = 16_384;
const FUNCTIONS: usize = 100;

/// Answers one question.
pub(crate) fn answer(store: &dyn Store, path: &str, parameters: &Parameters) -> Result<Content, ApiError> {
    match path {
        "/api/v1/services" => services(store, parameters),
        "/api/v1/labels" => labels(store, parameters),
        "/api/v1/flamegraph" => flamegraph(store, parameters),
        "/api/v1/diff" => diff(store, parameters),
        "/api/v1/top" => top(store, parameters),
        "/api/v1/series" => series(store, parameters),
        _ => Err(ApiError::NotFound),
    }
}

fn services(store: &dyn Store, parameters: &Parameters) -> Result<Content, ApiError> {
    let found = store.series(&Selector::default(), parameters.range()?)?;
    let mut services: BTreeMap<&str, (BTreeSet<&str>, i64, i64)> = BTreeMap::new();
    for span in &found.value {
        let service = services
            .entry(span.labels.get(SERVICE).unwrap_or(""))
            .or_insert_with(|| (BTreeSet::new(), i64::MAX, i64::MIN));
        service.0.insert(span.labels.profile_type());
        service.1 = service.1.min(span.first_ms);
        service.2 = service.2.max(span.last_ms);
    }
    let service = |(name, (types, first_ms, last_ms)): (&&str, &(BTreeSet<&str>, i64, i64))| json!({"name": name, "types": types, "from": *first_ms as f64 / 1e3, "until": *last_ms as f64 / 1e3});
    let services: Vec<Value> = services.iter().map(service).collect();
    Ok(Content::json(json!({ "services": services }), &found.warnings))
}

fn labels(store: &dyn Store, parameters: &Parameters) -> Result<Content, ApiError> {
    let found = store.series(&parameters.selector("query")?, parameters.range()?)?;
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for span in &found.value {
        for (name, value) in span.labels.iter().filter(|(name, _)| *name != PROFILE_TYPE) {
            labels.entry(name).or_default().insert(value);
        }
    }
    Ok(Content::json(json!({ "labels": labels }), &found.warnings))
}

/// A selector of one profile type.
fn typed(
    store: &dyn Store,
    mut selector: Selector,
    range: Range,
    kind: Option<&str>,
) -> Result<(Selector, String), ApiError> {
    if let Some(kind) = kind {
        selector.require(PROFILE_TYPE, kind);
    }
    if let Some(kind) = selector.required(PROFILE_TYPE) {
        let kind = kind.to_owned();
        return Ok((selector, kind));
    }
    let spans = store.series(&selector, range)?.value;
    let types: BTreeSet<&str> = spans.iter().map(|span| span.labels.profile_type()).collect();
    if types.len() > 1 {
        let types: Vec<&str> = types.into_iter().collect();
        return Err(ApiError::Request(format!(
            "profiles of several types match, give one as type: {}",
            types.join(", ")
        )));
    }
    let kind = types.first().copied().unwrap_or("").to_owned();
    Ok((selector, kind))
}

fn merged(
    store: &dyn Store,
    parameters: &Parameters,
    by: Vec<String>,
    detail: Detail,
) -> Result<(Found<Vec<Group>>, String, Range), ApiError> {
    let range = parameters.range()?;
    let selector = parameters.selector("query")?;
    let (selector, kind) = typed(store, selector, range, parameters.get("type"))?;
    Ok((store.merge(&Query { selector, range, by }, detail)?, kind, range))
}

fn flamegraph(store: &dyn Store, parameters: &Parameters) -> Result<Content, ApiError> {
    let format = parameters.get("format").unwrap_or("json");
    let by = parameters.all("by");
    let with_labels = !by.is_empty();
    if format == "pprof" {
        let (found, kind, range) = merged(store, parameters, Vec::new(), Detail::Lines)?;
        let kind = ProfileType::parse(&kind).unwrap_or_else(|| ProfileType {
            name: kind,
            value: query::unknown_value(),
            period: query::unknown_value(),
        });
        return Ok(Content::pprof(query::pprof(&found.value, &kind, range)));
    }
    let (found, kind, range) = merged(store, parameters, by, Detail::Functions)?;
    let tree = Tree::new(&found.value, &[], with_labels);
    match format {
        "folded" => Ok(Content::text(query::folded(&tree))),
        "svg" => {
            let title =
                parameters.get("query").filter(|text| !text.trim().is_empty()).unwrap_or("all profiles");
            let subtitle = format!("{kind} · {}", parameters.range_in_words(range));
            Ok(Content::svg(query::svg(&tree, unit(&kind), title, &subtitle)?))
        }
        "json" => {
            let tree = tree.limited(parameters.number("max_nodes")?.unwrap_or(NODES));
            Ok(Content::json(tree_json(&tree, &kind, false), &found.warnings))
        }
        other => Err(ApiError::Request(format!(
            "format: {other:?} is not written; there are json, pprof, folded and svg"
        ))),
    }
}

fn diff(store: &dyn Store, parameters: &Parameters) -> Result<Content, ApiError> {
    let (found, kind, _) = merged(store, parameters, Vec::new(), Detail::Functions)?;
    let range = parameters.base_range()?;
    // Unless the base has a selector of its own, it differs in its time alone.
    let selector =
        parameters.selector(if parameters.get("base_query").is_some() { "base_query" } else { "query" })?;
    let of_base = selector.required(PROFILE_TYPE).is_none().then_some(kind.as_str());
    let (selector, base_kind) = typed(store, selector, range, of_base.filter(|kind| !kind.is_empty()))?;
    if unit(&base_kind) != unit(&kind) && !kind.is_empty() && !base_kind.is_empty() {
        return Err(ApiError::Request(format!("{kind} and {base_kind} count different things")));
    }
    let base = store.merge(&Query { selector, range, by: Vec::new() }, Detail::Functions)?;
    let tree = Tree::new(&found.value, &base.value, false);
    let tree = tree.limited(parameters.number("max_nodes")?.unwrap_or(NODES));
    let warnings = [found.warnings, base.warnings].concat();
    let kind = if kind.is_empty() { base_kind } else { kind };
    Ok(Content::json(tree_json(&tree, &kind, true), &warnings))
}

fn tree_json(tree: &Tree, kind: &str, with_base: bool) -> Value {
    let nodes = &tree.nodes;
    let mut columns = Map::new();
    let parent = |node: &query::Node| node.parent.map_or(-1, i64::from);
    columns.insert("parent".to_owned(), nodes.iter().map(parent).collect());
    columns.insert("name".to_owned(), nodes.iter().map(|node| node.name).collect());
    columns.insert("self".to_owned(), nodes.iter().map(|node| node.own[0]).collect());
    columns.insert("total".to_owned(), nodes.iter().map(|node| node.total[0]).collect());
    let [total, base_total] = tree.total();
    let mut answer =
        json!({"type": kind, "unit": unit(kind), "total": total, "names": tree.names, "nodes": columns});
    if with_base {
        answer["nodes"]["base_self"] = nodes.iter().map(|node| node.own[1]).collect();
        answer["nodes"]["base_total"] = nodes.iter().map(|node| node.total[1]).collect();
        answer["base_total"] = base_total.into();
    }
    answer
}

fn top(store: &dyn Store, parameters: &Parameters) -> Result<Content, ApiError> {
    let (found, kind, _) = merged(store, parameters, Vec::new(), Detail::Functions)?;
    let tree = Tree::new(&found.value, &[], false);
    let limit = parameters.number("limit")?.unwrap_or(FUNCTIONS);
    let functions = query::functions(&tree).into_iter().take(limit);
    let functions: Vec<Value> = functions
        .map(|function| json!({"name": function.name, "self": function.own, "total": function.total}))
        .collect();
    let answer = json!({"type": kind, "unit": unit(&kind), "total": tree.total()[0], "functions": functions});
    Ok(Content::json(answer, &found.warnings))
}

fn series(store: &dyn Store, parameters: &Parameters) -> Result<Content, ApiError> {
    let range = parameters.range()?;
    let (selector, kind) = typed(store, parameters.selector("query")?, range, parameters.get("type"))?;
    let function = parameters.get("function").filter(|function| !function.is_empty());
    let share = parameters.flag("share")?;
    if share && function.is_none() {
        return Err(ApiError::Request("share: of which function? give one as function".to_owned()));
    }
    let steps = steps(range, parameters.step_ms()?.unwrap_or_else(|| usual_step_ms(range)))?;
    let found = store.timeline(&Query { selector, range, by: parameters.all("by") }, steps, function)?;
    let value = |total: Option<i64>, within: i64| match (total, function, share) {
        (None, ..) => Value::Null,
        (Some(total), Some(_), true) if total != 0 => json!(within as f64 / total as f64),
        (Some(_), Some(_), true) => Value::Null,
        (Some(_), Some(_), false) => json!(within),
        (Some(total), None, _) => json!(total),
    };
    let line = |line: &crate::store::Line| {
        let values = line.totals.iter().zip(&line.in_function);
        let values: Vec<Value> = values.map(|(total, within)| value(*total, *within)).collect();
        json!({"labels": labels_json(&line.labels), "values": values})
    };
    let lines: Vec<Value> = found.value.iter().map(line).collect();
    let (step, start) = (steps.step_ms as f64 / 1e3, steps.start_ms as f64 / 1e3);
    let unit = if share { "" } else { unit(&kind) };
    let answer = json!({"type": kind, "unit": unit, "step": step, "start": start, "series": lines});
    Ok(Content::json(answer, &found.warnings))
}

pub(crate) fn labels_json(labels: &Labels) -> Value {
    labels.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect::<Map<_, _>>().into()
}

/// A hundred points, of whole seconds.
pub(crate) fn usual_step_ms(range: Range) -> i64 {
    (range.until_ms.saturating_sub(range.from_ms) / 100).max(1000).div_euclid(1000) * 1000
}

/// Steps that begin at multiples of their length, so that a picture does not flicker as time goes on.
pub(crate) fn steps(range: Range, step_ms: i64) -> Result<Steps, ApiError> {
    let start_ms = range.from_ms.div_euclid(step_ms) * step_ms;
    let count = range.until_ms.saturating_sub(start_ms).saturating_add(step_ms - 1) / step_ms;
    match usize::try_from(count) {
        Ok(count) if count <= STEPS_MAX => Ok(Steps { start_ms, step_ms, count }),
        _ => Err(ApiError::Request(format!(
            "step: there would be more than {STEPS_MAX} points; give a longer one"
        ))),
    }
}
