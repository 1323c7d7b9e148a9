//! Answers in gzip, for those who take it: a flamegraph of a hundred thousand distinct stacks is thirteen megabytes of JSON, four of gzip.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{ACCEPT_ENCODING, HeaderMap};
use serve::encoding::accepts_gzip;

/// What fits into one packet is sent as it is.
const BYTES_MIN: usize = 1400;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Whether a client takes gzip.
pub(crate) fn is_accepted(headers: &HeaderMap) -> bool {
    accepts_gzip(headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()))
}

/// The body in gzip; `None` if that gains nothing: it is small, or compressed already.
pub(super) fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    if body.len() < BYTES_MIN || body.starts_with(&GZIP) {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body).and_then(|()| encoder.finish()).ok()
}
