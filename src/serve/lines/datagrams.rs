//! Datagrams, many with one system call where the system has one for it.
//!
//! What each platform provides: [`receive`] fills a [`Batch`] from a socket that does not block; [`dropped`] is how
//! many datagrams the kernel had no room for since the socket was made, if it counts them; [`reserve`] asks for room.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Datagrams read with one call.
const BATCH_MAX: usize = 64;

/// Room for each: UDP's largest fits.
const SLOT_BYTES: usize = 64 << 10;

/// Datagrams in hand, of one socket. The memory is used again; pages that no datagram reaches are never touched.
#[derive(Default, Debug)]
pub(super) struct Batch {
    buffer: Vec<u8>,
    found: Vec<Datagram>,
    next: usize,
    /// How much of the next one has been used.
    used: usize,
}

/// What is known of a datagram.
#[derive(Clone, Copy, Debug)]
struct Datagram {
    len: usize,
    cut_short: bool,
    sender: Option<IpAddr>,
}

/// A datagram, or what is left of it.
pub(super) struct Next<'a> {
    pub(super) bytes: &'a [u8],
    /// Its end is missing: it was larger than there was room.
    pub(super) cut_short: bool,
    pub(super) sender: Option<IpAddr>,
}

impl Batch {
    /// The next datagram, or the rest of it.
    pub(super) fn next(&self) -> Option<Next<'_>> {
        let datagram = self.found.get(self.next)?;
        let start = self.next * SLOT_BYTES;
        let bytes = &self.buffer[start + self.used..start + datagram.len];
        Some(Next { bytes, cut_short: datagram.cut_short, sender: datagram.sender })
    }

    /// So many bytes of the next datagram are done with.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.used += bytes;
    }

    /// The next datagram is done with.
    pub(super) fn pass(&mut self) {
        self.next += 1;
        self.used = 0;
    }

    /// How many there were.
    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    /// Bytes of memory that datagrams may have touched.
    pub(super) fn memory_bytes(&self) -> usize {
        self.buffer.len()
    }

    fn start(&mut self) -> &mut [u8] {
        assert!(self.next == self.found.len(), "datagrams in hand are used before others are read");
        self.found.clear();
        (self.next, self.used) = (0, 0);
        if self.buffer.is_empty() {
            // Comes zeroed from the system: a page is there when it is first written to.
            self.buffer = vec![0; BATCH_MAX * SLOT_BYTES];
        }
        &mut self.buffer
    }

    fn push(&mut self, len: usize, cut_short: bool, sender: Option<IpAddr>) {
        self.found.push(Datagram { len: len.min(SLOT_BYTES), cut_short, sender });
    }
}

/// The IP address in a socket address of this length, as the kernel writes them for UDP.
fn sender_of(name: &[u8; NAME_BYTES], len: usize) -> Option<IpAddr> {
    match len {
        16 => name[4..8].try_into().ok().map(|octets: [u8; 4]| Ipv4Addr::from(octets).into()),
        NAME_BYTES => name[8..24].try_into().ok().map(|octets: [u8; 16]| Ipv6Addr::from(octets).into()),
        _ => None,
    }
}

/// The size of `sockaddr_in6`.
const NAME_BYTES: usize = 28;

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod linux {
    use std::mem::{size_of_val, zeroed};
    use std::os::fd::{AsRawFd, BorrowedFd};
    use std::ptr;

    use super::{BATCH_MAX, Batch, NAME_BYTES, SLOT_BYTES, io, sender_of};

    /// Reads what there is, up to a batch. `with_senders`: it is a UDP socket, and who sent is wanted.
    pub(in super::super) fn receive(
        socket: BorrowedFd<'_>,
        batch: &mut Batch,
        with_senders: bool,
    ) -> io::Result<()> {
        let mut names = [[0u8; NAME_BYTES]; BATCH_MAX];
        // SAFETY: all-zero bytes are valid iovecs and mmsghdrs: integers, and pointers that may be null.
        let (mut pieces, mut headers): ([libc::iovec; BATCH_MAX], [libc::mmsghdr; BATCH_MAX]) =
            unsafe { (zeroed(), zeroed()) };
        for (piece, slot) in pieces.iter_mut().zip(batch.start().chunks_exact_mut(SLOT_BYTES)) {
            *piece = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: slot.len() };
        }
        for ((header, piece), name) in headers.iter_mut().zip(&mut pieces).zip(&mut names) {
            header.msg_hdr.msg_iov = ptr::from_mut(piece);
            header.msg_hdr.msg_iovlen = 1;
            if with_senders {
                header.msg_hdr.msg_name = name.as_mut_ptr().cast();
                header.msg_hdr.msg_namelen = NAME_BYTES as libc::socklen_t;
            }
        }
        // SAFETY: every header names one piece and at most one name, which live in this frame; the pieces name slots of
        // the batch's buffer that do not overlap, and nobody else looks at the buffer until the call has returned.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH_MAX as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        if count < 0 {
            return Err(io::Error::last_os_error());
        }
        for (header, name) in headers[..count as usize].iter().zip(&names) {
            let cut_short = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            let sender =
                if with_senders { sender_of(name, header.msg_hdr.msg_namelen as usize) } else { None };
            batch.push(header.msg_len as usize, cut_short, sender);
        }
        Ok(())
    }

    /// Datagrams that the kernel had no room for since the socket was made.
    pub(in super::super) fn dropped(socket: BorrowedFd<'_>) -> Option<u32> {
        let mut info = [0u32; libc::SK_MEMINFO_DROPS as usize + 1];
        let mut len = size_of_val(&info) as libc::socklen_t;
        // SAFETY: `info` has room for `len` bytes and lives through the call.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                info.as_mut_ptr().cast(),
                &raw mut len,
            )
        };
        (result == 0 && len as usize == size_of_val(&info)).then(|| info[libc::SK_MEMINFO_DROPS as usize])
    }

    /// Asks for room for datagrams that were not read yet, and says what there is now.
    pub(in super::super) fn reserve(socket: BorrowedFd<'_>, bytes: u64) -> io::Result<u64> {
        let wanted = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
        let len = size_of_val(&wanted) as libc::socklen_t;
        // The first needs a privilege and has no limit.
        for option in [libc::SO_RCVBUFFORCE, libc::SO_RCVBUF] {
            let value = (&raw const wanted).cast();
            // SAFETY: `wanted` is `len` bytes and lives through the call.
            if unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, value, len) } == 0 {
                break;
            }
        }
        let (mut found, mut len): (libc::c_int, _) = (0, len);
        let value = (&raw mut found).cast();
        // SAFETY: `found` has room for `len` bytes and lives through the call.
        let result = unsafe {
            libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, value, &raw mut len)
        };
        // The kernel doubles what it is asked for, for its own books.
        if result == 0 { Ok(u64::from(found.unsigned_abs()) / 2) } else { Err(io::Error::last_os_error()) }
    }
}

