//! Any bytes on a TCP connection, arriving in any pieces and with answers taken in any pieces: what is sent is what each whole message in turn is
//! answered with, up to the first that gets no answer; the connection comes to its end, and never holds more than its bound.
//!
//! The first two bytes draw the pieces; the rest is the stream, at whose end the client closes its side.
#![no_main]

#[path = "../../engine/tests/support/mod.rs"]
mod support;

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use geodns_serve::counters::WorkerCounters;
use geodns_serve::published::Published;
use geodns_serve::responder::{RateClock, Responder};
use geodns_serve::tcp::connection::{Buffers, Connection};
use libfuzzer_sys::fuzz_target;

const ZONES: &str = "
zone example.com.
example.com. 300 SOA ns1.example.com. host.example.com. 1 3600 600 604800 60
example.com. 300 NS ns1.example.com.
ns1.example.com. 300 A 192.0.2.53
www.example.com. 30 A 192.0.2.10
";

const CLIENT: &str = "192.0.2.99:4242";

/// A part of a message, a read behind it, and as much of answers: what `serve::tcp` promises of one connection.
const MOST_HELD: usize = 4 * (65_535 + 2);

struct Bench {
    responder: Responder,
    buffers: Buffers,
}

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench::new());
}

impl Bench {
    fn new() -> Self {
        let mut server = support::Server::new(ZONES);
        // Cookies are of their second, which may pass between the two answers that are compared.
        server.options.cookie_secrets.clear();
        let published = Arc::new(Published::new(Arc::new(server.view())));
        let rates = Arc::new(RateClock::start().expect("the kernel has randomness"));
        let responder = Responder::new(published, rates, Arc::new(WorkerCounters::default())).expect("the kernel has randomness");
        Self { responder, buffers: Buffers::default() }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((seed, stream)) = data.split_first_chunk() else { return };
    BENCH.with_borrow_mut(|bench| {
        let sent = converse(bench, stream, u16::from_be_bytes(*seed));
        assert_eq!(sent, expected(&mut bench.responder, stream));
    });
});

/// What comes back however the stream is cut.
fn converse(bench: &mut Bench, stream: &[u8], seed: u16) -> Vec<u8> {
    let peer: SocketAddr = CLIENT.parse().expect("an address");
    let mut taken = Vec::new();
    let pieces = Pieces(u64::from(seed) << 1 | 1);
    let mut connection = Connection::new(Peer { left: stream, taken: &mut taken, pieces }, peer);
    // Each turn reads or writes at least a byte or has a one in four chance of a pause; a million of them is for ever.
    let ended = (0..1_000_000).any(|_| {
        let progress = connection.serve(&mut bench.responder, &mut bench.buffers);
        assert!(connection.held_bytes() <= MOST_HELD, "{} bytes are held", connection.held_bytes());
        progress.is_over
    });
    assert!(ended, "the connection does not end");
    drop(connection);
    taken
}

/// What should come back.
fn expected(responder: &mut Responder, mut stream: &[u8]) -> Vec<u8> {
    let peer: SocketAddr = CLIENT.parse().expect("an address");
    let mut sent = Vec::new();
    let mut reply = vec![0; 65_535];
    while let Some((length, rest)) = stream.split_first_chunk() {
        let Some((message, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))) else { break };
        let Some(length) = responder.respond_tcp(message, peer, &mut reply) else { break };
        sent.extend(u16::try_from(length).expect("a message").to_be_bytes());
        sent.extend_from_slice(&reply[..length]);
        stream = rest;
    }
    sent
}

/// Lengths of pieces, 0 for a pause, from a seed (xorshift).
struct Pieces(u64);

impl Pieces {
    fn next(&mut self) -> io::Result<usize> {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        match self.0 >> 60 {
            0..4 => Err(io::ErrorKind::WouldBlock.into()),
            4..10 => Ok(1 + usize::try_from(self.0 & 7).expect("small")),
            10..14 => Ok(1 + usize::try_from(self.0 & 255).expect("small")),
            _ => Ok(usize::MAX),
        }
    }
}

/// The client's end.
struct Peer<'a> {
    left: &'a [u8],
    taken: &'a mut Vec<u8>,
    pieces: Pieces,
}

impl Read for Peer<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.pieces.next()?.min(self.left.len()).min(buffer.len());
        let (piece, left) = self.left.split_at(length);
        buffer[..length].copy_from_slice(piece);
        self.left = left;
        Ok(length)
    }
}

impl Write for Peer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.pieces.next()?.min(bytes.len());
        self.taken.extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
