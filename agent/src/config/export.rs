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

use crate::cli;
use crate::error::Error;
pub(super) use endpoint::header;
pub(crate) use endpoint::{Endpoint, Protocol, percent_decoded};
pub(crate) use signal::Signal;

/// OpenTelemetry's.
const INTERVAL: Duration = Duration::from_secs(60);
/// OpenTelemetry's.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Some hundred exports of a host with some dozens of processes: hours, at the usual interval.
const QUEUE_BYTES: usize = 16 << 20;
/// A day or more.
const BUFFER_BYTES: usize = 256 << 20;
/// Where Pyroscope listens.
const PYROSCOPE_PORT: u16 = 4040;
/// Service managers wait for 10 s or longer before they kill.
const FLUSH: Duration = Duration::from_secs(5);

/// Where a signal is exported to, and how.
#[derive(Clone)]
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

/// The table `[otlp]`, as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    endpoint: Option<String>,
    protocol: Option<String>,
    headers: BTreeMap<String, String>,
    compression: Option<String>,
    timeout: Option<String>,
    interval: Option<String>,
    temporality: Option<String>,
    certificate: Option<String>,
    client_certificate: Option<String>,
    client_key: Option<String>,
    queue: Option<String>,
    buffer: Option<PathBuf>,
    buffer_size: Option<String>,
    flush: Option<String>,
    pub(super) traces: bool,
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
    fn variable(&self, name: String, from: From) -> Option<Value> {
        // The specification takes an empty variable for none.
        let text = (self.environment)(&name).filter(|text| !text.trim().is_empty())?;
        Some(Value { origin: name, text, from })
    }

    /// A value that may stand in `OTEL_EXPORTER_OTLP_METRICS_…`, or whichever signal it is, in `OTEL_EXPORTER_OTLP_…` and in the file.
    fn value(&self, name: &str, key: &str, written: &Option<String>) -> Option<Value> {
        self.variable(format!("OTEL_EXPORTER_OTLP_{}_{name}", self.signal.variable()), From::SignalVariable)
            .or_else(|| self.variable(format!("OTEL_EXPORTER_OTLP_{name}"), From::Variable))
            .or_else(|| in_file(key, written))
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
        let Some(endpoint) = option.or_else(|| given.value("ENDPOINT", "endpoint", &file.endpoint)) else {
            return Ok(None);
        };
        let protocol = given.value("PROTOCOL", "protocol", &file.protocol);
        let protocol = protocol.map(|value| value.parse(Protocol::parse)).transpose()?;
        let insecure =
            given.value("INSECURE", "", &None).is_some_and(|it| it.text.eq_ignore_ascii_case("true"));
        let endpoint = endpoint.parse(|text| match endpoint.from {
            From::SignalVariable => Endpoint::whole(text, protocol, insecure),
            From::Variable => Endpoint::base(text, signal, protocol, insecure),
            From::Option | From::File => Endpoint::either(text, signal, protocol, insecure),
        })?;
        let headers = match given.value("HEADERS", "headers", &None) {
            Some(value) => value.parse(endpoint::headers)?,
            None => Value { origin: "`headers` in [otlp]".into(), text: String::new(), from: From::File }
                .parse(|_| {
                    file.headers.iter().map(|(name, value)| endpoint::header(name, value)).collect()
                })?,
        };
        let gzip = given.value("COMPRESSION", "compression", &file.compression);
        let timeout = given.value("TIMEOUT", "timeout", &file.timeout);
        let interval = given
            .variable("OTEL_METRIC_EXPORT_INTERVAL".into(), From::Variable)
            .or_else(|| in_file("interval", &file.interval));
        let preference = given
            .variable("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE".into(), From::SignalVariable)
            .or_else(|| in_file("temporality", &file.temporality));
        let path = |name, key, written| given.value(name, key, written).map(|it| PathBuf::from(it.text));
        let tls = TlsFiles {
            certificate: path("CERTIFICATE", "certificate", &file.certificate),
            client_certificate: path("CLIENT_CERTIFICATE", "client_certificate", &file.client_certificate),
            client_key: path("CLIENT_KEY", "client_key", &file.client_key),
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
            // A directory is for one queue.
            buffer: file.buffer.clone().filter(|_| signal == Signal::Metrics),
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
        let mut endpoint = Endpoint::either(&with_scheme, Signal::Pyroscope, Some(Protocol::Http), true)?;
        if !with_scheme.trim_start_matches("https://").trim_start_matches("http://").contains(':')
            && !endpoint.tls
        {
            endpoint.port = PYROSCOPE_PORT;
        }
        Ok(Self {
            signal: Signal::Pyroscope,
            endpoint,
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
