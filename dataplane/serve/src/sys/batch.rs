//! Receiving and sending datagrams many at a time: `recvmmsg(2)`, `sendmmsg(2)`.
//!
//! The headers that the kernel reads point into the same allocation as the buffers they describe, and are laid out once; a call puts
//! back only what the kernel has changed. All access goes through one pointer, so that no reference ever covers what the kernel or another
//! reference uses.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::marker::PhantomData;
use std::mem::size_of;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr::{NonNull, null_mut};
use std::slice;

use crate::log;

use libc::{cmsghdr, in_pktinfo, in6_pktinfo, iovec, mmsghdr, sockaddr_in, sockaddr_in6, sockaddr_storage, socklen_t};

/// Datagrams of one call. gdnsd has 16; with 32 the cost of the call itself is below a twentieth of a query's, and the buffers that a batch
/// of ordinary queries touches still fit the first-level cache.
pub const WIDTH: usize = 32;

/// The longest query over UDP that is read: well above any EDNS query with padding. A longer one is reported as too long.
pub const MAX_REQUEST: usize = 4096;

/// The longest answer over UDP: the ceiling of `max_udp_payload`.
pub const MAX_REPLY: usize = 4096;

/// Room for one packet-info message: header and the larger of `in_pktinfo`, `in6_pktinfo`, in units that align them.
const CONTROL_WORDS: usize = (size_of::<cmsghdr>() + size_of::<in6_pktinfo>()).div_ceil(size_of::<u64>());

/// Answers of equal length to one client that leave in one call of the network stack (`UDP_SEGMENT`, udp(7)): a forwarder or a load balancer in front asks
/// from a handful of ports, and its answers cost about a tenth less. A resolver asks each time from another port and is neither slower
/// nor faster for it. More in one parcel saves little more.
const PARCEL: usize = 8;

/// The longest answer that goes into a parcel: each datagram of it must fit the link, and this one fits every IPv6 link and
/// nearly every IPv4 link (RFC 9715 §3.1); where it does not, the kernel refuses the parcel and it goes out singly.
const PARCEL_REPLY: usize = 1232;

/// Control bytes of a parcel: packet info, and the length of its datagrams.
const PARCEL_CONTROL_WORDS: usize = CONTROL_WORDS + SEGMENT_WORDS;
const SEGMENT_WORDS: usize = (size_of::<cmsghdr>() + size_of::<u16>()).div_ceil(size_of::<u64>());

/// Parcels are found by the low bits of the client's port.
const DOORS: usize = 64;

/// Everything about one datagram. Its size is not a multiple of 4,096, so that the same fields of neighbours do not fall on the same lines
/// of the first-level cache.
#[repr(C)]
struct Slot {
    source: sockaddr_storage,
    control: [u64; CONTROL_WORDS],
    request_part: iovec,
    request: [u8; MAX_REQUEST],
}

/// Answers begin where a cache line does.
const REPLY_ALIGNMENT: usize = 64;

/// Behind it there is no room for an answer.
const LAST_ANSWER_AT: usize = (WIDTH - 1) * MAX_REPLY;

/// One allocation for all; all-zero is valid for every field.
#[repr(C)]
struct Memory {
    received: [mmsghdr; WIDTH],
    parcels: [mmsghdr; WIDTH],
    slots: [Slot; WIDTH],
    /// What each parcel consists of, and the control bytes that go with it.
    parts: [[iovec; PARCEL]; WIDTH],
    controls: [[u64; PARCEL_CONTROL_WORDS]; WIDTH],
    /// The answers, one behind the other as they are queued: those of a batch are short and fill a few pages, where a room of its own for each
    /// would take as many pages, and entries of the processor's address cache, as there are messages.
    answers: [u8; WIDTH * MAX_REPLY],
}

/// Whether the socket is bound to a wildcard address: then the kernel tells the address asked, and is told to answer from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listening {
    OneAddress,
    Wildcard,
}

/// Whether a receive waits (as long as the socket's own timeout) or only takes what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    Wait,
    Take,
}

/// One received datagram.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'b> {
    /// Its place in the batch.
    pub index: usize,
    pub source: SocketAddr,
    pub octets: &'b [u8],
    /// It was longer than `MAX_REQUEST`; `octets` are its beginning.
    pub is_cut: bool,
}

/// What became of the queued answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    pub sent: usize,
    pub failed: usize,
}

