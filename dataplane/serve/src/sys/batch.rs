//! Receiving and sending datagrams many at a time: `recvmmsg(2)`, `sendmmsg(2)`.
//!
//! The headers that the kernel reads point into the same allocation as the buffers they describe, and are laid out once; a call puts
//! back only what the kernel has changed. All access goes through one pointer, so that no reference ever covers what the kernel or another
//! reference uses.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::mem::size_of;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr::{NonNull, null_mut};
use std::slice;

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

/// Everything about one datagram. Its size is not a multiple of 4,096, so that the same fields of neighbours do not fall on the same lines
/// of the first-level cache.
#[repr(C)]
struct Slot {
    source: sockaddr_storage,
    control: [u64; CONTROL_WORDS],
    request_part: iovec,
    reply_part: iovec,
    request: [u8; MAX_REQUEST],
    reply: [u8; MAX_REPLY],
}

/// One allocation for all; all-zero is valid for every field.
#[repr(C)]
struct Memory {
    received: [mmsghdr; WIDTH],
    replies: [mmsghdr; WIDTH],
    slots: [Slot; WIDTH],
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

/// One received datagram and the room for its answer.
#[derive(Debug)]
pub struct Message<'a> {
    pub source: SocketAddr,
    pub request: &'a [u8],
    /// The datagram was longer than `MAX_REQUEST`; `request` is its beginning.
    pub is_cut: bool,
    pub reply: &'a mut [u8],
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
    /// Answers queued since; `replies[..queued]` point to slots below `count`.
    queued: usize,
}

// SAFETY: the allocation belongs to this value alone, its pointers point only into itself, and no method gives a pointer away.
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
        let mut batch = Self { memory, listening: Listening::OneAddress, count: 0, queued: 0 };
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
                (*slot).reply_part = iovec { iov_base: (&raw mut (*slot).reply).cast(), iov_len: 0 };
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

    /// The message `index` of the last receive; `None` beyond them, or when its source is of no known family.
    pub fn message(&mut self, index: usize) -> Option<Message<'_>> {
        if index >= self.count {
            return None;
        }
        let memory = self.memory.as_ptr();
        // SAFETY: `index` is below `count`, so the kernel has filled the slot and said how much (never more than the buffer, which is cut off
        // for certain by `min`). The references cover `request` and `reply` only, which nothing else touches while `self` is borrowed.
        unsafe {
            let slot = &raw mut (*memory).slots[index];
            let header = &raw const (*memory).received[index];
            let length = ((*header).msg_len as usize).min(MAX_REQUEST);
            Some(Message {
                source: read_source(&raw const (*slot).source)?,
                request: slice::from_raw_parts((&raw const (*slot).request).cast::<u8>(), length),
                is_cut: (*header).msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
                reply: slice::from_raw_parts_mut((&raw mut (*slot).reply).cast::<u8>(), MAX_REPLY),
            })
        }
    }

    /// Queues the first `length` bytes of the reply buffer of message `index`, back to where the message came from.
    pub fn queue(&mut self, index: usize, length: usize) {
        if index >= self.count || self.queued >= WIDTH {
            return;
        }
        let memory = self.memory.as_ptr();
        // SAFETY: both indices are below `WIDTH` by the check above (`count` is at most `WIDTH`). The new header points at the slot of a received
        // message: its source as the kernel wrote it, the reply part with a length within the buffer, and the control bytes that the kernel
        // wrote, of which `aim_control` says how many may be sent.
        unsafe {
            let slot = &raw mut (*memory).slots[index];
            let received = &raw const (*memory).received[index].msg_hdr;
            (*slot).reply_part.iov_len = length.min(MAX_REPLY);
            let header = &raw mut (*memory).replies[self.queued].msg_hdr;
            (*header).msg_name = (&raw mut (*slot).source).cast();
            (*header).msg_namelen = (*received).msg_namelen;
            (*header).msg_iov = &raw mut (*slot).reply_part;
            (*header).msg_iovlen = 1;
            (*header).msg_control = null_mut();
            (*header).msg_controllen = 0;
            if self.listening == Listening::Wildcard && aim_control(&raw mut (*slot).control, (*received).msg_controllen) {
                (*header).msg_control = (&raw mut (*slot).control).cast();
                (*header).msg_controllen = (*received).msg_controllen;
            }
        }
        self.queued += 1;
    }

    /// Sends what is queued. An answer that the kernel does not take at once is lost and counted: a worker waits for nobody, and the client
    /// asks again.
    pub fn send(&mut self, socket: &UdpSocket) -> Sent {
        let mut outcome = Sent::default();
        let mut next = 0;
        while next < self.queued {
            // SAFETY: `replies[next..queued]` were laid out by `queue` and point into the same allocation, which outlives the call; the kernel
            // only reads them, and writes `msg_len`.
            let result = unsafe {
                let first = &raw mut (*self.memory.as_ptr()).replies[next];
                libc::sendmmsg(socket.as_raw_fd(), first, (self.queued - next) as _, libc::MSG_DONTWAIT as _)
            };
            match usize::try_from(result) {
                Ok(count) if count > 0 => {
                    outcome.sent += count;
                    next += count;
                }
                _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                // The first of the rest cannot be sent; those behind it go to other clients and may.
                _ => {
                    outcome.failed += 1;
                    next += 1;
                }
            }
        }
        self.queued = 0;
        outcome
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
