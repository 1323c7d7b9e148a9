//! Who takes profiles, over what, and who we are to it.
//!
//! The words are those of the agent's configuration. A password is read from a file or a variable and is no option: everybody on the host can
//! read a command line.

use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use hyper::Uri;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};

use crate::config::{Protocol, TlsFiles, header, headers};
use crate::error::Error;
use crate::http::Server;

/// What headers are set by, beside the option.
const HEADERS: &str = "LOOPSCOPE_UPLOAD_HEADERS";
const PASSWORD: &str = "LOOPSCOPE_UPLOAD_PASSWORD";

#[derive(Args, Debug)]
pub(super) struct ReceiverOptions {
    /// The collector, such as http://127.0.0.1:4040
    #[arg(long, env = "LOOPSCOPE_UPLOAD_TO", value_name = "URL", value_parser = url)]
    pub(super) to: Uri,
    /// The authorities to trust, in PEM [default: the system's]
    #[arg(long, env = "LOOPSCOPE_UPLOAD_CERTIFICATE", value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// The certificate to show of ourselves, in PEM
    #[arg(long, env = "LOOPSCOPE_UPLOAD_CLIENT_CERTIFICATE", value_name = "FILE", requires = "client_key")]
    client_certificate: Option<PathBuf>,
    /// The key to it, in PEM
    #[arg(long, env = "LOOPSCOPE_UPLOAD_CLIENT_KEY", value_name = "FILE", requires = "client_certificate")]
    client_key: Option<PathBuf>,
    /// Who we are, by basic authentication; the password is in --password-file or in LOOPSCOPE_UPLOAD_PASSWORD
    #[arg(long, env = "LOOPSCOPE_UPLOAD_USER", value_name = "NAME")]
    user: Option<String>,
    /// A file with the password
    #[arg(long, env = "LOOPSCOPE_UPLOAD_PASSWORD_FILE", value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// A header of every request, such as X-Scope-OrgID=shop; may be repeated. LOOPSCOPE_UPLOAD_HEADERS has more, as
    /// name=value,name=value, percent-encoded
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = one_header)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A receiver, and what it is told of us.
pub(super) struct Receiver {
    to: Uri,
    tls: TlsFiles,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Receiver {
    /// What options, variables and files say together.
    pub(super) fn new(options: &ReceiverOptions) -> Result<Self, Error> {
        let wrong = |of: &str, message: String| Error::Export { of: of.to_owned(), message };
        let mut all = Vec::new();
        if let Ok(text) = std::env::var(HEADERS) {
            all.extend(headers(&text).map_err(|message| wrong(HEADERS, message))?);
        }
        all.extend(options.headers.iter().cloned());
        if let Some(user) = &options.user {
            let password = match &options.password_file {
                None => std::env::var(PASSWORD).map_err(|_| {
                    wrong(
                        "--user",
                        format!("its password is missing: give --password-file, or set {PASSWORD}"),
                    )
                })?,
                Some(path) => {
                    let text = std::fs::read_to_string(path);
                    let failed = |error| Error::Config { path: path.clone(), message: format!("{error}") };
                    text.map_err(failed)?.trim_end_matches(['\r', '\n']).to_owned()
                }
            };
            let value = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
            all.push(header(AUTHORIZATION.as_str(), &value).map_err(|message| wrong("--user", message))?);
        }
        let tls = TlsFiles {
            certificate: options.certificate.clone(),
            client_certificate: options.client_certificate.clone(),
            client_key: options.client_key.clone(),
        };
        Ok(Self { to: options.to.clone(), tls, headers: all })
    }

    /// Host and port, as the URL has them.
    pub(super) fn authority(&self) -> &str {
        self.to.authority().map_or("", |authority| authority.as_str())
    }

    /// The server, and how it is spoken to.
    pub(super) fn server(&self) -> Server<'_> {
        let is_secure = self.to.scheme_str() == Some("https");
        Server {
            host: self.to.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']'),
            port: self.to.port_u16().unwrap_or(if is_secure { 443 } else { 80 }),
            protocol: Protocol::Http,
            tls: is_secure.then_some(&self.tls),
        }
    }

    /// What goes with every request.
    pub(super) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }
}

fn url(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|_| "no URL".to_owned())?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("credentials do not belong into a URL; give --user".to_owned());
    }
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(_)) => Ok(uri),
        _ => Err("a URL of a collector is like http://127.0.0.1:4040".to_owned()),
    }
}

fn one_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once('=').ok_or("a header is NAME=VALUE")?;
    header(name.trim(), value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_scheme_and_no_credentials() {
        assert!(url("http://h:4040").is_ok() && url("h:4040").is_err() && url("ftp://h").is_err());
        assert!(url("https://a:b@h").unwrap_err().contains("--user"));
    }
}
