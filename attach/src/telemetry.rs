//! The telemetry that processes publish: finding it, and reading it without trust.
//!
//! A program on our runtime (or with our allocator) keeps a [segment](model::segment) in a memory file named
//! [`MEMORY_NAME`], which it maps and keeps open. The name shows in `/proc/PID/maps`, in whatever mount and pid namespace
//! the process lives; the file is opened through `/proc/PID/fd`. A child that was forked inherits the mapping but not
//! the identity, so a segment counts only for the process whose own id it states.
//!
//! A segment stays mapped, read-only, for as long as its process is a target: mapping it anew for each reading, with a fault for every
//! few pages, took a sixth of a scrape's CPU time. The price: the pages that are read, which are the process's own, count as
//! shared memory of the reader, too. That its size cannot shrink is checked when it is mapped, and the seal holds for good; all
//! that it says is checked at every reading, as if it were the first.

mod error;

pub use error::TelemetryError;

use std::io::{BufRead, BufReader};

use model::catalogue::Metric;
use model::segment::{
    Away, Contents, Identity, Reader, SegmentError, SlowCursor, SlowReading, WORDS_DEFAULT,
};
use model::snapshot::Value;
use model::time::Monotonic;

use crate::sys::mapping::Mapping;
use crate::target::discovery::{self, Find, Miss};
use crate::target::{Pid, Process, ProcessError};

/// The name of the memory file, as given to `memfd_create(2)`.
pub const MEMORY_NAME: &str = "loopscope";

/// How `/proc` shows the file, in lists of mappings and as the destination of descriptors.
const SHOWN_NAME: &str = "/memfd:loopscope (deleted)";

/// The longest segment that is read: twice what our own writers make. It bounds what a hostile process can cost.
const SEGMENT_BYTES_MAX: u64 = 2 * 8 * WORDS_DEFAULT as u64;

/// The most numbers (buckets of histograms, counters, gauges) that are taken from one segment. A hundred busy loops
/// stay below; a hostile segment could otherwise make hundreds of megabytes of text out of a few.
const NUMBERS_MAX: usize = 400_000;

/// Descriptors of a process that are looked at. The file is opened early in a program's life, so it has a low number
/// even in a server with many connections.
const DESCRIPTORS_MAX: usize = 16_384;

/// The telemetry of one process.
#[derive(Debug)]
pub struct Telemetry {
    process: Process,
    segment: Mapping,
    /// Where the process holds the file: `fd/N`.
    descriptor: String,
    /// Device and inode of the file.
    file_id: (u64, u64),
}

impl Telemetry {
    /// Finds and opens the telemetry of a process.
    ///
    /// # Errors
    /// [`TelemetryError::NotPublished`] where there is none; the other variants tell why there is some that cannot be
    /// read, or that it cannot be known.
    pub fn open(pid: Pid) -> Result<Self, TelemetryError> {
        let process = Process::open(pid)?;
        if !maps_a_segment(&process)? {
            return Err(TelemetryError::NotPublished { pid });
        }
        let own_pid = process.own_pid()?;
        let mut refused = None;
        for descriptor in descriptors(&process)?.take(DESCRIPTORS_MAX) {
            // A descriptor that was closed since the listing is no reason to stop.
            if !process.read_link(&descriptor).is_ok_and(|link| link.to_bytes() == SHOWN_NAME.as_bytes()) {
                continue;
            }
            match Opened::new(&process, &descriptor) {
                Ok(Opened { writer_pid, segment, file_id }) if writer_pid == own_pid => {
                    return Ok(Self { process, segment, descriptor, file_id });
                }
                // Inherited from the parent.
                Ok(_) => {}
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.unwrap_or(TelemetryError::NotPublished { pid }))
    }

    /// The process that publishes it.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Reads who writes the segment, and all instruments. `now` decides which peaks are still within the last minute.
    ///
    /// # Errors
    /// [`TelemetryError::Segment`] where the segment is not well formed, [`TelemetryError::TooMuch`] where it holds more
    /// than any honest one would.
    pub fn read(&self, now: Monotonic) -> Result<(Identity, Contents), TelemetryError> {
        let reader = self.reader()?;
        let contents = reader.read(now).map_err(|source| self.malformed(source))?;
        self.bounded(contents).map(|contents| (reader.identity(), contents))
    }

    /// Reads one metric of all loops, also of those that have closed as long as no other has taken their place.
    ///
    /// # Errors
    /// As [`Telemetry::read`].
    pub fn read_loops(&self, metric: &Metric, now: Monotonic) -> Result<Contents, TelemetryError> {
        self.bounded(self.reader()?.read_loops(metric, now).map_err(|source| self.malformed(source))?)
    }

    fn bounded(&self, contents: Contents) -> Result<Contents, TelemetryError> {
        let (pid, numbers) = (self.process.pid(), numbers(&contents));
        if numbers > NUMBERS_MAX {
            return Err(TelemetryError::TooMuch { pid, numbers, limit: NUMBERS_MAX });
        }
        Ok(contents)
    }

    /// Takes the slow iterations that the process has published since the cursor's last reading. `now` is asked after they were read.
    ///
    /// # Errors
    /// [`TelemetryError::Segment`] where the segment is not well formed.
    pub fn slow_iterations(
        &self,
        cursor: &mut SlowCursor,
        now: impl FnOnce() -> Monotonic,
    ) -> Result<SlowReading, TelemetryError> {
        self.reader()?.slow_iterations(cursor, now).map_err(|source| self.malformed(source))
    }

    /// The loops that are away from their poll now, as far as they tell. `now` is asked after that was read.
    ///
    /// # Errors
    /// [`TelemetryError::Segment`] where the segment is not well formed.
    pub fn away(&self, now: impl FnOnce() -> Monotonic) -> Result<Vec<Away>, TelemetryError> {
        self.reader()?.away(now).map_err(|source| self.malformed(source))
    }

    /// Who writes the segment.
    ///
    /// # Errors
    /// [`TelemetryError::Segment`] where the segment is not well formed.
    pub fn identity(&self) -> Result<Identity, TelemetryError> {
        self.reader().map(|reader| reader.identity())
    }

    fn reader(&self) -> Result<Reader<'_>, TelemetryError> {
        Reader::open(self.segment.words()).map_err(|source| self.malformed(source))
    }

