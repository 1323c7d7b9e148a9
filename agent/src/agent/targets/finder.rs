//! What makes a process a target: telemetry that it publishes, or a libuv that can be measured from outside.

use attach::libuv::locate::{Images, LocateError};
use attach::target::discovery::{Find, Miss};
use attach::target::{Facts, Pid, Process, ProcessError};
use attach::telemetry::{Publishers, TelemetryError};
use model::label::TargetError;

use super::outside::Outside;
use super::published::Published;
use crate::clock;
use crate::config::{Decision, Settings};

/// Finds targets, by the rules that the operator gave.
pub(super) struct Finder {
    publishers: Publishers,
    images: Images,
    settings: Settings,
}

/// A process that is measured.
pub(super) enum Target {
    /// It measures itself.
    Published(Box<Published>),
    /// It knows nothing of being measured.
    Outside(Box<Outside>),
}

impl Target {
    /// What measures it from outside, if that is how it is measured.
    pub(super) fn outside(&self) -> Option<&Outside> {
        match self {
            Self::Published(_) => None,
            Self::Outside(outside) => Some(outside),
        }
    }
}

/// Why a process is no target.
#[derive(Debug)]
pub(super) enum Failure {
    /// It is of no interest, or a rule leaves it out.
    NoTarget,
    /// What it publishes cannot be read.
    Telemetry(TelemetryError),
    /// Its libuv cannot be read.
    Libuv(LocateError),
    /// The process itself cannot be read.
    Process(ProcessError),
}

impl Finder {
    pub(super) fn new(settings: Settings) -> Self {
        Self { publishers: Publishers, images: Images::default(), settings }
    }

    /// Looks by other settings from now on.
    pub(super) fn reconfigure(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// By what it looks.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    fn find_libuv(&mut self, pid: Pid) -> Result<Target, Failure> {
        let process = Process::open(pid).map_err(Failure::Process)?;
        let Some(located) = self.images.locate(&process).map_err(Failure::Libuv)? else {
            return Err(Failure::NoTarget);
        };
        let facts = Facts::read(&process).map_err(Failure::Process)?;
        match self.settings.rules.decide(&facts) {
            Decision::Exclude => Err(Failure::NoTarget),
            Decision::Measure { tiers, service } => {
                let service = service.unwrap_or(facts.service);
                let outside =
                    Outside::new(process, located, service, tiers, &self.settings, clock::monotonic());
                outside.map(|outside| Target::Outside(Box::new(outside))).map_err(Failure::Process)
            }
        }
    }
}

impl Find for Finder {
    type Found = Target;
    type Failure = Failure;

    fn find(&mut self, pid: Pid) -> Result<Target, Failure> {
        if !self.settings.is_wanted(pid) {
            return Err(Failure::NoTarget);
        }
        match self.publishers.find(pid) {
            Ok(telemetry) => Ok(Target::Published(Box::new(Published::new(telemetry, &self.settings.rules)))),
            Err(TelemetryError::NotPublished { .. }) => self.find_libuv(pid),
            Err(error) => Err(Failure::Telemetry(error)),
        }
    }

    fn holds(&self, target: &Target) -> bool {
        match target {
            Target::Published(published) => self.publishers.holds(published.telemetry()),
            Target::Outside(outside) => outside.holds(),
        }
    }

    fn miss(failure: &Failure) -> Miss {
        match failure {
            Failure::NoTarget => Miss::Absent,
            Failure::Telemetry(error) => Publishers::miss(error),
            Failure::Process(ProcessError::Vanished { .. })
            | Failure::Libuv(LocateError::Process(ProcessError::Vanished { .. })) => Miss::Vanished,
            Failure::Process(_) | Failure::Libuv(LocateError::Process(_)) => Miss::Hidden,
            Failure::Libuv(_) => Miss::Unreadable,
        }
    }
}

impl Failure {
    /// The cause, as `loopscope_target_errors_total` counts it.
    pub(super) fn cause(&self) -> Option<TargetError> {
        match self {
            Self::NoTarget => None,
            Self::Telemetry(error) => error.cause(),
            Self::Libuv(error) => Some(error.cause()),
            Self::Process(error) => Some(error.cause()),
        }
    }

    /// Whether the process has ended.
    pub(super) fn is_vanished(&self) -> bool {
        matches!(
            self,
            Self::Process(ProcessError::Vanished { .. })
                | Self::Telemetry(TelemetryError::Process(ProcessError::Vanished { .. }))
        )
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoTarget => f.write_str("of no interest"),
            Self::Telemetry(error) => error.fmt(f),
            Self::Libuv(error) => error.fmt(f),
            Self::Process(error) => error.fmt(f),
        }
    }
}
