//! The floor of a UDP server: receive a batch, patch each packet into a reply, send the batch; nothing is parsed or looked up.
//!
//! `geodns-bench-echo PORT` listens on 127.0.0.1. Each query comes back with QR and AA set and one A record (a pointer to the question,
//! 16 bytes) appended, so that the replies have the size of a real answer.

use std::net::UdpSocket;
use std::os::fd::AsRawFd;

/// As wide as the dataplane's batch, so that the two make equally many system calls.
const BATCH: usize = 32;
const PACKET: usize = 1500;
const RECORD: [u8; 16] = [0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1];
const HEADER: usize = 12;

fn main() {
    let port: u16 = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .expect("usage: geodns-bench-echo PORT");
    let socket = UdpSocket::bind(("127.0.0.1", port)).expect("the port is free");
    let size: libc::c_int = 4 << 20;
    // SAFETY: the pointer and the length describe `size`, which outlives the call.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUF,
            (&raw const size).cast(),
            4,
        );
    }
    serve(socket.as_raw_fd());
}

fn serve(socket: libc::c_int) -> ! {
    let mut buffers = vec![[0u8; PACKET]; BATCH];
    // SAFETY: both types are plain C structures for which all zeros is a valid value.
    let mut addresses: Vec<libc::sockaddr_in> = vec![unsafe { std::mem::zeroed() }; BATCH];
    let mut vectors: Vec<libc::iovec> = buffers
        .iter_mut()
        .map(|b| libc::iovec {
            iov_base: b.as_mut_ptr().cast(),
            iov_len: PACKET,
        })
        .collect();
    // SAFETY: as above.
    let mut messages: Vec<libc::mmsghdr> = vec![unsafe { std::mem::zeroed() }; BATCH];
    for i in 0..BATCH {
        messages[i].msg_hdr.msg_iov = &raw mut vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_name = (&raw mut addresses[i]).cast();
    }
    loop {
        for i in 0..BATCH {
            messages[i].msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
            vectors[i].iov_len = PACKET;
        }
        // SAFETY: every header points to a buffer, a vector and an address that live as long as this function.
        let received = unsafe {
            libc::recvmmsg(
                socket,
                messages.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_WAITFORONE,
                std::ptr::null_mut(),
            )
        };
        let count = usize::try_from(received).unwrap_or(0);
        for i in 0..count {
            vectors[i].iov_len = patch(&mut buffers[i], messages[i].msg_len as usize);
        }
        // SAFETY: the first `count` headers were filled by recvmmsg.
        unsafe { libc::sendmmsg(socket, messages.as_mut_ptr(), count as u32, 0) };
    }
}

/// Makes the query in `packet` a reply in place and gives its length: everything after the question is replaced by RECORD.
fn patch(packet: &mut [u8; PACKET], length: usize) -> usize {
    let mut end = HEADER;
    while end < length && packet[end] != 0 {
        end += usize::from(packet[end]) + 1;
    }
    end = (end + 5).min(PACKET - RECORD.len());
    packet[2] |= 0x84;
    packet[6..HEADER].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
    packet[end..end + RECORD.len()].copy_from_slice(&RECORD);
    end + RECORD.len()
}
