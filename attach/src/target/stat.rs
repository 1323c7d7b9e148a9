//! `/proc/PID/stat`: the kernel's accounting of a process, in one line.

/// The fields of `/proc/PID/stat` that are used here; see `proc_pid_stat(5)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The name of the process: at most 15 bytes of what it executes, or what it chose.
    pub name: String,
    /// The state, such as `S` for sleeping.
    pub state: u8,
    /// CPU time in user mode, all threads, in clock ticks.
    pub user_ticks: u64,
    /// CPU time in the kernel, all threads, in clock ticks.
    pub system_ticks: u64,
    /// Threads.
    pub threads: u64,
    /// When the process started, in clock ticks since the boot.
    pub start_ticks: u64,
    /// Address space in use, in bytes.
    pub virtual_bytes: u64,
    /// Resident memory, in pages.
    pub resident_pages: u64,
}

impl Stat {
    /// Parses the line; `None` if it is not one.
    pub fn parse(line: &[u8]) -> Option<Self> {
        // The name stands in parentheses and may itself hold spaces and parentheses.
        let open = line.iter().position(|&byte| byte == b'(')?;
        let close = line.iter().rposition(|&byte| byte == b')')?;
        let name = String::from_utf8_lossy(line.get(open + 1..close)?).into_owned();
        let fields: Vec<&[u8]> = line[close + 1..].split(u8::is_ascii_whitespace).skip(1).collect();
        // Numbered as in the manual page, where the state is field 3.
        let field = |number: usize| fields.get(number - 3).copied();
        let number = |at: usize| std::str::from_utf8(field(at)?).ok()?.parse::<u64>().ok();
        Some(Self {
            name,
            state: *field(3)?.first()?,
            user_ticks: number(14)?,
            system_ticks: number(15)?,
            threads: number(20)?,
            start_ticks: number(22)?,
            virtual_bytes: number(23)?,
            resident_pages: number(24)?,
        })
    }

    /// Whether the process has ended and only waits for its parent to notice.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = b"4711 (a) b (c) S 1 4711 4711 0 -1 4194560 1234 0 0 0 150 50 0 0 20 0 12 0 98765 73400320 2560 18446744073709551615 1 1 0 0 0 0 0 4096 17642 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

    #[test]
    fn a_name_may_hold_spaces_and_parentheses() {
        let expected = Stat {
            name: "a) b (c".into(),
            state: b'S',
            user_ticks: 150,
            system_ticks: 50,
            threads: 12,
            start_ticks: 98_765,
            virtual_bytes: 73_400_320,
            resident_pages: 2560,
        };
        assert_eq!(Stat::parse(LINE), Some(expected));
    }

    #[test]
    fn what_is_not_a_stat_line_is_refused() {
        for line in [&b""[..], b"1 (", b")(", b"1 (a) S", b"1 (a) S 1 2 3 x", &LINE[..60]] {
            assert_eq!(Stat::parse(line), None, "{}", String::from_utf8_lossy(line));
        }
    }
}
