//! No allocation on the query path after start: counted, in the whole process, while one worker answers over UDP.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use geodns_engine::spec::{Change, RrsetData, RrsetSpec, Triple};
use geodns_link::LINK_VERSION;
use geodns_link::frame::{Begin, End, Frame, FrameBuffer, Kind, Role};
use geodns_link::item::put_item;
use geodns_serve::{Ownership, Server, Settings};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const APEX: &[u8] = b"\x07example\x03com\x00";
const WWW: &[u8] = b"\x03www\x07example\x03com\x00";

/// Far more than one allocation for every thousand queries would be seen; far less than one for each.
const QUERIES: u64 = 20_000;

/// What the other threads may need in each second, in which they look around once.
const ELSEWHERE: u64 = 20;

#[test]
fn a_worker_answers_without_allocating() {
    let directory = std::env::temp_dir().join(format!("geodns-allocations-{}", std::process::id()));
    let port = free_port();
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let settings = Settings {
        listen: vec![server],
        workers: 1,
        state: directory.clone(),
        socket: directory.join("socket"),
        settings_digest: [0; 32],
        user: None,
        ownership: Ownership::Supervised,
        cpu_affinity: false,
        version: "test",
    };
    let running = Server::start(&settings).unwrap();
    publish(&settings.socket);

    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.connect(server).unwrap();
    let positive = query(WWW);
    let negative = query(b"\x02no\x07example\x03com\x00");
    let mut reply = [0; 1500];
    let mut ask = |count: u64| {
        for number in 0..count {
            socket.send(if number.is_multiple_of(2) { &positive } else { &negative }).unwrap();
            assert!(socket.recv(&mut reply).unwrap() > 12);
        }
    };
    ask(100);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let begun = Instant::now();
    ask(QUERIES);
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    let seconds = begun.elapsed().as_secs() + 1;
    assert!(allocations <= ELSEWHERE * seconds, "{allocations} allocations over {QUERIES} queries in {seconds} s");
    running.stop();
    let _ = std::fs::remove_dir_all(directory);
}

fn free_port() -> u16 {
    loop {
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

fn query(qname: &[u8]) -> Vec<u8> {
    [&[0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], qname, &[0, 1, 0, 1]].concat()
}

/// Plays control once: a zone with one address.
fn publish(socket: &Path) {
    let put = |owner: &[u8], rtype: u16, rdata: Vec<u8>| {
        let rrset = RrsetSpec { rtype, ttl: 30, data: RrsetData::Static(vec![rdata.into()]) };
        Change::PutOwner { apex: APEX.into(), owner: owner.into(), rrsets: vec![rrset] }
    };
    let soa = [APEX, APEX, &[0; 20]].concat();
    let changes = [Change::PutZone { apex: APEX.into() }, put(APEX, 6, soa), put(WWW, 1, vec![192, 0, 2, 1])];
    let mut stream = Vec::new();
    for change in &changes {
        put_item(&mut stream, change).unwrap();
    }
    let begin = Begin {
        kind: Kind::Full,
        triple: Triple { lineage: [1; 16], revision: 1, tag: 1 },
        base_revision: 0,
        base_tag: 0,
        ancestors: vec![],
    };
    let end = End { items: changes.len() as u64, bytes: stream.len() as u64, crc: crc32fast::hash(&stream) };
    let mut bytes = Vec::new();
    for frame in
        [Frame::Attach { link_version: LINK_VERSION, role: Role::Publisher }, Frame::Begin(begin), Frame::Chunk(&stream), Frame::End(end)]
    {
        frame.encode(&mut bytes).unwrap();
    }
    let mut link = UnixStream::connect(socket).unwrap();
    link.write_all(&bytes).unwrap();
    let mut buffer = FrameBuffer::default();
    loop {
        while let Some(body) = buffer.pull().unwrap() {
            match Frame::decode(body).unwrap() {
                Frame::Ack(_) => return,
                Frame::Refuse(refuse) => panic!("{}", refuse.reason),
                _ => {}
            }
        }
        let mut arrived = [0; 4096];
        let length = link.read(&mut arrived).unwrap();
        assert!(length > 0, "the link was closed");
        buffer.push(&arrived[..length]);
    }
}
