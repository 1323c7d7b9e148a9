//! What encodings of an answer a client takes.

/// Whether the values of `Accept-Encoding` ask for gzip (RFC 9110, section 12.5.3). Without a value the answer is plain.
pub fn accepts_gzip<'a>(values: impl IntoIterator<Item = &'a str>) -> bool {
    let codings: Vec<(String, f32)> = values
        .into_iter()
        .flat_map(|value| value.split(','))
        .map(|coding| {
            let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
            let quality =
                parameters.trim().strip_prefix("q=").map_or(1.0, |q| q.trim().parse().unwrap_or(0.0));
            (name.trim().to_ascii_lowercase(), quality)
        })
        .collect();
    let quality_of = |wanted: &str| codings.iter().find(|(name, _)| name == wanted).map(|(_, q)| *q);
    quality_of("gzip").or_else(|| quality_of("*")).is_some_and(|quality| quality > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_only_where_it_is_asked_for() {
        for wanted in ["gzip", "deflate, gzip;q=0.5", "GZIP", "*", "br;q=1.0, *;q=0.1"] {
            assert!(accepts_gzip([wanted]), "{wanted}");
        }
        for unwanted in ["", "identity", "gzip;q=0", "*;q=0", "br", "gzip;q=0, *", "gzip;q=x"] {
            assert!(!accepts_gzip([unwanted]), "{unwanted}");
        }
        assert!(accepts_gzip(["br", "gzip"]), "a header that is given twice");
        assert!(!accepts_gzip([]), "no header");
    }
}
