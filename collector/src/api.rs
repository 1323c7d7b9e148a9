//! What is answered under `/api/v1`: docs/collector.md is its contract.

mod answer;
mod parameters;
mod profiles;
pub(crate) mod querier;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

pub(crate) use answer::{ApiError, Content};
pub(crate) use parameters::Parameters;

use crate::labels::{Labels, PROFILE_TYPE, SERVICE};
use crate::profile_type::unit;
use crate::selector::Selector;
use crate::store::{Query, STEPS_MAX, Steps, Store};
use crate::times::Range;

/// Answers one question.
pub(crate) fn answer(store: &dyn Store, path: &str, parameters: &Parameters) -> Result<Content, ApiError> {
    match path {
        "/api/v1/services" => services(store, parameters),
        "/api/v1/labels" => labels(store, parameters),
        "/api/v1/flamegraph" => profiles::flamegraph(store, parameters),
        "/api/v1/diff" => profiles::diff(store, parameters),
        "/api/v1/top" => profiles::top(store, parameters),
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

fn series(store: &dyn Store, parameters: &Parameters) -> Result<Content, ApiError> {
    if profiles::Format::of(parameters)? != profiles::Format::Json {
        let message = "format: a time series is no profile, and is written as json alone";
        return Err(ApiError::Request(message.to_owned()));
    }
    let range = parameters.range()?;
    let (selector, kind) = typed(store, parameters.selector("query")?, range, parameters.get("type"))?;
    let function = parameters.get("function").filter(|function| !function.is_empty());
    let share = parameters.flag("share")?;
    if share && function.is_none() {
        return Err(ApiError::Request("share: of which function? give one as function".to_owned()));
    }
    let steps = steps(range, parameters.step_ms()?.unwrap_or_else(|| usual_step_ms(range)))?;
    // All steps are whole.
    let query = Query { selector, range: steps.range(), by: parameters.all("by") };
    let found = store.timeline(&query, steps, function)?;
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
    let start_ms = range.from_ms.div_euclid(step_ms).saturating_mul(step_ms);
    let count = range.until_ms.saturating_sub(start_ms).saturating_add(step_ms - 1) / step_ms;
    match usize::try_from(count) {
        Ok(count) if count <= STEPS_MAX => Ok(Steps { start_ms, step_ms, count }),
        _ => Err(ApiError::Request(format!(
            "step: there would be more than {STEPS_MAX} points; give a longer one"
        ))),
    }
}
