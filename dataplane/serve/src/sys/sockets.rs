//! Opening, binding and asking sockets.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use libc::{c_int, sockaddr, sockaddr_in, sockaddr_in6, socklen_t};

/// What the kernel may hold for a worker that is busy or not scheduled: about 5,000 queries, a tenth of a second at 50,000 a second.
const RECEIVE_BUFFER_BYTES: c_int = 4 * 1024 * 1024;

/// Connections that wait for accept: what the kernel allows by default (somaxconn). Past it a SYN is lost, and its client waits a second before the next.
const BACKLOG: c_int = 4096;

/// What the kernel may hold for a TCP client that does not read: two of the longest answers. Left to itself it lets a buffer grow to
/// megabytes, and one crowd of deaf clients would have a gigabyte of answers made, copied and kept for nobody.
const SEND_BUFFER_BYTES: c_int = 128 * 1024;

/// A UDP socket for `addr`, with everything set that must be set before `bind`. With `share` several may be bound to one address
/// and the kernel spreads the clients over them; without, `bind` finds out whether somebody else has the port.
///
/// `wait` bounds one blocking receive.
///
/// # Errors
/// The kernel's.
pub fn open_udp(addr: SocketAddr, share: bool, wait: Duration) -> io::Result<OwnedFd> {
    let fd = open(addr, libc::SOCK_DGRAM)?;
    if share {
        set(&fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, &1_i32)?;
    }
    // More than net.core.rmem_max needs `CAP_NET_ADMIN`; without it the kernel cuts the plain request to what is allowed.
    if set(&fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &RECEIVE_BUFFER_BYTES).is_err() {
        set(&fd, libc::SOL_SOCKET, libc::SO_RCVBUF, &RECEIVE_BUFFER_BYTES)?;
    }
    let wait = libc::timeval {
        tv_sec: libc::time_t::try_from(wait.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_usec: libc::suseconds_t::from(wait.subsec_micros()),
    };
    set(&fd, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &wait)?;
    // No path-MTU state: a forged ICMP message must not make us fragment or fail (RFC 9715 §3.1; a packet too large for the link itself
    // is fragmented by this host and not dropped).
    let wildcard = addr.ip().is_unspecified();
    match addr {
        SocketAddr::V4(_) => {
            set(&fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, &libc::IP_PMTUDISC_OMIT)?;
            if wildcard {
                set(&fd, libc::IPPROTO_IP, libc::IP_PKTINFO, &1_i32)?;
            }
        }
        SocketAddr::V6(_) => {
            set(&fd, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, &libc::IPV6_PMTUDISC_OMIT)?;
            if wildcard {
                set(&fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, &1_i32)?;
            }
        }
    }
    Ok(fd)
}

/// A TCP socket for `addr`. `SO_REUSEADDR` lets a restart bind over connections of the last run that are in `TIME_WAIT`; a listener that is
/// alive still stands in the way.
///
/// # Errors
/// The kernel's.
pub fn open_tcp(addr: SocketAddr) -> io::Result<OwnedFd> {
    let fd = open(addr, libc::SOCK_STREAM)?;
    set(&fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, &1_i32)?;
    // Inherited by what is accepted here.
    set(&fd, libc::SOL_SOCKET, libc::SO_SNDBUF, &SEND_BUFFER_BYTES)?;
    // Answers are gathered before they are written; waiting for more would only delay them.
    set(&fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, &1_i32)?;
    // Nearly all answers fit the first window, so there is no path to be probed, and the timers of an algorithm that paces what it sends would cost more than
    // the answer. Every kernel has this one; without it, what the system has is as right.
    let _ = set(&fd, libc::IPPROTO_TCP, libc::TCP_CONGESTION, b"reno");
    Ok(fd)
}

fn open(addr: SocketAddr, kind: c_int) -> io::Result<OwnedFd> {
    let family = if addr.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: no pointers are passed; the result is checked before it is believed.
    let fd = check(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the kernel has just made this descriptor for us and nobody else knows it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    if addr.is_ipv6() {
        // `[::]` beside `0.0.0.0` must not compete for IPv4, whatever net.ipv6.bindv6only says.
        set(&fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, &1_i32)?;
    }
    Ok(fd)
}

/// Binds a socket of `open_udp` or `open_tcp`.
///
/// # Errors
/// The kernel's: `AddrInUse`, `PermissionDenied`, `AddrNotAvailable`.
pub fn bind(fd: &OwnedFd, addr: SocketAddr) -> io::Result<()> {
    let result = match addr {
        SocketAddr::V4(v4) => {
            // SAFETY: all-zero is a valid `sockaddr_in`: it holds integers only.
            let mut name: sockaddr_in = unsafe { zeroed() };
            name.sin_family = libc::AF_INET as libc::sa_family_t;
            name.sin_port = v4.port().to_be();
            name.sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
            // SAFETY: the pointer and the length are those of `name`, which outlives the call.
            unsafe { libc::bind(fd.as_raw_fd(), (&raw const name).cast::<sockaddr>(), size_of::<sockaddr_in>() as socklen_t) }
        }
        SocketAddr::V6(v6) => {
            // SAFETY: all-zero is a valid `sockaddr_in6`: it holds integers only.
            let mut name: sockaddr_in6 = unsafe { zeroed() };
            name.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            name.sin6_port = v6.port().to_be();
            name.sin6_addr.s6_addr = v6.ip().octets();
            name.sin6_scope_id = v6.scope_id();
            // SAFETY: the pointer and the length are those of `name`, which outlives the call.
            unsafe { libc::bind(fd.as_raw_fd(), (&raw const name).cast::<sockaddr>(), size_of::<sockaddr_in6>() as socklen_t) }
        }
    };
    check(result).map(drop)
}

/// Makes a bound TCP socket accept.
///
/// # Errors
/// The kernel's.
pub fn listen(fd: &OwnedFd) -> io::Result<()> {
    // SAFETY: no pointers are passed, and the descriptor is open because it is borrowed.
    check(unsafe { libc::listen(fd.as_raw_fd(), BACKLOG) }).map(drop)
}

/// How many connections wait to be accepted; 0 also on a system that does not tell, as Linux does (tcp(7), `TCP_INFO` of a listener).
///
/// # Errors
/// The kernel's.
pub fn count_backlog(listener: BorrowedFd) -> io::Result<usize> {
    // SAFETY: all-zero is a valid `tcp_info`: it holds integers only.
    let mut info: libc::tcp_info = unsafe { zeroed() };
    let mut length = size_of::<libc::tcp_info>() as socklen_t;
    // SAFETY: the pointer and the length are those of `info`, which outlives the call; the kernel writes no more than that length.
    check(unsafe { libc::getsockopt(listener.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, (&raw mut info).cast(), &raw mut length) })?;
    // Of a listener that is the length of its queue.
    Ok(info.tcpi_unacked as usize)
}

/// Waits for several sockets at once, without allocating.
#[derive(Debug)]
pub struct Readiness {
    asked: Vec<libc::pollfd>,
}

impl Readiness {
    /// For these sockets, which the caller keeps open as long as it asks about them; about others the answer would only be wrong.
    pub fn new<'a>(sockets: impl Iterator<Item = &'a UdpSocket>) -> Self {
        Self { asked: sockets.map(|socket| libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 }).collect() }
    }

    /// Waits until one of them has something to read, at most `timeout`. An interruption counts as a timeout.
    ///
    /// # Errors
    /// The kernel's; none is ready then.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        self.asked.iter_mut().for_each(|asked| asked.revents = 0);
        let timeout_ms = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: the pointer and the count are those of `asked`, which is borrowed for the call.
        match check(unsafe { libc::poll(self.asked.as_mut_ptr(), self.asked.len() as libc::nfds_t, timeout_ms) }) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            other => other.map(drop),
        }
    }

    /// Whether the socket `index` had something to read, or an error to report, after the last wait.
    pub fn is_ready(&self, index: usize) -> bool {
        self.asked.get(index).is_some_and(|asked| asked.revents != 0)
    }
}

/// Whether the peer of a unix stream socket runs as root or as the user of this process.
///
/// # Errors
/// The kernel's.
pub fn peer_may_command(socket: BorrowedFd<'_>) -> io::Result<bool> {
    // SAFETY: all-zero is a valid `ucred`: it holds integers only.
    let mut peer: libc::ucred = unsafe { zeroed() };
    let mut length = size_of::<libc::ucred>() as socklen_t;
    // SAFETY: the pointer and the length are those of `peer`, which outlives the call.
    check(unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED, (&raw mut peer).cast(), &raw mut length) })?;
    // SAFETY: no pointers, cannot fail.
    let own = unsafe { libc::geteuid() };
    Ok(peer.uid == 0 || peer.uid == own)
}

/// Sets one socket option. `T` must be what the kernel expects for it: that is upheld by the callers above, all in this file.
fn set<T>(fd: &OwnedFd, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    // SAFETY: the pointer and the length are those of `value`, which outlives the call; the kernel only reads.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, std::ptr::from_ref(value).cast(), size_of::<T>() as socklen_t) }).map(drop)
}

/// The result of a call that says -1 and sets `errno` when it fails.
pub(super) fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
