//! What somebody meant who wrote a name that there is not.

use std::fmt::Write;

/// Names that differ in more than this many letters are others.
const DIFFERENCE_MAX: usize = 2;

/// The error that a file gave, as it is told, with the name that is nearest to the one that is unknown.
pub fn with_suggestion(error: &str) -> String {
    let mut text = error.trim_end().to_owned();
    if let Some(name) = suggestion(error) {
        write!(text, "; did you mean `{name}`?").expect("a string takes all text");
    }
    text
}

/// From serde's "unknown field `x`, expected one of `a`, `b`", the names quoted or not, the expected name that is nearest to the unknown one.
fn suggestion(message: &str) -> Option<&str> {
    let (_, told) = message.split_once("unknown field `")?;
    let (unknown, expected) = told.lines().next()?.split_once("`, expected ")?;
    let expected = expected.trim_start_matches("one of ").split(" at line ").next()?;
    let known = expected.split([',', ' ']).map(|name| name.trim_matches('`'));
    let known = known.filter(|name| !name.is_empty() && *name != "or");
    let difference = |name: &str| strsim::damerau_levenshtein(unknown, name);
    let nearest = known.min_by_key(|name| difference(name))?;
    let is_near = difference(nearest) <= DIFFERENCE_MAX && difference(nearest) < nearest.len();
    is_near.then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_if_it_is_near() {
        let of = |unknown: &str| {
            format!("unknown field `{unknown}`, expected one of `tier`, `budget`, `prom_client`")
        };
        for (unknown, meant) in [
            ("teir", Some("tier")),
            ("tiers", Some("tier")),
            ("prom-client", Some("prom_client")),
            ("listen", None),
        ] {
            assert_eq!(suggestion(&of(unknown)), meant, "{unknown}");
        }
        assert_eq!(suggestion("unknown field `nme`, expected `name`"), Some("name"));
        assert_eq!(
            suggestion("unknown field `cert_fle`, expected one of cert, cert_file at line 2"),
            Some("cert_file")
        );
        assert_eq!(suggestion("unknown field `nme`, expected `name` or `user`"), Some("name"));
        assert_eq!(suggestion("invalid type: integer `7`, expected a string"), None);
    }
}