/// Buffers for one worker.
#[derive(Debug)]
pub struct Batch {
    memory: NonNull<Memory>,
    listening: Listening,
    /// Messages of the last receive; `received[..count]` and `slots[..count]` are what the kernel wrote.
    count: usize,
    /// Answers queued since, and the parcels that they are in; `parcels[..parcel_count]` point to slots below `count` and have 1 to `PARCEL` parts.
    queued: usize,
    parcel_count: usize,
    /// The parcel made last for each door, plus one; 0 = none.
    doors: [u8; DOORS],
    /// Whether the kernel and the link take parcels of several answers, as far as it is known.
    may_share: bool,
    /// Where in `answers` the next one begins: at most `queued * MAX_REPLY`, so that each of a batch has its room, and at most `LAST_ANSWER_AT`.
    answer_at: usize,
}

// SAFETY: the allocation belongs to this value alone, its pointers point only into itself, and no method gives a pointer away that outlives a borrow of it.
unsafe impl Send for Batch {}

impl Batch {
    /// Empty buffers.
    pub fn new() -> Self {
        let layout = Layout::new::<Memory>();
        // The allocator returns what the layout asks for, so the cast keeps the alignment.
        #[allow(clippy::cast_ptr_alignment)]
        // SAFETY: the layout is not of size zero.
        let memory = unsafe { alloc_zeroed(layout) }.cast::<Memory>();
        let Some(memory) = NonNull::new(memory) else { handle_alloc_error(layout) };
        let mut batch = Self {
            memory,
            listening: Listening::OneAddress,
            count: 0,
            queued: 0,
            parcel_count: 0,
            doors: [0; DOORS],
            may_share: true,
            answer_at: 0,
        };
        batch.lay_out(Listening::OneAddress);
        batch
    }

    /// Points every header at its slot.
    fn lay_out(&mut self, listening: Listening) {
        self.listening = listening;
        let memory = self.memory.as_ptr();
        for index in 0..WIDTH {
            // SAFETY: `index` is below `WIDTH`, `memory` is ours and valid for as long as `self` is; only raw pointers into it are made, and no
            // reference is alive because `self` is borrowed exclusively.
            unsafe {
                let slot = &raw mut (*memory).slots[index];
                (*slot).request_part = iovec { iov_base: (&raw mut (*slot).request).cast(), iov_len: MAX_REQUEST };
                let header = &raw mut (*memory).received[index].msg_hdr;
                (*header).msg_name = (&raw mut (*slot).source).cast();
                (*header).msg_iov = &raw mut (*slot).request_part;
                (*header).msg_iovlen = 1;
            }
            self.reset(index);
        }
    }

    /// Puts back what the kernel changes in a header when it receives.
    fn reset(&mut self, index: usize) {
        let memory = self.memory.as_ptr();
        // SAFETY: as in `lay_out`; `index` is below `WIDTH` (`count` never exceeds it).
        unsafe {
            let slot = &raw mut (*memory).slots[index];
            let header = &raw mut (*memory).received[index].msg_hdr;
            (*header).msg_namelen = size_of::<sockaddr_storage>() as socklen_t;
            (*header).msg_flags = 0;
            match self.listening {
                Listening::OneAddress => {
                    (*header).msg_control = null_mut();
                    (*header).msg_controllen = 0;
                }
                Listening::Wildcard => {
                    (*header).msg_control = (&raw mut (*slot).control).cast();
                    (*header).msg_controllen = size_of::<[u64; CONTROL_WORDS]>() as _;
                }
            }
        }
    }

    /// Receives up to `WIDTH` datagrams and returns how many; what was received or queued before is forgotten. 0 when nothing came in time.
    ///
    /// # Errors
    /// The kernel's, except those that only say that there is nothing now.
    pub fn receive(&mut self, socket: &UdpSocket, listening: Listening, wait: Wait) -> io::Result<usize> {
        if listening == self.listening {
            (0..self.count).for_each(|index| self.reset(index));
        } else {
            self.lay_out(listening);
        }
        self.count = 0;
        self.queued = 0;
        self.parcel_count = 0;
        self.doors = [0; DOORS];
        self.answer_at = 0;
        let flags = match wait {
            Wait::Wait => libc::MSG_WAITFORONE,
            Wait::Take => libc::MSG_DONTWAIT,
        };
        // SAFETY: `received` holds `WIDTH` headers, each of which points at buffers of its own slot with their true lengths (`lay_out`,
        // `reset`); the allocation outlives the call and nothing else refers to it meanwhile.
        let result = unsafe {
            libc::recvmmsg(socket.as_raw_fd(), (&raw mut (*self.memory.as_ptr()).received).cast(), WIDTH as _, flags as _, null_mut())
        };
        match usize::try_from(result) {
            Ok(count) => {
                self.count = count.min(WIDTH);
                Ok(self.count)
            }
            Err(_) => match io::Error::last_os_error() {
                error if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
                error => Err(error),
            },
        }
    }

