//! Where metrics, profiles and spans are exported to over OTLP, and how: by the option, by OpenTelemetry's environment variables, or by the file's
//! table `[otlp]`, whichever comes first.
//!
//! Variables: <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>. Each has a form for one signal only, which comes before
//! the one for all signals. Unlike a library, which must not disturb its program, the agent does not start where a value makes no
//! sense.

mod endpoint;
mod signal;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;

use super::reference::{About, Table, quoted, table};
use crate::cli;
use crate::error::Error;
pub(crate) use endpoint::{Endpoint, Protocol, header, headers, percent_decoded};
pub(crate) use signal::Signal;

/// OpenTelemetry's.
const INTERVAL: Duration = Duration::from_secs(60);
/// OpenTelemetry's.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Some hundred exports of a host with some dozens of processes: hours, at the usual interval.
const QUEUE_BYTES: usize = 16 << 20;
/// A day or more.
const BUFFER_BYTES: usize = 256 << 20;
/// How a variable tells that it is for metrics only.
const OF_METRICS: &str = "_METRICS_";
/// Service managers wait for 10 s or longer before they kill.
const FLUSH: Duration = Duration::from_secs(5);

/// Where a signal is exported to, and how.
#[derive(Clone, PartialEq)]
pub(crate) struct Export {
    pub(crate) signal: Signal,
    pub(crate) endpoint: Endpoint,
    /// What goes with every request, credentials among it: not to be shown.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) gzip: bool,
    /// How long one attempt may take.
    pub(crate) timeout: Duration,
    pub(crate) interval: Duration,
    pub(crate) preference: Preference,
    pub(crate) tls: TlsFiles,
    /// How much may wait in memory.
    pub(crate) queue_bytes: usize,
    /// The directory where batches wait instead, if any, and how much may wait there.
    pub(crate) buffer: Option<PathBuf>,
    pub(crate) buffer_bytes: usize,
    /// How long the agent's end may take for what waits.
    pub(crate) flush: Duration,
}

/// Which sums are told as differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preference {
    /// None.
    Cumulative,
    /// All that only grow.
    Delta,
    /// Distributions.
    LowMemory,
}

/// Files in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The authorities to trust, instead of the system's.
    pub(crate) certificate: Option<PathBuf>,
    /// What the agent shows of itself.
    pub(crate) client_certificate: Option<PathBuf>,
    /// The key to it.
    pub(crate) client_key: Option<PathBuf>,
}

/// Both forms of a variable, that for metrics only first; other signals have their own names in the place of theirs.
macro_rules! both {
    ($name:literal) => {
        &[concat!("OTEL_EXPORTER_OTLP_METRICS_", $name), concat!("OTEL_EXPORTER_OTLP_", $name)]
    };
}

table! {
    /// The table `[otlp]`, as it is written.
    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub(super) struct Written {
        /// Where to; without it nothing is exported. `/v1/metrics` is appended to the path of OTLP/HTTP unless it is there; of the first
        /// variable nothing is. Without a port it is 4317 for gRPC, 4318 for HTTP, and 443 with `https`.
        endpoint: Option<String> => About::without("text", "none", "'http://127.0.0.1:4317'").variables(both!("ENDPOINT")),
        /// `grpc` or `http/protobuf`.
        protocol: Option<String> => About::without("text", "by the port: `grpc` at 4317, else `http/protobuf`", "'grpc'")
            .variables(both!("PROTOCOL")),
        /// What goes with every request, such as credentials; in a variable `name=value,name=value`, percent-encoded.
        headers: BTreeMap<String, String> => About::without("a table of texts", "none", "{ authorization = 'Bearer …' }")
            .variables(both!("HEADERS")),
        /// `gzip` or `none`.
        compression: Option<String> => About::with_default("text", || quoted("gzip")).variables(both!("COMPRESSION")),
        /// How long one attempt may take; a variable is in milliseconds.
        timeout: Option<String> => About::with_default("text", || written(TIMEOUT)).variables(both!("TIMEOUT")),
        /// How often; the variable is in milliseconds.
        interval: Option<String> => About::with_default("text", || written(INTERVAL))
            .variables(&["OTEL_METRIC_EXPORT_INTERVAL"]),
        /// `cumulative`; `delta`: counters and histograms as differences; `lowmemory`: only histograms.
        temporality: Option<String> => About::with_default("text", || quoted("cumulative"))
            .variables(&["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"]),
        /// The authorities to trust, in PEM.
        certificate: Option<String> => About::without("file", "the system's", "'/etc/loopscope/authority.pem'")
            .variables(both!("CERTIFICATE")),
        /// What the agent shows of itself, in PEM.
        client_certificate: Option<String> => About::without("file", "none", "'/etc/loopscope/agent.pem'")
            .variables(both!("CLIENT_CERTIFICATE")),
        /// The key to the client's certificate, in PEM.
        client_key: Option<String> => About::without("file", "none", "'/etc/loopscope/agent.key'")
            .variables(both!("CLIENT_KEY")),
        /// How much may wait in memory while the receiver does not take anything.
        queue: Option<String> => About::with_default("text", || amount(QUEUE_BYTES)),
        /// A directory where what waits is kept, so that it outlives the agent.
        buffer: Option<PathBuf> => About::without("directory", "none", "'/var/lib/loopscope/otlp'"),
        /// How much may wait in that directory.
        buffer_size: Option<String> => About::with_default("text", || amount(BUFFER_BYTES)),
        /// How long the agent's end may take for what waits.
        flush: Option<String> => About::with_default("text", || written(FLUSH)),
        /// Whether slow iterations are told as spans.
        pub(super) traces: bool => About::with_default("`true` or `false`", || false.to_string())
            .more("[spans](otlp.md#spans-of-slow-iterations)"),
    }
}

