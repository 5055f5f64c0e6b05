use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener as StdListener, TcpStream as StdStream};

use super::*;
use crate::published::Published;
use crate::responder::RateClock;
use crate::server::nothing;

/// More than are accepted at once; less than the backlog of any machine.
const CLIENTS: usize = 100;
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const QUERY: &[u8] = b"\x00\x21\x00\x09\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03com\x00\x00\x01\x00\x01";

/// A server on no zones, which refuses every question: that is an answer like any other. Its thread does not run yet.
fn server() -> (TcpServer, SocketAddr) {
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    let counters = Arc::new(WorkerCounters::default());
    let published = Arc::new(Published::new(Arc::new(nothing())));
    let responder = Responder::new(published, Arc::new(RateClock::start().unwrap()), Arc::clone(&counters)).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    (TcpServer::new(vec![TcpListener::from_std(listener)], responder, counters, stop).unwrap(), addr)
}

fn connect(addr: SocketAddr) -> StdStream {
    let client = StdStream::connect(addr).unwrap();
    client.set_read_timeout(Some(LONGEST_WAIT)).unwrap();
    client
}

fn assert_answered(client: &mut StdStream, what: &str) {
    let mut reply = [0; QUERY.len()];
    client.read_exact(&mut reply).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!((reply[..4].to_vec(), reply[5] & 15), (vec![0, 0x21, 0, 9], 5), "{what}: the answer to its query, REFUSED");
}

/// How many connections to `port` have a whole query in the kernel that nobody has read.
fn queries_unread(port: u16) -> usize {
    let (here, established) = (format!(":{port:04X}"), "01");
    let unread = format!(":{:08X}", QUERY.len());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let columns = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    columns.filter(|column| column[1].ends_with(&here) && column[3] == established && column[4].ends_with(&unread)).count()
}

/// One round of events, which must come.
fn handle_events(server: &mut TcpServer) {
    let mut events = Events::with_capacity(EVENTS);
    server.poll.poll(&mut events, Some(LONGEST_WAIT)).unwrap();
    assert!(!events.is_empty());
    for event in &events {
        server.handle(event, Instant::now());
    }
}

#[test]
fn a_backlog_of_several_turns_is_answered_before_the_end() {
    let (mut server, addr) = server();
    let mut clients: Vec<StdStream> = (0..CLIENTS).map(|_| connect(addr)).collect();
    for client in &mut clients {
        client.write_all(QUERY).unwrap();
    }
    let end = Instant::now() + LONGEST_WAIT;
    while queries_unread(addr.port()) < CLIENTS {
        assert!(Instant::now() < end, "the kernel has {} queries", queries_unread(addr.port()));
        std::thread::sleep(Duration::from_millis(1));
    }
    // A busy machine may keep this thread from running for longer than `FAREWELL`.
    server.say_farewell(LONGEST_WAIT);
    drop(server);
    for (number, client) in clients.iter_mut().enumerate() {
        assert_answered(client, &format!("client {number}"));
    }
}

#[test]
fn a_connection_without_a_query_is_done_with_once_none_can_be_on_its_way() {
    let (mut server, addr) = server();
    let mut client = connect(addr);
    handle_events(&mut server);
    let is_done_at = |server: &TcpServer, now| is_done(server.connection(0).unwrap(), now);
    let accepted = server.connection(0).unwrap().silent_since.unwrap();
    assert!(!is_done_at(&server, accepted));
    assert!(is_done_at(&server, accepted + ON_ITS_WAY));
    client.write_all(QUERY).unwrap();
    handle_events(&mut server);
    assert_answered(&mut client, "the client");
    assert!(is_done_at(&server, accepted));
}