    /// What the last receive has brought, and where the answers go.
    pub fn split(&mut self) -> (Requests<'_>, Answers<'_>) {
        (Requests { memory: self.memory, next: 0, count: self.count, batch: PhantomData }, Answers { batch: self })
    }

    fn room(&mut self) -> &mut [u8] {
        // SAFETY: the room ends within `answers`, because `answer_at` is at most `LAST_ANSWER_AT`. The reference covers it only, which nothing else touches while `self`
        // is borrowed: a `Requests` made with it only reads what the kernel wrote.
        unsafe { slice::from_raw_parts_mut((&raw mut (*self.memory.as_ptr()).answers).cast::<u8>().add(self.answer_at), MAX_REPLY) }
    }

    /// Queues the first `length` bytes of `room`, back to where datagram `index` came from.
    fn queue(&mut self, index: usize, length: usize) {
        if index >= self.count || self.queued >= WIDTH {
            return;
        }
        let memory = self.memory.as_ptr();
        let length = length.min(MAX_REPLY);
        // SAFETY: `index` is below `WIDTH` by the check above (`count` is at most `WIDTH`), and so is the number of parcels, of which there are at most as many
        // as answers. The room begins at `answer_at` and holds `length` bytes. The source and the control bytes are as the
        // kernel wrote them. Datagrams that are still looked at cover `request` only, and `aim_control` writes the control bytes only.
        unsafe {
            let part = iovec { iov_base: (&raw mut (*memory).answers).cast::<u8>().add(self.answer_at).cast(), iov_len: length };
            let slot = &raw mut (*memory).slots[index];
            let received = &raw const (*memory).received[index].msg_hdr;
            let is_aimed = self.listening == Listening::Wildcard && aim_control(&raw mut (*slot).control, (*received).msg_controllen);
            let aim =
                slice::from_raw_parts((&raw const (*slot).control).cast::<u8>(), if is_aimed { (*received).msg_controllen } else { 0 });
            let name = slice::from_raw_parts((&raw const (*slot).source).cast::<u8>(), (*received).msg_namelen as usize);
            // The port stands in the same place for both families.
            let door = name.get(3).map_or(0, |&port_low| usize::from(port_low) % DOORS);
            let open = usize::from(self.doors[door]);
            if open == 0 || !self.join_parcel(open - 1, name, aim, part) {
                let parcel = self.parcel_count;
                let control = (&raw mut (*memory).controls[parcel]).cast::<u8>();
                control.copy_from_nonoverlapping(aim.as_ptr(), aim.len());
                (*memory).parts[parcel][0] = part;
                let header = &raw mut (*memory).parcels[parcel].msg_hdr;
                (*header).msg_name = (&raw mut (*slot).source).cast();
                (*header).msg_namelen = (*received).msg_namelen;
                (*header).msg_iov = (&raw mut (*memory).parts[parcel]).cast();
                (*header).msg_iovlen = 1;
                (*header).msg_control = if aim.is_empty() { null_mut() } else { control.cast() };
                (*header).msg_controllen = aim.len() as _;
                self.parcel_count += 1;
                self.doors[door] = self.parcel_count as u8; // at most `WIDTH`
            }
        }
        self.queued += 1;
        self.answer_at = (self.answer_at + length).next_multiple_of(REPLY_ALIGNMENT).min(LAST_ANSWER_AT);
    }

