//! The reading side: what a segment holds, read without trust in who wrote it.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::contents::{Contents, Reading, ScopeReading, add_reading};
use super::error::SegmentError;
use super::layout::{self, Encoding, Entry, Identity, ScopeKind, ScopeState, closing_of, scope_word};
use super::slow::{self, Away, LoopRow, Row, SlowCursor, SlowIteration, SlowReading, Taken};
use crate::catalogue::{EVENTLOOP_AWAY, Kind, Metric};
use crate::instrument::{read_histogram, read_peak};
use crate::snapshot::Value;
use crate::time::Monotonic;

/// The most rows of a table that are read: four times what our own writers make room for. It bounds the work that a
/// hostile segment can cause.
const TABLE_ROWS_MAX: usize = 4 * layout::ENTRIES;

/// A reader of a segment that another process writes to.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    words: &'a [AtomicU64],
    minor: u32,
}

impl<'a> Reader<'a> {
    /// Checks the header.
    ///
    /// # Errors
    /// [`SegmentError`] where this is no segment, or one of another major version.
    pub fn open(words: &'a [AtomicU64]) -> Result<Self, SegmentError> {
        if words.len() < layout::HEADER_WORDS {
            return Err(SegmentError::TooShort { words: words.len() });
        }
        if words[layout::WORD_MAGIC].load(Ordering::Acquire) != layout::MAGIC {
            return Err(SegmentError::NotASegment);
        }
        let version = words[layout::WORD_VERSION].load(Ordering::Relaxed);
        let (found, minor) = ((version >> 32) as u32, version as u32);
        if found != layout::VERSION_MAJOR {
            return Err(SegmentError::Version { found, expected: layout::VERSION_MAJOR });
        }
        let length = words[layout::WORD_LENGTH].load(Ordering::Relaxed);
        if length > words.len() as u64 {
            return Err(SegmentError::Malformed { what: "its length is more than there is", found: length });
        }
        Ok(Self { words, minor })
    }

    /// What the segment says of its writer.
    pub fn identity(&self) -> Identity {
        let load = |word: usize| self.words[word].load(Ordering::Relaxed);
        Identity {
            pid: u32::try_from(load(layout::WORD_PID)).unwrap_or(0),
            created_ns: load(layout::WORD_CREATED),
            service: layout::load_text(&self.words[layout::WORDS_SERVICE]),
            producer: layout::load_text(&self.words[layout::WORDS_PRODUCER]),
        }
    }

    /// Reads every open scope. `now` decides which peaks are still within the last minute, and how long a loop has been away from its poll: that is
    /// told of each loop with a ring, from segments of 1.2 on.
    ///
    /// # Errors
    /// [`SegmentError::Malformed`] where a table or an entry lies outside the segment, or entries claim more cells than
    /// the segment has.
    pub fn read(&self, now: Monotonic) -> Result<Contents, SegmentError> {
        self.read_scopes(now, open_scope, |_| true)
    }

