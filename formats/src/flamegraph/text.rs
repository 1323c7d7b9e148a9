//! Untrusted text, made safe for where it stands.
//!
//! Function names come from the profiled program. [`legible`] takes away what XML 1.0 forbids and what would let a name
//! pass for another (control characters, characters that turn the direction of writing); the two `Display` types then
//! escape for their place. The script puts names on the page only as text, never as markup.

use std::fmt::{self, Display, Formatter, Write as _};

/// The text as it may be shown: each character that cannot be is replaced by U+FFFD.
pub(super) fn legible(text: &str) -> String {
    let forbidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{2028}' | '\u{2029}')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.replace(forbidden, "\u{fffd}")
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

/// A JSON string in a CDATA section of a `<script>`, quotes included: it can end neither the section nor, if the file
/// is pasted into HTML, the script.
pub(super) struct Json<'a>(pub(super) &'a str);

impl Display for Json<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        let bytes = self.0.as_bytes();
        let mut plain = 0;
        for (position, byte) in bytes.iter().enumerate() {
            let escaped = match byte {
                b'"' => "\\\"",
                b'\\' => "\\\\",
                b'<' if matches!(bytes.get(position + 1), Some(b'/' | b'!')) => "\\u003c",
                b'>' if position > 0 && matches!(bytes[position - 1], b']' | b'-') => "\\u003e",
                _ => continue,
            };
            f.write_str(&self.0[plain..position])?;
            f.write_str(escaped)?;
            plain = position + 1;
        }
        f.write_str(&self.0[plain..])?;
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
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
    fn json_text_ends_neither_its_section_nor_a_script() {
        assert_eq!(Json("]]></script><!--").to_string(), r#""]]\u003e\u003c/script>\u003c!--""#);
        assert_eq!(Json(r#"Vec<T>::"\x""#).to_string(), r#""Vec<T>::\"\\x\"""#);
    }
}
