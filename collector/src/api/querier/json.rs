//! Messages of Pyroscope's query API as JSON, as protocol buffers are written in it: names in camel case, large numbers as text.

use formats::pyroscope_server::{FlameGraph, Pairs, REPEATED_MAX, Request};
use serde_json::{Map, Value, json};

use super::{Answer, QuerierError};

/// How points are made of profiles, by the names that the messages have for it.
const SUM: &str = "TIME_SERIES_AGGREGATION_TYPE_SUM";
const AVERAGE: &str = "TIME_SERIES_AGGREGATION_TYPE_AVERAGE";

/// Reads a request.
pub(super) fn request(body: &[u8]) -> Result<Request, QuerierError> {
    let wrong = |what: String| QuerierError::InvalidArgument(what);
    let value: Value = serde_json::from_slice(body).map_err(|error| wrong(error.to_string()))?;
    from_object(value.as_object().ok_or_else(|| wrong("an object is expected".to_owned()))?)
}

fn from_object(object: &Map<String, Value>) -> Result<Request, QuerierError> {
    let get =
        |names: [&str; 2]| names.iter().find_map(|name| object.get(*name)).filter(|value| !value.is_null());
    let wrong = |name: &str| QuerierError::InvalidArgument(format!("{name} is not what it should be"));
    let number = |names: [&str; 2]| match get(names) {
        None => Ok(None),
        Some(Value::String(text)) => text.parse().map(Some).map_err(|_| wrong(names[0])),
        Some(value) => value.as_i64().map(Some).ok_or_else(|| wrong(names[0])),
    };
    let text = |names: [&str; 2]| match get(names) {
        None => Ok(String::new()),
        Some(value) => value.as_str().map(str::to_owned).ok_or_else(|| wrong(names[0])),
    };
    let texts = |names: [&str; 2]| match get(names) {
        None => Ok(Vec::new()),
        Some(value) => {
            let list = value.as_array().ok_or_else(|| wrong(names[0]))?;
            if list.len() > REPEATED_MAX {
                let message = format!("{} has more than {REPEATED_MAX} values", names[0]);
                return Err(QuerierError::InvalidArgument(message));
            }
            list.iter().map(|one| one.as_str().map(str::to_owned).ok_or_else(|| wrong(names[0]))).collect()
        }
    };
    let mut sides = Vec::new();
    if object.contains_key("left") || object.contains_key("right") {
        for side in ["left", "right"] {
            let side = object.get(side).and_then(Value::as_object).ok_or_else(|| wrong(side))?;
            sides.push(from_object(side)?);
        }
    }
    let spans = [["spanSelector", "span_selector"], ["profileIdSelector", "profile_id_selector"]];
    let mut is_by_span = false;
    for names in spans {
        is_by_span |= !texts(names)?.is_empty();
    }
    let average = match get(["aggregation", "aggregation"]) {
        None => false,
        Some(Value::String(name)) if name == SUM => false,
        Some(Value::String(name)) if name == AVERAGE => true,
        Some(value) => match value.as_u64() {
            Some(kind @ 0..=1) => kind == 1,
            _ => return Err(wrong("aggregation")),
        },
    };
    let step = match get(["step", "step"]) {
        None => 0.0,
        Some(value) => value.as_f64().ok_or_else(|| wrong("step"))?,
    };
    Ok(Request {
        start_ms: number(["start", "start"])?.unwrap_or(0),
        end_ms: number(["end", "end"])?.unwrap_or(0),
        name: text(["name", "name"])?,
        matchers: texts(["matchers", "matchers"])?,
        label_names: texts(["labelNames", "label_names"])?,
        profile_type: text(["profileTypeID", "profile_typeID"])?,
        label_selector: text(["labelSelector", "label_selector"])?,
        max_nodes: number(["maxNodes", "max_nodes"])?,
        group_by: texts(["groupBy", "group_by"])?,
        step,
        limit: number(["limit", "limit"])?,
        average,
        is_by_span,
        sides,
    })
}

/// Writes an answer.
pub(super) fn answer(answer: Answer) -> Result<Vec<u8>, QuerierError> {
    let value = match answer {
        Answer::Names(names) => json!({ "names": names }),
        Answer::ProfileTypes(rows) => {
            let row = |row: &formats::pyroscope_server::ProfileTypeRow| {
                let [name, sample_type, sample_unit, period_type, period_unit] = &row.parts;
                json!({"ID": row.id, "name": name, "sampleType": sample_type, "sampleUnit": sample_unit,
                    "periodType": period_type, "periodUnit": period_unit})
            };
            json!({ "profileTypes": rows.iter().map(row).collect::<Vec<_>>() })
        }
        Answer::LabelsSets(sets) => {
            let set = |set: Pairs| json!({ "labels": pairs(set) });
            json!({ "labelsSet": sets.into_iter().map(set).collect::<Vec<_>>() })
        }
        Answer::FlameGraph(graph) => json!({ "flamegraph": flame_graph(&graph, false) }),
        Answer::Diff(graph) => json!({ "flamegraph": flame_graph(&graph, true) }),
        Answer::Series(all) => {
            let one = |series: formats::pyroscope_server::Series| {
                let point = |point: &formats::pyroscope_server::Point| json!({"value": point.value, "timestamp": point.time_ms.to_string()});
                let points: Vec<Value> = series.points.iter().map(point).collect();
                json!({"labels": pairs(series.labels), "points": points})
            };
            json!({ "series": all.into_iter().map(one).collect::<Vec<_>>() })
        }
        Answer::Profile(_) => {
            let instead =
                "a profile is given out as protocol buffers: ask with content-type application/proto";
            return Err(QuerierError::Unimplemented(instead.to_owned()));
        }
    };
    Ok(value.to_string().into_bytes())
}

fn pairs(pairs: Pairs) -> Vec<Value> {
    pairs.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

fn flame_graph(graph: &FlameGraph, is_diff: bool) -> Value {
    let level = |level: &Vec<i64>| {
        let values: Vec<String> = level.iter().map(i64::to_string).collect();
        json!({ "values": values })
    };
    let levels: Vec<Value> = graph.levels.iter().map(level).collect();
    let mut value = json!({"names": graph.names, "levels": levels, "total": graph.total.to_string(),
        "maxSelf": graph.max_self.to_string()});
    if is_diff {
        value["leftTicks"] = graph.sides[0].to_string().into();
        value["rightTicks"] = graph.sides[1].to_string().into();
    }
    value
}
