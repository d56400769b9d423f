//! As much of HTTP/1.1 as it takes to find the end of an answer: status, `Location`, `Content-Length`.
//!
//! For the senders that must control every byte, or cost next to nothing. Chunked answers are refused, loudly.

use anyhow::{Context, Result, bail, ensure};

/// Headers an answer may have.
const MAX_HEADERS: usize = 64;

/// An answer that is there in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    pub status: u16,
    pub location: Option<&'a [u8]>,
    /// Its connection will be closed behind it.
    pub closes: bool,
    pub body: &'a [u8],
    /// Bytes of the whole answer, head and body.
    pub len: usize,
}

/// The first answer in `input`, or `None` while it is not complete. `to_head`: it answers a HEAD, and so has no body.
///
/// # Errors
/// When `input` is not HTTP/1.1, or the length of the body cannot be told.
pub fn first_answer(input: &[u8], to_head: bool) -> Result<Option<Answer<'_>>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head_len) = head.parse(input).context("not an HTTP/1.1 answer")? else {
        return Ok(None);
    };
    let status = head.code.context("an answer without a status")?;
    let (mut location, mut body_len, mut closes) = (None, None, false);
    for header in head.headers.iter() {
        if header.name.eq_ignore_ascii_case("location") {
            ensure!(location.is_none(), "two Locations");
            location = Some(header.value);
        } else if header.name.eq_ignore_ascii_case("content-length") {
            body_len = Some(std::str::from_utf8(header.value)?.parse::<usize>().context("Content-Length")?);
        } else if header.name.eq_ignore_ascii_case("connection") {
            closes = header.value.eq_ignore_ascii_case(b"close");
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("a chunked answer");
        }
    }
    let body_len = match body_len {
        _ if to_head || status == 204 || status == 304 => 0,
        Some(len) => len,
        None => bail!("an answer without Content-Length"),
    };
    let len = head_len + body_len;
    Ok(input.get(head_len..len).map(|body| Answer { status, location, closes, body, len }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REDIRECT: &[u8] =
        b"HTTP/1.1 302 Found\r\ncontent-length: 2\r\nLocation: http://x.example/\xc3\xa4\r\n\r\nokHTTP/1.1 404";

    #[test]
    fn an_answer_ends_where_its_length_says() {
        let answer = first_answer(REDIRECT, false).unwrap().unwrap();
        assert_eq!((answer.status, answer.body, answer.closes), (302, &b"ok"[..], false));
        assert_eq!(answer.location, Some(&b"http://x.example/\xc3\xa4"[..]));
        assert_eq!(&REDIRECT[answer.len..], b"HTTP/1.1 404");
    }

    #[test]
    fn an_answer_is_not_taken_before_it_is_complete() {
        let end = first_answer(REDIRECT, false).unwrap().unwrap().len;
        for cut in 0..end {
            assert_eq!(first_answer(&REDIRECT[..cut], false).unwrap(), None, "cut at {cut}");
        }
    }

    #[test]
    fn the_answer_to_a_head_has_no_body() {
        let answer = first_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n", true);
        let answer = answer.unwrap().unwrap();
        assert_eq!((answer.body, answer.closes), (&b""[..], true));
    }

    #[test]
    fn what_has_no_end_is_refused() {
        assert!(first_answer(b"HTTP/1.1 200 OK\r\n\r\n", false).is_err());
        assert!(first_answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false).is_err());
        assert!(first_answer(b"SSH-2.0\r\n\r\n", false).is_err());
    }
}