    fn malformed(&self, source: SegmentError) -> TelemetryError {
        TelemetryError::Segment { pid: self.process.pid(), source }
    }

    /// Whether the process still holds the file: it may have ended, or executed another program.
    pub fn is_published(&self) -> bool {
        self.process.metadata(&self.descriptor).is_ok_and(|metadata| file_id(&metadata) == self.file_id)
    }
}

/// The processes that publish telemetry, kept up to date.
pub type Discovery = discovery::Discovery<Publishers>;

/// Finds the processes that publish telemetry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Publishers;

impl Find for Publishers {
    type Found = Telemetry;
    type Failure = TelemetryError;

    fn find(&mut self, pid: Pid) -> Result<Telemetry, TelemetryError> {
        Telemetry::open(pid)
    }

    fn holds(&self, telemetry: &Telemetry) -> bool {
        telemetry.is_published()
    }

    fn miss(error: &TelemetryError) -> Miss {
        match error {
            TelemetryError::NotPublished { .. } => Miss::Absent,
            TelemetryError::Process(ProcessError::Vanished { .. }) => Miss::Vanished,
            TelemetryError::Process(_) => Miss::Hidden,
            _ => Miss::Unreadable,
        }
    }
}

/// A file that may be a segment, and whose it says it is.
struct Opened {
    writer_pid: u32,
    segment: Mapping,
    file_id: (u64, u64),
}

impl Opened {
    fn new(process: &Process, descriptor: &str) -> Result<Self, TelemetryError> {
        let pid = process.pid();
        let file = process.open_file(descriptor)?;
        let metadata = rustix::fs::fstat(&file).map_err(|errno| process.error(descriptor, errno.into()))?;
        let segment = Mapping::new(&file, SEGMENT_BYTES_MAX)
            .map_err(|refusal| TelemetryError::refused(pid, refusal))?;
        let reader =
            Reader::open(segment.words()).map_err(|source| TelemetryError::Segment { pid, source })?;
        Ok(Self { writer_pid: reader.identity().pid, segment, file_id: file_id(&metadata) })
    }
}

fn file_id(metadata: &rustix::fs::Stat) -> (u64, u64) {
    (metadata.st_dev, metadata.st_ino)
}

fn maps_a_segment(process: &Process) -> Result<bool, ProcessError> {
    let mut maps = BufReader::with_capacity(16 * 1024, process.open_file("maps")?);
    let mut line = Vec::with_capacity(256);
    loop {
        line.clear();
        if maps.read_until(b'\n', &mut line).map_err(|error| process.error("maps", error))? == 0 {
            return Ok(false);
        }
        if line.trim_ascii_end().ends_with(SHOWN_NAME.as_bytes()) {
            return Ok(true);
        }
    }
}

/// The process's descriptors, as `fd/N`, by ascending number.
fn descriptors(process: &Process) -> Result<impl Iterator<Item = String> + use<>, ProcessError> {
    let directory = process.open_file("fd")?;
    let entries = rustix::fs::Dir::new(directory).map_err(|errno| process.error("fd", errno.into()))?;
    Ok(entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let name = entry.file_name().to_str().ok()?;
        name.parse::<u32>().is_ok().then(|| format!("fd/{name}"))
    }))
}

fn numbers(contents: &Contents) -> usize {
    let readings = contents.scopes.iter().flat_map(|scope| &scope.readings);
    let size = |value: &Value| match value {
        Value::Histogram(histogram) => 2 + histogram.buckets().len(),
        Value::Counter(_) | Value::Gauge(_) => 1,
    };
    readings.map(|reading| size(&reading.value)).sum()
}
