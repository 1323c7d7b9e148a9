//! What a web configuration means, with everything that it names read.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use rustls::ServerConfig;
use sha2::{Digest, Sha256};

use super::bucket::Bucket;
use super::client::Verifier;
use super::file::{self, File, Http};
use super::passwords::{self, Users};
use super::refusal::Refusal;
use super::tls::{self, Texts};

/// Configurations, certificates and keys are far smaller; whatever is larger is something else.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Headers that may be set, each with the values that it may have; none where all are allowed.
const HEADERS: &[(&str, &[&str])] = &[
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// The rules of access at one time. Unless something else was read, everybody may ask, in the clear.
#[derive(Default)]
pub struct Access {
    tls: Option<Arc<ServerConfig>>,
    clients: &'static str,
    demands: Demands,
    headers: HeaderMap,
    users: Users,
    bucket: Option<Arc<Mutex<Bucket>>>,
    /// Of all that was read.
    digest: [u8; 32],
}

/// What clients need, and whether it is asked for.
type Demands = [bool; DEMANDS.len()];

const DEMANDS: [&str; 5] =
    ["TLS", "a certificate", "a certificate that is verified", "one of client_allowed_sans", "a password"];

/// The files, read and not yet understood.
pub(super) struct Written {
    file: File,
    texts: Texts,
    digest: [u8; 32],
}

/// Reads a web configuration and the files that it names; relative names are relative to its folder.
///
/// # Errors
/// What cannot be read, and why.
pub(super) fn read(path: &Path) -> Result<Written, String> {
    let text = read_file(path)?;
    let file = file::parse(std::str::from_utf8(&text).map_err(|_| "it is no text in UTF-8".to_owned())?)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let texts = match &file.tls_server_config {
        None => Texts::default(),
        Some(tls) => {
            let one = |key: &str, inline: &Option<String>, name: &Option<String>| match (
                inline.as_deref().filter(|it| !it.is_empty()),
                name.as_deref().filter(|it| !it.is_empty()),
            ) {
                (Some(_), Some(_)) => Err(format!("tls_server_config: give {key} or {key}_file, not both")),
                (Some(text), None) => Ok(Some(text.as_bytes().to_vec())),
                (None, Some(name)) => {
                    let path: PathBuf = folder.join(name);
                    let read = read_file(&path);
                    read.map(Some).map_err(|error| format!("{key}_file: {}: {error}", path.display()))
                }
                (None, None) => Ok(None),
            };
            Texts {
                certificate: one("cert", &tls.cert, &tls.cert_file)?,
                key: one("key", &tls.key, &tls.key_file)?,
                client_ca: one("client_ca", &tls.client_ca, &tls.client_ca_file)?,
            }
        }
    };
    let mut digest = Sha256::new();
    for part in [Some(&text), texts.certificate.as_ref(), texts.key.as_ref(), texts.client_ca.as_ref()] {
        let part = part.map_or(&[][..], |part| part);
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    Ok(Written { file, texts, digest: digest.finalize().into() })
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| error.to_string();
    // Looked at first, because opening a pipe would wait for whoever writes into it.
    if !std::fs::metadata(path).map_err(told)?.is_file() {
        return Err("it is no regular file".to_owned());
    }
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(told)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(told)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is larger than {FILE_BYTES_MAX} bytes"));
    }
    Ok(text)
}

impl Written {
    /// Whether these are the files that an access came from.
    pub(super) fn is_of(&self, access: &Access) -> bool {
        self.digest == access.digest
    }

    /// Makes the rules.
    ///
    /// # Errors
    /// What is wrong, by its key.
    pub(super) fn understand(self) -> Result<Access, String> {
        let http = self.file.http_server_config.unwrap_or_default();
        let tls = self.file.tls_server_config.unwrap_or_default();
        let (tls, clients) = match tls::server(&tls, &self.texts, http.http2.unwrap_or(true))? {
            Some(server) => (Some(Arc::new(server.config)), Some(server.clients)),
            None => (None, None),
        };
        let users = self.file.basic_auth_users.unwrap_or_default();
        passwords::validate(&users)?;
        let bucket = match self.file.rate_limit {
            Some(limit) if !limit.interval.is_zero() && limit.burst == 0 => {
                return Err("rate_limit: a burst of 0 lets no request through; give 1 or more".to_owned());
            }
            Some(limit) if !limit.interval.is_zero() => {
                Some(Arc::new(Mutex::new(Bucket::new(limit.interval, limit.burst))))
            }
            _ => None,
        };
        let asks = |of: fn(&Verifier) -> bool| clients.as_ref().is_some_and(of);
        let demands = [
            tls.is_some(),
            asks(|it| it.mandatory),
            asks(|it| it.verified),
            asks(|it| it.named),
            !users.is_empty(),
        ];
        let clients = clients.map_or("", |clients| clients.words);
        Ok(Access { tls, clients, demands, headers: headers(&http)?, users, bucket, digest: self.digest })
    }
}

fn headers(http: &Http) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in http.headers.iter().flatten() {
        let Some((_, allowed)) = HEADERS.iter().find(|(known, _)| known == name) else {
            let known: Vec<_> = HEADERS.iter().map(|(known, _)| *known).collect();
            return Err(format!(
                "http_server_config: headers: {name} cannot be set; there are {}",
                known.join(", ")
            ));
        };
        if value.is_empty() {
            continue;
        }
        if !allowed.is_empty() && !allowed.contains(&value.as_str()) {
            return Err(format!(
                "http_server_config: headers: {name}: {value:?} is not one of {}",
                allowed.join(", ")
            ));
        }
        let refused = |_| format!("http_server_config: headers: {name}: {value:?} is no value of a header");
        let name = HeaderName::from_bytes(name.as_bytes()).expect("one of those above");
        headers.insert(name, HeaderValue::from_str(value).map_err(refused)?);
    }
    Ok(headers)
}

