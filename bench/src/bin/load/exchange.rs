//! As much of HTTP/1.1 as a load generator needs: requests written whole, answers read by their length.

use std::io::Write as _;

use anyhow::bail;
use http::{HeaderName, HeaderValue};
use trust::request::Target;

/// Header fields of an answer that are read.
const FIELDS_MAX: usize = 32;

/// The fields that sign a request.
pub(crate) type Signed = [(HeaderName, HeaderValue); 3];

/// Writes a signed request with a JSON body.
pub(crate) fn write(out: &mut Vec<u8>, target: &Target, fields: &Signed, body: &[u8]) {
    let Target { method, authority, path_and_query } = target;
    // Into memory: it does not fail.
    let _ = write!(
        out,
        "{method} {path_and_query} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in fields {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

/// An answer that is there as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    /// Its status.
    pub(crate) status: u16,
    /// Its body.
    pub(crate) body: &'a [u8],
    /// Seconds after which to try again, where it says so.
    pub(crate) retry_after: Option<u64>,
    /// Whether the server closes behind it.
    pub(crate) closes: bool,
    /// Bytes that it takes, its head included.
    pub(crate) length: usize,
}

/// Reads an answer; none while a part of it is missing.
///
/// # Errors
/// When it is no answer of HTTP/1.1 with a length.
pub(crate) fn read(bytes: &[u8]) -> anyhow::Result<Option<Answer<'_>>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(begin) = head.parse(bytes)? else { return Ok(None) };
    let status = head.code.unwrap_or_default();
    let field = |name: &str| {
        let found = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    };
    if field("transfer-encoding").is_some() {
        bail!("an answer in pieces, where a length was expected");
    }
    let number = |name| field(name).and_then(|text| text.parse::<u64>().ok());
    // Of what has not changed, the length is told and nothing comes (RFC 9110 §8.6).
    let bodiless = matches!(status, 204 | 304);
    let length = if bodiless { 0 } else { number("content-length").unwrap_or(0) };
    let length = begin + usize::try_from(length)?;
    let retry_after = number("retry-after");
    let closes = field("connection").is_some_and(|text| text.eq_ignore_ascii_case("close"));
    let body = bytes.get(begin..length);
    Ok(body.map(|body| Answer { status, body, retry_after, closes, length }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    #[test]
    fn a_request_is_written_as_it_is_signed() {
        let target = Target {
            method: Method::POST,
            authority: "127.0.0.1:8443".to_owned(),
            path_and_query: "/v1/x".to_owned(),
        };
        let field = |name: &'static str, value: &'static str| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let fields = [field("content-digest", "a"), field("signature-input", "b"), field("signature", "c")];
        let mut out = Vec::new();
        write(&mut out, &target, &fields, b"{}");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(
            text,
            "POST /v1/x HTTP/1.1\r\nhost: 127.0.0.1:8443\r\ncontent-type: application/json\r\n\
             content-length: 2\r\ncontent-digest: a\r\nsignature-input: b\r\nsignature: c\r\n\r\n{}"
        );
    }

    #[test]
    fn an_answer_is_read_once_it_is_whole() {
        let whole =
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3\r\nretry-after: 2\r\n\r\nabcHTTP/1.1";
        for cut in 0..whole.len() - 8 {
            assert_eq!(read(&whole[..cut]).expect("no error"), None, "{cut}");
        }
        let answer = read(whole).expect("no error").expect("whole");
        assert_eq!((answer.status, answer.body, answer.retry_after), (503, &b"abc"[..], Some(2)));
        assert_eq!((answer.length, answer.closes), (whole.len() - 8, false));
        let closing = b"HTTP/1.1 304 Not Modified\r\nconnection: close\r\ncontent-length: 9\r\n\r\n";
        let answer = read(closing).expect("no error").expect("whole");
        assert_eq!((answer.body, answer.closes, answer.length), (&b""[..], true, closing.len()));
        assert!(read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(read(b"SSH-2.0-OpenSSH\r\n\r\n").is_err());
    }
}
