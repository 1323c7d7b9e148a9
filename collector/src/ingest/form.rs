//! Multipart forms (RFC 7578), read where they lie.

/// The content of the part of this name, where the header names a boundary.
pub fn part<'a>(body: &'a [u8], content_type: &str, wanted: &str) -> Option<&'a [u8]> {
    let boundary =
        content_type.split(';').find_map(|parameter| parameter.trim().strip_prefix("boundary="))?;
    let delimiter = format!("--{}", boundary.trim_matches('"'));
    let mut rest = &body[find(body, delimiter.as_bytes())? + delimiter.len()..];
    let delimiter = format!("\r\n{delimiter}");
    loop {
        let end = find(rest, delimiter.as_bytes())?;
        let part = &rest[..end];
        let headers_end = find(part, b"\r\n\r\n")?;
        let headers = String::from_utf8_lossy(&part[..headers_end]);
        if headers.split(['\r', '\n', ';']).any(|field| {
            field.trim().strip_prefix("name=").is_some_and(|name| name.trim_matches('"') == wanted)
        }) {
            return Some(&part[headers_end + 4..]);
        }
        rest = &rest[end + delimiter.len()..];
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    // By the first byte first: bodies are megabytes, delimiters are rare.
    let first = *wanted.first()?;
    let mut from = 0;
    loop {
        let position = from + bytes.get(from..)?.iter().position(|byte| *byte == first)?;
        if bytes[position..].starts_with(wanted) {
            return Some(position);
        }
        from = position + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_by_its_name() {
        let body = b"--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--X\r\n\
            Content-Disposition: form-data; name=\"profile\"; filename=\"profile\"\r\nContent-Type: x/y\r\n\r\n\x00\r\n--Y\r\n--X--\r\n";
        assert_eq!(part(body, "multipart/form-data; boundary=X", "a"), Some(&b"1"[..]));
        assert_eq!(part(body, "multipart/form-data; boundary=\"X\"", "profile"), Some(&b"\x00\r\n--Y"[..]));
        assert_eq!(part(body, "multipart/form-data; boundary=X", "other"), None);
        assert_eq!(part(body, "multipart/form-data", "a"), None);
        assert_eq!(part(b"", "multipart/form-data; boundary=X", "a"), None);
    }
}
