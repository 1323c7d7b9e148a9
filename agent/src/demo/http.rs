//! As much of HTTP/1.1 as the demo needs: requests without a body, answers with a length.

/// The longest head of a request or answer.
pub(super) const HEAD_BYTES_MAX: usize = 8 * 1024;

const HEADERS_MAX: usize = 32;

/// What the beginning of a connection's input is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed<T> {
    /// Not all of it has come yet.
    Incomplete,
    /// It is no HTTP that is understood here.
    Malformed,
    /// A whole message.
    Complete(T),
}

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// The path, without a query.
    pub(super) path: String,
    /// Whether the connection stays open for another request.
    pub(super) keep_alive: bool,
    /// Bytes of input that the request takes.
    pub(super) length: usize,
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status, such as 200.
    pub(super) status: u16,
    /// Bytes of input that the answer takes, its body included.
    pub(super) length: usize,
}

/// Parses a GET request.
pub(super) fn parse_request(input: &[u8]) -> Parsed<Request> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(input) {
        Ok(httparse::Status::Complete(length)) if length <= HEAD_BYTES_MAX => length,
        Ok(httparse::Status::Partial) if input.len() < HEAD_BYTES_MAX => return Parsed::Incomplete,
        _ => return Parsed::Malformed,
    };
    let has_body = header(request.headers, "transfer-encoding").is_some()
        || header(request.headers, "content-length").is_some_and(|length| length != "0");
    let (Some("GET"), Some(target), false) = (request.method, request.path, has_body) else {
        return Parsed::Malformed;
    };
    let path = target.split('?').next().unwrap_or(target).to_owned();
    let connection = header(request.headers, "connection").unwrap_or("");
    let keep_alive = request.version == Some(1) && !connection.eq_ignore_ascii_case("close");
    Parsed::Complete(Request { path, keep_alive, length })
}

/// Parses an answer that says how long it is.
pub(super) fn parse_answer(input: &[u8]) -> Parsed<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut headers);
    let head = match answer.parse(input) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) if input.len() < HEAD_BYTES_MAX => return Parsed::Incomplete,
        _ => return Parsed::Malformed,
    };
    let body: Option<usize> = header(answer.headers, "content-length").and_then(|length| length.parse().ok());
    match (answer.code, body.and_then(|body| head.checked_add(body))) {
        (Some(status), Some(length)) if length <= input.len() => Parsed::Complete(Answer { status, length }),
        (Some(_), Some(_)) => Parsed::Incomplete,
        _ => Parsed::Malformed,
    }
}

/// The head of an answer.
pub(super) fn answer_head(status: &str, content_type: &str, body_bytes: usize, keep_alive: bool) -> String {
    let connection = if keep_alive { "keep-alive" } else { "close" };
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {body_bytes}\r\nconnection: {connection}\r\n\r\n"
    )
}

fn header<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a str> {
    let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(header.value).ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_complete_with_its_empty_line_and_no_sooner() {
        let input = b"GET /fast?x=1 HTTP/1.1\r\nhost: a\r\n\r\nGET";
        for end in 0..input.len() - 3 {
            assert_eq!(parse_request(&input[..end]), Parsed::Incomplete, "{end}");
        }
        let request = Request { path: "/fast".into(), keep_alive: true, length: input.len() - 3 };
        assert_eq!(parse_request(input), Parsed::Complete(request));
    }

    #[test]
    fn who_asks_to_close_or_speaks_http_1_0_is_not_kept() {
        for input in ["GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"] {
            let Parsed::Complete(request) = parse_request(input.as_bytes()) else { panic!("{input}") };
            assert!(!request.keep_alive);
        }
    }

    #[test]
    fn what_is_no_request_without_a_body_is_malformed() {
        let endless = [b"GET / HTTP/1.1\r\nx: ".to_vec(), vec![b'a'; HEAD_BYTES_MAX]].concat();
        let inputs: [&[u8]; 4] = [
            b"POST / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\ncontent-length: 5\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01",
            &endless,
        ];
        for input in inputs {
            assert_eq!(parse_request(input), Parsed::Malformed, "{}", String::from_utf8_lossy(input));
        }
    }

    #[test]
    fn an_answer_is_complete_with_its_body() {
        let answer = answer_head("200 OK", "text/plain", 3, true) + "abc";
        assert_eq!(parse_answer(&answer.as_bytes()[..answer.len() - 1]), Parsed::Incomplete);
        let length = answer.len();
        assert_eq!(parse_answer(answer.as_bytes()), Parsed::Complete(Answer { status: 200, length }));
        assert_eq!(parse_answer(b"HTTP/1.1 200 OK\r\n\r\n"), Parsed::Malformed);
    }
}
