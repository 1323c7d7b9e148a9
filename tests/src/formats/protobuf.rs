//! The wire format of protocol buffers, as far as a reader without a schema needs it:
//! <https://protobuf.dev/programming-guides/encoding/>.

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Field<'a> {
    /// An integer, a boolean or an enum.
    Number(u64),
    /// Eight bytes: a double or a fixed-size integer.
    Fixed64(u64),
    /// Four bytes.
    Fixed32(u32),
    /// Text, a message, or packed numbers.
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    /// The bytes of a message inside.
    ///
    /// # Panics
    /// If the field has no length.
    pub fn message(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            other => panic!("a message was expected, not {other:?}"),
        }
    }

    /// The text.
    ///
    /// # Panics
    /// If it is none.
    pub fn text(self) -> String {
        String::from_utf8(self.message().to_owned()).expect("UTF-8")
    }

    /// The integer, or all of them if they are packed.
    ///
    /// # Panics
    /// If the field holds no integers.
    pub fn numbers(self) -> Vec<u64> {
        match self {
            Self::Number(number) => vec![number],
            Self::Bytes(mut bytes) => {
                let mut numbers = Vec::new();
                while !bytes.is_empty() {
                    numbers.push(varint(&mut bytes));
                }
                numbers
            }
            other => panic!("integers were expected, not {other:?}"),
        }
    }
}

/// The fields of a message with their numbers, in their order.
///
/// # Panics
/// While iterating, if the message is not well-formed.
pub fn fields(message: &[u8]) -> impl Iterator<Item = (u32, Field<'_>)> {
    let mut rest = message;
    std::iter::from_fn(move || {
        (!rest.is_empty()).then(|| {
            let key = varint(&mut rest);
            let field = match key & 7 {
                0 => Field::Number(varint(&mut rest)),
                1 => Field::Fixed64(u64::from_le_bytes(take(&mut rest, 8).try_into().expect("eight bytes"))),
                2 => {
                    let length = varint(&mut rest) as usize;
                    Field::Bytes(take(&mut rest, length))
                }
                5 => Field::Fixed32(u32::from_le_bytes(take(&mut rest, 4).try_into().expect("four bytes"))),
                kind => panic!("wire type {kind}"),
            };
            ((key >> 3) as u32, field)
        })
    })
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return value;
        }
    }
    panic!("an integer of more than ten bytes");
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at_checked(length).expect("a message is as long as it says");
    *bytes = rest;
    taken
}
