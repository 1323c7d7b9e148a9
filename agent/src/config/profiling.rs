//! Continuous profiling: of whom, how often, and where to.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use super::export::{Export, TlsFiles, header};
use super::reference::{About, quoted, table};
use crate::error::Error;

/// Low enough to go on for ever, and a prime, so that it does not beat in time with what happens at round intervals.
const FREQUENCY_HZ: u32 = 19;
/// Beyond this, `loopscope profile` is the tool.
const FREQUENCY_MAX_HZ: u32 = 1000;
/// What Grafana's profilers send.
const INTERVAL: Duration = Duration::from_secs(10);

/// How processes are profiled all the time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Profiling {
    pub(crate) frequency_hz: u32,
    /// How long each profile is.
    pub(crate) interval: Duration,
    pub(crate) export: Export,
}

table! {
    /// The table `[profiling]`, as it is written. What an option stands for is explained there.
    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub(super) struct Written {
        /// Whether processes are profiled of which no rule says whether they are.
        pub(super) enabled: Option<bool> => About::with_default("`true` or `false`", || false.to_string()),
        frequency: Option<u32> => About::with_default("number", || FREQUENCY_HZ.to_string()),
        #[serde(deserialize_with = "super::parsed_duration")]
        interval: Option<Duration> => About::with_default("text", || quoted(humantime::format_duration(INTERVAL))),
        pyroscope: Option<String> => About::without("text", "the receiver in `[otlp]`", "'http://127.0.0.1:4040'"),
        /// Its tenant, `X-Scope-OrgID`.
        tenant: Option<String> => About::without("text", "none", "'shop'"),
        /// Who we are to it, by basic authentication.
        username: Option<String> => About::without("text", "none", "'shop'"),
        /// The password.
        password: Option<String> => About::without("text", "none", "'…'"),
        /// A file with the password, beside the configuration unless its name begins with `/`.
        password_file: Option<PathBuf> => About::without("file", "none", "'pyroscope-password'"),
        /// Who we are to it, by a token.
        bearer_token: Option<String> => About::without("text", "none", "'…'"),
        /// A file with the token, beside the configuration unless its name begins with `/`.
        bearer_token_file: Option<PathBuf> => About::without("file", "none", "'pyroscope-token'"),
        /// The authorities to trust, in PEM.
        certificate: Option<PathBuf> => About::without("file", "the system's", "'authority.pem'"),
        /// What the agent shows of itself, in PEM.
        client_certificate: Option<PathBuf> => About::without("file", "none", "'agent.pem'"),
        /// The key to the client's certificate, in PEM.
        client_key: Option<PathBuf> => About::without("file", "none", "'agent.key'"),
    }
}

/// What options say.
pub(super) struct Given<'a> {
    pub(super) frequency_hz: Option<u32>,
    pub(super) interval: Option<Duration>,
    pub(super) pyroscope: Option<&'a str>,
    /// Where the file lies, and others that it names.
    pub(super) folder: &'a Path,
}

impl Profiling {
    /// What options and the file make together; `otlp` is where profiles go where no Pyroscope is named.
    pub(super) fn new(
        given: &Given<'_>,
        file: &Written,
        otlp: impl FnOnce() -> Result<Option<Export>, Error>,
    ) -> Result<Self, Error> {
        let wrong = |of: &str, message: String| Error::Export { of: of.to_owned(), message };
        let frequency_hz = given.frequency_hz.or(file.frequency).unwrap_or(FREQUENCY_HZ);
        if !(1..=FREQUENCY_MAX_HZ).contains(&frequency_hz) {
            let message = format!("{frequency_hz} Hz is out of range; it is 1 to {FREQUENCY_MAX_HZ}");
            return Err(wrong("the frequency of profiling", message));
        }
        let export = match given.pyroscope.or(file.pyroscope.as_deref()) {
            Some(url) => file.to_pyroscope(url, given.folder).map_err(|it| wrong("Pyroscope", it))?,
            None => otlp()?.ok_or_else(|| {
                let message = "nobody is named who takes profiles: give --otlp-endpoint or --pyroscope";
                wrong("profiling", message.to_owned())
            })?,
        };
        let interval = given.interval.or(file.interval).unwrap_or(INTERVAL);
        Ok(Self { frequency_hz, interval, export })
    }
}

