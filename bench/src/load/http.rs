//! As much of HTTP/1.1 as the generator needs.

use std::str;

use anyhow::{Context as _, bail};

/// More than any of the programs that are measured sends.
const MAX_HEADERS: usize = 48;

/// An answer, whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Response<'a> {
    pub(crate) status: u16,
    head: &'a [u8],
    pub(crate) body: &'a [u8],
}

impl<'a> Response<'a> {
    /// Takes the first answer out of `bytes`, and says how long it is; `None` while it is not whole.
    pub(crate) fn parse(bytes: &'a [u8]) -> anyhow::Result<Option<(Self, usize)>> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(head) = parsed.parse(bytes).context("no HTTP")? else {
            return Ok(None);
        };
        let status = parsed.code.context("no status")?;
        let length = match find(parsed.headers, "content-length") {
            Some(length) => length.parse().context("content-length")?,
            None if status == 204 => 0,
            None => bail!("an answer ({status}) without content-length"),
        };
        let Some(body) = bytes.get(head..head + length) else { return Ok(None) };
        Ok(Some((Self { status, head: &bytes[..head], body }, head + length)))
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        parsed.parse(self.head).ok()?;
        find(parsed.headers, name)
    }

    /// A member of the JSON object in the body that is a text.
    pub(crate) fn text(&self, member: &str) -> anyhow::Result<String> {
        let body: serde_json::Value = serde_json::from_slice(self.body).context("no JSON")?;
        let text = body.get(member).and_then(serde_json::Value::as_str);
        Ok(text.with_context(|| format!("no {member} in {body}"))?.to_owned())
    }
}

fn find<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a str> {
    let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    str::from_utf8(header.value).ok()
}

/// The bytes of a request. `headers` are whole lines without their ends.
pub(crate) fn request(method: &str, path: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    if !body.is_empty() {
        text.push_str("Content-Length: ");
        text.push_str(&body.len().to_string());
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nDPoP-Nonce: n\r\n\r\n{\"a\":\"b\"}";

    #[test]
    fn an_answer_that_is_not_whole_is_none_yet() {
        for length in 0..ANSWER.len() {
            assert!(Response::parse(&ANSWER[..length]).unwrap().is_none());
        }
    }

    #[test]
    fn an_answer_ends_where_the_next_begins() {
        let two = [ANSWER, ANSWER].concat();
        let (response, length) = Response::parse(&two).unwrap().unwrap();
        assert_eq!((response.status, length), (200, ANSWER.len()));
        assert_eq!(response.header("dpop-nonce"), Some("n"));
        assert_eq!(response.text("a").unwrap(), "b");
    }

    #[test]
    fn an_answer_of_unknown_length_is_an_error() {
        assert!(Response::parse(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").is_err());
    }

    #[test]
    fn a_request_says_how_long_its_body_is() {
        let bytes = request("POST", "/x", &["A: b"], "abc");
        let expected =
            "POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\nA: b\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }
}
