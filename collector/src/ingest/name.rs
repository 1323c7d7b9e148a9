//! The name of an application as Pyroscope's clients give it: `shop.cpu{region=eu,host="a"}`.

use super::IngestError;

/// An application's name, and labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) service: String,
    pub(super) labels: Vec<(String, String)>,
}

impl Name {
    /// Reads a name.
    pub(super) fn parse(text: &str) -> Result<Self, IngestError> {
        let (service, labels) = text.split_once('{').unwrap_or((text, "}"));
        let wrong =
            || IngestError::Request(format!("name: {text:?} should be like shop{{region=eu,host=a}}"));
        let labels = labels.trim_end().strip_suffix('}').ok_or_else(wrong)?;
        let service = service.trim();
        if service.is_empty() {
            return Err(IngestError::Request(
                "name: the parameter is missing, which names the service".to_owned(),
            ));
        }
        let mut parsed = Vec::new();
        for label in labels.split(',').filter(|label| !label.trim().is_empty()) {
            let (name, value) = label.split_once('=').ok_or_else(wrong)?;
            parsed.push((name.trim().to_owned(), value.trim().trim_matches('"').to_owned()));
        }
        Ok(Self { service: service.to_owned(), labels: parsed })
    }

    /// Takes off what names the kind of profile, for formats that do not tell: `cpu` of `shop.cpu`.
    pub(super) fn split_kind(&mut self) -> Option<String> {
        let (service, kind) = self.service.rsplit_once('.')?;
        let known = KINDS.contains(&kind).then(|| (service.to_owned(), kind.to_owned()));
        known.map(|(service, kind)| {
            self.service = service;
            kind
        })
    }
}

/// What Pyroscope's clients put behind a name.
const KINDS: &[&str] = &[
    "cpu",
    "itimer",
    "wall",
    "inuse_objects",
    "inuse_space",
    "alloc_objects",
    "alloc_space",
    "goroutines",
    "mutex_count",
    "mutex_duration",
    "block_count",
    "block_duration",
    "lock_count",
    "lock_duration",
    "live",
    "exceptions",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_labels_and_a_kind() {
        let mut name = Name::parse(r#"shop.cpu{region=eu, host="a.b"}"#).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(name.labels, [pair("region", "eu"), pair("host", "a.b")]);
        assert_eq!(name.split_kind().as_deref(), Some("cpu"));
        assert_eq!(name.service, "shop");
        assert_eq!(name.split_kind(), None);
        assert_eq!(Name::parse("my.app{}").unwrap().service, "my.app");
        for text in ["", "{a=b}", "a{b", "a{b}"] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
    }
}