    /// Adds an answer to a parcel that goes from the same address to the same client, holds answers of the same length and has room; else false.
    ///
    /// # Safety
    /// `parcel` is below `parcel_count`, `part` lies in `answers`, and `aim` is what the control bytes of the parcel would begin with.
    unsafe fn join_parcel(&self, parcel: usize, name: &[u8], aim: &[u8], part: iovec) -> bool {
        let memory = self.memory.as_ptr();
        // SAFETY: by the caller, the parcel was laid out by `queue`: its name and control bytes lie in the same allocation with the lengths that the header
        // states, but for the length of its datagrams, which stands behind the aim and is in the header's count once there is more than one.
        unsafe {
            let header = &raw mut (*memory).parcels[parcel].msg_hdr;
            let count = (*header).msg_iovlen;
            let parts = &raw mut (*memory).parts[parcel];
            let control = (&raw mut (*memory).controls[parcel]).cast::<u8>();
            let his = slice::from_raw_parts((*header).msg_name.cast::<u8>(), (*header).msg_namelen as usize);
            let segment_bytes = if count > 1 { SEGMENT_WORDS * size_of::<u64>() } else { 0 };
            let aimed = (*header).msg_controllen.saturating_sub(segment_bytes);
            let is_alike =
                his == name && aimed == aim.len() && slice::from_raw_parts(control, aimed) == aim && (*parts)[0].iov_len == part.iov_len;
            if !self.may_share || count >= PARCEL || part.iov_len > PARCEL_REPLY || !is_alike {
                return false;
            }
            if count == 1 {
                let segment = (&raw mut (*memory).controls[parcel]).cast::<u64>().add(aim.len() / size_of::<u64>()).cast::<cmsghdr>();
                (*segment).cmsg_level = libc::SOL_UDP;
                (*segment).cmsg_type = libc::UDP_SEGMENT;
                (*segment).cmsg_len = (size_of::<cmsghdr>() + size_of::<u16>()) as _;
                segment.add(1).cast::<u16>().write(part.iov_len as u16); // at most `PARCEL_REPLY`
                (*header).msg_control = control.cast();
                (*header).msg_controllen = (aim.len() + SEGMENT_WORDS * size_of::<u64>()) as _;
            }
            (*parts)[count] = part;
            (*header).msg_iovlen = (count + 1) as _;
        }
        true
    }

    /// Sends what is queued. An answer that the kernel does not take at once is lost and counted: a worker waits for nobody, and the client
    /// asks again.
    pub fn send(&mut self, socket: &UdpSocket) -> Sent {
        let mut failed = 0;
        let mut next = 0;
        while next < self.parcel_count {
            // SAFETY: `parcels[next..parcel_count]` were laid out by `queue` and point into the same allocation, which outlives the call; the kernel
            // only reads them, and writes `msg_len`.
            let result = unsafe {
                let first = &raw mut (*self.memory.as_ptr()).parcels[next];
                libc::sendmmsg(socket.as_raw_fd(), first, (self.parcel_count - next) as _, libc::MSG_DONTWAIT as _)
            };
            match usize::try_from(result) {
                Ok(count) if count > 0 => next += count,
                _ => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => {}
                    // The first of the rest cannot be sent; those behind it go to other clients and may.
                    error => {
                        failed += self.give_up_parcel(socket, next, &error);
                        next += 1;
                    }
                },
            }
        }
        let outcome = Sent { sent: self.queued - failed, failed };
        self.queued = 0;
        self.parcel_count = 0;
        self.doors = [0; DOORS];
        outcome
    }

    /// What is done with a parcel that was not sent; the number of answers that are lost. A kernel before 4.18 and a link that cannot compute checksums take
    /// one answer at a time, and from then on get no more.
    #[cold]
    fn give_up_parcel(&mut self, socket: &UdpSocket, parcel: usize, error: &io::Error) -> usize {
        let is_refused = matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP));
        // SAFETY: as in `send`; `parcel` is below `parcel_count`. A header with one part needs no length of datagrams, which ends the control bytes.
        unsafe {
            let header = &raw mut (*self.memory.as_ptr()).parcels[parcel].msg_hdr;
            let count = (*header).msg_iovlen;
            if count == 1 || !is_refused {
                return count;
            }
            self.may_share = false;
            log::warning("the kernel refused several answers in one call; from now on each leaves alone", &[("error", &error)]);
            (*header).msg_iovlen = 1;
            (*header).msg_controllen -= SEGMENT_WORDS * size_of::<u64>();
            if (*header).msg_controllen == 0 {
                (*header).msg_control = null_mut();
            }
            (0..count)
                .filter(|_| {
                    let sent = libc::sendmsg(socket.as_raw_fd(), header, libc::MSG_DONTWAIT);
                    (*header).msg_iov = (*header).msg_iov.add(1);
                    sent < 0
                })
                .count()
        }
    }
}

/// The datagrams of the last receive whose sender is of a known family, in order.
#[derive(Debug)]
pub struct Requests<'b> {
    memory: NonNull<Memory>,
    next: usize,
    count: usize,
    batch: PhantomData<&'b Batch>,
}

