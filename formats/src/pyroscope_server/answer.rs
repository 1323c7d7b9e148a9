//! Answers of the query API.

use prost::Message;

/// Labels, as name and value.
pub type Pairs = Vec<(String, String)>;

/// A type of profiles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileTypeRow {
    /// `name:kind:unit:period kind:period unit`.
    pub id: String,
    /// Its five parts.
    pub parts: [String; 5],
}

/// A flamegraph, level by level: four numbers a node, or seven of a difference. The first tells where it begins behind the end
/// of the one before, the last is a position in the names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlameGraph {
    /// The functions.
    pub names: Vec<String>,
    /// The levels.
    pub levels: Vec<Vec<i64>>,
    /// The sum.
    pub total: i64,
    /// The largest own part of a node.
    pub max_self: i64,
    /// Of a difference: the sums of its sides.
    pub sides: [i64; 2],
}

/// A time series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// The labels that were grouped by.
    pub labels: Pairs,
    /// Its points.
    pub points: Vec<Point>,
}

/// A point of a time series.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// The value.
    pub value: f64,
    /// Milliseconds since the UNIX epoch.
    pub time_ms: i64,
}

mod wire {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Names {
        #[prost(string, repeated, tag = "1")]
        pub(super) names: Vec<String>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ProfileTypes {
        #[prost(message, repeated, tag = "1")]
        pub(super) profile_types: Vec<ProfileType>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ProfileType {
        #[prost(string, tag = "1")]
        pub(super) id: String,
        #[prost(string, tag = "2")]
        pub(super) name: String,
        #[prost(string, tag = "4")]
        pub(super) sample_type: String,
        #[prost(string, tag = "5")]
        pub(super) sample_unit: String,
        #[prost(string, tag = "6")]
        pub(super) period_type: String,
        #[prost(string, tag = "7")]
        pub(super) period_unit: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct LabelPair {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(string, tag = "2")]
        pub(super) value: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Labels {
        #[prost(message, repeated, tag = "1")]
        pub(super) labels: Vec<LabelPair>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct LabelsSets {
        #[prost(message, repeated, tag = "2")]
        pub(super) labels_set: Vec<Labels>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Point {
        #[prost(double, tag = "1")]
        pub(super) value: f64,
        #[prost(int64, tag = "2")]
        pub(super) timestamp: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Series {
        #[prost(message, repeated, tag = "1")]
        pub(super) labels: Vec<LabelPair>,
        #[prost(message, repeated, tag = "2")]
        pub(super) points: Vec<Point>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct AllSeries {
        #[prost(message, repeated, tag = "1")]
        pub(super) series: Vec<Series>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Level {
        #[prost(int64, repeated, tag = "1")]
        pub(super) values: Vec<i64>,
    }

    /// `FlameGraph` and `FlameGraphDiff`, whose first four fields are the same.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct FlameGraph {
        #[prost(string, repeated, tag = "1")]
        pub(super) names: Vec<String>,
        #[prost(message, repeated, tag = "2")]
        pub(super) levels: Vec<Level>,
        #[prost(int64, tag = "3")]
        pub(super) total: i64,
        #[prost(int64, tag = "4")]
        pub(super) max_self: i64,
        #[prost(int64, tag = "5")]
        pub(super) left_ticks: i64,
        #[prost(int64, tag = "6")]
        pub(super) right_ticks: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Merged {
        #[prost(message, optional, tag = "1")]
        pub(super) flamegraph: Option<FlameGraph>,
    }
}

fn pairs(labels: Pairs) -> Vec<wire::LabelPair> {
    labels.into_iter().map(|(name, value)| wire::LabelPair { name, value }).collect()
}

/// `LabelNamesResponse` or `LabelValuesResponse`.
pub fn names(names: Vec<String>) -> Vec<u8> {
    wire::Names { names }.encode_to_vec()
}

/// `ProfileTypesResponse`.
pub fn profile_types(rows: Vec<ProfileTypeRow>) -> Vec<u8> {
    let row = |row: ProfileTypeRow| {
        let [name, sample_type, sample_unit, period_type, period_unit] = row.parts;
        wire::ProfileType { id: row.id, name, sample_type, sample_unit, period_type, period_unit }
    };
    wire::ProfileTypes { profile_types: rows.into_iter().map(row).collect() }.encode_to_vec()
}

/// `SeriesResponse`.
pub fn labels_sets(sets: Vec<Pairs>) -> Vec<u8> {
    let labels_set = sets.into_iter().map(|labels| wire::Labels { labels: pairs(labels) }).collect();
    wire::LabelsSets { labels_set }.encode_to_vec()
}

/// `SelectSeriesResponse`.
pub fn series(all: Vec<Series>) -> Vec<u8> {
    let point = |point: Point| wire::Point { value: point.value, timestamp: point.time_ms };
    let one = |series: Series| wire::Series {
        labels: pairs(series.labels),
        points: series.points.into_iter().map(point).collect(),
    };
    wire::AllSeries { series: all.into_iter().map(one).collect() }.encode_to_vec()
}

/// `SelectMergeStacktracesResponse`, or `DiffResponse`.
pub fn flame_graph(graph: FlameGraph) -> Vec<u8> {
    let FlameGraph { names, levels, total, max_self, sides: [left_ticks, right_ticks] } = graph;
    let levels = levels.into_iter().map(|values| wire::Level { values }).collect();
    let flamegraph = Some(wire::FlameGraph { names, levels, total, max_self, left_ticks, right_ticks });
    wire::Merged { flamegraph }.encode_to_vec()
}
