//! Reading the lines of files of any size, written by anyone, in little memory.

use std::io::{self, Read};

/// Longer lines are left out.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Hands out the lines of up to `bytes_max` bytes, without their line feeds. Lines beyond [`LINE_BYTES_MAX`] and an
/// unfinished last line beyond the bound are left out.
///
/// Returns whether all was read.
pub(super) fn for_each_line(
    reader: &mut impl Read,
    bytes_max: u64,
    mut line: impl FnMut(&[u8]),
) -> io::Result<bool> {
    let mut buffer = vec![0; 2 * LINE_BYTES_MAX];
    let (mut held, mut total, mut overlong) = (0, 0, false);
    loop {
        let count = match reader.read(&mut buffer[held..]) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if count == 0 {
            if held > 0 && !overlong {
                line(&buffer[..held]);
            }
            return Ok(true);
        }
        total += count as u64;
        if total > bytes_max {
            return Ok(false);
        }
        let end = held + count;
        let mut start = 0;
        while let Some(length) = memchr::memchr(b'\n', &buffer[start..end]) {
            if !std::mem::take(&mut overlong) {
                line(&buffer[start..start + length]);
            }
            start += length + 1;
        }
        buffer.copy_within(start..end, 0);
        held = end - start;
        if held >= LINE_BYTES_MAX {
            (held, overlong) = (0, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8], bytes_max: u64) -> (Vec<Vec<u8>>, bool) {
        let mut lines = Vec::new();
        let complete = for_each_line(&mut &*text, bytes_max, |line| lines.push(line.to_vec())).unwrap();
        (lines, complete)
    }

    #[test]
    fn lines_come_without_their_ends() {
        assert_eq!(
            lines(b"a\n\nbc\nd", 100),
            (vec![b"a".to_vec(), b"".to_vec(), b"bc".to_vec(), b"d".to_vec()], true)
        );
    }

    #[test]
    fn an_overlong_line_is_left_out_and_the_next_is_whole() {
        let mut text = vec![b'x'; 5 * LINE_BYTES_MAX];
        text.extend(b"\nnext\n");
        assert_eq!(lines(&text, u64::MAX), (vec![b"next".to_vec()], true));
    }

    #[test]
    fn reading_stops_at_the_bound_and_says_so() {
        let text = b"line\n".repeat(LINE_BYTES_MAX);
        let (lines, complete) = lines(&text, LINE_BYTES_MAX as u64 * 3);
        assert!(!complete && !lines.is_empty() && lines.len() < LINE_BYTES_MAX);
        assert!(lines.iter().all(|line| line == b"line"));
    }
}
