//! JSON, as far as writing it takes: objects keep the order in which they are written.

use std::fmt::Write;

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
}

/// An object: `object! { "key": value, … }`.
macro_rules! object {
    ($($key:literal: $value:expr),* $(,)?) => {
        $crate::dashboards::json::Json::Object(vec![$(($key, $crate::dashboards::json::Json::from($value))),*])
    };
}

/// A list: `list![value, …]`.
macro_rules! list {
    ($($value:expr),* $(,)?) => {
        $crate::dashboards::json::Json::List(vec![$($crate::dashboards::json::Json::from($value)),*])
    };
}

pub(super) use {list, object};

impl Json {
    /// The value as text, indented by two spaces, with a line end.
    pub(super) fn pretty(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, 0);
        text.push('\n');
        text
    }

    /// Adds a member to an object.
    pub(super) fn insert(&mut self, key: &'static str, value: impl Into<Json>) {
        match self {
            Self::Object(members) => members.push((key, value.into())),
            other => unreachable!("only objects have members, and this is {other:?}"),
        }
    }

    fn write(&self, text: &mut String, depth: usize) {
        match self {
            Self::Null => text.push_str("null"),
            Self::Bool(value) => write!(text, "{value}").expect(TEXT),
            Self::Number(value) => write!(text, "{value}").expect(TEXT),
            Self::Text(value) => write_text(text, value),
            Self::List(values) if values.is_empty() => text.push_str("[]"),
            Self::Object(members) if members.is_empty() => text.push_str("{}"),
            Self::List(values) => {
                write_all(text, depth, ['[', ']'], values, |text, value| value.write(text, depth + 1));
            }
            Self::Object(members) => write_all(text, depth, ['{', '}'], members, |text, (key, value)| {
                write_text(text, key);
                text.push_str(": ");
                value.write(text, depth + 1);
            }),
        }
    }
}

const TEXT: &str = "a string takes all text";

fn write_all<T>(
    text: &mut String,
    depth: usize,
    [open, close]: [char; 2],
    items: &[T],
    write_one: impl Fn(&mut String, &T),
) {
    text.push(open);
    for (at, item) in items.iter().enumerate() {
        text.push_str(if at == 0 { "\n" } else { ",\n" });
        text.push_str(&"  ".repeat(depth + 1));
        write_one(text, item);
    }
    text.push('\n');
    text.push_str(&"  ".repeat(depth));
    text.push(close);
}

fn write_text(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            c if c.is_control() => write!(text, "\\u{:04x}", u32::from(c)).expect(TEXT),
            c => text.push(c),
        }
    }
    text.push('"');
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f64> for Json {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<u32> for Json {
    fn from(value: u32) -> Self {
        Self::Number(value.into())
    }
}

impl From<i32> for Json {
    fn from(value: i32) -> Self {
        Self::Number(value.into())
    }
}

impl From<&str> for Json {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Json {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl<T: Into<Json>> From<Vec<T>> for Json {
    fn from(values: Vec<T>) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