    /// Reads one metric of all loops: of the open ones, and of those closed ones whose place no other has taken over. Their last figures are
    /// still there.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn read_loops(&self, metric: &Metric, now: Monotonic) -> Result<Contents, SegmentError> {
        self.read_scopes(now, loop_scope, |id| id == metric.id)
    }

    fn read_scopes(
        &self,
        now: Monotonic,
        header_of: HeaderOf,
        is_wanted: impl Fn(u16) -> bool,
    ) -> Result<Contents, SegmentError> {
        let mut scopes = self.scopes(header_of)?;
        let mut unknown_entries = 0;
        // Cells belong to one instrument, but for a few that serve two metrics: no honest segment needs more.
        let mut budget = 2 * self.words.len();
        for row in
            self.table(layout::WORD_DIRECTORY, layout::WORD_DIRECTORY_USED, layout::ENTRY_WORDS, "directory")?
        {
            let Some(entry) = Entry::unpack([row[0].load(Ordering::Acquire), row[1].load(Ordering::Relaxed)])
            else {
                continue;
            };
            if !is_wanted(entry.metric) {
                continue;
            }
            let Some(scope) = scopes.get_mut(usize::from(entry.scope)) else {
                // Opened, and filled, since the table of scopes was read: for the next reading.
                if usize::from(entry.scope) < self.scope_rows()?.count() {
                    continue;
                }
                return Err(SegmentError::Malformed {
                    what: "an entry of no scope",
                    found: entry.scope.into(),
                });
            };
            let Some(scope) = scope else { continue };
            let Some((metric, labels, encoding)) = understand(entry) else {
                unknown_entries += 1;
                continue;
            };
            let value = self.value(entry, metric, encoding, now, &mut budget)?;
            add_reading(&mut scope.readings, Reading { metric, labels, value });
        }
        if is_wanted(EVENTLOOP_AWAY.id) {
            self.add_away(&mut scopes, now)?;
        }
        // A scope whose place was taken over while we read has another index now, or none.
        fence(Ordering::Acquire);
        let still_there = self.scope_rows()?.map(header_of);
        let kept = scopes.into_iter().zip(still_there).filter_map(|(scope, header)| {
            scope.filter(|scope| header.is_some_and(|header| header.is_of(scope)))
        });
        Ok(Contents {
            scopes: kept.collect(),
            unknown_entries,
            dropped_instruments: self.words[layout::WORD_DROPPED].load(Ordering::Relaxed),
        })
    }

    /// Takes the slow iterations that loops have published since the cursor's last reading; at the first, those that
    /// are still there. `now` is asked after they were read, so that it is later than any of them.
    ///
    /// # Errors
    /// [`SegmentError::Malformed`] where the table of scopes lies outside the segment.
    pub fn slow_iterations(
        &self,
        cursor: &mut SlowCursor,
        now: impl FnOnce() -> Monotonic,
    ) -> Result<SlowReading, SegmentError> {
        let loops: Vec<LoopRow> = self
            .scope_rows()?
            .take(slow::SCOPES_MAX)
            .enumerate()
            .filter_map(|(number, row)| {
                let index = loop_scope(row)?.index;
                let ring = row[layout::SCOPE_RING].load(Ordering::Acquire);
                (ring != 0).then_some(LoopRow { number, index, ring })
            })
            .collect();
        let mut reading = SlowReading::default();
        let taken = cursor.take(self.words, &loops, now, &mut reading);
        if taken.is_empty() {
            return Ok(reading);
        }
        // A place that was taken over while we read has another index now, or none.
        fence(Ordering::Acquire);
        let scopes = self.scopes(loop_scope)?.into_iter().flatten().collect();
        let loops = Contents { scopes, unknown_entries: 0, dropped_instruments: 0 };
        for Taken { index, rows } in taken {
            let of_loop = loops.loop_of(index);
            let Some((thread_id, loop_name)) = of_loop else { continue };
            reading.iterations.extend(rows.into_iter().map(|Row { began, ended, phases }| SlowIteration {
                thread_id,
                loop_index: index,
                loop_name: loop_name.clone(),
                began,
                ended,
                phases,
            }));
        }
        Ok(reading)
    }

    /// The open loops that are away from their poll now, of those that tell it. `now` is asked after that was read; what is later cannot be.
    ///
    /// # Errors
    /// As [`Reader::slow_iterations`].
    pub fn away(&self, now: impl FnOnce() -> Monotonic) -> Result<Vec<Away>, SegmentError> {
        let mut away = Vec::new();
        for row in self.scope_rows()?.take(slow::SCOPES_MAX) {
            let Some(header) = open_scope(row).filter(|header| header.kind == ScopeKind::Loop) else {
                continue;
            };
            let thread_id = row[2].load(Ordering::Relaxed);
            if let Some(Some(since)) = self.away_since(row)
                && open_scope(row) == Some(header)
            {
                away.push(Away { thread_id, loop_index: header.index, since });
            }
        }
        let now = now();
        away.retain(|away| away.since <= now);
        Ok(away)
    }

    /// Since when a loop is away from its poll, if it is; `None` where that is not told.
    fn away_since(&self, row: &[AtomicU64]) -> Option<Option<Monotonic>> {
        let ring = row[layout::SCOPE_RING].load(Ordering::Acquire);
        if self.minor >= layout::MINOR_OF_AWAY { slow::away_since(self.words, ring) } else { None }
    }

    /// Adds to each open loop that tells it how long it has been away from its poll.
    fn add_away(&self, scopes: &mut [Option<ScopeReading>], now: Monotonic) -> Result<(), SegmentError> {
        for (scope, row) in scopes.iter_mut().zip(self.scope_rows()?) {
            let is_open =
                |scope: &&mut ScopeReading| scope.kind == ScopeKind::Loop && scope.closing.is_none();
            let Some(scope) = scope.as_mut().filter(is_open) else { continue };
            let Some(since) = self.away_since(row) else { continue };
            // It may be away since later than now, if it has come back since.
            let away_ns = since.map_or(0, |since| now.since_ns(since));
            let value = Value::Gauge(i64::try_from(away_ns).unwrap_or(i64::MAX));
            add_reading(&mut scope.readings, Reading { metric: &EVENTLOOP_AWAY, labels: Vec::new(), value });
        }
        Ok(())
    }

    /// The rows of a table that are in use.
    fn table(
        &self,
        place: usize,
        used: usize,
        row_words: usize,
        what: &'static str,
    ) -> Result<impl Iterator<Item = &'a [AtomicU64]> + use<'a>, SegmentError> {
        let word = self.words[place].load(Ordering::Relaxed);
        let (offset, capacity) = layout::unpack_table(word);
        if capacity > TABLE_ROWS_MAX {
            return Err(SegmentError::Malformed { what, found: word });
        }
        let rows = (self.words[used].load(Ordering::Acquire)).min(capacity as u64) as usize;
        let words = rows
            .checked_mul(row_words)
            .and_then(|length| self.words.get(offset..offset.checked_add(length)?));
        words.map(|words| words.chunks_exact(row_words)).ok_or(SegmentError::Malformed { what, found: word })
    }

    fn scope_rows(&self) -> Result<impl Iterator<Item = &'a [AtomicU64]> + use<'a>, SegmentError> {
        self.table(layout::WORD_SCOPES, layout::WORD_SCOPES_USED, layout::SCOPE_WORDS, "table of scopes")
    }

    /// Those scopes that have such a header.
    fn scopes(&self, header_of: HeaderOf) -> Result<Vec<Option<ScopeReading>>, SegmentError> {
        let scopes = self.scope_rows()?.map(|row| {
            let Header { kind, index, closing } = header_of(row)?;
            let name = layout::load_text(&row[4..4 + layout::SCOPE_NAME_WORDS]);
            Some(ScopeReading {
                kind,
                index,
                thread_id: row[2].load(Ordering::Relaxed),
                name,
                closing,
                readings: Vec::new(),
            })
        });
        Ok(scopes.collect())
    }

    fn value(
        &self,
        entry: Entry,
        metric: &Metric,
        encoding: Encoding,
        now: Monotonic,
        budget: &mut usize,
    ) -> Result<Value, SegmentError> {
        let outside =
            SegmentError::Malformed { what: "an entry's cells lie outside", found: entry.offset.into() };
        let mut total: u64 = 0;
        let mut histogram = crate::histogram::Histogram::default();
        for shard in 0..usize::from(entry.shards) {
            let start = entry.offset as usize + shard * usize::from(entry.stride);
            let cells = self.words.get(start..start + encoding.cells()).ok_or_else(|| outside.clone())?;
            *budget = budget.checked_sub(cells.len()).ok_or(SegmentError::Malformed {
                what: "entries claim more cells than there are",
                found: self.words.len() as u64,
            })?;
            let load = |cell: usize| cells[cell].load(Ordering::Relaxed);
            match encoding {
                Encoding::Sum => total = total.wrapping_add(load(0)),
                Encoding::Difference => total = total.wrapping_add(load(0)).wrapping_sub(load(1)),
                Encoding::Peak => total = total.wrapping_add(read_peak(cells, now) as u64),
                Encoding::Histogram if shard == 0 => histogram = read_histogram(cells),
                Encoding::Histogram => histogram.merge(&read_histogram(cells)),
            }
        }
        Ok(match metric.kind {
            Kind::Counter => Value::Counter(total),
            Kind::Gauge => Value::Gauge(total as i64),
            Kind::Histogram => Value::Histogram(histogram),
        })
    }
}

