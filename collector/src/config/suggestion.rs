//! What somebody meant who wrote a key that there is not.

/// Keys that differ in more than this many letters are others.
const DIFFERENCE_MAX: usize = 2;

/// The error that a file gave, with the key that is nearest to the one that is unknown.
pub(super) fn with_suggestion(error: &str) -> String {
    let suggested = suggestion(error).map_or(String::new(), |name| format!("; did you mean `{name}`?"));
    format!("{}{suggested}", error.trim_end())
}

/// From serde's "unknown field `x`, expected one of `a`, `b`".
fn suggestion(message: &str) -> Option<&str> {
    let (_, told) = message.split_once("unknown field `")?;
    let (unknown, expected) = told.lines().next()?.split_once("`, expected ")?;
    let known = expected.split('`').skip(1).step_by(2);
    let difference = |name: &str| strsim::damerau_levenshtein(unknown, name);
    known.min_by_key(|name| difference(name)).filter(|name| difference(name) <= DIFFERENCE_MAX)
}
