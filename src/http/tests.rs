use super::*;
use proptest::prelude::*;

/// What became of a connection's bytes, independent of how they were split.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Seen {
    requests: Vec<Request>,
    end: End,
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Request {
    head: String,
    body: Vec<u8>,
    whole: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// Waiting for a request.
    Idle,
    /// Waiting for the rest of one.
    Inside,
    /// Closing after the last answer.
    Ended,
    Refused(Refusal),
}

/// Feeds `wire` in pieces that end at `cuts`, as an event loop would, and checks that every call gets on.
fn feed(wire: &[u8], cuts: &[usize], limits: &HttpLimits) -> Seen {
    let mut parser = Parser::new();
    let mut requests: Vec<Request> = Vec::new();
    let mut start = 0;
    let ends = cuts.iter().copied().filter(|&c| c < wire.len()).chain([wire.len()]);
    for end in ends {
        loop {
            let input = &wire[start.min(end)..end];
            if parser.in_body() {
                let request = requests.last_mut().expect("a body follows a head");
                match parser.body(input, limits) {
                    Ok(Body::Data { consumed, data }) => {
                        assert!(!data.is_empty() && data.end == consumed && consumed <= input.len());
                        request.body.extend_from_slice(&input[data]);
                        start += consumed;
                    }
                    Ok(Body::NeedMore { consumed }) => {
                        assert_eq!(consumed, input.len());
                        start += consumed;
                        break;
                    }
                    Ok(Body::End { consumed }) => {
                        request.whole = true;
                        start += consumed;
                    }
                    Err(refusal) => return refused(parser, requests, refusal, limits),
                }
            } else {
                match parser.head(input, limits) {
                    Ok(Some(head)) => {
                        assert!(head.bytes > 0 && head.bytes <= input.len());
                        let h = &head.headers;
                        let values = [
                            h.accept,
                            h.authorization,
                            h.connection,
                            h.content_encoding,
                            h.content_type,
                            h.expect,
                            h.host,
                            h.user_agent,
                        ];
                        let values: Vec<_> = values.iter().map(|v| String::from_utf8_lossy(v)).collect();
                        let text = format!(
                            "{} {} ? {} {:?} keep={} expect={} {:?} {}",
                            head.method.as_str(),
                            head.path,
                            head.query,
                            head.version,
                            head.keep_alive,
                            head.expect_continue,
                            head.length,
                            values.join("|")
                        );
                        start += head.bytes;
                        requests.push(Request { head: text, ..Request::default() });
                    }
                    Ok(None) => break,
                    Err(refusal) => return refused(parser, requests, refusal, limits),
                }
            }
        }
    }
    let end = match parser.phase(&wire[start..]) {
        Phase::Idle => End::Idle,
        Phase::Answering => End::Ended,
        _ => End::Inside,
    };
    Seen { requests, end }
}

