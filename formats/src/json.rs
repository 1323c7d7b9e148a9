//! JSON, written as it is made: the profile formats are long columns of numbers, which need no tree in memory.

use std::io;

use crate::number::{push_decimal, push_integer};

/// As much text as is held before it is handed on.
const CHUNK_BYTES: usize = 64 * 1024;

/// Writes one JSON value. Keys and values follow each other; the commas between them are set here.
pub(crate) struct Json<'w, W> {
    out: &'w mut W,
    text: Vec<u8>,
    last: u8,
    /// The first error; what comes after it is dropped.
    result: io::Result<()>,
}

impl<'w, W: io::Write> Json<'w, W> {
    pub(crate) fn new(out: &'w mut W) -> Self {
        Self { out, text: Vec::with_capacity(CHUNK_BYTES * 5 / 4), last: b'[', result: Ok(()) }
    }

    /// Hands on what is left.
    ///
    /// # Errors
    /// The first error of the output.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush();
        self.result
    }

    /// A key; its value comes next.
    pub(crate) fn key(&mut self, name: &str) -> &mut Self {
        self.string(name);
        self.push(b':');
        self
    }

    pub(crate) fn object(&mut self, fields: impl FnOnce(&mut Self)) {
        self.separate();
        self.push(b'{');
        fields(self);
        self.push(b'}');
    }

    pub(crate) fn array<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        self.separate();
        self.push(b'[');
        for item in items {
            write(self, item);
        }
        self.push(b']');
    }

    pub(crate) fn empty_array(&mut self) {
        self.word("[]");
    }

    pub(crate) fn string(&mut self, text: &str) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        self.separate();
        self.text.push(b'"');
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => self.text.extend_from_slice(&[b'\\', byte]),
                b'\n' => self.text.extend_from_slice(b"\\n"),
                0..0x20 => {
                    self.text.extend_from_slice(b"\\u00");
                    self.text.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                }
                byte => self.text.push(byte),
            }
        }
        self.push(b'"');
    }

    pub(crate) fn integer(&mut self, number: impl itoa::Integer) {
        self.separate();
        push_integer(&mut self.text, number);
        self.end();
    }

    /// `number / 10^places`.
    pub(crate) fn decimal(&mut self, number: u64, places: u32) {
        self.separate();
        push_decimal(&mut self.text, number, places);
        self.end();
    }

    pub(crate) fn boolean(&mut self, value: bool) {
        self.word(if value { "true" } else { "false" });
    }

    pub(crate) fn null(&mut self) {
        self.word("null");
    }

    /// A value that is JSON already.
    pub(crate) fn raw(&mut self, json: &[u8]) {
        self.separate();
        self.text.extend_from_slice(json);
        self.end();
    }

    fn word(&mut self, word: &str) {
        self.separate();
        self.text.extend_from_slice(word.as_bytes());
        self.end();
    }

    fn push(&mut self, byte: u8) {
        self.text.push(byte);
        self.end();
    }

    /// Ends a piece of text after which a comma may be needed.
    fn end(&mut self) {
        self.last = *self.text.last().expect("something was just appended");
        if self.text.len() >= CHUNK_BYTES {
            self.flush();
        }
    }

    fn separate(&mut self) {
        if !matches!(self.last, b'{' | b'[' | b':') {
            self.text.push(b',');
        }
    }

    fn flush(&mut self) {
        if self.result.is_ok() {
            self.result = self.out.write_all(&self.text);
        }
        self.text.clear();
    }
}
