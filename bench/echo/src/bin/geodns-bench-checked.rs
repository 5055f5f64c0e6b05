//! Ten thousand web servers to be checked, and an eye on what DNS says of them, on one clock.
//!
//! `geodns-bench-checked HTTP_PORT DNS_PORT ZONE`: every address of 127.64.0.0/16 answers HTTP on HTTP_PORT, 200 or, once it has fallen, 503. The server
//! 127.64.0.0 + N stands behind the name `nN` of the zone. From its second bad answer but one on, a fallen server's name is asked of
//! 127.0.0.1:DNS_PORT every PERIOD_US until the answer is another address, so that what lies between a bad answer and a changed one is seen to
//! about that period.
//!
//! Commands on standard input: `fall FIRST LAST PERIOD_US`, `rise FIRST LAST`, `report`. A report is lines `attempt NANOSECONDS N good|bad`
//! (the moment before the answer was sent) and `changed NANOSECONDS N` (the moment at which the first changed answer had come), then
//! `end`; what it told is forgotten.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const SERVERS: usize = 1 << 16;
/// The first two bytes of every server's address.
const NETWORK: [u8; 2] = [127, 64];
/// A prober sends its request at once; who does not is not one.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// A socket's own timeout is rounded up to the kernel's tick, which is as long as what is measured.
const LOOK: Duration = Duration::from_micros(100);
/// As much as the kernel allows: after a stall of the prober they all come at once.
const BACKLOG: libc::c_int = 65_535;
const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
const BAD: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\nConnection: close\r\n\r\ndown\n";

struct World {
    start: Instant,
    fallen: Vec<AtomicBool>,
    period_us: AtomicU64,
    lines: Mutex<Vec<String>>,
}

impl World {
    fn note(&self, what: &str, server: usize, manner: &str) {
        let now = self.start.elapsed().as_nanos();
        let line = format!("{what} {now} {server} {manner}");
        self.lines.lock().expect("no holder panics").push(line);
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, http_port, dns_port, zone] = arguments.as_slice() else {
        panic!("usage: geodns-bench-checked HTTP_PORT DNS_PORT ZONE");
    };
    let world = Arc::new(World {
        start: Instant::now(),
        fallen: (0..SERVERS).map(|_| AtomicBool::new(false)).collect(),
        period_us: AtomicU64::new(1_000),
        lines: Mutex::new(Vec::new()),
    });
    let http_port: u16 = http_port.parse().expect("a port");
    let dns_port: u16 = dns_port.parse().expect("a port");
    let listener = TcpListener::bind(("0.0.0.0", http_port)).expect("the port is free");
    await_requests(&listener);
    let (failing, to_watch) = channel();
    let watched = Arc::clone(&world);
    let zone = zone.clone();
    thread::spawn(move || watch(&watched, dns_port, &zone, &to_watch));
    let serving = Arc::clone(&world);
    thread::spawn(move || serve(&serving, &listener, &failing));
    println!("ready");
    for line in io::stdin().lock().lines() {
        obey(&world, &line.expect("text"));
    }
}

fn obey(world: &World, line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| words[at].parse::<usize>().expect("a number");
    match words.first().copied() {
        Some("fall") => {
            world.period_us.store(number(3) as u64, Ordering::Relaxed);
            set(world, number(1), number(2), true);
        }
        Some("rise") => set(world, number(1), number(2), false),
        Some("report") => {
            let lines = std::mem::take(&mut *world.lines.lock().expect("no holder panics"));
            let mut out = io::stdout().lock();
            for line in lines {
                writeln!(out, "{line}").expect("somebody reads");
            }
            writeln!(out, "end").expect("somebody reads");
        }
        _ => panic!("no command: {line}"),
    }
}

fn set(world: &World, first: usize, last: usize, is_fallen: bool) {
    for server in &world.fallen[first..=last] {
        server.store(is_fallen, Ordering::Relaxed);
    }
}

/// A connection is accepted when its request is there, so that one client in no hurry keeps nobody waiting.
fn await_requests(listener: &TcpListener) {
    let patience_s: libc::c_int = 10;
    // SAFETY: the pointer and the length describe `patience_s`, which outlives the call; `listen` takes no pointer.
    unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const patience_s).cast(),
            4,
        );
        libc::listen(listener.as_raw_fd(), BACKLOG);
    }
}

fn serve(world: &World, listener: &TcpListener, failing: &Sender<usize>) {
    loop {
        // An error here is a client that is gone already.
        if let Ok((stream, _)) = listener.accept() {
            let _ = answer(world, stream, failing);
        }
    }
}

fn answer(world: &World, mut stream: TcpStream, failing: &Sender<usize>) -> io::Result<()> {
    let Some(server) = server_of(stream.local_addr()?) else {
        return Ok(());
    };
    stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    if stream.read(&mut [0; 2048])? == 0 {
        return Ok(());
    }
    if world.fallen[server].load(Ordering::Relaxed) {
        world.note("attempt", server, "bad");
        failing.send(server).expect("the watcher never ends");
        stream.write_all(BAD)
    } else {
        world.note("attempt", server, "good");
        stream.write_all(GOOD)
    }
}

fn server_of(address: SocketAddr) -> Option<usize> {
    let IpAddr::V4(address) = address.ip() else {
        return None;
    };
    let [a, b, high, low] = address.octets();
    ([a, b] == NETWORK).then_some(usize::from(high) << 8 | usize::from(low))
}

/// Asks for the names of those that gave a bad answer and have not changed yet, a round every period.
fn watch(world: &World, dns_port: u16, zone: &str, failing: &Receiver<usize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    socket.connect(("127.0.0.1", dns_port)).expect("loopback");
    socket.set_nonblocking(true).expect("a socket can");
    let mut asked: BTreeSet<usize> = BTreeSet::new();
    let mut changed: BTreeSet<usize> = BTreeSet::new();
    loop {
        if asked.is_empty() {
            let server = failing.recv().expect("the servers never end");
            changed.retain(|server| world.fallen[*server].load(Ordering::Relaxed));
            asked.insert(server);
        }
        asked.extend(failing.try_iter());
        asked.retain(|server| !changed.contains(server));
        for server in &asked {
            // A full buffer costs one round.
            let _ = socket.send(&encode_query(*server, zone));
        }
        let end = Instant::now() + Duration::from_micros(world.period_us.load(Ordering::Relaxed));
        while let Some(server) = receive_changed(&socket, end) {
            if asked.remove(&server) && changed.insert(server) {
                world.note("changed", server, "");
            }
        }
    }
}

/// The next server whose answer is none of our addresses; None at `end`.
fn receive_changed(socket: &UdpSocket, end: Instant) -> Option<usize> {
    let mut packet = [0; 512];
    while Instant::now() < end {
        match socket.recv(&mut packet) {
            // One answer, and no additional section because none was asked for: the address stands at the end.
            Ok(length) if length > 16 && packet[length - 4..length - 2] != NETWORK => {
                return Some(usize::from(u16::from_be_bytes([packet[0], packet[1]])));
            }
            Ok(_) => {}
            Err(_) => thread::sleep(LOOK),
        }
    }
    None
}

/// A question for `nSERVER.zone A`; the server is also the message's id.
fn encode_query(server: usize, zone: &str) -> Vec<u8> {
    let id = u16::try_from(server)
        .expect("fewer than 65,536")
        .to_be_bytes();
    let mut query = vec![id[0], id[1], 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in format!("n{server}.{zone}").split('.') {
        query.push(u8::try_from(label.len()).expect("a short label"));
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    query
}
