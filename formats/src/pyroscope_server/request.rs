//! Requests of the query API.

use crate::decode::{DecodeError, Message};

/// Values of a repeated field that are read.
pub const REPEATED_MAX: usize = 256;

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Which types of profiles there are.
    ProfileTypes,
    /// Which labels there are.
    LabelNames,
    /// Which values a label has.
    LabelValues,
    /// Which series there are.
    Series,
    /// A flamegraph.
    SelectMergeStacktraces,
    /// The same of some spans.
    SelectMergeSpanProfile,
    /// A profile as pprof.
    SelectMergeProfile,
    /// Sums by time.
    SelectSeries,
    /// Two flamegraphs as one.
    Diff,
}

/// A request of whichever method.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// Milliseconds since the UNIX epoch.
    pub start_ms: i64,
    /// Milliseconds since the UNIX epoch.
    pub end_ms: i64,
    /// A label's name.
    pub name: String,
    /// Selectors.
    pub matchers: Vec<String>,
    /// The labels that are wanted.
    pub label_names: Vec<String>,
    /// The profile's type.
    pub profile_type: String,
    /// The selector.
    pub label_selector: String,
    /// Nodes of a flamegraph.
    pub max_nodes: Option<i64>,
    /// Labels to group by.
    pub group_by: Vec<String>,
    /// The step of a time series in seconds.
    pub step: f64,
    /// Series at most.
    pub limit: Option<i64>,
    /// Something else than the sum: the average.
    pub average: bool,
    /// Whether spans or single profiles are asked for, which are not kept.
    pub is_by_span: bool,
    /// The two sides of a difference.
    pub sides: Vec<Request>,
}

/// Where a request's fields go.
#[derive(Clone, Copy)]
enum Place {
    Start,
    End,
    Name,
    Matchers,
    LabelNames,
    ProfileType,
    Selector,
    MaxNodes,
    GroupBy,
    Step,
    Limit,
    Aggregation,
    Spans,
    Side,
}

impl Method {
    /// The method of this name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "ProfileTypes" => Self::ProfileTypes,
            "LabelNames" => Self::LabelNames,
            "LabelValues" => Self::LabelValues,
            "Series" => Self::Series,
            "SelectMergeStacktraces" => Self::SelectMergeStacktraces,
            "SelectMergeSpanProfile" => Self::SelectMergeSpanProfile,
            "SelectMergeProfile" => Self::SelectMergeProfile,
            "SelectSeries" => Self::SelectSeries,
            "Diff" => Self::Diff,
            _ => return None,
        })
    }

    /// What the fields of a request are, by number.
    fn places(self) -> &'static [(u32, Place)] {
        use Place::*;
        match self {
            Self::ProfileTypes => &[(1, Start), (2, End)],
            Self::LabelNames => &[(1, Matchers), (2, Start), (3, End)],
            Self::LabelValues => &[(1, Name), (2, Matchers), (3, Start), (4, End)],
            Self::Series => &[(1, Matchers), (2, LabelNames), (3, Start), (4, End)],
            Self::SelectMergeStacktraces => &[
                (1, ProfileType),
                (2, Selector),
                (3, Start),
                (4, End),
                (5, MaxNodes),
                (8, Spans),
                (10, Spans),
                (11, Spans),
            ],
            Self::SelectMergeSpanProfile => {
                &[(1, ProfileType), (2, Selector), (3, Spans), (4, Start), (5, End), (6, MaxNodes)]
            }
            Self::SelectMergeProfile => &[
                (1, ProfileType),
                (2, Selector),
                (3, Start),
                (4, End),
                (5, MaxNodes),
                (7, Spans),
                (8, Spans),
            ],
            Self::SelectSeries => &[
                (1, ProfileType),
                (2, Selector),
                (3, Start),
                (4, End),
                (5, GroupBy),
                (6, Step),
                (7, Aggregation),
                (9, Limit),
            ],
            Self::Diff => &[(1, Side), (2, Side)],
        }
    }
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// [`DecodeError`] with what is wrong, or too much.
    pub fn decode(method: Method, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut request = Self::default();
        let mut message = Message::new("a query", bytes);
        while let Some((number, field)) = message.next()? {
            let Some((_, place)) = method.places().iter().find(|(known, _)| *known == number) else {
                continue;
            };
            match place {
                Place::Start => request.start_ms = message.number(field)? as i64,
                Place::End => request.end_ms = message.number(field)? as i64,
                Place::Name => request.name = message.text(field)?.to_owned(),
                Place::Matchers => request.matchers.push(message.text(field)?.to_owned()),
                Place::LabelNames => request.label_names.push(message.text(field)?.to_owned()),
                Place::ProfileType => request.profile_type = message.text(field)?.to_owned(),
                Place::Selector => request.label_selector = message.text(field)?.to_owned(),
                Place::MaxNodes => request.max_nodes = Some(message.number(field)? as i64),
                Place::GroupBy => request.group_by.push(message.text(field)?.to_owned()),
                Place::Step => request.step = f64::from_bits(message.number(field)?),
                Place::Limit => request.limit = Some(message.number(field)? as i64),
                Place::Aggregation => request.average = message.number(field)? != 0,
                Place::Spans => request.is_by_span = true,
                // The left side has the lower number.
                Place::Side => {
                    request.sides.resize(2, Self::default());
                    request.sides[number as usize - 1] =
                        Self::decode(Method::SelectMergeStacktraces, message.bytes(field)?)?;
                }
            }
            let most = request.matchers.len().max(request.label_names.len()).max(request.group_by.len());
            if most > REPEATED_MAX {
                return Err(DecodeError::TooMuch { what: "values of a field", limit: REPEATED_MAX });
            }
        }
        Ok(request)
    }
}
