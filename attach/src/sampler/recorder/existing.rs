//! What a process had mapped, and how its threads were called, before the recording: told as the events that were missed.

use std::borrow::Cow;
use std::fs;
use std::io;

use model::time::Monotonic;

use crate::sampler::event::{Event, Mapped};

/// The state of a process, as `/proc` tells it.
pub(crate) struct Existing {
    pid: u32,
    /// The text of `/proc/PID/maps`.
    mappings: Vec<u8>,
    names: Vec<(u32, Vec<u8>)>,
}

impl Existing {
    /// Reads the state of a process with these threads. A thread that ended meanwhile is left out.
    pub(crate) fn read(pid: u32, threads: impl IntoIterator<Item = u32>) -> io::Result<Self> {
        let mappings = fs::read(format!("/proc/{pid}/maps"))?;
        let name = |tid| {
            let name = fs::read(format!("/proc/{pid}/task/{tid}/comm")).ok()?;
            Some((tid, name.strip_suffix(b"\n").map(<[u8]>::to_vec).unwrap_or(name)))
        };
        Ok(Self { pid, mappings, names: threads.into_iter().filter_map(name).collect() })
    }

    /// Tells the state as events, all at `time`.
    pub(crate) fn tell(&self, time: Monotonic, sink: &mut dyn FnMut(Event<'_>)) {
        for (tid, name) in &self.names {
            sink(Event::Renamed { time, pid: self.pid, tid: *tid, name, exec: false });
        }
        for line in self.mappings.split(|&byte| byte == b'\n') {
            if let Some(mapping) = Mapping::parse(line) {
                sink(Event::Mapped(Mapped {
                    time,
                    pid: self.pid,
                    start: mapping.start,
                    length: mapping.length,
                    file_offset: mapping.file_offset,
                    device: mapping.device,
                    inode: mapping.inode,
                    path: &mapping.path,
                }));
            }
        }
    }
}

/// One executable mapping.
#[derive(Debug, PartialEq, Eq)]
struct Mapping<'a> {
    start: u64,
    length: u64,
    file_offset: u64,
    device: (u32, u32),
    inode: u64,
    path: Cow<'a, [u8]>,
}

impl<'a> Mapping<'a> {
    /// `START-END PERMISSIONS OFFSET MAJOR:MINOR INODE    PATH`; `None` if it is not executable, or no such line.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut rest = line;
        let (start, end) = pair(next_field(&mut rest)?, '-')?;
        let executable = next_field(&mut rest)?.as_bytes().get(2) == Some(&b'x');
        let file_offset = hexadecimal(next_field(&mut rest)?)?;
        let (major, minor) = pair(next_field(&mut rest)?, ':')?;
        let inode = next_field(&mut rest)?.parse().ok()?;
        let path = match rest.trim_ascii_start() {
            // What the kernel's records call such a region.
            b"" => Cow::Borrowed(&b"//anon"[..]),
            path => without_escapes(path),
        };
        executable.then_some(Self {
            start,
            length: end.checked_sub(start)?,
            file_offset,
            device: (u32::try_from(major).ok()?, u32::try_from(minor).ok()?),
            inode,
            path,
        })
    }
}

/// Takes what stands before the next space.
fn next_field<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let line = *rest;
    let end = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
    *rest = line.get(end + 1..).unwrap_or_default();
    str::from_utf8(&line[..end]).ok()
}

fn pair(field: &str, separator: char) -> Option<(u64, u64)> {
    let (left, right) = field.split_once(separator)?;
    Some((hexadecimal(left)?, hexadecimal(right)?))
}

fn hexadecimal(field: &str) -> Option<u64> {
    u64::from_str_radix(field, 16).ok()
}

/// A path with its newlines, which the kernel writes as `\012`; it escapes nothing else.
fn without_escapes(path: &[u8]) -> Cow<'_, [u8]> {
    const NEWLINE: &[u8] = b"\\012";
    if !path.windows(NEWLINE.len()).any(|window| window == NEWLINE) {
        return Cow::Borrowed(path);
    }
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&first, after)) = rest.split_first() {
        match rest.strip_prefix(NEWLINE) {
            Some(after) => {
                plain.push(b'\n');
                rest = after;
            }
            None => {
                plain.push(first);
                rest = after;
            }
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executable_mapping_is_read_with_all_its_fields() {
        let line =
            b"7f0c1a228000-7f0c1a3bd000 r-xp 00028000 fd:01 1837 /usr/lib/with space/libc.so.6 (deleted)";
        assert_eq!(
            Mapping::parse(line),
            Some(Mapping {
                start: 0x7f0c_1a22_8000,
                length: 0x195_000,
                file_offset: 0x28000,
                device: (0xfd, 1),
                inode: 1837,
                path: Cow::Borrowed(b"/usr/lib/with space/libc.so.6 (deleted)"),
            })
        );
    }

    #[test]
    fn only_executable_mappings_count() {
        assert_eq!(Mapping::parse(b"7f0c1a228000-7f0c1a3bd000 rw-p 00000000 00:00 0 "), None);
    }

    #[test]
    fn a_mapping_without_a_file_is_called_as_the_kernel_does() {
        let mapping = Mapping::parse(b"00400000-00401000 rwxp 00000000 00:00 0 ").unwrap();
        assert_eq!(&*mapping.path, b"//anon");
        let mapping =
            Mapping::parse(b"7ffd1000-7ffd3000 r-xp 00000000 00:00 0                  [vdso]").unwrap();
        assert_eq!(&*mapping.path, b"[vdso]");
    }

    #[test]
    fn a_newline_in_a_path_is_unescaped() {
        let mapping = Mapping::parse(b"00400000-00401000 r-xp 00000000 00:00 9 /a\\012b\\013").unwrap();
        assert_eq!(&*mapping.path, b"/a\nb\\013");
    }

    #[test]
    fn what_is_no_mapping_is_passed_over() {
        for line in
            [&b""[..], b"-", b"1-", b"2-1 r-xp 0 0:0 0", b"zz-1 r-xp 0 0:0 0", b"1-2 r-xp", b"\xff\xfe \xfd"]
        {
            assert_eq!(Mapping::parse(line), None, "{line:?}");
        }
    }
}