fn refused(mut parser: Parser, requests: Vec<Request>, refusal: Refusal, limits: &HttpLimits) -> Seen {
    assert!(parser.is_ended());
    assert_eq!(parser.head(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", limits).err(), Some(Refusal::Closed));
    Seen { requests, end: End::Refused(refusal) }
}

fn whole(wire: &[u8]) -> Seen {
    feed(wire, &[], &HttpLimits::default())
}

/// The one request of `wire`, which must be complete and alone.
fn one(wire: &str) -> Request {
    let seen = whole(wire.as_bytes());
    assert_eq!((seen.requests.len(), matches!(seen.end, End::Refused(_))), (1, false), "{wire:?}: {seen:?}");
    let request = seen.requests.into_iter().next().expect("counted");
    assert!(request.whole, "{wire:?}");
    request
}

fn refusal(wire: &str) -> Refusal {
    match whole(wire.as_bytes()).end {
        End::Refused(refusal) => refusal,
        end => panic!("{wire:?} was taken: {end:?}"),
    }
}

#[test]
fn heads_are_read() {
    let wire = "POST /write?db=a%20b&precision=ns HTTP/1.1\r\nHost: h:9480\r\nUser-Agent: Telegraf/1.3\r\n\
                Content-Length: 3\r\ncontent-ENCODING:gzip\t\r\nX-Other: 1\r\n\r\nabc";
    let request = one(wire);
    assert_eq!(
        request.head,
        "POST /write ? db=a%20b&precision=ns Http11 keep=true expect=false Bytes(3) |||gzip|||h:9480|Telegraf/1.3"
    );
    assert_eq!(request.body, b"abc");
    let absolute = one("GET http://Example.com:80?x=1 HTTP/1.1\r\nHost: other\r\n\r\n");
    assert_eq!(absolute.head, "GET / ? x=1 Http11 keep=true expect=false Bytes(0) ||||||Example.com:80|");
    assert!(one("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").head.starts_with("OPTIONS * ? "));
    assert!(one("\r\n\r\nBREW /pot HTTP/1.1\r\nHost:\r\n\r\n").head.starts_with("BREW /pot "));
    assert!(one("GET /a HTTP/1.1\nHost: a\n\n").head.starts_with("GET /a "), "bare LF, as hyper takes it");
}

#[test]
fn the_connection_stays_or_goes_as_both_versions_say() {
    let keeps = |version: &str, headers: &str| {
        let wire = format!("GET / HTTP/{version}\r\nHost: a\r\n{headers}\r\n");
        one(&wire).head.contains("keep=true")
    };
    assert!(keeps("1.1", ""));
    assert!(!keeps("1.1", "Connection: close\r\n"));
    assert!(!keeps("1.1", "Connection: keep-alive, Close\r\nConnection: keep-alive\r\n"));
    assert!(keeps("1.1", "Connection: closed\r\n"));
    assert!(!keeps("1.0", ""));
    assert!(keeps("1.0", "Connection: Keep-Alive\r\n"));
    assert!(!keeps("1.0", "Connection: keep-alive\r\nConnection: close\r\n"));
}

#[test]
fn ambiguous_and_broken_heads_are_refused() {
    let with = |headers: &str| refusal(&format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n0\r\n\r\n"));
    assert_eq!(with("Content-Length: 5\r\nContent-Length: 6\r\n"), Refusal::ContentLength);
    for bad in ["+5", "-1", "5, 5", "0x5", "", "5 5", "18446744073709551616"] {
        assert_eq!(with(&format!("Content-Length: {bad}\r\n")), Refusal::ContentLength, "{bad}");
    }
    assert_eq!(with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), Refusal::TwoLengths);
    assert_eq!(with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), Refusal::TwoLengths);
    for coding in ["gzip", "gzip, chunked", "identity", "chunked, chunked", "xchunked", ""] {
        assert_eq!(with(&format!("Transfer-Encoding: {coding}\r\n")), Refusal::TransferCoding, "{coding}");
    }
    assert_eq!(
        with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        Refusal::TransferEncoding
    );
    assert_eq!(with("Transfer-Encoding : chunked\r\n"), Refusal::Malformed("invalid header name"));
    assert_eq!(with(" folded: 1\r\n"), Refusal::Malformed("invalid header name"));
    assert_eq!(with("X: a\r\n folded\r\n"), Refusal::Malformed("invalid header name"));
    assert_eq!(with("X: a\0\r\n"), Refusal::Malformed("invalid header value"));
    assert_eq!(with("Host: b\r\n"), Refusal::Host);
    assert_eq!(refusal("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), Refusal::Host);
    assert_eq!(with("Expect: tea\r\n"), Refusal::Expectation);
    assert_eq!(with("Authorization: a\r\nAuthorization: b\r\n"), Refusal::Repeated("Authorization"));
    assert_eq!(with("Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n"), Refusal::ContentCodings);
    assert_eq!(with(&"X: 1\r\n".repeat(HEADERS_MAX)), Refusal::HeadTooLarge);
    let http_10 = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(refusal(http_10), Refusal::TransferEncoding);
    assert_eq!(refusal("GET / HTTP/1.1\r\n\r\n"), Refusal::Host);
    assert_eq!(refusal("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Refusal::Version);
    assert_eq!(refusal("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"), Refusal::Connect);
    assert_eq!(refusal(&"\r\n".repeat(9)), Refusal::Malformed("blank lines instead of a request"));
    assert_eq!(refusal("\x16\x03\x01\x02\x00\x01"), Refusal::Malformed("invalid request line"));
    for target in
        ["a", "*", "/a#b", "/\u{e4}", "ftp://a/", "http:///a", "http://u@a/", "http://a:b/", "//a b"]
    {
        let wire = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(
            matches!(refusal(&wire), Refusal::Malformed(_) | Refusal::Version),
            "{target}: {:?}",
            refusal(&wire)
        );
    }
}

#[test]
fn a_head_over_the_limit_is_refused_however_it_comes() {
    let limits = HttpLimits { head_bytes_max: 100, ..HttpLimits::default() };
    let fits = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(100 - 26));
    assert_eq!(fits.len(), 100);
    let over = fits.replace("Host: ", "Host: a");
    let long_target = format!("GET /{}", "a".repeat(200));
    for cuts in [vec![], (1..300).collect()] {
        assert_eq!(feed(fits.as_bytes(), &cuts, &limits).end, End::Idle);
        assert_eq!(feed(over.as_bytes(), &cuts, &limits).end, End::Refused(Refusal::HeadTooLarge));
        assert_eq!(feed(&over.as_bytes()[..101 - 3], &cuts, &limits).end, End::Inside);
        assert_eq!(feed(long_target.as_bytes(), &cuts, &limits).end, End::Refused(Refusal::TargetTooLong));
    }
}

#[test]
fn chunked_bodies_are_read() {
    let chunked =
        |body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n{body}");
    assert_eq!(one(&chunked("3\r\nabc\r\n0a\r\n0123456789\r\n0\r\n\r\n")).body, b"abc0123456789");
    assert_eq!(one(&chunked("0\r\n\r\n")).body, b"");
    assert_eq!(one(&chunked("3 ;a=\"b\"\r\nabc\r\n000\r\nTrailer: x\r\nOther:\r\n\r\n")).body, b"abc");
    for bad in [
        "\r\n",
        "g\r\n",
        "3\nabc\r\n",
        "3\r\nabcd\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabcd\n0\r\n\r\n",
        "-1\r\n",
        "0x3\r\n",
        "3;\nabc",
        "3 3\r\n",
        " 3\r\n",
        "3\rabc",
        "11111111111111111\r\n",
        "0\r\nno colon\r\n\r\n",
        "0\r\n: x\r\n\r\n",
        "0\r\nA: b\n\r\n",
        "0\r\n folded\r\n\r\n",
        "0\r\n A: b\r\n\r\n",
        "0\r\n:A: b\r\n\r\n",
        "0\r\n\rX",
        "3;\0\r\n",
        "3\r\nabc\rX0\r\n\r\n",
        "3\rXabc\r\n0\r\n\r\n",
        "0\r\nA: b\rX\r\n",
    ] {
        assert!(matches!(refusal(&chunked(bad)), Refusal::Chunk(_)), "{bad:?}");
    }
    let many = "1;x=1234567\r\na\r\n".repeat(usize::from(CHUNK_EXTENSION_BYTES_MAX));
    assert_eq!(refusal(&chunked(&many)), Refusal::ChunkOverhead);
    let many = format!("0\r\n{}", "A: b\r\n".repeat(usize::from(TRAILER_BYTES_MAX)));
    assert_eq!(refusal(&chunked(&many)), Refusal::ChunkOverhead);
}

#[test]
fn framing_that_just_fits_its_limits_is_taken() {
    let chunked =
        |body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    assert_eq!(one(&chunked("0000000000000003\r\nabc\r\n0\r\n\r\n")).body, b"abc");
    let extension = |bytes: u16| chunked(&format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(bytes.into())));
    assert_eq!(one(&extension(CHUNK_EXTENSION_BYTES_MAX - 1)).body, b"a");
    assert_eq!(refusal(&extension(CHUNK_EXTENSION_BYTES_MAX)), Refusal::ChunkOverhead);
    let trailer = |bytes: u16| chunked(&format!("0\r\nA:{}\r\n\r\n", "x".repeat(bytes.into())));
    assert_eq!(one(&trailer(TRAILER_BYTES_MAX - 2)).body, b"");
    assert_eq!(refusal(&trailer(TRAILER_BYTES_MAX - 1)), Refusal::ChunkOverhead);
    let limits = HttpLimits { body_bytes_max: 10, ..HttpLimits::default() };
    let known = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789";
    for wire in [known, &chunked("6\r\nabcdef\r\n4\r\nghij\r\n0\r\n\r\n")] {
        assert_eq!(feed(wire.as_bytes(), &[], &limits).end, End::Idle, "{wire:?}");
    }
}

#[test]
fn bodies_over_the_limit_are_refused_before_they_are_read() {
    let limits = HttpLimits { body_bytes_max: 10, ..HttpLimits::default() };
    let mut parser = Parser::new();
    let wire = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-Continue\r\n\r\n";
    assert!(parser.head(wire, &limits).expect("a head").expect("whole").expect_continue);
    assert_eq!(parser.body(b"", &limits), Err(Refusal::BodyTooLarge));

    let chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n5\r\n";
    let seen = feed(chunked, &[], &limits);
    assert_eq!(
        (seen.requests[0].body.as_slice(), seen.end),
        (&b"abcdef"[..], End::Refused(Refusal::BodyTooLarge))
    );
}

#[test]
fn a_continue_is_wanted_only_by_those_who_wait_for_it() {
    let wants = |version: &str, length: u32| {
        let wire = format!(
            "PUT / HTTP/{version}\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        );
        let head = Parser::new()
            .head(wire.as_bytes(), &HttpLimits::default())
            .expect("a head")
            .map(|h| h.expect_continue);
        head.expect("whole")
    };
    assert!(wants("1.1", 3));
    assert!(!wants("1.1", 0));
    assert!(!wants("1.0", 3));
}

#[test]
fn pipelined_requests_come_one_after_another_until_one_closes() {
    let wire = b"GET /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxx\r\nHEAD /2 HTTP/1.1\r\nHost: a\r\n\r\n\
                 POST /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\nyGET /4 HTTP/1.1\r\n\r\n";
    let seen = whole(wire);
    let bodies: Vec<&[u8]> = seen.requests.iter().map(|r| r.body.as_slice()).collect();
    assert_eq!((bodies, seen.end), (vec![&b"xx"[..], b"", b"y"], End::Ended));
}

#[test]
fn a_drained_connection_takes_no_further_request() {
    let mut parser = Parser::new();
    assert_eq!(parser.phase(b""), Phase::Idle);
    assert_eq!(parser.phase(b"\r\n"), Phase::Idle);
    assert_eq!(parser.phase(b"G"), Phase::Head);
    parser.close();
    let limits = HttpLimits::default();
    assert!(parser.head(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &limits).expect("no refusal").is_none());
    assert!(parser.is_ended());
}

#[test]
fn answers_are_framed_for_who_asked() {
    let to = AnswerTo { head_only: false, keep_alive: true, http_10: false };
    let text = |to: AnswerTo, status: Status, body: Option<&[u8]>| {
        let mut out = Vec::new();
        let response = Response::new(&mut out, to, status);
        match body {
            Some(body) => response.body("text/plain", body),
            None => response.empty(),
        }
        String::from_utf8(out).expect("ASCII")
    };
    assert_eq!(text(to, Status::NO_CONTENT, None), "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(text(to, Status::OK, None), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(
        text(AnswerTo { head_only: true, ..to }, Status::OK, Some(b"abc")),
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\n"
    );
    assert_eq!(
        text(AnswerTo { http_10: true, ..to }, Status::OK, None),
        "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"
    );
}

#[test]
fn quoted_input_adds_no_header() {
    let mut out = Vec::new();
    let response = Response::new(&mut out, AnswerTo::REFUSED, Status::BAD_REQUEST);
    response.header("X-Influxdb-Error", b"bad 'x\r\nSet-Cookie: a=b\0'").empty();
    let text = String::from_utf8(out).expect("ASCII");
    assert!(text.contains("X-Influxdb-Error: bad 'x  Set-Cookie: a=b '\r\n"), "{text}");
}

#[test]
fn the_date_is_that_of_the_second_given() {
    let mut stamp = DateStamp::default();
    stamp.update(784_111_777);
    let mut out = Vec::new();
    Response::new(&mut out, AnswerTo::REFUSED, Status::NO_CONTENT).date(&stamp).empty();
    let text = String::from_utf8(out).expect("ASCII");
    assert!(text.contains("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), "{text}");
}

/// Pieces that requests are made of, whole and broken.
fn wire() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(
        &[
            "GET / HTTP/1.1\r\n",
            "POST /write?a=b HTTP/1.1\r\n",
            "PUT http://a/b HTTP/1.0\r\n",
            "Host: a\r\n",
            "Content-Length: 5\r\n",
            "Content-Length: 0\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Connection: close\r\n",
            "Expect: 100-continue\r\n",
            "\r\n",
            "\n",
            "\r",
            "hello",
            "5\r\n",
            "5;ext\r\nhello\r\n",
            "0\r\n\r\n",
            "0\r\nA: b\r\n\r\n",
            " ",
            ":",
            "X: y\n",
            "\0",
            "\u{e4}",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        ][..],
    );
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat().into_bytes())
}

/// Where the bytes break off inside a line, whether the line is already known to be bad depends on when it was last
/// parsed; what was taken before never does. A line end may be half there, too.
fn settled(mut seen: Seen, wire: &[u8]) -> Seen {
    let broken_off = seen.end == End::Idle && wire.ends_with(b"\r");
    if broken_off || matches!(seen.end, End::Refused(_)) {
        seen.end = End::Inside;
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn splits_change_nothing(wire in wire(), mut cuts in prop::collection::vec(0usize..200, 0..12)) {
        cuts.sort_unstable();
        let limits = HttpLimits { body_bytes_max: 12, ..HttpLimits::default() };
        let whole = feed(&wire, &[], &limits);
        let bytewise: Vec<usize> = (0..wire.len()).collect();
        prop_assert_eq!(settled(feed(&wire, &cuts, &limits), &wire), settled(whole.clone(), &wire));
        prop_assert_eq!(settled(feed(&wire, &bytewise, &limits), &wire), settled(whole.clone(), &wire));
        // Once every line has ended, the verdict itself is the same.
        let ended = [&wire[..], b"\r\n\r\n"].concat();
        prop_assert_eq!(feed(&ended, &cuts, &limits), feed(&ended, &[], &limits));
    }

    #[test]
    fn arbitrary_bytes_are_taken_or_refused(
        start in wire(),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        cuts in prop::collection::vec(0usize..300, 0..8),
    ) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        let limits = HttpLimits { head_bytes_max: 128, ..HttpLimits::default() };
        let _ = feed(&bytes, &cuts, &limits);
        let _ = feed(&[start, bytes].concat(), &cuts, &limits);
    }
}
