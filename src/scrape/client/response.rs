//! The head of a server's answer: what it means, and how its body ends.

use httparse::{EMPTY_HEADER, ParserConfig, Response, Status};

use crate::http::body::Encoding;
use crate::http::{BodyLength, Framing};

/// Bytes of a head, those of answers before the last one included.
pub(super) const HEAD_BYTES_MAX: usize = 64 << 10;

/// Headers of an answer.
const HEADERS_MAX: usize = 128;

/// A head that was read.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    /// As servers say it: number and reason.
    pub(super) status_text: String,
    /// `None`: the body ends with the connection.
    pub(super) framing: Option<Framing>,
    /// `None`: a coding that is not known here; the bytes are taken as they are.
    pub(super) encoding: Option<Encoding>,
    pub(super) content_type: String,
    pub(super) location: Option<String>,
    /// The connection may be used again after the body.
    pub(super) keep_alive: bool,
    /// Bytes of the head.
    pub(super) bytes: usize,
}

impl Head {
    /// Reads a head at the start of `input`; `None` if more is to come.
    ///
    /// # Errors
    /// What is no answer of HTTP/1.
    pub(super) fn parse(input: &[u8]) -> Result<Option<Head>, String> {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut response = Response::new(&mut headers);
        let parsed = folding()
            .parse_response(&mut response, input)
            .map_err(|error| format!("malformed HTTP response: {error}"))?;
        let Status::Complete(bytes) = parsed else {
            let long = input.len() >= HEAD_BYTES_MAX;
            return if long { Err("the response's headers are too long".to_owned()) } else { Ok(None) };
        };
        let status = response.code.unwrap_or_default();
        let mut head = Head {
            status,
            status_text: status_text(status, response.reason.unwrap_or_default()),
            framing: None,
            encoding: Some(Encoding::Identity),
            content_type: String::new(),
            location: None,
            keep_alive: response.version == Some(1),
            bytes,
        };
        head.read_headers(response.headers)?;
        Ok(Some(head))
    }

    fn read_headers(&mut self, headers: &[httparse::Header<'_>]) -> Result<(), String> {
        let mut length = None;
        let mut chunked = false;
        for header in headers {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            let text = || unfolded(header.value);
            if is("content-length") {
                let digits = text();
                let sound = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                let bytes = digits.parse::<u64>().ok().filter(|_| sound);
                let bytes = bytes.ok_or_else(|| format!("bad Content-Length {digits:?}"))?;
                if length.is_some_and(|known| known != bytes) {
                    return Err("two Content-Length that differ".to_owned());
                }
                length = Some(bytes);
            } else if is("transfer-encoding") {
                chunked = match text() {
                    coding if coding.eq_ignore_ascii_case("chunked") => true,
                    coding => return Err(format!("unsupported transfer encoding: {coding:?}")),
                };
            } else if is("content-type") && self.content_type.is_empty() {
                self.content_type = text();
            } else if is("content-encoding") {
                self.encoding = Encoding::parse(text().as_bytes());
            } else if is("location") {
                self.location = Some(text());
            } else if is("connection") {
                let close = |token: &str| token.trim().eq_ignore_ascii_case("close");
                self.keep_alive &= !text().split(',').any(close);
            }
        }
        self.framing = match length {
            _ if chunked => {
                // Two ways to say where it ends: the second would begin the next answer elsewhere.
                self.keep_alive &= length.is_none();
                Some(Framing::new(BodyLength::Chunked))
            }
            _ if self.status == 204 || self.status == 304 => Some(Framing::new(BodyLength::Bytes(0))),
            Some(bytes) => Some(Framing::new(BodyLength::Bytes(bytes))),
            None => None,
        };
        self.keep_alive &= self.framing.is_some();
        Ok(())
    }

    /// Whether another answer to the same request follows.
    pub(super) fn is_interim(&self) -> bool {
        (100..200).contains(&self.status)
    }

    /// Where it leads, if it leads elsewhere.
    pub(super) fn redirects_to(&self) -> Option<&str> {
        matches!(self.status, 301 | 302 | 303 | 307 | 308).then_some(self.location.as_deref()?)
    }
}

/// Go's clients take a header that goes on in a line that begins with a blank, and old servers send some.
fn folding() -> ParserConfig {
    let mut config = ParserConfig::default();
    config.allow_obsolete_multiline_headers_in_responses(true);
    config
}

/// A header's value on one line, its pieces apart by a blank (RFC 9112, 5.2).
fn unfolded(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let pieces: Vec<&str> = text.split('\n').map(str::trim).filter(|piece| !piece.is_empty()).collect();
    pieces.join(" ")
}

/// A status and why, as far as that is worth a line of the log.
fn status_text(status: u16, reason: &str) -> String {
    let reason = &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)];
    format!("{status} {reason}").trim_end().to_owned()
}

/// Bytes of a reason that are shown.
const REASON_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        Head::parse(format!("HTTP/1.1 {text}\r\n\r\n").as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn a_head_says_how_its_body_ends_and_whether_another_may_follow() {
        for (text, length, keep_alive) in [
            ("200 OK\r\nContent-Length: 5", Some(Some(5)), true),
            ("200 OK\r\ncontent-length: 5\r\nConnection: x, Close", Some(Some(5)), false),
            ("200 OK\r\nTransfer-Encoding: Chunked", Some(None), true),
            ("200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5", Some(None), false),
            ("200 OK", None, false),
            ("204 No Content", Some(Some(0)), true),
        ] {
            let head = head(text);
            let found = head.framing.as_ref().map(Framing::left_bytes);
            assert_eq!((found, head.keep_alive), (length, keep_alive), "{text}");
        }
        let old = Head::parse(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n").unwrap().unwrap();
        assert!(!old.keep_alive);
    }

    #[test]
    fn a_folded_header_is_one_header() {
        let folded = head(
            "200 OK\r\nX-A: b\r\n  c\r\nContent-Type: text/plain;\r\n\tversion=0.0.4\r\nContent-Length:\r\n 5",
        );
        assert_eq!(folded.content_type, "text/plain; version=0.0.4");
        assert_eq!(folded.framing.as_ref().map(Framing::left_bytes), Some(Some(5)));
        let gzip = head("200 OK\r\nContent-Encoding:\r\n gzip");
        assert!(matches!(gzip.encoding, Some(Encoding::Gzip)));
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n 6\r\n\r\n").is_err());
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for bad in [
            "SSH-2.0-OpenSSH_9\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        ] {
            assert!(Head::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(HEAD_BYTES_MAX));
        assert!(Head::parse(endless.as_bytes()).unwrap_err().contains("too long"));
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\nX: y").unwrap().is_none());
    }

    #[test]
    fn a_status_is_shown_as_the_server_said_it() {
        assert_eq!(head("404 Not Found").status_text, "404 Not Found");
        assert_eq!(head("500").status_text, "500");
        assert_eq!(head(&format!("500 {}", "x".repeat(300))).status_text, format!("500 {}", "x".repeat(256)));
        assert_eq!(head("302 Found\r\nLocation: /x").redirects_to(), Some("/x"));
        assert_eq!(head("200 OK\r\nLocation: /x").redirects_to(), None);
        assert!(head("200 OK\r\nContent-Encoding: br").encoding.is_none());
    }
}