/// What tells a scope from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    kind: ScopeKind,
    index: u64,
    closing: Option<u64>,
}

impl Header {
    /// Whether that is the scope, which may have closed meanwhile.
    fn is_of(&self, scope: &ScopeReading) -> bool {
        (self.kind, self.index) == (scope.kind, scope.index)
    }
}

/// The header of a scope, if it is one of those that are asked for.
type HeaderOf = fn(&[AtomicU64]) -> Option<Header>;

/// A loop that is open, or has closed: what it measured stays until another one takes its place.
fn loop_scope(row: &[AtomicU64]) -> Option<Header> {
    let (state, kind) = (row[0].load(Ordering::Acquire), ScopeKind::Loop);
    let closing = closing_of(state, kind);
    let is_there = closing.is_some() || state == scope_word(ScopeState::Open, kind);
    is_there.then(|| Header { kind, index: row[1].load(Ordering::Relaxed), closing })
}

fn open_scope(row: &[AtomicU64]) -> Option<Header> {
    let state = row[0].load(Ordering::Acquire);
    let kind = ScopeKind::from_code((state >> 8) as u8)?;
    let is_open = state == scope_word(ScopeState::Open, kind);
    is_open.then(|| Header { kind, index: row[1].load(Ordering::Relaxed), closing: None })
}

/// What an entry measures, if this catalogue knows it.
fn understand(entry: Entry) -> Option<(&'static Metric, Vec<&'static str>, Encoding)> {
    let metric = Metric::by_id(entry.metric)?;
    let encoding = Encoding::from_code(entry.encoding)?;
    if (encoding == Encoding::Histogram) != (metric.kind == Kind::Histogram) || metric.labels.len() > 2 {
        return None;
    }
    let positions = metric.labels.iter().zip(entry.labels);
    let labels: Option<Vec<_>> =
        positions.map(|(label, at)| label.values.get(usize::from(at)).copied()).collect();
    Some((metric, labels?, encoding))
}
