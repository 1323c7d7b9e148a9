//! A web configuration as it is written: the keys of exporter-toolkit's format, and no others.
//!
//! Nothing here is ever printed, for passwords' hashes and keys may stand in it; an error tells its place and not the line.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::suggestion::with_suggestion;
use serde::{Deserialize, Deserializer};

use super::duration;

/// The whole file. A section that is left out, or empty, asks for nothing.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) tls_server_config: Option<Tls>,
    pub(super) http_server_config: Option<Http>,
    pub(super) basic_auth_users: Option<BTreeMap<String, String>>,
    pub(super) rate_limit: Option<RateLimit>,
}

/// Certificates, and what is asked of clients.
#[derive(Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Tls {
    pub(super) cert: Option<String>,
    pub(super) key: Option<String>,
    pub(super) client_ca: Option<String>,
    pub(super) cert_file: Option<String>,
    pub(super) key_file: Option<String>,
    pub(super) client_ca_file: Option<String>,
    pub(super) client_auth_type: Option<String>,
    pub(super) client_allowed_sans: Option<Vec<String>>,
    pub(super) min_version: Option<String>,
    pub(super) max_version: Option<String>,
    pub(super) cipher_suites: Option<Vec<String>>,
    pub(super) prefer_server_cipher_suites: Option<bool>,
    pub(super) curve_preferences: Option<Vec<String>>,
}

/// What all answers have in common.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Http {
    pub(super) http2: Option<bool>,
    pub(super) headers: Option<BTreeMap<String, String>>,
}

/// A token bucket: one request an interval, and this many at once.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RateLimit {
    #[serde(deserialize_with = "interval")]
    pub(super) interval: Duration,
    pub(super) burst: u32,
}

/// Reads the text of a web configuration.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn parse(text: &str) -> Result<File, String> {
    let options = serde_saphyr::options! { with_snippet: false };
    // A file of comments only is a file that asks for nothing.
    let parsed = serde_saphyr::from_str_with_options::<Option<File>>(text, options);
    parsed.map(Option::unwrap_or_default).map_err(|error| with_suggestion(&error.to_string()))
}

fn interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    duration::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_format_is_known() {
        let text = "tls_server_config:\n  cert: a\n  key: b\n  client_ca: c\n  cert_file: d\n  key_file: e\n  client_auth_type: f\n  \
                    client_ca_file: g\n  client_allowed_sans: [h]\n  min_version: TLS12\n  max_version: TLS13\n  cipher_suites:\n  - i\n  \
                    prefer_server_cipher_suites: true\n  curve_preferences: [j]\n\
                    http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: deny\n\
                    basic_auth_users:\n  alice: $2y$10$x\n\
                    rate_limit:\n  interval: 1m30s\n  burst: 20\n";
        let file = parse(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(file.rate_limit.map(|it| (it.interval, it.burst)), Some((Duration::from_secs(90), 20)));
        assert_eq!(file.basic_auth_users.unwrap()["alice"], "$2y$10$x");
        assert_eq!(file.http_server_config.unwrap().http2, Some(false));
    }

    #[test]
    fn an_empty_file_and_empty_sections_ask_for_nothing() {
        for text in [
            "",
            "# nothing\n",
            "rate_limit: {interval: 0, burst: 0}",
            "rate_limit:\n  interval: 0s\n",
            "tls_server_config:\nbasic_auth_users:\nrate_limit:\n",
            "{}",
        ] {
            let file = parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert!(file.basic_auth_users.is_none_or(|users| users.is_empty()), "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place_and_without_secrets() {
        for (text, parts) in [
            ("tls_config: {}", &["`tls_config`", "tls_server_config", "line 1"][..]),
            ("tls_server_config:\n  cert_fle: x", &["`cert_fle`", "did you mean `cert_file`?", "line 2"]),
            ("rate_limit:\n  interval: fast", &["fast", "1s"]),
            ("http_server_config:\n  http2: perhaps", &["line 2"]),
            ("basic_auth_users:\n  eve: a\n  eve: b", &["eve"]),
            ("tls_server_config: [", &["line"]),
        ] {
            let error = parse(text).err().unwrap_or_else(|| panic!("{text:?} is understood"));
            for part in parts {
                assert!(error.contains(part), "{text:?}: {error}");
            }
        }
        let error = parse("basic_auth_users:\n  eve: $2y$10$secret\nx: 1\n").err().unwrap();
        assert!(!error.contains("secret"), "{error}");
    }
}
