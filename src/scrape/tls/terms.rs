//! What a certificate says of its own use: from when to when, and whether a server may show it.
//!
//! Comes in: a certificate in DER that webpki has parsed and refused for being an authority's; webpki keeps both facts
//! to itself. Goes out: the facts, or nothing for whatever this walk does not expect. Not known here: names,
//! signatures, chains, the time.

use jiff::civil::DateTime;
use jiff::tz::Offset;

/// What a certificate allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Terms {
    /// Unix times in seconds, both inclusive.
    pub(super) not_before_s: i64,
    pub(super) not_after_s: i64,
    /// It may be a server's: it names no purposes, or this one, or any.
    pub(super) serves: bool,
}

impl Terms {
    /// Reads the terms of a certificate (RFC 5280, 4.1); `None`: it is not of that form.
    pub(super) fn read(certificate: &[u8]) -> Option<Terms> {
        let mut signed = Elements(Elements(certificate).take(SEQUENCE)?);
        let mut fields = Elements(signed.take(SEQUENCE)?);
        fields.take(VERSION);
        fields.take(INTEGER)?;
        let (_algorithm, _issuer) = (fields.take(SEQUENCE)?, fields.take(SEQUENCE)?);
        let mut period = Elements(fields.take(SEQUENCE)?);
        let (not_before_s, not_after_s) = (period.time_s()?, period.time_s()?);
        let (_subject, _key) = (fields.take(SEQUENCE)?, fields.take(SEQUENCE)?);
        fields.take(ISSUER_ID);
        fields.take(SUBJECT_ID);
        let extensions = match fields.take(EXTENSIONS) {
            Some(explicit) => Elements(explicit).take(SEQUENCE)?,
            None => &[],
        };
        let ended = fields.0.is_empty() && period.0.is_empty();
        ended.then_some(Terms { not_before_s, not_after_s, serves: serves(extensions)? })
    }
}

/// Whether a server may show a certificate with these extensions.
fn serves(extensions: &[u8]) -> Option<bool> {
    let mut extensions = Elements(extensions);
    while !extensions.0.is_empty() {
        let mut extension = Elements(extensions.take(SEQUENCE)?);
        let name = extension.take(OBJECT_ID)?;
        extension.take(BOOLEAN);
        let value = extension.take(OCTET_STRING)?;
        if name == EXTENDED_KEY_USAGE {
            let mut purposes = Elements(Elements(value).take(SEQUENCE)?);
            let mut found = false;
            while !purposes.0.is_empty() {
                let purpose = purposes.take(OBJECT_ID)?;
                found |= purpose == SERVER_AUTH || purpose == ANY_PURPOSE;
            }
            return Some(found);
        }
    }
    Some(true)
}

/// What is left of elements in DER that stand one behind the other. Each step takes at least its tag.
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// The content of the next element, if it has this tag; otherwise it stays.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (_, rest) = self.0.split_first().filter(|(found, _)| **found == tag)?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // Up to 16 MiB: a certificate within a handshake is shorter.
            0x81..=0x83 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }

    /// A time, as RFC 5280 (4.1.2.5) has it: always with seconds, always UTC.
    fn time_s(&mut self) -> Option<i64> {
        let (digits, century) = match self.take(UTC_TIME) {
            // Two digits of a year stand for 1950 to 2049.
            Some(short) => (short, Some(if short.first()? < &b'5' { 20 } else { 19 })),
            None => (self.take(GENERALIZED_TIME)?, None),
        };
        let mut pairs = digits.strip_suffix(b"Z")?.chunks(2).map(pair);
        let century = match century {
            Some(century) => century,
            None => pairs.next()??,
        };
        let year = i16::from(century) * 100 + i16::from(pairs.next()??);
        let mut next = || pairs.next()?;
        let time = DateTime::new(year, next()?, next()?, next()?, next()?, next()?, 0).ok()?;
        if pairs.next().is_some() {
            return None;
        }
        Some(Offset::UTC.to_timestamp(time).ok()?.as_second())
    }
}

/// The number of two digits.
fn pair(digits: &[u8]) -> Option<i8> {
    match digits {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Some(((tens - b'0') * 10 + (ones - b'0')).cast_signed()),
        _ => None,
    }
}

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// Fields of a certificate that have a number for a tag.
const VERSION: u8 = 0xa0;
const ISSUER_ID: u8 = 0x81;
const SUBJECT_ID: u8 = 0x82;
const EXTENSIONS: u8 = 0xa3;

/// 2.5.29.37
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
/// 2.5.29.37.0
const ANY_PURPOSE: &[u8] = &[0x55, 0x1d, 0x25, 0x00];
/// 1.3.6.1.5.5.7.3.1
const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, ExtendedKeyUsagePurpose as Purpose, KeyPair, date_time_ymd};

    fn certificate(from_year: i32, to_year: i32, purposes: &[Purpose]) -> Vec<u8> {
        let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from_year, 1, 2);
        params.not_after = date_time_ymd(to_year, 12, 31);
        params.extended_key_usages = purposes.to_vec();
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_period_is_read_in_both_spellings_of_a_year() {
        // Years from 2050 on, and before 1950, are written with four digits.
        for (from, to, from_s, to_s) in [
            (1975, 2049, 157_852_800, 2_524_521_600),
            (1949, 1950, -662_601_600, -599_702_400),
            (2000, 2050, 946_771_200, 2_556_057_600),
            (2050, 4096, 2_524_694_400, 67_121_654_400),
        ] {
            let terms = Terms::read(&certificate(from, to, &[])).unwrap();
            assert_eq!((terms.not_before_s, terms.not_after_s), (from_s, to_s), "{from} {to}");
        }
    }

    #[test]
    fn purposes_are_none_or_have_the_servers_among_them() {
        for (purposes, serves) in [
            (&[][..], true),
            (&[Purpose::ServerAuth], true),
            (&[Purpose::ClientAuth, Purpose::ServerAuth], true),
            (&[Purpose::Any], true),
            (&[Purpose::ClientAuth], false),
            (&[Purpose::CodeSigning, Purpose::OcspSigning], false),
        ] {
            assert_eq!(
                Terms::read(&certificate(2000, 2040, purposes)).unwrap().serves,
                serves,
                "{purposes:?}"
            );
        }
    }

    #[test]
    fn times_are_whole_and_in_utc() {
        let time = |tag: u8, text: &str| {
            let mut bytes = vec![tag, u8::try_from(text.len()).unwrap()];
            bytes.extend_from_slice(text.as_bytes());
            Elements(&bytes).time_s()
        };
        assert_eq!(time(UTC_TIME, "700101000001Z"), Some(1));
        assert_eq!(time(GENERALIZED_TIME, "19700101000100Z"), Some(60));
        for bad in
            ["", "Z", "700101000001", "7001010000Z", "701301000001Z", "700101000001+0100", "70010100000100Z"]
        {
            assert_eq!(time(UTC_TIME, bad), None, "{bad}");
        }
        assert_eq!(time(GENERALIZED_TIME, "19700101000100.5Z"), None);
        assert_eq!(time(OCTET_STRING, "700101000001Z"), None);
    }

    #[test]
    fn a_damaged_certificate_has_no_terms_or_others_but_never_panics() {
        let whole = certificate(2000, 2040, &[Purpose::ServerAuth]);
        for end in 0..whole.len() {
            assert_eq!(Terms::read(&whole[..end]), None, "{end}");
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                _ = Terms::read(&bytes);
            }
        }
    }
}