impl<'b> Iterator for Requests<'b> {
    type Item = Datagram<'b>;

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.count - self.next))
    }

    fn next(&mut self) -> Option<Datagram<'b>> {
        let memory = self.memory.as_ptr();
        while self.next < self.count {
            let index = self.next;
            self.next += 1;
            // SAFETY: `index` is below the batch's `count`, so the kernel has filled the slot and said how much (never more than the buffer, which is cut off for certain by
            // `min`). The batch is borrowed for `'b`: nothing is received meanwhile, and `Answers`, which may change it, touches no `request`.
            unsafe {
                let slot = &raw const (*memory).slots[index];
                let header = &raw const (*memory).received[index];
                let length = ((*header).msg_len as usize).min(MAX_REQUEST);
                let Some(source) = read_source(&raw const (*slot).source) else { continue };
                let octets = slice::from_raw_parts((&raw const (*slot).request).cast::<u8>(), length);
                return Some(Datagram { index, source, octets, is_cut: (*header).msg_hdr.msg_flags & libc::MSG_TRUNC != 0 });
            }
        }
        None
    }
}

/// Where the answers to the last receive are written.
#[derive(Debug)]
pub struct Answers<'b> {
    batch: &'b mut Batch,
}

/// What takes the answers to a batch of datagrams.
pub trait Outbox {
    /// Room for the answer that is queued next; the same until then.
    fn room(&mut self) -> &mut [u8];

    /// Takes the first `length` bytes of the room as the answer to the datagram `index`.
    fn queue(&mut self, index: usize, length: usize);
}

impl Outbox for Answers<'_> {
    fn room(&mut self) -> &mut [u8] {
        self.batch.room()
    }

    fn queue(&mut self, index: usize, length: usize) {
        self.batch.queue(index, length);
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, freed nowhere else, and `Memory` has nothing to drop.
        unsafe { dealloc(self.memory.as_ptr().cast(), Layout::new::<Memory>()) }
    }
}

/// The address of a sender.
///
/// # Safety
/// `source` points at a `sockaddr_storage` that the kernel has filled.
unsafe fn read_source(source: *const sockaddr_storage) -> Option<SocketAddr> {
    // SAFETY: by the caller; a `sockaddr_storage` is large enough and aligned for each of the types that its family says.
    unsafe {
        match i32::from((*source).ss_family) {
            libc::AF_INET => {
                let name = source.cast::<sockaddr_in>();
                let addr = Ipv4Addr::from((*name).sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddr::V4(SocketAddrV4::new(addr, u16::from_be((*name).sin_port))))
            }
            libc::AF_INET6 => {
                let name = source.cast::<sockaddr_in6>();
                let addr = Ipv6Addr::from((*name).sin6_addr.s6_addr);
                Some(SocketAddr::V6(SocketAddrV6::new(addr, u16::from_be((*name).sin6_port), 0, (*name).sin6_scope_id)))
            }
            _ => None,
        }
    }
}

