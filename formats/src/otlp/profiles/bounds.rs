//! How many rows a request has, counted where it lies: a row of two bytes becomes a hundred in memory, so they are counted before
//! any is made.

use crate::decode::{DecodeError, Limits, Message};

/// Fields that are messages themselves, by the number of the field, and what is counted there.
struct Kind {
    what: &'static str,
    fields: &'static [(u32, &'static Kind)],
}

const LEAF: &[(u32, &Kind)] = &[];
/// Lists and maps within values nest without bound; their content is counted by its bytes.
static ATTRIBUTE: Kind = Kind { what: "attributes", fields: LEAF };
static SAMPLE: Kind = Kind { what: "samples", fields: LEAF };
static PROFILE: Kind = Kind { what: "profiles", fields: &[(2, &SAMPLE)] };
static SCOPE: Kind = Kind { what: "scopes", fields: &[(2, &PROFILE)] };
static RESOURCE: Kind = Kind { what: "attributes", fields: &[(1, &ATTRIBUTE)] };
static RESOURCE_PROFILES: Kind = Kind { what: "resources", fields: &[(1, &RESOURCE), (2, &SCOPE)] };
static LINE: Kind = Kind { what: "lines", fields: LEAF };
static LOCATION: Kind = Kind { what: "locations", fields: &[(3, &LINE)] };
static ROW: Kind = Kind { what: "rows of the dictionary", fields: LEAF };
static DICTIONARY: Kind = Kind {
    what: "dictionaries",
    fields: &[(1, &ROW), (2, &LOCATION), (3, &ROW), (4, &ROW), (5, &ROW), (6, &ATTRIBUTE), (7, &ROW)],
};
static REQUEST: Kind = Kind { what: "requests", fields: &[(1, &RESOURCE_PROFILES), (2, &DICTIONARY)] };

/// Values nest no deeper than this within attributes; the library that makes structs of them has such a bound, too.
const BYTES_A_VALUE: usize = 1 << 20;

/// Refuses a request with too many rows.
pub(super) fn check(request: &[u8], limits: &Limits) -> Result<(), DecodeError> {
    limits.check("bytes of a profile", request.len(), limits.profile_bytes)?;
    let (mut samples, mut others) = (0, 0);
    count(&REQUEST, request, &mut |kind, bytes| {
        if std::ptr::eq(kind, &SAMPLE) {
            samples += 1;
            return limits.check("samples", samples, limits.samples);
        }
        if std::ptr::eq(kind, &ATTRIBUTE) {
            limits.check("bytes of an attribute", bytes, BYTES_A_VALUE)?;
            // As many rows as its bytes could be, where it is more than a name and a text.
            others += bytes / 256;
        }
        others += 1;
        limits.check("rows of the dictionary", others, limits.strings * 2)
    })
}

fn count(
    kind: &'static Kind,
    bytes: &[u8],
    each: &mut impl FnMut(&'static Kind, usize) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut message = Message::new(kind.what, bytes);
    while let Some((number, field)) = message.next()? {
        if let Some((_, within)) = kind.fields.iter().find(|(known, _)| *known == number) {
            let bytes = message.bytes(field)?;
            each(within, bytes.len())?;
            if !within.fields.is_empty() {
                count(within, bytes, each)?;
            }
        }
    }
    Ok(())
}
