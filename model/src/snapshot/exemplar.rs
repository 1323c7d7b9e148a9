//! One measurement of many that a distribution holds, told by itself.

/// A measurement of a distribution, and where to look for more about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exemplar {
    /// What was measured, in nanoseconds.
    pub value_ns: u64,
    /// When it was: where it is a stretch of time, its end; nanoseconds since the UNIX epoch.
    pub time_unix_ns: u64,
    /// What is known of it beyond the labels of its series.
    pub labels: Vec<(&'static str, String)>,
    /// The span that tells of the same, where there is one.
    pub trace: Option<Trace>,
}

/// A span's identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trace {
    /// The trace's.
    pub trace_id: [u8; 16],
    /// The span's.
    pub span_id: [u8; 8],
}

impl Trace {
    /// The identifiers as text has them: digits in hexadecimal.
    pub fn in_hexadecimal(&self) -> (String, String) {
        let digits = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        (digits(&self.trace_id), digits(&self.span_id))
    }
}
