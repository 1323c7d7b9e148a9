//! Untrusted text, made safe for where it stands.
//!
//! Function names come from the profiled program. [`legible`] takes away what XML 1.0 forbids and what would let a name
//! pass for another (control characters, characters that turn the direction of writing); [`Xml`] and [`WithoutMarkup`]
//! then escape for their place. The script puts names on the page only as text, never as markup.

use std::fmt::{self, Display, Formatter};
use std::io;

/// The text as it may be shown: each character that cannot be is replaced by U+FFFD.
pub(super) fn legible(text: &str) -> String {
    let forbidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{2028}' | '\u{2029}')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.replace(forbidden, "\u{fffd}")
}

/// The width of a character of the page's proportional font at 12 px, in CSS pixels: rather too much than too little.
pub(super) const CHARACTER_WIDTH: f64 = 6.4;

/// As much of the text as fits into so many characters.
pub(super) fn cut(text: &str, characters: f64) -> String {
    let characters = characters as usize;
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    text.chars().take(characters.saturating_sub(1)).chain(['…']).collect()
}

/// Text in XML, in an element or an attribute.
pub(super) struct Xml<'a>(pub(super) &'a str);

impl Display for Xml<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut plain = 0;
        for (position, byte) in self.0.bytes().enumerate() {
            let escaped = match byte {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                b'\'' => "&#39;",
                _ => continue,
            };
            f.write_str(&self.0[plain..position])?;
            f.write_str(escaped)?;
            plain = position + 1;
        }
        f.write_str(&self.0[plain..])
    }
}

/// Passes JSON on with the characters of markup as escapes, which JSON allows wherever they can stand: in strings. What
/// arrives means nothing to a parser of XML or HTML, and so can end neither a `<script>` nor a section.
pub(super) struct WithoutMarkup<W>(pub(super) W);

impl<W: io::Write> io::Write for WithoutMarkup<W> {
    fn write(&mut self, json: &[u8]) -> io::Result<usize> {
        let mut plain = 0;
        for (position, byte) in json.iter().enumerate() {
            if matches!(byte, b'<' | b'>' | b'&') {
                self.0.write_all(&json[plain..position])?;
                write!(self.0, "\\u{byte:04x}")?;
                plain = position + 1;
            }
        }
        self.0.write_all(&json[plain..])?;
        Ok(json.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn control_characters_and_turners_of_direction_are_replaced() {
        assert_eq!(legible("a\0b\x1b[31m\u{202e}c\u{ffff}"), "a\u{fffd}b\u{fffd}[31m\u{fffd}c\u{fffd}");
        assert_eq!(legible("größe→名前🔥"), "größe→名前🔥");
    }

    #[test]
    fn xml_text_holds_no_markup() {
        assert_eq!(
            Xml("<a b=\"c\" d='e'>&]]>").to_string(),
            "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;]]&gt;"
        );
        assert_eq!(Xml("plain").to_string(), "plain");
    }

    #[test]
    fn json_holds_no_markup() {
        let mut out = Vec::new();
        WithoutMarkup(&mut out).write_all(br#"{"]]></script>":"<!--&amp;"}"#).unwrap();
        assert_eq!(out, br#"{"]]\u003e\u003c/script\u003e":"\u003c!--\u0026amp;"}"#);
    }
}
