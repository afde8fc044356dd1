//! Requests on a connection.

use tidegate::http::{Body, Head, HttpLimits, Parser, Phase, Query, Refusal, decode_segment};

use super::way::Way;

/// What became of a connection's bytes.
#[derive(PartialEq, Debug)]
struct Seen {
    /// Each request's head, body, and whether all of it came.
    requests: Vec<(String, Vec<u8>, bool)>,
    end: End,
}

#[derive(Clone, PartialEq, Debug)]
enum End {
    Waiting(Phase),
    Refused(Refusal),
}

/// Heads, framing and queries: the same requests, and a refusal or none, wherever the bytes are cut; and no call that
/// gets nowhere.
pub fn http(data: &[u8]) {
    let (way, wire) = Way::read(data);
    // A head that drips in is looked at when a line of it ends: so the last one does.
    let wire = &[wire, b"\n"].concat()[..];
    let limits = HttpLimits {
        head_bytes_max: if way.has(1) { 256 } else { 16 << 10 },
        body_bytes_max: if way.has(2) { 64 } else { 1 << 20 },
        decoded_bytes_max: 1 << 20,
    };
    let whole = feed(wire, [wire.len()].into_iter(), &limits);
    let mut cut = feed(wire, way.ends(wire.len()), &limits);
    // Of two faults of a head the one that is met first may depend on the pieces.
    if matches!((&whole.end, &cut.end), (End::Refused(_), End::Refused(_))) {
        cut.end = whole.end.clone();
    }
    assert_eq!(cut, whole, "in pieces, and whole");
    for (_, body, _) in &whole.requests {
        assert!(body.len() as u64 <= limits.body_bytes_max);
    }
}

fn feed(wire: &[u8], ends: impl Iterator<Item = usize>, limits: &HttpLimits) -> Seen {
    let mut parser = Parser::new();
    let mut requests: Vec<(String, Vec<u8>, bool)> = Vec::new();
    let mut start = 0;
    for end in ends {
        loop {
            let input = &wire[start..end];
            let refused = if parser.in_body() {
                let (_, body, whole) = requests.last_mut().expect("a body follows a head");
                match parser.body(input, limits) {
                    Ok(Body::Data { consumed, data }) => {
                        assert!(!data.is_empty() && data.end == consumed && consumed <= input.len());
                        body.extend_from_slice(&input[data]);
                        start += consumed;
                        None
                    }
                    Ok(Body::NeedMore { consumed }) => {
                        assert_eq!(consumed, input.len());
                        start += consumed;
                        break;
                    }
                    Ok(Body::End { consumed }) => {
                        *whole = true;
                        start += consumed;
                        None
                    }
                    Err(refusal) => Some(refusal),
                }
            } else {
                match parser.head(input, limits) {
                    Ok(Some(head)) => {
                        assert!(head.bytes > 0 && head.bytes <= input.len());
                        Query::new(head.query).for_each(drop);
                        head.path.split('/').for_each(|segment| drop(decode_segment(segment)));
                        requests.push((said(&head), Vec::new(), false));
                        start += head.bytes;
                        None
                    }
                    Ok(None) => break,
                    Err(refusal) => Some(refusal),
                }
            };
            if let Some(refusal) = refused {
                assert!(parser.is_ended());
                assert_eq!(
                    parser.head(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", limits).err(),
                    Some(Refusal::Closed)
                );
                return Seen { requests, end: End::Refused(refusal) };
            }
        }
    }
    Seen { requests, end: End::Waiting(parser.phase(&wire[start..])) }
}

/// All that a head says.
fn said(head: &Head<'_>) -> String {
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
    let values: Vec<_> = values.iter().map(|value| String::from_utf8_lossy(value)).collect();
    format!(
        "{:?} {} ? {} {:?} keep={} expect={} {:?} {}",
        head.method,
        head.path,
        head.query,
        head.version,
        head.keep_alive,
        head.expect_continue,
        head.length,
        values.join("|")
    )
}
