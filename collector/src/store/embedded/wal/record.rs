//! A batch as a record of the log: numbers of variable length, text with its length before it.

use formats::decode::{Place, Symbols};
use model::profile::{FrameId, StackId, StringId};

use crate::labels::Labels;
use crate::store::{Batch, BatchSeries};

/// Writes a batch.
pub fn encode(batch: &Batch) -> Vec<u8> {
    let mut out = Vec::with_capacity(batch.rows() * 4 + 1024);
    let symbols = &batch.symbols;
    put(&mut out, symbols.strings.iter().len() as u64);
    for text in symbols.strings.iter() {
        put_text(&mut out, text);
    }
    put(&mut out, symbols.frames.iter().len() as u64);
    for place in symbols.frames.iter() {
        for number in [place.function.0, place.file.0, place.line] {
            put(&mut out, number.into());
        }
    }
    put(&mut out, symbols.stacks.iter().len() as u64);
    for (caller, frame) in symbols.stacks.iter() {
        put(&mut out, caller.map_or(0, |caller| u64::from(caller.0) + 1));
        put(&mut out, frame.0.into());
    }
    put(&mut out, batch.series.len() as u64);
    for series in &batch.series {
        put(&mut out, series.labels.iter().len() as u64);
        for (name, value) in series.labels.iter() {
            put_text(&mut out, name);
            put_text(&mut out, value);
        }
        put(&mut out, zigzag(series.time_ms));
        put(&mut out, series.rows.len() as u64);
        for (stack, value) in &series.rows {
            put(&mut out, stack.0.into());
            put(&mut out, zigzag(*value));
        }
    }
    out
}

/// Reads a batch; `None` of what is none. The checksum was right, but nothing is taken for granted.
pub fn decode(bytes: &[u8]) -> Option<Batch> {
    let mut input = Input(bytes);
    let mut symbols = Symbols::default();
    let strings = input.count()?;
    for position in 0..strings {
        (symbols.strings.intern(input.text()?).0 as usize == position).then_some(())?;
    }
    let frames = input.count()?;
    for position in 0..frames {
        let [function, file, line] = [input.number()?, input.number()?, input.number()?];
        (function < strings as u64 && file < strings as u64).then_some(())?;
        let (function, file) = (StringId(function as u32), StringId(file as u32));
        let place = Place { function, file, line: u32::try_from(line).ok()? };
        (symbols.frames.intern(place).0 as usize == position).then_some(())?;
    }
    let stacks = input.count()?;
    for position in 0..stacks {
        let (caller, frame) = (input.number()?, input.number()?);
        (caller <= position as u64 && frame < frames as u64).then_some(())?;
        let caller = caller.checked_sub(1).map(|caller| StackId(caller as u32));
        (symbols.stacks.push(caller, FrameId(frame as u32)).0 as usize == position).then_some(())?;
    }
    let mut series = Vec::new();
    for _ in 0..input.count()? {
        let mut labels = Vec::new();
        for _ in 0..input.count()? {
            labels.push((input.text()?, input.text()?));
        }
        let time_ms = unzigzag(input.number()?);
        let mut rows = Vec::new();
        for _ in 0..input.count()? {
            let (stack, value) = (input.number()?, unzigzag(input.number()?));
            (stack < stacks as u64).then_some(())?;
            rows.push((StackId(stack as u32), value));
        }
        series.push(BatchSeries { labels: labels.into_iter().collect::<Labels>(), time_ms, rows });
    }
    input.0.is_empty().then_some(Batch { symbols, series })
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for (position, byte) in self.0.iter().take(10).enumerate() {
            number |= u64::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                self.0 = &self.0[position + 1..];
                return Some(number);
            }
        }
        None
    }

    /// How many rows follow; each takes a byte at least.
    fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.0.len()).then_some(count)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.count()?;
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::decode::{Limits, ValueType};

    fn batch() -> Batch {
        let text = b"main;a;b 10\nmain;a;c -5\nother 1\n";
        let decoded = formats::folded::decode(text, ValueType::new("cpu", "nanoseconds"), &Limits::default());
        let decoded = decoded.expect("three lines");
        let rows = decoded.samples.iter().zip(&decoded.values);
        let rows = rows.map(|(sample, value)| (sample.stack.expect("a stack"), *value)).collect();
        let labels = [("service", "shop"), ("phase", "timers")].into_iter().collect();
        let series = vec![BatchSeries { labels, time_ms: -1234, rows }];
        Batch { symbols: decoded.symbols, series }
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let (written, read) = (batch(), decode(&encode(&batch())).expect("whole"));
        assert_eq!(read.series[0].labels, written.series[0].labels);
        assert_eq!(read.series[0].time_ms, written.series[0].time_ms);
        assert_eq!(read.series[0].rows, written.series[0].rows);
        assert!(read.symbols.strings.iter().eq(written.symbols.strings.iter()));
        assert!(read.symbols.stacks.iter().eq(written.symbols.stacks.iter()));
    }

    #[test]
    fn whatever_is_read_is_a_batch_or_none() {
        let whole = encode(&batch());
        for length in 0..whole.len() {
            assert!(decode(&whole[..length]).is_none(), "{length}");
        }
        for position in 0..whole.len() {
            for byte in 0..=255 {
                let mut changed = whole.clone();
                changed[position] = byte;
                if let Some(batch) = decode(&changed) {
                    let stacks = batch.symbols.stacks.iter().len() as u32;
                    assert!(
                        batch
                            .series
                            .iter()
                            .flat_map(|series| &series.rows)
                            .all(|(stack, _)| stack.0 < stacks)
                    );
                }
            }
        }
    }
}
