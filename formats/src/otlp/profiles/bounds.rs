//! How many rows a request has, counted where it lies: a row of two bytes becomes a hundred in memory, so they are counted before
//! any is made.

use crate::decode::{DecodeError, Limits, Message};

/// Fields that are messages themselves, by the number of the field, and what is counted there.
struct Kind {
    what: &'static str,
    fields: &'static [(u32, &'static Kind)],
}

const LEAF: &[(u32, &Kind)] = &[];
static ATTRIBUTE: Kind = Kind { what: "attributes", fields: &[(2, &VALUE)] };
/// Values are lists and maps of values, too.
static VALUE: Kind = Kind { what: "values", fields: &[(5, &LIST), (6, &MAP)] };
static LIST: Kind = Kind { what: "lists", fields: &[(1, &VALUE)] };
static MAP: Kind = Kind { what: "maps", fields: &[(1, &ATTRIBUTE)] };
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

/// Messages nest no deeper than this; the library that makes structs of them has such a bound, too.
const DEPTH_MAX: usize = 100;

/// How deep the value of an attribute of a resource stands; those of the dictionary stand less deep, values within values deeper.
const VALUE_DEPTH: usize = 4;

/// Refuses a request with too many rows.
pub(super) fn check(request: &[u8], limits: &Limits) -> Result<(), DecodeError> {
    limits.check("bytes of a profile", request.len(), limits.profile_bytes)?;
    let (mut samples, mut others) = (0, 0);
    count(&REQUEST, request, 0, &mut |kind, depth| {
        if std::ptr::eq(kind, &SAMPLE) {
            samples += 1;
            return limits.check("samples", samples, limits.samples);
        }
        // Each attribute has a value, which is counted with it.
        if std::ptr::eq(kind, &VALUE) && depth <= VALUE_DEPTH {
            return Ok(());
        }
        limits.check("levels of messages within each other", depth, DEPTH_MAX)?;
        others += 1;
        limits.check("rows of the dictionary", others, limits.strings * 2)
    })
}

fn count(
    kind: &'static Kind,
    bytes: &[u8],
    depth: usize,
    each: &mut impl FnMut(&'static Kind, usize) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut message = Message::new(kind.what, bytes);
    while let Some((number, field)) = message.next()? {
        if let Some((_, within)) = kind.fields.iter().find(|(known, _)| *known == number) {
            let bytes = message.bytes(field)?;
            each(within, depth + 1)?;
            if !within.fields.is_empty() {
                count(within, bytes, depth + 1, each)?;
            }
        }
    }
    Ok(())
}
