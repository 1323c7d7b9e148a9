//! Which series: `process_cpu:cpu:nanoseconds:cpu:nanoseconds{service="api",phase=~"timers|check"}`.
//!
//! Matchers are Prometheus's: `=`, `!=`, `=~`, `!~`, a missing label being an empty one, patterns matching the whole value.

use std::fmt;

use regex_automata::meta::Regex;
use regex_automata::nfa::thompson::WhichCaptures;

use crate::labels::{Labels, PROFILE_TYPE, SERVICE, SERVICE_NAME};

/// How much memory the compiled patterns of a selector may take.
const PATTERNS_BYTES_MAX: usize = 1 << 20;
/// How much memory a pattern may take beside while it is matched, in each direction.
const MATCHING_BYTES_MAX: usize = 1 << 18;
/// Patterns of a selector.
const PATTERNS_MAX: usize = 32;
const SELECTOR_BYTES_MAX: usize = 16 * 1024;

/// What series have in common. All matchers must match.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    matchers: Vec<Matcher>,
}

#[derive(Clone, Debug)]
struct Matcher {
    name: String,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Equal(String),
    NotEqual(String),
    Like(Regex),
    Unlike(Regex),
}

/// What is wrong with a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorError {
    message: String,
}

impl Selector {
    /// Reads a selector; an empty one matches every series.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let text = text.trim();
        if text.len() > SELECTOR_BYTES_MAX {
            return Err(SelectorError::new("a selector of more than 16 KiB"));
        }
        let (kind, rest) = text.split_at(text.find('{').unwrap_or(text.len()));
        let mut selector = Self::default();
        if !kind.trim().is_empty() {
            selector.require(PROFILE_TYPE, kind.trim());
        }
        let Some(rest) = rest.strip_prefix('{') else { return Ok(selector) };
        let mut patterns = Patterns { count: 0, bytes: 0 };
        let mut rest = rest.trim_start();
        loop {
            if let Some(behind) = rest.strip_prefix('}') {
                return match behind.trim() {
                    "" => Ok(selector),
                    more => Err(SelectorError::new(format!("{more:?} stands behind the selector's end"))),
                };
            }
            rest = selector.read_matcher(rest, &mut patterns)?.trim_start();
            match rest.strip_prefix(',') {
                Some(behind) => rest = behind.trim_start(),
                None if rest.starts_with('}') => {}
                None => {
                    return Err(SelectorError::new(format!("a comma or }} belongs before {rest:?}")));
                }
            }
        }
    }

    /// Adds that a label must have this value.
    pub fn require(&mut self, name: &str, value: &str) {
        self.matchers.push(Matcher { name: canonical(name).to_owned(), test: Test::Equal(value.to_owned()) });
    }

    /// Without what it says of these labels.
    pub(crate) fn without(mut self, names: &[&str]) -> Self {
        self.matchers.retain(|matcher| !names.contains(&matcher.name.as_str()));
        self
    }

    /// Whether a series has what is required.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(labels.get(&matcher.name).unwrap_or("")))
    }

    /// The value that a label must have, if one is named.
    pub fn required(&self, name: &str) -> Option<&str> {
        self.matchers.iter().find_map(|matcher| match &matcher.test {
            Test::Equal(value) if matcher.name == name => Some(value.as_str()),
            _ => None,
        })
    }

    fn read_matcher<'a>(&mut self, text: &'a str, patterns: &mut Patterns) -> Result<&'a str, SelectorError> {
        let end = text.find(|c: char| !(c.is_alphanumeric() || "_.-/".contains(c))).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        if name.is_empty() {
            return Err(SelectorError::new(format!("a label's name belongs before {text:?}")));
        }
        let rest = rest.trim_start();
        let operator = ["=~", "!~", "!=", "="].into_iter().find(|operator| rest.starts_with(operator));
        let operator =
            operator.ok_or_else(|| SelectorError::new(format!("=, !=, =~ or !~ belongs behind {name}")))?;
        let (value, rest) = quoted(rest[operator.len()..].trim_start())?;
        let test = match operator {
            "=~" => Test::Like(patterns.compile(&value)?),
            "!~" => Test::Unlike(patterns.compile(&value)?),
            "!=" => Test::NotEqual(value),
            _ => Test::Equal(value),
        };
        self.matchers.push(Matcher { name: canonical(name).to_owned(), test });
        Ok(rest)
    }
}

/// What the patterns of one selector take.
struct Patterns {
    count: usize,
    bytes: usize,
}