impl Access {
    /// How connections are encrypted, if they are.
    pub fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.clone()
    }

    /// Users, if a request needs to come from one.
    pub(super) fn users(&self) -> Option<&Users> {
        (!self.users.is_empty()).then_some(&self.users)
    }

    /// Adds what every answer has.
    pub fn add_headers(&self, answer: &mut HeaderMap) {
        for (name, value) in &self.headers {
            answer.insert(name, value.clone());
        }
    }

    /// Counts a request towards the limit.
    pub(super) fn take_turn(&self) -> Result<(), Refusal> {
        let Some(bucket) = &self.bucket else { return Ok(()) };
        let taken = bucket.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        taken.map_err(Refusal::TooMany)
    }

    /// What the access before asks for, and this does not: a file that was cut short must not open what was closed.
    ///
    /// # Errors
    /// What it is, and how to have it nevertheless.
    pub(super) fn asks_no_less_than(&self, before: &Self) -> Result<(), String> {
        let lost = DEMANDS.iter().zip(before.demands.iter().zip(self.demands));
        let lost: Vec<_> =
            lost.filter(|(_, (before, now))| **before && !now).map(|(name, _)| *name).collect();
        if lost.is_empty() {
            return Ok(());
        }
        Err(format!("it no longer asks for {}; if that is meant, send SIGHUP or restart", lost.join(", ")))
    }

    /// Goes on counting requests where the access before did, unless the limit is another.
    pub(super) fn following(mut self, before: &Self) -> Self {
        if let (Some(own), Some(earlier)) = (&self.bucket, &before.bucket) {
            let of = |bucket: &Mutex<Bucket>| bucket.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if of(own).is_like(&of(earlier)) {
                self.bucket = Some(Arc::clone(earlier));
            }
        }
        self
    }

    /// What it is, in a few words.
    pub(super) fn describe(&self) -> String {
        let mut words = match &self.tls {
            None => "HTTP in the clear".to_owned(),
            Some(_) => format!("HTTPS, clients' certificates {}", self.clients),
        };
        words += &match self.users.len() {
            0 => ", no passwords".to_owned(),
            users => format!(", passwords of {users} users"),
        };
        words += if self.bucket.is_some() { ", limited rate" } else { "" };
        words
    }
}