fn written(duration: Duration) -> String {
    let seconds = duration.as_secs();
    quoted(format!("{seconds}s"))
}

fn amount(bytes: usize) -> String {
    quoted(format!("{}MiB", bytes >> 20))
}

/// All that may tell of the export.
pub(super) struct Given<'a> {
    /// `--otlp-endpoint`.
    pub(super) option: Option<&'a str>,
    /// The environment's variables, by name.
    pub(super) environment: &'a dyn Fn(&str) -> Option<String>,
    /// The file's table.
    pub(super) file: &'a Written,
    pub(super) signal: Signal,
}

/// A value, and where it stands.
struct Value {
    origin: String,
    text: String,
    from: From,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Option,
    /// A variable for one signal only.
    SignalVariable,
    Variable,
    File,
}

impl Value {
    /// What it means.
    fn parse<T>(&self, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, Error> {
        parse(self.text.trim()).map_err(|message| Error::Export { of: self.origin.clone(), message })
    }

    fn duration(&self) -> Result<Duration, Error> {
        let is_variable = matches!(self.from, From::Variable | From::SignalVariable);
        self.parse(|text| if is_variable { milliseconds(text) } else { cli::duration(text) })
    }
}

impl Given<'_> {
    /// A variable, by its name for metrics if it has one for each signal.
    fn variable(&self, name: &str) -> Option<Value> {
        let of_signal = name.replace(OF_METRICS, &format!("_{}_", self.signal.variable()));
        let from = if name.contains(OF_METRICS) { From::SignalVariable } else { From::Variable };
        // The specification takes an empty variable for none.
        let text = (self.environment)(&of_signal).filter(|text| !text.trim().is_empty())?;
        Some(Value { origin: of_signal, text, from })
    }

    /// The value of a key: what the first of its variables says that is set, or the file.
    fn value(&self, name: &str, written: &Option<String>) -> Option<Value> {
        let key = Written::KEYS.iter().find(|key| key.name == name).expect("a key of the table");
        let set = key.about.variables.iter().find_map(|variable| self.variable(variable));
        set.or_else(|| in_file(name, written))
    }
}

fn in_file(key: &str, written: &Option<String>) -> Option<Value> {
    let text = written.clone()?;
    Some(Value { origin: format!("`{key}` in [otlp]"), text, from: From::File })
}

