//! The labels that tell one series of a metric from another, and the closed sets of values that they take.
//!
//! A closed set is an enum here: the code that records names its variant, a telemetry segment stores its position, and
//! exporters write its text. Positions are part of the segment's layout: append variants, never reorder them.

/// A label of a metric: its name and, where the set of values is closed, the values in the order of their positions.
#[derive(Debug, PartialEq, Eq)]
pub struct Label {
    /// The name as it stands in a series, such as `phase`.
    pub name: &'static str,
    /// Every value the label can take, or empty where the set is open (a service's name, a heap space).
    pub values: &'static [&'static str],
}

impl Label {
    /// Whether the label takes only the listed values.
    pub const fn is_closed(&self) -> bool {
        !self.values.is_empty()
    }
}

/// A value of a closed [`Label`].
pub trait LabelValue: Copy + 'static {
    /// The label that the value belongs to.
    const LABEL: &'static Label;
    /// The value's position in [`Label::values`].
    fn position(self) -> u8;
    /// The value as it stands in a series.
    fn as_str(self) -> &'static str {
        Self::LABEL.values[self.position() as usize]
    }
}

macro_rules! closed_labels {
    ($($(#[$doc:meta])* $type:ident $label:ident $name:literal { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $type { $($(#[$variant_doc])* $variant),+ }

        #[doc = concat!("The label `", $name, "` with the values of [`", stringify!($type), "`].")]
        pub static $label: Label = Label { name: $name, values: &[$($text),+] };

        impl $type {
            /// Every value, by position.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
        }

        impl LabelValue for $type {
            const LABEL: &'static Label = &$label;
            fn position(self) -> u8 {
                self as u8
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )+};
}

closed_labels! {
    /// Where in an iteration of an event loop a callback runs, in libuv's order; ticks and microtasks run between
    /// any two callbacks.
    Phase PHASE "phase" {
        /// Callbacks of due timers.
        Timers = "timers",
        /// Callbacks of I/O that the previous iteration put off.
        Pending = "pending",
        /// Callbacks of idle handles.
        Idle = "idle",
        /// Callbacks of prepare handles, right before the poll.
        Prepare = "prepare",
        /// Inside the kernel's poll: the time spent waiting for events.
        PollWait = "poll_wait",
        /// Callbacks of the events that the poll returned.
        PollCallbacks = "poll_callbacks",
        /// Callbacks of check handles and immediates, right after the poll.
        Check = "check",
        /// Close callbacks of handles.
        Close = "close",
        /// The tick queue (Node's `process.nextTick`), drained between callbacks.
        Ticks = "ticks",
        /// The microtask queue (promise reactions, future wake-ups), drained after the ticks.
        Microtasks = "microtasks",
    }
    /// What an event loop does with its time.
    LoopState LOOP_STATE "state" {
        /// Running callbacks, or the loop's own code.
        Active = "active",
        /// Waiting in the kernel's poll.
        Idle = "idle",
    }
    /// The type of a handle: a long-lived object that can keep a loop alive. libuv's names.
    HandleType HANDLE_TYPE "type" {
        /// Wakes a loop from another thread.
        Async = "async",
        /// Runs right after the poll.
        Check = "check",
        /// Watches a path by the kernel's notifications.
        FsEvent = "fs_event",
        /// Watches a path by polling it.
        FsPoll = "fs_poll",
        /// Runs once an iteration, and keeps the loop from waiting.
        Idle = "idle",
        /// A UNIX socket or named pipe.
        Pipe = "pipe",
        /// Watches any descriptor for readiness.
        Poll = "poll",
        /// Runs right before the poll.
        Prepare = "prepare",
        /// A child process.
        Process = "process",
        /// A signal watcher.
        Signal = "signal",
        /// A TCP socket or listener.
        Tcp = "tcp",
        /// A timer.
        Timer = "timer",
        /// A terminal.
        Tty = "tty",
        /// A UDP socket.
        Udp = "udp",
    }
    /// The type of a request: a short-lived operation with one completion. libuv's names.
    RequestType REQUEST_TYPE "type" {
        /// Connecting a stream.
        Connect = "connect",
        /// Writing to a stream.
        Write = "write",
        /// Shutting down the writing side of a stream.
        Shutdown = "shutdown",
        /// Sending a datagram.
        UdpSend = "udp_send",
        /// A file-system operation.
        Fs = "fs",
        /// Work on the thread pool.
        Work = "work",
        /// Resolving a name to addresses.
        Getaddrinfo = "getaddrinfo",
        /// Resolving an address to names.
        Getnameinfo = "getnameinfo",
        /// Reading random bytes.
        Random = "random",
    }
    /// The kind of a thread-pool task.
    TaskKind TASK_KIND "kind" {
        /// A file-system operation.
        Fs = "fs",
        /// A name look-up.
        Dns = "dns",
        /// Hashing, key derivation, signing.
        Crypto = "crypto",
        /// Compression.
        Zlib = "zlib",
        /// Reading random bytes.
        Random = "random",
        /// Anything else that a program queues.
        Work = "work",
    }
    /// How a thread-pool task ended.
    Outcome OUTCOME "outcome" {
        /// It ran to its end.
        Done = "done",
        /// It ran and gave an error, or panicked.
        Failed = "failed",
        /// It was cancelled before it started.
        Cancelled = "cancelled",
    }
    /// What a thread-pool thread does.
    ThreadState THREAD_STATE "state" {
        /// Running a task.
        Busy = "busy",
        /// Waiting for a task.
        Idle = "idle",
    }
    /// The kind of a garbage-collector pause.
    GcKind GC_KIND "kind" {
        /// A collection of the whole heap.
        Major = "major",
        /// A collection of the young generation.
        Minor = "minor",
        /// A step of an incremental collection.
        Incremental = "incremental",
        /// Callbacks of weak references.
        Weakcb = "weakcb",
    }
    /// Which figure of a managed heap space a series gives.
    HeapState HEAP_STATE "state" {
        /// Bytes in use by objects.
        Used = "used",
        /// Bytes backed by memory.
        Committed = "committed",
        /// Bytes that the space may grow to.
        Limit = "limit",
    }
    /// What came of a process that the agent looked at.
    TargetState TARGET_STATE "state" {
        /// Measured.
        Measured = "measured",
        /// Found, but not measurable; `loopscope_target_errors_total` tells why.
        Unmeasurable = "unmeasurable",
    }
    /// Why a process could not be measured.
    TargetError TARGET_ERROR "cause" {
        /// The agent lacks the permission.
        Permission = "permission",
        /// What the process published is not well formed.
        Invalid = "invalid",
        /// What the process published has a version that the agent does not know.
        Version = "version",
        /// The process ended while it was being read.
        Vanished = "vanished",
    }
    /// Why a sample was lost.
    LossCause LOSS_CAUSE "cause" {
        /// The kernel's buffer was full.
        BufferFull = "buffer_full",
        /// The kernel slowed the sampling down.
        Throttled = "throttled",
        /// The record could not be read.
        Malformed = "malformed",
        /// A bound of the recorder was reached.
        Limit = "limit",
    }
    /// How deep a process is measured from outside, by cost to it.
    Tier TIER "tier" {
        /// Its memory is read; no cost to it.
        Observe = "observe",
        /// Probes on the loop's poll: at most two an iteration.
        Loop = "loop",
        /// Probes on every phase: at most six an iteration.
        Phases = "phases",
        /// Probes on the thread pool: at most three a task.
        Pool = "pool",
    }
    /// Why a measurement of a probe was lost.
    ProbeLoss PROBE_LOSS "cause" {
        /// No room for another thread.
        ThreadsFull = "threads_full",
        /// No room for another task in flight.
        TasksFull = "tasks_full",
        /// No room for another distribution.
        HistogramsFull = "histograms_full",
        /// No room for another slow iteration.
        EventsFull = "events_full",
    }
    /// What came of an attempt to export a batch.
    ExportOutcome EXPORT_OUTCOME "outcome" {
        /// The receiver took all of it.
        Accepted = "accepted",
        /// The receiver took a part of it.
        Partial = "partial",
        /// It failed in a way that may pass; the batch is sent again.
        Retried = "retried",
        /// The receiver refused it for good.
        Refused = "refused",
    }
    /// What came of a request that brought something to keep.
    IngestOutcome INGEST_OUTCOME "outcome" {
        /// It was stored.
        Stored = "stored",
        /// It could not be read.
        Malformed = "malformed",
        /// It was too large, or had too much of something.
        Limited = "limited",
        /// Too much was under way; the sender may try again.
        Busy = "busy",
        /// The disk had no room.
        Full = "full",
        /// The disk, or the collector, failed.
        Failed = "failed",
    }
    /// What came of a point that a collector got.
    PointOutcome POINT_OUTCOME "outcome" {
        /// It was kept.
        Kept = "kept",
        /// It is of a metric that a collector does not keep.
        LeftOut = "left_out",
    }
    /// Why points were not exported.
    ExportLoss EXPORT_LOSS "cause" {
        /// The queue was full, so the oldest batch made room.
        QueueFull = "queue_full",
        /// The receiver refused the batch for good.
        Refused = "refused",
        /// The receiver took the batch without these points.
        Partial = "partial",
        /// What waited on disk could not be read any more.
        Corrupt = "corrupt",
        /// The receiver could not be reached before the agent ended.
        Shutdown = "shutdown",
    }
    /// The format of a scrape's answer.
    ScrapeFormat SCRAPE_FORMAT "format" {
        /// The Prometheus text format.
        Text = "text",
        /// OpenMetrics text.
        OpenMetrics = "openmetrics",
        /// The Prometheus protocol-buffer format.
        Protobuf = "protobuf",
    }
}

/// The space of a managed heap, by the target's own names: an open set.
pub static HEAP_SPACE: Label = Label { name: "space", values: &[] };
/// The C++ class of a task of Node.js, by its name without what all such names have: an open set.
pub static TASK_CLASS: Label = Label { name: "class", values: &[] };
/// The version of a program: an open set.
pub static VERSION: Label = Label { name: "version", values: &[] };
/// The first number of a version: an open set.
pub static MAJOR: Label = Label { name: "major", values: &[] };
/// The second number of a version: an open set.
pub static MINOR: Label = Label { name: "minor", values: &[] };
/// The third number of a version: an open set.
pub static PATCH: Label = Label { name: "patch", values: &[] };
