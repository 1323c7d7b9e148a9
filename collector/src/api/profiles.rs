//! What profiles add up to: flamegraphs, differences and functions, in each format that holds such.

use serde_json::{Map, Value, json};

use super::{ApiError, Content, Parameters, typed};
use crate::labels::PROFILE_TYPE;
use crate::profile_type::{ProfileType, unit};
use crate::query::{self, Tree};
use crate::store::{Detail, Found, Group, Query, Store};
use crate::times::Range;

/// Nodes of a flamegraph, unless another number is asked for: what a screen can show.
const NODES: usize = 16_384;
const FUNCTIONS: usize = 100;

/// What an answer is written as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Pprof,
    Folded,
    Svg,
}

impl Format {
    /// The one that is asked for, before anything is looked for.
    pub(super) fn of(parameters: &Parameters) -> Result<Self, ApiError> {
        match parameters.get("format") {
            None | Some("json") => Ok(Self::Json),
            Some("pprof") => Ok(Self::Pprof),
            Some("folded") => Ok(Self::Folded),
            Some("svg") => Ok(Self::Svg),
            Some(other) => Err(ApiError::Request(format!(
                "format: {other:?} is not written; there are json, pprof, folded and svg"
            ))),
        }
    }

    /// How much of frames counts in it.
    fn detail(self) -> Detail {
        if self == Self::Pprof { Detail::Lines } else { Detail::Functions }
    }
}

/// What was spent where.
pub(super) fn flamegraph(store: &dyn Store, parameters: &Parameters) -> Result<Content, ApiError> {
    let format = Format::of(parameters)?;
    let by = parameters.all("by");
    let with_labels = !by.is_empty();
    let (found, kind, range) = merged(store, parameters, by, format.detail())?;
    if format == Format::Pprof {
        return Ok(Content::pprof(query::pprof(found.value, None, &type_or_unknown(kind), range)));
    }
    let tree = Tree::new(&found.value, &[], with_labels);
    match format {
        Format::Folded => Ok(Content::text(query::folded(&tree, false)?)),
        Format::Svg => {
            let subtitle = format!("{kind} · {}", parameters.range_in_words(range));
            Ok(Content::svg(query::svg(&tree, unit(&kind), title(parameters), &subtitle, false)?))
        }
        Format::Json | Format::Pprof => {
            let tree = tree.limited(parameters.number("max_nodes")?.unwrap_or(NODES));
            Ok(Content::json(tree_json(&tree, &kind, false), &found.warnings))
        }
    }
}

/// What was spent where, and what of it in a base.
pub(super) fn diff(store: &dyn Store, parameters: &Parameters) -> Result<Content, ApiError> {
    let format = Format::of(parameters)?;
    let by = parameters.all("by");
    let with_labels = !by.is_empty();
    let (found, kind, range) = merged(store, parameters, by.clone(), format.detail())?;
    let base_range = parameters.base_range()?;
    // Unless the base has a selector of its own, it differs in its time alone.
    let selector =
        parameters.selector(if parameters.get("base_query").is_some() { "base_query" } else { "query" })?;
    let of_base = selector.required(PROFILE_TYPE).is_none().then_some(kind.as_str());
    let (selector, base_kind) = typed(store, selector, base_range, of_base.filter(|kind| !kind.is_empty()))?;
    if unit(&base_kind) != unit(&kind) && !kind.is_empty() && !base_kind.is_empty() {
        return Err(ApiError::Request(format!("{kind} and {base_kind} count different things")));
    }
    let base = store.merge(&Query { selector, range: base_range, by }, format.detail())?;
    let kind = if kind.is_empty() { base_kind } else { kind };
    if format == Format::Pprof {
        let kind = type_or_unknown(kind);
        return Ok(Content::pprof(query::pprof(found.value, Some(base.value), &kind, range)));
    }
    let tree = Tree::new(&found.value, &base.value, with_labels);
    match format {
        Format::Folded => Ok(Content::text(query::folded(&tree, true)?)),
        Format::Svg => {
            let (now, base) = (parameters.range_in_words(range), parameters.range_in_words(base_range));
            let base = match parameters.get("base_query") {
                Some(query) => format!("{query}, {base}"),
                None => base,
            };
            let subtitle = format!("{kind} · {now} · base: {base}");
            Ok(Content::svg(query::svg(&tree, unit(&kind), title(parameters), &subtitle, true)?))
        }
        Format::Json | Format::Pprof => {
            let tree = tree.limited(parameters.number("max_nodes")?.unwrap_or(NODES));
            let warnings = [found.warnings, base.warnings].concat();
            Ok(Content::json(tree_json(&tree, &kind, true), &warnings))
        }
    }
}

/// What was spent in each function.
pub(super) fn top(store: &dyn Store, parameters: &Parameters) -> Result<Content, ApiError> {
    let format = Format::of(parameters)?;
    let (found, kind, range) = merged(store, parameters, Vec::new(), Detail::Functions)?;
    let tree = Tree::new(&found.value, &[], false);
    let limit = parameters.number("limit")?.unwrap_or(FUNCTIONS);
    let mut functions = query::functions(&tree);
    functions.truncate(limit);
    if format != Format::Json {
        // Files of these formats hold stacks: of one frame each.
        let flat = query::flat(&functions);
        return match format {
            Format::Pprof => {
                Ok(Content::pprof(query::pprof(vec![flat], None, &type_or_unknown(kind), range)))
            }
            Format::Svg => {
                let subtitle =
                    format!("{kind} · functions themselves · {}", parameters.range_in_words(range));
                let tree = Tree::new(&[flat], &[], false);
                Ok(Content::svg(query::svg(&tree, unit(&kind), title(parameters), &subtitle, false)?))
            }
            Format::Folded | Format::Json => {
                Ok(Content::text(query::folded(&Tree::new(&[flat], &[], false), false)?))
            }
        };
    }
    let functions: Vec<Value> = functions
        .iter()
        .map(|function| json!({"name": function.name, "self": function.own, "total": function.total}))
        .collect();
    let answer = json!({"type": kind, "unit": unit(&kind), "total": tree.total()[0], "functions": functions});
    Ok(Content::json(answer, &found.warnings))
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

/// What a profile's type says, or a type of which nothing is known but its name.
fn type_or_unknown(kind: String) -> ProfileType {
    ProfileType::parse(&kind).unwrap_or_else(|| ProfileType {
        name: kind,
        value: query::unknown_value(),
        period: query::unknown_value(),
    })
}

fn title(parameters: &Parameters) -> &str {
    parameters.get("query").filter(|text| !text.trim().is_empty()).unwrap_or("all profiles")
}
