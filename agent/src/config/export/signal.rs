//! What is exported: each signal has its own variables, its own path and its own method of gRPC.

use std::path::{Path, PathBuf};

/// A kind of what is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Metrics, by OTLP.
    Metrics,
    /// Profiles, by OTLP.
    Profiles,
    /// Spans, by OTLP.
    Traces,
    /// Profiles, as Pyroscope takes them.
    Pyroscope,
}

/// The signals of OTLP.
const OF_OTLP: [Signal; 3] = [Signal::Metrics, Signal::Profiles, Signal::Traces];

impl Signal {
    /// As a variable of the signal alone has it: `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`.
    pub(super) fn variable(self) -> &'static str {
        match self {
            Self::Metrics => "METRICS",
            Self::Profiles | Self::Pyroscope => "PROFILES",
            Self::Traces => "TRACES",
        }
    }

    /// The path behind a base that is for all signals.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Metrics => "/v1/metrics",
            // While the signal is under development its path says so.
            Self::Profiles => "/v1development/profiles",
            Self::Traces => "/v1/traces",
            Self::Pyroscope => "/push.v1.PusherService/Push",
        }
    }

    /// A path without that of any signal at its end.
    pub(super) fn base_of(path: &str) -> &str {
        OF_OTLP.iter().find_map(|signal| path.strip_suffix(signal.path())).unwrap_or(path)
    }

    /// The method of gRPC.
    pub(crate) fn grpc_method(self) -> &'static str {
        match self {
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Self::Profiles => "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export",
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Pyroscope => "/push.v1.PusherService/Push",
        }
    }

    /// The type of a message over HTTP.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Metrics | Self::Profiles | Self::Traces => "application/x-protobuf",
            // Connect's name for the same.
            Self::Pyroscope => "application/proto",
        }
    }

    /// What a receiver counts that took only a part of a batch.
    pub(crate) fn rejected(self) -> &'static str {
        match self {
            Self::Profiles | Self::Pyroscope => "profiles",
            Self::Metrics | Self::Traces => self.items(),
        }
    }

    /// Where batches wait on disk below the directory that is named for it: a directory is for one queue.
    pub(super) fn folder_in(self, folder: &Path) -> PathBuf {
        match self {
            Self::Metrics => folder.to_owned(),
            Self::Profiles | Self::Pyroscope => folder.join("profiles"),
            Self::Traces => folder.join("traces"),
        }
    }

    /// What a batch is made of.
    pub(crate) fn items(self) -> &'static str {
        match self {
            Self::Metrics => "points",
            Self::Profiles | Self::Pyroscope => "samples",
            Self::Traces => "spans",
        }
    }
}