#[cfg(not(target_os = "linux"))]
#[allow(unsafe_code)]
mod elsewhere {
    use std::os::fd::{AsRawFd, BorrowedFd};

    use super::{BATCH_MAX, Batch, NAME_BYTES, SLOT_BYTES, io, sender_of};

    pub(in super::super) fn receive(
        socket: BorrowedFd<'_>,
        batch: &mut Batch,
        with_senders: bool,
    ) -> io::Result<()> {
        batch.start();
        for slot in 0..BATCH_MAX {
            let mut name = [0u8; NAME_BYTES];
            let mut len = NAME_BYTES as libc::socklen_t;
            let room = &mut batch.buffer[slot * SLOT_BYTES..][..SLOT_BYTES];
            // SAFETY: `room` and `name` have room for the lengths given and live through the call.
            let count = unsafe {
                libc::recvfrom(
                    socket.as_raw_fd(),
                    room.as_mut_ptr().cast(),
                    room.len(),
                    libc::MSG_DONTWAIT,
                    name.as_mut_ptr().cast(),
                    &raw mut len,
                )
            };
            let Ok(count) = usize::try_from(count) else {
                return if slot == 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
            };
            let sender = if with_senders { sender_of(&name, len as usize) } else { None };
            batch.push(count, false, sender);
        }
        Ok(())
    }

    pub(in super::super) fn dropped(_: BorrowedFd<'_>) -> Option<u32> {
        None
    }

    pub(in super::super) fn reserve(_: BorrowedFd<'_>, bytes: u64) -> io::Result<u64> {
        Ok(bytes)
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) use elsewhere::{dropped, receive, reserve};
#[cfg(target_os = "linux")]
pub(super) use linux::{dropped, receive, reserve};

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;

    fn drain(batch: &mut Batch) -> Vec<(Vec<u8>, bool, Option<IpAddr>)> {
        let mut found = Vec::new();
        while let Some(next) = batch.next() {
            found.push((next.bytes.to_vec(), next.cut_short, next.sender));
            batch.pass();
        }
        found
    }

    #[test]
    fn datagrams_come_in_batches_with_their_senders() {
        let (here, there) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        there.connect(here.local_addr().unwrap()).unwrap();
        let mut batch = Batch::default();
        let nothing = receive(here.as_fd(), &mut batch, true).unwrap_err();
        assert_eq!((nothing.kind(), batch.len()), (io::ErrorKind::WouldBlock, 0));
        let large = vec![b'x'; 65_507];
        for n in 0..BATCH_MAX {
            there.send(format!("datagram {n}").as_bytes()).unwrap();
        }
        there.send(b"").unwrap();
        there.send(&large).unwrap();
        receive(here.as_fd(), &mut batch, true).unwrap();
        let sender = Some(IpAddr::from([127, 0, 0, 1]));
        let expected: Vec<_> =
            (0..BATCH_MAX).map(|n| (format!("datagram {n}").into_bytes(), false, sender)).collect();
        assert_eq!(drain(&mut batch), expected);
        receive(here.as_fd(), &mut batch, true).unwrap();
        assert_eq!(drain(&mut batch), [(Vec::new(), false, sender), (large, false, sender)]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_the_kernel_had_no_room_for_is_counted() {
        let (here, there) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        there.connect(here.local_addr().unwrap()).unwrap();
        assert_eq!(dropped(here.as_fd()), Some(0));
        let room = reserve(here.as_fd(), 1).unwrap();
        assert!(room < 64 << 10, "{room}");
        for _ in 0..1000 {
            there.send(&[0; 1000]).unwrap();
        }
        let mut batch = Batch::default();
        let mut found = 0;
        while receive(here.as_fd(), &mut batch, false).is_ok() {
            found += drain(&mut batch).len();
        }
        assert!(found > 0 && found < 1000, "{found}");
        assert_eq!(dropped(here.as_fd()), Some(1000 - found as u32));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_datagram_larger_than_its_room_is_known_to_be_cut_short() {
        let (here, there) = UnixDatagram::pair().unwrap();
        there.send(&vec![b'x'; SLOT_BYTES + 1]).unwrap();
        let mut batch = Batch::default();
        receive(here.as_fd(), &mut batch, false).unwrap();
        let found = drain(&mut batch);
        assert_eq!((found[0].0.len(), found[0].1, found[0].2), (SLOT_BYTES, true, None));
    }
}
