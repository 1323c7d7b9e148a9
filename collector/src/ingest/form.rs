//! Multipart forms (RFC 7578), read where they lie.

/// What a boundary has at the most (RFC 2046). One without a bound would be compared at each byte.
const BOUNDARY_BYTES_MAX: usize = 70;

/// The content of the part of this name, where the header names a boundary.
pub fn part<'a>(body: &'a [u8], content_type: &str, wanted: &str) -> Option<&'a [u8]> {
    let boundary =
        content_type.split(';').find_map(|parameter| parameter.trim().strip_prefix("boundary="))?;
    let boundary = boundary.trim_matches('"');
    if boundary.is_empty() || boundary.len() > BOUNDARY_BYTES_MAX {
        return None;
    }
    let delimiter = format!("--{boundary}");
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

    #[test]
    fn a_boundary_is_no_longer_than_the_standard_lets_it_be() {
        for (bytes, is_found) in [(1, true), (70, true), (71, false), (10_000, false)] {
            let boundary = "-".repeat(bytes);
            let body = format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--{boundary}--"
            );
            let content_type = format!("multipart/form-data; boundary={boundary}");
            let found = part(body.as_bytes(), &content_type, "a");
            assert_eq!(found, is_found.then_some(&b"1"[..]), "{bytes} bytes");
        }
    }
}
