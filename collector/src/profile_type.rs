//! What a profile counts, as Pyroscope writes it: `process_cpu:cpu:nanoseconds:cpu:nanoseconds`.

use std::fmt;

use formats::decode::ValueType;

/// The type of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileType {
    /// The kind of profile: `process_cpu`, `memory`, `wall`.
    pub name: String,
    /// What is counted.
    pub value: ValueType,
    /// What was counted to take a sample.
    pub period: ValueType,
}

impl ProfileType {
    /// Reads the five parts.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let [name, kind, unit, period_kind, period_unit] = parts[..] else { return None };
        let value = ValueType::new(kind, unit);
        Some(Self { name: name.to_owned(), value, period: ValueType::new(period_kind, period_unit) })
    }

    /// The type of a value in a profile whose producer gives it no name.
    pub fn of(value: &ValueType, period: Option<&ValueType>, name: Option<&str>) -> Self {
        let clean = |text: &str| text.replace(['-', ':'], "_");
        let value = ValueType::new(clean(&value.kind), clean(&value.unit));
        let period = period.map(|period| ValueType::new(clean(&period.kind), clean(&period.unit)));
        let name = name.map_or_else(|| name_of(&value, period.as_ref()), str::to_owned);
        Self { name, period: period.unwrap_or_else(|| value.clone()), value }
    }
}

/// The kind of profile that has such values, by the names that Go's and Pyroscope's producers use.
fn name_of(value: &ValueType, period: Option<&ValueType>) -> String {
    let kind = value.kind.as_str();
    let period = period.map_or("", |period| period.kind.as_str());
    let name = match kind {
        _ if kind.contains("wall") || period == "wall" => "wall",
        _ if kind.contains("cpu") => "process_cpu",
        _ if period == "cpu" || period == "itimer" => "process_cpu",
        _ if kind.starts_with("alloc") || kind.starts_with("inuse") => "memory",
        "space" | "objects" | "heap" | "live" => "memory",
        _ if kind.contains("mutex") => "mutex",
        _ if kind.contains("block") => "block",
        "contentions" | "delay" => "mutex",
        _ if kind.contains("goroutine") => "goroutines",
        "" => "unknown",
        other => other,
    };
    name.to_owned()
}

impl fmt::Display for ProfileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, period } = self;
        write!(f, "{name}:{}:{}:{}:{}", value.kind, value.unit, period.kind, period.unit)
    }
}

/// What a type's values are counted in.
pub fn unit(profile_type: &str) -> &str {
    profile_type.split(':').nth(2).unwrap_or("")
}