/// Turns the packet info that came with a query into the one that goes with its answer: same address, and the interface left to the routing
/// table except for link-local addresses, which mean nothing without it. False when the bytes are no packet info.
///
/// # Safety
/// `control` points at control bytes of which the kernel has written `length`.
unsafe fn aim_control(control: *mut [u64; CONTROL_WORDS], length: usize) -> bool {
    const V4_LEN: usize = size_of::<cmsghdr>() + size_of::<in_pktinfo>();
    const V6_LEN: usize = size_of::<cmsghdr>() + size_of::<in6_pktinfo>();
    let header = control.cast::<cmsghdr>();
    // SAFETY: by the caller, with each length checked before what it covers is read. The array is aligned for `cmsghdr`, whose size is a
    // multiple of the alignment of both infos.
    unsafe {
        if length < size_of::<cmsghdr>() {
            return false;
        }
        let info = header.add(1);
        match ((*header).cmsg_level, (*header).cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) if length >= V4_LEN => {
                // `ipi_spec_dst` is the local address that was asked; it is the source of what we send.
                (*info.cast::<in_pktinfo>()).ipi_ifindex = 0;
                true
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if length >= V6_LEN => {
                let info = info.cast::<in6_pktinfo>();
                let addr = Ipv6Addr::from((*info).ipi6_addr.s6_addr);
                if !addr.is_unicast_link_local() {
                    (*info).ipi6_ifindex = 0;
                }
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};
    use std::time::Duration;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn bound(addr: &str) -> UdpSocket {
        let socket = UdpSocket::bind(addr).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// A server that answers each query with `length` times its first octet, and says from which address it was asked when it listens on all.
    /// True when answers shared parcels.
    fn serve(server: &UdpSocket, listening: Listening, queries: usize, batch: &mut Batch, length: impl Fn(u8) -> usize) -> bool {
        let mut done = 0;
        let mut shared = false;
        while done < queries {
            let count = batch.receive(server, listening, Wait::Wait).unwrap();
            let (requests, mut answers) = batch.split();
            let requests: Vec<Datagram<'_>> = requests.collect();
            assert!(requests.iter().map(|datagram| datagram.index).eq(0..count));
            for datagram in requests {
                let first = datagram.octets[0];
                answers.room()[..length(first)].fill(first);
                answers.queue(datagram.index, length(first));
            }
            shared |= batch.parcel_count < batch.queued;
            assert_eq!(batch.send(server), Sent { sent: count, failed: 0 });
            done += count;
        }
        shared
    }

    /// Every client sends the numbers below `queries` and gets an answer of the right length to each, some of them in parcels.
    fn check(server: &UdpSocket, listening: Listening, batch: &mut Batch, clients: &[UdpSocket], queries: u8) {
        let length = |first: u8| if first.is_multiple_of(4) { usize::from(first) + 1 } else { 100 };
        for number in 0..queries {
            for client in clients {
                assert_eq!(client.send(&[number]).unwrap(), 1);
            }
        }
        assert!(serve(server, listening, clients.len() * usize::from(queries), batch, length));
        for client in clients {
            let mut seen = Vec::new();
            let mut reply = [0; MAX_REPLY];
            for _ in 0..queries {
                let received = client.recv(&mut reply).unwrap();
                assert_eq!(received, length(reply[0]));
                assert!(reply[..received].iter().all(|octet| *octet == reply[0]));
                seen.push(reply[0]);
            }
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..queries));
        }
    }

    fn clients_of(server: SocketAddr, count: usize) -> Vec<UdpSocket> {
        let clients: Vec<UdpSocket> = (0..count).map(|_| bound(if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" })).collect();
        for client in &clients {
            client.connect(server).unwrap();
        }
        clients
    }

    #[test]
    fn each_client_gets_its_answers_whether_they_share_a_parcel_or_not() {
        for addr in ["127.0.0.1:0", "[::1]:0"] {
            let server = bound(addr);
            let clients = clients_of(server.local_addr().unwrap(), 5);
            let mut batch = Batch::new();
            check(&server, Listening::OneAddress, &mut batch, &clients, 40);
            assert!(batch.may_share, "the kernel took them");
        }
    }

    #[test]
    fn answers_in_one_parcel_leave_from_the_address_that_was_asked() {
        for (addr, asked) in [("0.0.0.0:0", ["127.0.0.2", "127.0.0.3"]), ("[::]:0", ["::1", "::1"])] {
            let fd = super::super::sockets::open_udp(addr.parse().unwrap(), false, PATIENCE).unwrap();
            super::super::sockets::bind(&fd, addr.parse().unwrap()).unwrap();
            let server = UdpSocket::from(fd);
            let port = server.local_addr().unwrap().port();
            // A connected client takes answers only from the address that it asked.
            let clients: Vec<UdpSocket> =
                asked.iter().flat_map(|asked| clients_of(SocketAddr::new(asked.parse::<IpAddr>().unwrap(), port), 2)).collect();
            check(&server, Listening::Wildcard, &mut Batch::new(), &clients, 40);
        }
    }

    #[test]
    fn a_parcel_that_the_kernel_refuses_goes_out_singly() {
        let server = bound("127.0.0.1:0");
        // Without checksums no datagrams are cut from a parcel (udp_send_skb answers EINVAL).
        let on: libc::c_int = 1;
        // SAFETY: the pointer and the length are those of `on`, which outlives the call.
        let set = unsafe { libc::setsockopt(server.as_raw_fd(), libc::SOL_SOCKET, libc::SO_NO_CHECK, (&raw const on).cast(), 4) };
        assert_eq!(set, 0);
        let clients = clients_of(server.local_addr().unwrap(), 2);
        let mut batch = Batch::new();
        check(&server, Listening::OneAddress, &mut batch, &clients, 40);
        assert!(!batch.may_share);
    }
}
