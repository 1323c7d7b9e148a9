//! Reading folded stacks: `outermost;…;innermost 42`, one line a stack.
//!
//! The weight is what follows the last space. Lines without text are passed over; any other that does not end in a number is
//! an error, for a file of which half the lines were left out would be a wrong profile.

use crate::decode::{DecodeError, Decoded, Limits, Sample, ValueType};

/// Reads folded stacks whose weights count this.
///
/// # Errors
/// [`DecodeError`] with the line that is wrong, or what is too much.
pub fn decode(text: &[u8], kind: ValueType, limits: &Limits) -> Result<Decoded, DecodeError> {
    limits.check("bytes of a profile", text.len(), limits.profile_bytes)?;
    let mut decoded = Decoded::new(vec![kind]);
    for (line, text) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let malformed = |what| DecodeError::Malformed { what, at: line };
        let text = std::str::from_utf8(text).map_err(|_| malformed("a line that is no UTF-8"))?;
        let text = text.trim_end_matches('\r');
        if text.trim().is_empty() {
            continue;
        }
        let (stack, weight) = text.rsplit_once(' ').ok_or(malformed("a line without a weight at its end"))?;
        let weight: i64 = weight.parse().map_err(|_| malformed("a line without a weight at its end"))?;
        limits.check("samples", decoded.samples.len() + 1, limits.samples)?;
        let symbols = &mut decoded.symbols;
        let mut parent = None;
        for (depth, name) in (1..).zip(stack.split(';')) {
            limits.check("frames of a stack", depth, limits.depth)?;
            let frame = symbols.named(limits.cut(name.trim()));
            parent = Some(symbols.stacks.push(parent, frame));
        }
        limits.check("strings", symbols.strings.iter().len(), limits.strings)?;
        decoded.samples.push(Sample { stack: parent, label_set: 0 });
        decoded.values.push(weight);
        limits.check_decoded(decoded.row_bytes())?;
    }
    Ok(decoded)
}
