//! Prometheus: the three formats that a scrape can be answered in, and the choice between them.
//!
//! [`text`] is what people read and every scraper understands. [`openmetrics`] is its stricter successor, with units.
//! [`protobuf`] is the only one that carries native histograms, so with it nothing of our histograms is lost. In the two
//! texts a histogram is told by 18 of its bounds: the powers of two from 1 ms (2^-10 s) to 16 s, and every second one
//! below, down to 15 µs.
//!
//! All three give the same names, labels and values. Durations are written in seconds, as exact decimals of the integer
//! nanoseconds that the snapshot holds.

mod classic;
mod lines;
mod negotiate;
pub mod openmetrics;
pub mod protobuf;
pub mod text;

pub use model::label::ScrapeFormat as Format;
pub use negotiate::negotiate;

use std::io;

use model::snapshot::Snapshot;

/// The `Content-Type` of an answer in this format.
pub fn content_type(format: Format) -> &'static str {
    match format {
        Format::Text => text::CONTENT_TYPE,
        Format::OpenMetrics => openmetrics::CONTENT_TYPE,
        Format::Protobuf => protobuf::CONTENT_TYPE,
    }
}

/// Writes a snapshot in this format.
///
/// # Errors
/// Those of `out`.
pub fn encode(format: Format, snapshot: &Snapshot, out: &mut impl io::Write) -> io::Result<()> {
    match format {
        Format::Text => text::encode(snapshot, out),
        Format::OpenMetrics => openmetrics::encode(snapshot, out),
        Format::Protobuf => protobuf::encode(snapshot, protobuf::Buckets::NativeAndClassic, out),
    }
}