impl Export {
    /// What all that is given makes together; `None` where no endpoint is given, for then nothing is exported.
    pub(super) fn new(given: Given<'_>) -> Result<Option<Self>, Error> {
        let (file, signal) = (given.file, given.signal);
        let option = given.option.map(|text| Value {
            origin: "--otlp-endpoint".into(),
            text: text.into(),
            from: From::Option,
        });
        let Some(endpoint) = option.or_else(|| given.value("endpoint", &file.endpoint)) else {
            return Ok(None);
        };
        let protocol = given.value("protocol", &file.protocol);
        let protocol = protocol.map(|value| value.parse(Protocol::parse)).transpose()?;
        let insecure = both!("INSECURE").iter().find_map(|variable| given.variable(variable));
        let insecure = insecure.is_some_and(|it| it.text.eq_ignore_ascii_case("true"));
        let endpoint = endpoint.parse(|text| match endpoint.from {
            From::SignalVariable => Endpoint::whole(text, protocol, insecure),
            From::Variable => Endpoint::base(text, signal, protocol, insecure),
            From::Option | From::File => Endpoint::either(text, signal, protocol, insecure),
        })?;
        let headers = match given.value("headers", &None) {
            Some(value) => value.parse(endpoint::headers)?,
            None => Value { origin: "`headers` in [otlp]".into(), text: String::new(), from: From::File }
                .parse(|_| {
                    file.headers.iter().map(|(name, value)| endpoint::header(name, value)).collect()
                })?,
        };
        let gzip = given.value("compression", &file.compression);
        let timeout = given.value("timeout", &file.timeout);
        let interval = given.value("interval", &file.interval);
        let preference = given.value("temporality", &file.temporality);
        let path = |key, written| given.value(key, written).map(|it| PathBuf::from(it.text));
        let tls = TlsFiles {
            certificate: path("certificate", &file.certificate),
            client_certificate: path("client_certificate", &file.client_certificate),
            client_key: path("client_key", &file.client_key),
        };
        let duration = |value: Option<Value>, default| value.map_or(Ok(default), |value| value.duration());
        let amount = |value: Option<Value>, default| value.map_or(Ok(default), |value| value.parse(bytes));
        Ok(Some(Self {
            signal,
            endpoint,
            headers,
            gzip: gzip.map_or(Ok(true), |value| value.parse(compression))?,
            timeout: duration(timeout, TIMEOUT)?,
            interval: duration(interval, INTERVAL)?,
            preference: preference.map_or(Ok(Preference::Cumulative), |value| value.parse(temporality))?,
            tls,
            queue_bytes: amount(in_file("queue", &file.queue), QUEUE_BYTES)?,
            buffer: file.buffer.as_ref().map(|folder| signal.folder_in(folder)),
            buffer_bytes: amount(in_file("buffer_size", &file.buffer_size), BUFFER_BYTES)?,
            flush: duration(in_file("flush", &file.flush), FLUSH)?,
        }))
    }
}

impl Export {
    /// Profiles to a Pyroscope, which takes them as pprof: it needs nothing of what OTLP has to be told but for the files of TLS.
    pub(super) fn pyroscope(
        url: &str,
        headers: Vec<(HeaderName, HeaderValue)>,
        tls: TlsFiles,
    ) -> Result<Self, String> {
        let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        Ok(Self {
            signal: Signal::Pyroscope,
            endpoint: Endpoint::either(&with_scheme, Signal::Pyroscope, Some(Protocol::Http), true)?,
            headers,
            // A pprof file is compressed already.
            gzip: false,
            timeout: TIMEOUT,
            interval: INTERVAL,
            preference: Preference::Cumulative,
            tls,
            queue_bytes: QUEUE_BYTES,
            buffer: None,
            buffer_bytes: 0,
            flush: FLUSH,
        })
    }
}

impl fmt::Display for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let preference = match self.preference {
            Preference::Cumulative => "cumulative",
            Preference::Delta => "delta",
            Preference::LowMemory => "lowmemory",
        };
        if self.signal == Signal::Pyroscope {
            write!(f, "Pyroscope at {}", self.endpoint.authority())?;
        } else {
            write!(f, "{}", self.endpoint)?;
        }
        if self.signal == Signal::Metrics {
            write!(f, ", every {}, {preference}", humantime::format_duration(self.interval))?;
        }
        if self.signal != Signal::Pyroscope {
            f.write_str(if self.gzip { ", gzip" } else { ", not compressed" })?;
        }
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        if !names.is_empty() {
            write!(f, ", with {}", names.join(", "))?;
        }
        if let Some(folder) = &self.buffer {
            write!(f, ", kept in {}", folder.display())?;
        }
        Ok(())
    }
}

/// Headers may hold credentials.
impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Export({self})")
    }
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(ms) if ms > 0 => Ok(Duration::from_millis(ms)),
        _ => Err(format!("{text:?} is no number of milliseconds above zero")),
    }
}

fn compression(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "gzip" => Ok(true),
        "none" => Ok(false),
        _ => Err(format!("{text:?} is no compression; it is gzip or none")),
    }
}

fn temporality(text: &str) -> Result<Preference, String> {
    match text.to_ascii_lowercase().as_str() {
        "cumulative" => Ok(Preference::Cumulative),
        "delta" => Ok(Preference::Delta),
        "lowmemory" => Ok(Preference::LowMemory),
        _ => Err(format!("{text:?} is no temporality; it is cumulative, delta or lowmemory")),
    }
}

/// An amount of memory, such as `16MiB`.
fn bytes(text: &str) -> Result<usize, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let parsed = units.iter().find_map(|(unit, shift)| {
        let number: usize = text.strip_suffix(unit)?.trim().parse().ok()?;
        number.checked_mul(1 << shift).filter(|&bytes| bytes > 0)
    });
    parsed.ok_or_else(|| format!("{text:?} is no amount of memory; give one such as 16MiB"))
}