impl Written {
    fn to_pyroscope(&self, url: &str, folder: &Path) -> Result<Export, String> {
        let secret = |text: &Option<String>, file: &Option<PathBuf>| match (text, file) {
            (Some(_), Some(file)) => Err(format!("{}: the secret itself is given, too", file.display())),
            (text, None) => Ok(text.clone()),
            (None, Some(file)) => {
                let file = folder.join(file);
                let text = std::fs::read_to_string(&file);
                text.map(|text| Some(text.trim_end().to_owned()))
                    .map_err(|error| format!("{}: {error}", file.display()))
            }
        };
        let password = secret(&self.password, &self.password_file)?;
        let token = secret(&self.bearer_token, &self.bearer_token_file)?;
        let authorization = match (&self.username, password, token) {
            (None, None, None) => None,
            (None, None, Some(token)) => Some(format!("Bearer {token}")),
            (Some(username), password, None) => {
                let pair = format!("{username}:{}", password.unwrap_or_default());
                Some(format!("Basic {}", BASE64_STANDARD.encode(pair)))
            }
            (None, Some(_), _) => return Err("a password needs its `username`".to_owned()),
            (Some(_), _, Some(_)) => return Err("give a `username` or a `bearer_token`, not both".to_owned()),
        };
        let authorization = authorization.map(|value| header("authorization", &value));
        let tenant = self.tenant.as_ref().map(|tenant| header("x-scope-orgid", tenant));
        let headers = authorization.into_iter().chain(tenant).collect::<Result<_, _>>()?;
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| folder.join(path));
        let tls = TlsFiles {
            certificate: path(&self.certificate),
            client_certificate: path(&self.client_certificate),
            client_key: path(&self.client_key),
        };
        Export::pyroscope(url, headers, tls)
    }
}

impl fmt::Display for Profiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interval = humantime::format_duration(self.interval);
        write!(f, "{} Hz, every {interval}, by {}", self.frequency_hz, self.export)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profiling(file: &str) -> Result<Profiling, String> {
        let given = Given {
            frequency_hz: None,
            interval: None,
            pyroscope: None,
            folder: Path::new("/etc/loopscope"),
        };
        let file = toml::from_str(file).map_err(|error| error.to_string())?;
        Profiling::new(&given, &file, || Ok(None)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_pyroscope_is_told_who_asks() {
        let value = |file: &str, name: &str| {
            let headers = profiling(&format!("pyroscope = 'http://x'\n{file}")).unwrap().export.headers;
            let found = headers.into_iter().find(|(own, _)| own == name);
            found.map(|(_, value)| value.to_str().unwrap().to_owned())
        };
        let both = "username = 'u'\npassword = 'p'\ntenant = 'shop'";
        assert_eq!(value(both, "authorization").as_deref(), Some("Basic dTpw"));
        assert_eq!(value(both, "x-scope-orgid").as_deref(), Some("shop"));
        assert_eq!(value("bearer_token = 't'", "authorization").as_deref(), Some("Bearer t"));
        assert_eq!(value("", "authorization"), None);
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_says_what_to_do() {
        for (file, part) in [
            ("", "--pyroscope"),
            ("pyroscope = 'x'\nfrequency = 0", "1 to 1000"),
            ("pyroscope = 'x'\npassword = 'p'", "username"),
            ("pyroscope = 'x'\nusername = 'u'\nbearer_token = 't'", "not both"),
            ("pyroscope = 'x'\nbearer_token_file = 'nowhere'", "/etc/loopscope/nowhere"),
        ] {
            let refused = profiling(file).unwrap_err();
            assert!(refused.contains(part), "{file}: {refused}");
        }
        let told = profiling("pyroscope = 'http://x'").unwrap().to_string();
        assert_eq!(told, "19 Hz, every 10s, by Pyroscope at x:4040");
    }

    /// It was once looked for in the text, where an address in brackets has colons, too.
    #[test]
    fn a_port_is_that_of_the_address_or_the_one_that_pyroscope_is_known_by() {
        for (url, authority) in [
            ("http://[::1]", "[::1]:4040"),
            ("[::1]", "[::1]:4040"),
            ("http://[::1]:4041/", "[::1]:4041"),
            ("http://host/a:b", "host:4040"),
            ("host:80", "host:80"),
            ("https://host", "host:443"),
            ("https://[2001:db8::1]", "[2001:db8::1]:443"),
        ] {
            let profiling = profiling(&format!("pyroscope = '{url}'")).unwrap();
            assert_eq!(profiling.export.endpoint.authority(), authority, "{url}");
        }
    }
}
