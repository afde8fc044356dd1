//! What is said with a proxy that speaks SOCKS 5 (RFC 1928) before it leads to a server; with a name and a password
//! (RFC 1929) where it asks for them.
//!
//! Comes in: what the proxy says, in pieces of any size. Goes out: what it is to be told, and how many bytes it is to
//! be heard for: those behind them are the server's. Keeps: it hears [`HEARD_BYTES_MAX`] at most, whatever the proxy
//! says. Names are looked up by the proxy, for `socks5` as for `socks5h`: as Go's clients have it. It refuses to know
//! how bytes travel, and how long that may take.

use std::net::IpAddr;

/// Bytes of all answers together: how to say who we are, whether that is believed, and the longest reply.
#[cfg(test)]
const HEARD_BYTES_MAX: usize = 2 + 2 + REPLY_BYTES_MAX;

/// Bytes of a reply: four, and an address, which is a name of 255 bytes at the longest with its length, and a port.
pub(super) const REPLY_BYTES_MAX: usize = 4 + 1 + 255 + 2;

const VERSION: u8 = 5;
const CONNECT: u8 = 1;

/// Ways to say who we are.
const NOBODY: u8 = 0;
const BY_PASSWORD: u8 = 2;
const NONE_OF_THESE: u8 = 0xff;

/// Of the passwords' own protocol.
const PASSWORD_VERSION: u8 = 1;

/// Kinds of addresses.
const V4: u8 = 1;
const NAME: u8 = 3;
const V6: u8 = 4;

/// A conversation with a proxy.
pub(in crate::scrape) struct Socks {
    stage: Stage,
    /// A name and a password.
    user: Option<(Vec<u8>, Vec<u8>)>,
    /// Asks for the way to the server.
    request: Vec<u8>,
    /// The part of an answer that has come.
    heard: Vec<u8>,
}

/// What the proxy says next.
enum Stage {
    /// How it wants to be told who we are.
    Method,
    /// Whether it believes that.
    Verdict,
    /// Whether it has reached the server.
    Reply,
    /// Nothing: the server speaks.
    Open,
}

impl Socks {
    /// Begins to ask for the way to a server; what is to be said at once is appended to `out`.
    ///
    /// # Errors
    /// The server is none that can be asked for.
    pub(super) fn new(
        user: Option<(Vec<u8>, Vec<u8>)>,
        (host, port): (&str, u16),
        out: &mut Vec<u8>,
    ) -> Result<Socks, String> {
        if port == 0 {
            return Err("port number out of range 0".to_owned());
        }
        let mut request = vec![VERSION, CONNECT, 0];
        match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(IpAddr::V4(address)) => {
                request.push(V4);
                request.extend(address.octets());
            }
            Ok(IpAddr::V6(address)) => {
                request.push(V6);
                request.extend(address.octets());
            }
            Err(_) => {
                let bytes = u8::try_from(host.len()).map_err(|_| "the server's name is too long")?;
                request.extend([NAME, bytes]);
                request.extend(host.as_bytes());
            }
        }
        request.extend([(port >> 8) as u8, port as u8]);
        let methods: &[u8] = if user.is_some() { &[NOBODY, BY_PASSWORD] } else { &[NOBODY] };
        out.extend([VERSION, methods.len() as u8]);
        out.extend(methods);
        Ok(Socks { stage: Stage::Method, user, request, heard: Vec::new() })
    }

    /// How many bytes are to be heard next, at most; 0: what comes next is the server's.
    pub(super) fn wants(&self) -> usize {
        let whole = match self.stage {
            Stage::Method | Stage::Verdict => 2,
            Stage::Reply => match self.heard.get(3) {
                None => 4,
                Some(&V4) => 4 + 4 + 2,
                Some(&V6) => 4 + 16 + 2,
                // A name, whose length comes first.
                Some(_) => self.heard.get(4).map_or(5, |&bytes| 5 + usize::from(bytes) + 2),
            },
            Stage::Open => 0,
        };
        whole - self.heard.len()
    }

    /// Hears some of the bytes [wanted](Socks::wants); what is to be said next is appended to `out`.
    ///
    /// # Errors
    /// What the proxy refuses, or does not speak.
    pub(super) fn hear(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        for &byte in piece {
            self.heard.push(byte);
            self.check(byte)?;
        }
        if self.wants() > 0 {
            return Ok(());
        }
        let answer = std::mem::take(&mut self.heard);
        self.stage = match self.stage {
            Stage::Method if answer[1] == BY_PASSWORD => {
                self.tell_password(out)?;
                Stage::Verdict
            }
            Stage::Method | Stage::Verdict => {
                out.append(&mut self.request);
                Stage::Reply
            }
            Stage::Reply | Stage::Open => Stage::Open,
        };
        Ok(())
    }

    /// Looks at the byte that came last.
    fn check(&self, byte: u8) -> Result<(), String> {
        match (&self.stage, self.heard.len()) {
            (Stage::Verdict, 1) if byte != PASSWORD_VERSION => {
                Err("invalid username/password version".to_owned())
            }
            (Stage::Verdict, 2) if byte != 0 => Err("username/password authentication failed".to_owned()),
            (Stage::Method | Stage::Reply, 1) if byte != VERSION => {
                Err(format!("unexpected protocol version {byte}"))
            }
            (Stage::Method, 2) => match byte {
                NOBODY => Ok(()),
                BY_PASSWORD if self.user.is_some() => Ok(()),
                NONE_OF_THESE => Err("no acceptable authentication methods".to_owned()),
                _ => Err(format!("unsupported authentication method {byte}")),
            },
            (Stage::Reply, 2) if byte != 0 => Err(refusal(byte)),
            (Stage::Reply, 3) if byte != 0 => Err("non-zero reserved field".to_owned()),
            (Stage::Reply, 4) if ![V4, NAME, V6].contains(&byte) => {
                Err(format!("unknown address type {byte}"))
            }
            _ => Ok(()),
        }
    }

    fn tell_password(&self, out: &mut Vec<u8>) -> Result<(), String> {
        let (name, password) = self.user.as_ref().map_or((&[][..], &[][..]), |(n, p)| (n, p));
        let (Ok(name_bytes), Ok(password_bytes), false) =
            (u8::try_from(name.len()), u8::try_from(password.len()), name.is_empty())
        else {
            return Err("invalid username/password".to_owned());
        };
        out.extend([PASSWORD_VERSION, name_bytes]);
        out.extend(name);
        out.push(password_bytes);
        out.extend(password);
        Ok(())
    }
}

