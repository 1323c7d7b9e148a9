//! Protocol buffers, read where they lie: a message is an iterator over its fields.
//!
//! `prost` makes structs of a whole message first: a million empty samples of two bytes each would become a hundred
//! megabytes before anybody could count them. Here a limit is checked before anything is kept, and names are not copied.

use super::DecodeError;

/// A message, or what is left of it.
#[derive(Clone, Debug)]
pub(crate) struct Message<'a> {
    bytes: &'a [u8],
    what: &'static str,
    /// How many bytes there were, to tell where something is wrong.
    length: usize,
}

/// The value of a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Field<'a> {
    /// A number of variable length.
    Number(u64),
    /// Eight bytes.
    Fixed(u64),
    /// Text, bytes, a message, or packed numbers.
    Bytes(&'a [u8]),
}

impl<'a> Message<'a> {
    /// These bytes as a message; `what` it is stands in errors.
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { bytes, what, length: bytes.len() }
    }

    /// The next field, as its number and its value.
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Field<'a>)>, DecodeError> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).map_err(|_| self.malformed())?;
        let field = match key & 7 {
            0 => Field::Number(self.varint()?),
            1 => Field::Fixed(u64::from_le_bytes(*self.take_array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| self.malformed())?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Fixed(u64::from(u32::from_le_bytes(*self.take_array()?))),
            _ => return Err(self.malformed()),
        };
        if number == 0 { Err(self.malformed()) } else { Ok(Some((number, field))) }
    }

    /// What is wrong here.
    pub(crate) fn malformed(&self) -> DecodeError {
        DecodeError::Malformed { what: self.what, at: self.length - self.bytes.len() }
    }

    /// The bytes of a field that must have some.
    pub(crate) fn bytes(&self, field: Field<'a>) -> Result<&'a [u8], DecodeError> {
        match field {
            Field::Bytes(bytes) => Ok(bytes),
            _ => Err(self.malformed()),
        }
    }

    /// The text of a field; what is no UTF-8 is an error.
    pub(crate) fn text(&self, field: Field<'a>) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes(field)?).map_err(|_| self.malformed())
    }

    /// The number of a field that must be one.
    pub(crate) fn number(&self, field: Field<'a>) -> Result<u64, DecodeError> {
        match field {
            Field::Number(number) | Field::Fixed(number) => Ok(number),
            Field::Bytes(_) => Err(self.malformed()),
        }
    }

    /// The message in a field.
    pub(crate) fn message(&self, what: &'static str, field: Field<'a>) -> Result<Message<'a>, DecodeError> {
        Ok(Message::new(what, self.bytes(field)?))
    }

    /// The numbers of a repeated field, whether they are packed or come one by one.
    pub(crate) fn numbers(
        &self,
        field: Field<'a>,
        mut each: impl FnMut(u64) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        match field {
            Field::Number(number) | Field::Fixed(number) => each(number),
            Field::Bytes(bytes) => {
                let mut packed = Message::new(self.what, bytes);
                while !packed.bytes.is_empty() {
                    each(packed.varint()?)?;
                }
                Ok(())
            }
        }
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut number = 0;
        for (position, byte) in self.bytes.iter().take(10).enumerate() {
            number |= u64::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                self.bytes = &self.bytes[position + 1..];
                return Ok(number);
            }
        }
        Err(self.malformed())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or_else(|| self.malformed())?;
        self.bytes = rest;
        Ok(taken)
    }

    fn take_array<const N: usize>(&mut self) -> Result<&'a [u8; N], DecodeError> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or_else(|| self.malformed())?;
        self.bytes = rest;
        Ok(taken)
    }
}
