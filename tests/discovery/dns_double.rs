//! A DNS server that answers by a closure, over UDP.

// DNS is big-endian.
#![allow(clippy::big_endian_bytes)]
// Two test programs use it, each a part.
#![allow(dead_code)]

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// A record's data.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Srv(u16, String),
    Mx(String),
    Ns(String),
    Cname(String),
}

/// What a name has, or the code of the error that it is answered with.
pub(crate) type DnsReply = Result<Vec<Record>, u8>;

pub(crate) const SERVFAIL: u8 = 2;
pub(crate) const NXDOMAIN: u8 = 3;

/// Starts a server; `answer` is given each name and the number of its type.
pub(crate) fn start(mut answer: impl FnMut(&str, u16) -> DnsReply + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    // It ends with the test's process.
    std::thread::spawn(move || {
        let mut packet = [0; 2048];
        while let Ok((len, from)) = socket.recv_from(&mut packet) {
            let (name, end) = read_name(&packet[..len]);
            let kind = u16::from_be_bytes([packet[end], packet[end + 1]]);
            let question = &packet[12..end + 4];
            let (records, code) = match answer(&name, kind) {
                Ok(records) => (records, 0),
                Err(code) => (Vec::new(), code),
            };
            let mut reply = packet[..2].to_vec();
            // An answer to a question, recursion available.
            reply.extend([0x81, 0x80 | code, 0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
            reply.extend(question);
            for record in &records {
                let (kind, data) = encode(record);
                // The name is the question's; class IN, 60 seconds.
                reply.extend([0xC0, 12]);
                reply.extend(kind.to_be_bytes());
                reply.extend([0, 1, 0, 0, 0, 60]);
                reply.extend((data.len() as u16).to_be_bytes());
                reply.extend(data);
            }
            socket.send_to(&reply, from).unwrap();
        }
    });
    address
}

fn read_name(packet: &[u8]) -> (String, usize) {
    let mut at = 12;
    let mut name = String::new();
    while packet[at] != 0 {
        let len = usize::from(packet[at]);
        name += std::str::from_utf8(&packet[at + 1..at + 1 + len]).unwrap();
        name.push('.');
        at += 1 + len;
    }
    (name.to_lowercase(), at + 1)
}

fn encode(record: &Record) -> (u16, Vec<u8>) {
    let name = |name: &str| {
        let mut bytes = Vec::new();
        for label in name.trim_end_matches('.').split('.') {
            bytes.push(label.len() as u8);
            bytes.extend(label.as_bytes());
        }
        bytes.push(0);
        bytes
    };
    match record {
        Record::A(address) => (1, address.octets().to_vec()),
        Record::Ns(host) => (2, name(host)),
        Record::Cname(host) => (5, name(host)),
        Record::Mx(host) => (15, [vec![0, 10], name(host)].concat()),
        Record::Aaaa(address) => (28, address.octets().to_vec()),
        Record::Srv(port, host) => {
            let numbers = [0, 10_u16, *port].map(u16::to_be_bytes).concat();
            (33, [numbers, name(host)].concat())
        }
    }
}