impl Patterns {
    /// A pattern that matches the whole value.
    fn compile(&mut self, value: &str) -> Result<Regex, SelectorError> {
        self.count += 1;
        if self.count > PATTERNS_MAX {
            return Err(SelectorError::new(format!("more than {PATTERNS_MAX} patterns")));
        }
        let left = PATTERNS_BYTES_MAX - self.bytes;
        let config = Regex::config()
            .nfa_size_limit(Some(left))
            .hybrid_cache_capacity(MATCHING_BYTES_MAX)
            // Tables of its own for each pattern, faster than what matches a label in no time.
            .onepass(false)
            .dfa(false)
            // Room for each group at each step would be much, and only whether it matches counts.
            .which_captures(WhichCaptures::Implicit);
        let built = Regex::builder().configure(config).build(&format!("^(?s:{value})$"));
        let too_large = || {
            let kib = PATTERNS_BYTES_MAX / 1024;
            SelectorError::new(format!("the patterns take more than {kib} KiB, with {value:?}"))
        };
        let pattern = built.map_err(|error| match (error.size_limit(), error.syntax_error()) {
            (Some(_), _) => too_large(),
            (None, Some(syntax)) => SelectorError::new(format!("the pattern {value:?}: {syntax}")),
            (None, None) => SelectorError::new(format!("the pattern {value:?}: {error}")),
        })?;
        self.bytes += pattern.memory_usage();
        if self.bytes > PATTERNS_BYTES_MAX { Err(too_large()) } else { Ok(pattern) }
    }
}

impl Matcher {
    fn matches(&self, value: &str) -> bool {
        match &self.test {
            Test::Equal(wanted) => value == wanted,
            Test::NotEqual(unwanted) => value != unwanted,
            Test::Like(pattern) => pattern.is_match(value),
            Test::Unlike(pattern) => !pattern.is_match(value),
        }
    }
}

/// Our name of a label.
pub fn canonical(name: &str) -> &str {
    if name == SERVICE_NAME { SERVICE } else { name }
}

/// A quoted value, and what stands behind it.
fn quoted(text: &str) -> Result<(String, &str), SelectorError> {
    let unquoted = || SelectorError::new(format!("a value in quotes belongs before {text:?}"));
    let quote = text.chars().next().filter(|c| "\"'`".contains(*c)).ok_or_else(unquoted)?;
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((position, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((value, &text[position + c.len_utf8()..])),
            '\\' if quote != '`' => match chars.next().map(|(_, c)| c) {
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                Some(c @ ('\\' | '"' | '\'')) => value.push(c),
                Some(c) => value.extend(['\\', c]),
                None => break,
            },
            c => value.push(c),
        }
    }
    Err(SelectorError::new("a value's closing quote is missing"))
}

impl SelectorError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the selector cannot be read: {}", self.message)
    }
}

impl std::error::Error for SelectorError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn series() -> Labels {
        [(PROFILE_TYPE, "process_cpu:cpu:nanoseconds:cpu:nanoseconds"), (SERVICE, "api"), ("phase", "timers")]
            .into_iter()
            .collect()
    }

    #[test]
    fn a_series_matches_by_type_and_labels() {
        for text in [
            "",
            "{}",
            "process_cpu:cpu:nanoseconds:cpu:nanoseconds",
            r#"process_cpu:cpu:nanoseconds:cpu:nanoseconds{service="api",phase=~"timers|check"}"#,
            r#"{service_name="api"}"#,
            r#"{ service = 'api' , phase != "check", }"#,
            r#"{phase=~"tim.*",none="",none!~".+"}"#,
        ] {
            assert!(Selector::parse(text).unwrap().matches(&series()), "{text}");
        }
        for text in ["memory", r#"{service="a"}"#, r#"{phase=~"tim"}"#, r#"{phase!~"t.*"}"#, r#"{none!=""}"#]
        {
            assert!(!Selector::parse(text).unwrap().matches(&series()), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        for text in
            ["{", "{service}", "{service=api}", r#"{service="api}"#, r#"{="a"}"#, r#"{a=~"("}"#, "{}x"]
        {
            let error = Selector::parse(text).expect_err(text).to_string();
            assert!(error.starts_with("the selector cannot be read: "), "{error}");
        }
    }

    #[test]
    fn the_patterns_of_a_selector_have_a_bound_together() {
        let selector = |count: usize, pattern: &str| {
            let matchers: Vec<String> = (0..count).map(|n| format!("a{n}=~{pattern:?}")).collect();
            Selector::parse(&format!("{{{}}}", matchers.join(",")))
        };
        // One of them is large, and is taken; many of them are not.
        assert!(selector(1, "[^/]{500}").is_ok());
        assert!(selector(20, "api.*|shop").is_ok());
        for (count, pattern) in [(1000, "a"), (30, "[^/]{500}"), (1, "[^/]{50000}")] {
            let error = selector(count, pattern).expect_err(pattern).to_string();
            assert!(error.contains("more than"), "{error}");
        }
    }

    #[test]
    fn groups_of_a_pattern_take_no_room() {
        let pattern = format!("{}api", "()".repeat(4000));
        let selector = Selector::parse(&format!("{{service=~{pattern:?}}}")).unwrap();
        assert!(selector.matches(&series()));
    }

    #[test]
    fn quotes_within_a_value_are_escaped() {
        let selector = Selector::parse(r#"{a="x\"y\\z"}"#).unwrap();
        assert_eq!(selector.required("a"), Some(r#"x"y\z"#));
    }
}