/// Why a proxy does not lead to the server.
fn refusal(code: u8) -> String {
    let why = match code {
        1 => "general SOCKS server failure",
        2 => "connection not allowed by ruleset",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "TTL expired",
        7 => "command not supported",
        8 => "address type not supported",
        _ => return format!("unknown code: {code}"),
    };
    why.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a conversation comes to.
    #[derive(PartialEq, Eq, Debug)]
    struct Outcome {
        said: Vec<u8>,
        /// Bytes of the proxy's that were left to the server; `Err`: it was broken off.
        left: Result<usize, String>,
    }

    fn user(name: &str, password: &str) -> Option<(Vec<u8>, Vec<u8>)> {
        Some((name.into(), password.into()))
    }

    /// A conversation with a proxy whose words come in pieces that end at these bytes.
    fn talk(user: &Option<(Vec<u8>, Vec<u8>)>, to: (&str, u16), words: &[u8], ends: &[usize]) -> Outcome {
        let mut said = Vec::new();
        let mut socks = match Socks::new(user.clone(), to, &mut said) {
            Ok(socks) => socks,
            Err(why) => return Outcome { said, left: Err(why) },
        };
        let mut at = 0;
        for end in ends.iter().copied().chain([words.len()]) {
            while at < end && socks.wants() > 0 {
                let piece = &words[at..end.min(at + socks.wants())];
                at += piece.len();
                assert!(at <= HEARD_BYTES_MAX);
                if let Err(why) = socks.hear(piece, &mut said) {
                    return Outcome { said, left: Err(why) };
                }
            }
        }
        let left = if socks.wants() == 0 { Ok(words.len() - at) } else { Err("more is to come".to_owned()) };
        Outcome { said, left }
    }

    /// The same wherever the proxy's words are cut in up to three, and byte by byte.
    fn talk_in_pieces(user: &Option<(Vec<u8>, Vec<u8>)>, to: (&str, u16), words: &[u8]) -> Outcome {
        let whole = talk(user, to, words, &[]);
        for first in 0..=words.len() {
            for second in first..=words.len() {
                assert_eq!(talk(user, to, words, &[first, second]), whole, "{first} {second}");
            }
        }
        let each: Vec<usize> = (0..words.len()).collect();
        assert_eq!(talk(user, to, words, &each), whole);
        whole
    }

    const GRANTED: &[u8] = &[5, 0, 0, 1, 127, 0, 0, 1, 0x1f, 0x90];

    #[test]
    fn a_way_is_asked_for_by_name_or_address_and_what_follows_is_the_servers() {
        let granted_v6 = [&[5, 0, 0, 4][..], &[9; 18]].concat();
        let granted_name = [&[5, 0, 0, 3, 3][..], b"bnd", &[0, 80]].concat();
        let granted_no_name = [5, 0, 0, 3, 0, 0, 0];
        let v6 = [&[5, 1, 0, 4][..], &[0x20, 1, 0xd, 0xb8], &[0; 11], &[1, 0x23, 0x8c]].concat();
        for (host, request) in [
            ("metrics.example", [&[5, 1, 0, 3, 15][..], b"metrics.example", &[0x23, 0x8c]].concat()),
            ("10.1.2.3", vec![5, 1, 0, 1, 10, 1, 2, 3, 0x23, 0x8c]),
            ("::ffff:10.1.2.3", vec![5, 1, 0, 1, 10, 1, 2, 3, 0x23, 0x8c]),
            ("2001:db8::1", v6),
            // A zone means something to whoever resolves it.
            ("fe80::1%eth0", [&[5, 1, 0, 3, 12][..], b"fe80::1%eth0", &[0x23, 0x8c]].concat()),
        ] {
            for reply in [GRANTED, &granted_v6, &granted_name, &granted_no_name] {
                let words = [&[5, 0][..], reply, b"HTTP"].concat();
                let outcome = talk_in_pieces(&None, (host, 9100), &words);
                let said = [&[5, 1, 0][..], &request].concat();
                assert_eq!(outcome, Outcome { said, left: Ok(4) }, "{host}");
            }
        }
    }

    #[test]
    fn a_password_is_told_to_a_proxy_that_asks_for_it() {
        let to = ("10.1.2.3", 80);
        let request = [5, 1, 0, 1, 10, 1, 2, 3, 0, 80];
        let told = [&[1, 1][..], b"u", &[3], b"p:w"].concat();
        let words = [&[5, 2, 1, 0][..], GRANTED].concat();
        let said = [&[5, 2, 0, 2][..], &told, &request].concat();
        assert_eq!(talk_in_pieces(&user("u", "p:w"), to, &words), Outcome { said, left: Ok(0) });
        let said = [&[5, 2, 0, 2][..], &request].concat();
        let words = [&[5, 0][..], GRANTED].concat();
        assert_eq!(talk_in_pieces(&user("u", "p:w"), to, &words), Outcome { said, left: Ok(0) });

        let refused = talk_in_pieces(&user("u", "p:w"), to, &[5, 2, 1, 1, 9, 9]);
        assert_eq!(refused.left, Err("username/password authentication failed".to_owned()));
        assert!(!refused.said.ends_with(&request));
        let long = "x".repeat(256);
        for user in [user("", "p"), user(&long, "p"), user("u", &long)] {
            let outcome = talk_in_pieces(&user, to, &[5, 2]);
            assert_eq!(outcome.left, Err("invalid username/password".to_owned()));
            assert_eq!(outcome.said, [5, 2, 0, 2], "nothing of it is told");
            assert_eq!(talk(&user, to, &words, &[]).left, Ok(0), "who is not asked for it may have any");
        }
        let most = user(&long[1..], &long[1..]);
        assert_eq!(talk(&most, to, &[5, 2, 1, 0], &[]).said.len(), 4 + 513 + 10);
    }

    #[test]
    fn what_a_proxy_refuses_or_does_not_speak_is_said() {
        let refusals = [
            "general SOCKS server failure",
            "connection not allowed by ruleset",
            "network unreachable",
            "host unreachable",
            "connection refused",
            "TTL expired",
            "command not supported",
            "address type not supported",
            "unknown code: 9",
        ];
        for (code, why) in (1..).zip(refusals) {
            // Some proxies say no more than that.
            for rest in [&[][..], &[0, 1, 0, 0, 0, 0, 0, 0]] {
                let words = [&[5, 0, 5, code], rest].concat();
                assert_eq!(talk_in_pieces(&None, ("a", 1), &words).left, Err(why.to_owned()));
            }
        }
        for (words, why) in [
            (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "unexpected protocol version 72"),
            (&[4, 0], "unexpected protocol version 4"),
            (&[5, 0xff], "no acceptable authentication methods"),
            (&[5, 1], "unsupported authentication method 1"),
            // It was not offered.
            (&[5, 2], "unsupported authentication method 2"),
            (&[5, 0, 0, 90], "unexpected protocol version 0"),
            (&[5, 0, 5, 0, 1], "non-zero reserved field"),
            (&[5, 0, 5, 0, 0, 2], "unknown address type 2"),
            (&[5, 0, 5, 0, 0, 3, 255, 1], "more is to come"),
            (&[], "more is to come"),
        ] {
            assert_eq!(talk_in_pieces(&None, ("a", 1), words).left, Err(why.to_owned()), "{words:?}");
        }
        let outcome = talk_in_pieces(&user("u", "p"), ("a", 1), &[5, 2, 5, 0]);
        assert_eq!(outcome.left, Err("invalid username/password version".to_owned()));
    }

    #[test]
    fn a_server_that_cannot_be_asked_for_is_not() {
        let name = "x".repeat(255);
        assert_eq!(talk(&None, (&name, 1), &[5, 0], &[]).said.len(), 3 + 5 + 255 + 2);
        for to in [("a", 0), (&*format!("{name}x"), 1)] {
            let outcome = talk(&None, to, &[], &[]);
            assert!(outcome.left.is_err() && outcome.said.is_empty());
        }
    }
}
