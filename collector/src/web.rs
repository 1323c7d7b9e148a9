//! The page: `/` and what it loads from `/assets/`.
//!
//! The files in `collector/web` are part of the program and are served as they are, so that the page works without a
//! network and nobody builds anything. Browsers ask each time whether a file has changed ([`ETag`](header::ETAG)): after an
//! update of the program no page is made of two versions. The page may load nothing from elsewhere, and runs no script that
//! is not a file of it.

use std::io::Write;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use formats::flamegraph::FIT_SCRIPT;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use crate::server::compress;

const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

macro_rules! files {
    ($($name:literal),+ $(,)?) => { [$(($name, include_str!(concat!("../web/", $name)))),+] };
}

/// All files but those that are made of others.
static FILES: [(&str, &str); 39] = files![
    "index.html",
    "page.css",
    "parts.css",
    "icon.svg",
    "theme.js",
    "main.js",
    "state.js",
    "selector.js",
    "time.js",
    "amount.js",
    "api.js",
    "dom.js",
    "popup.js",
    "look.js",
    "states.js",
    "help.js",
    "combobox.js",
    "range.js",
    "filters.js",
    "downloads.js",
    "timeline.js",
    "lanes.js",
    "comparison.js",
    "work.js",
    "words.js",
    "search.js",
    "flamegraph.js",
    "gestures.js",
    "view.js",
    "colours.js",
    "table.js",
    "profiles.js",
    "worker.js",
    "tree.js",
    "reshape.js",
    "layout.js",
    "functions.js",
    "pickers.js",
    "keys.js",
];

/// A file as it is sent.
struct File {
    name: &'static str,
    text: Bytes,
    gzip: Bytes,
    tag: HeaderValue,
}

/// The answer to a request for a file of the page; `None` if the path is not one.
pub(crate) fn answer(path: &str, headers: &HeaderMap) -> Option<Response<Bytes>> {
    let name = if path == "/" { "index.html" } else { path.strip_prefix("/assets/")? };
    let file = files().iter().find(|file| file.name == name && (path == "/") == (name == "index.html"))?;
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| matches(known, &file.tag));
    let in_gzip = compress::is_accepted(headers);
    let body = match (is_known, in_gzip) {
        (true, _) => Bytes::new(),
        (false, true) => file.gzip.clone(),
        (false, false) => file.text.clone(),
    };
    let mut response = Response::new(body);
    let mut set = |name: HeaderName, value: &'static str| {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    };
    set(header::CACHE_CONTROL, "no-cache");
    set(header::VARY, "accept-encoding");
    set(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    if !is_known {
        set(header::CONTENT_TYPE, media_type(file.name));
    }
    if in_gzip && !is_known {
        set(header::CONTENT_ENCODING, "gzip");
    }
    response.headers_mut().insert(header::ETAG, file.tag.clone());
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    Some(response)
}

/// All files, compressed once.
fn files() -> &'static [File] {
    static SENT: OnceLock<Vec<File>> = OnceLock::new();
    SENT.get_or_init(|| {
        let as_it_is = FILES.iter().map(|&(name, text)| File::new(name, Bytes::from_static(text.as_bytes())));
        // The SVG flamegraph's own way to fit names, as a module.
        let fit = Bytes::from(format!("{FIT_SCRIPT}\nexport {{ fit }};\n"));
        as_it_is.chain([File::new("fit.js", fit)]).collect()
    })
}

impl File {
    fn new(name: &'static str, text: Bytes) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&text).expect("writing to memory");
        let gzip = encoder.finish().expect("writing to memory").into();
        // Weak, for the same tag stands for the text and for its compressed form.
        let tag = format!("W/\"{:08x}-{}\"", crc32fast::hash(&text), text.len());
        Self { name, text, gzip, tag: HeaderValue::from_str(&tag).expect("it is plain text") }
    }
}

/// Whether one of the tags in `If-None-Match` is ours.
fn matches(known: &HeaderValue, tag: &HeaderValue) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let (Ok(known), Ok(tag)) = (known.to_str(), tag.to_str()) else { return false };
    known.split(',').any(|one| one.trim() == "*" || opaque(one) == opaque(tag))
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        _ => "image/svg+xml",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_a_file_names_is_served() {
        for (name, text) in FILES {
            let quoted = text.split(['"', '\'']).filter(|part| {
                let file = part.rsplit('/').next().unwrap_or(part);
                let is_file = [".js", ".css", ".svg"].iter().any(|ending| file.ends_with(ending));
                is_file && !part.contains([' ', ':', '$'])
            });
            for part in quoted {
                let path = format!("/assets/{}", part.trim_start_matches("./").trim_start_matches("assets/"));
                assert!(answer(&path, &HeaderMap::new()).is_some(), "{name} names {part}");
            }
        }
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/web")).unwrap();
        let names: Vec<_> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(names.len(), FILES.len(), "all of {names:?}");
    }

    #[test]
    fn what_a_browser_has_is_not_sent_again() {
        let first = answer("/", &HeaderMap::new()).unwrap();
        assert_eq!(first.status(), StatusCode::OK);
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(answer("/", &headers).unwrap().status(), StatusCode::NOT_MODIFIED);
        assert_eq!(answer("/assets/main.js", &headers).unwrap().status(), StatusCode::OK);
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
        assert_eq!(answer("/assets/main.js", &headers).unwrap().status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        let coding = |accepted: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, accepted.parse().unwrap());
            answer("/assets/fit.js", &headers).unwrap().headers().get(header::CONTENT_ENCODING).cloned()
        };
        assert_eq!(coding("br, gzip;q=0.5").unwrap(), "gzip");
        assert_eq!(coding("*").unwrap(), "gzip");
        assert_eq!(coding("br, gzip;q=0"), None);
        assert_eq!(coding("identity"), None);
    }

    #[test]
    fn nothing_outside_of_the_page_is_served() {
        for path in [
            "/assets/",
            "/assets/../Cargo.toml",
            "/assets/index.html",
            "/index.html",
            "/assets/main.js/",
            "/api/v1/top",
        ] {
            assert!(answer(path, &HeaderMap::new()).is_none(), "{path}");
        }
    }
}
