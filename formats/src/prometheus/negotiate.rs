//! Which format the reader of a scrape prefers, from its `Accept` header (RFC 9110, section 12.5.1).

use super::Format;

/// The format to answer in: of those that the header accepts the one with the highest quality, at equal quality the one
/// that it names first. Text where the header is empty or accepts nothing that we have, because an answer that can be
/// read beats a refusal.
///
/// ```
/// use loopscope_formats::prometheus::{Format, negotiate};
///
/// let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
/// assert_eq!(negotiate(accept), Format::OpenMetrics);
/// ```
pub fn negotiate(accept: &str) -> Format {
    let mut best = (0.0, Format::Text);
    for range in accept.split(',') {
        if let Some((quality, format)) = acceptable(range)
            && quality > best.0
        {
            best = (quality, format);
        }
    }
    best.1
}

/// What one media range of the header accepts, and how much it is wanted.
fn acceptable(range: &str) -> Option<(f32, Format)> {
    let mut parts = range.split(';').map(str::trim);
    let media_type = parts.next()?.to_ascii_lowercase();
    let mut quality = 1.0;
    let (mut version, mut message, mut encoding) = (None, None, None);
    for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "q" => quality = value.parse().ok()?,
            "version" => version = Some(value),
            "proto" => message = Some(value),
            "encoding" => encoding = Some(value),
            _ => {}
        }
    }
    let format = match media_type.as_str() {
        "application/vnd.google.protobuf"
            if message == Some("io.prometheus.client.MetricFamily") && encoding == Some("delimited") =>
        {
            Format::Protobuf
        }
        // Who knows 0.0.1 reads 1.0.0: the text did not change between the two.
        "application/openmetrics-text" if matches!(version, None | Some("0.0.1" | "1.0.0")) => {
            Format::OpenMetrics
        }
        "text/plain" if matches!(version, None | Some("0.0.4")) => Format::Text,
        "text/*" | "*/*" => Format::Text,
        _ => return None,
    };
    Some((quality, format))
}
