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

/// The states of /proc/net/tcp.
const ESTABLISHED: &str = "01";
const CLOSE_WAIT: &str = "08";
/// What the end of the peer's bytes counts as among those that nobody has read.
const END_OF_STREAM: usize = 1;

/// Waits until the kernel has `count` connections to `addr` in such a state, each with so many bytes that nobody has read.
fn await_kernel(addr: SocketAddr, state: &str, unread: usize, count: usize) {
    let (here, unread) = (format!(":{:04X}", addr.port()), format!(":{unread:08X}"));
    let end = Instant::now() + LONGEST_WAIT;
    loop {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let columns = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let is_so = |column: &Vec<&str>| column[1].ends_with(&here) && column[3] == state && column[4].ends_with(&unread);
        let found = columns.filter(is_so).count();
        if found >= count {
            return;
        }
        assert!(Instant::now() < end, "the kernel has {found} of {count}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// One round of events, which must come.
fn handle_events(server: &mut TcpServer) {
    let mut events = Events::with_capacity(EVENTS);
    server.poll.poll(&mut events, Some(LONGEST_WAIT)).unwrap();
    assert!(!events.is_empty());
    server.handle_events(&events, Instant::now());
}

#[test]
fn a_backlog_of_several_turns_is_answered_before_the_end() {
    let (mut server, addr) = server();
    let mut clients: Vec<StdStream> = (0..CLIENTS).map(|_| connect(addr)).collect();
    for client in &mut clients {
        client.write_all(QUERY).unwrap();
    }
    await_kernel(addr, ESTABLISHED, QUERY.len(), CLIENTS);
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

#[test]
fn who_is_new_is_answered_before_who_is_gone_is_closed() {
    let (mut server, addr) = server();
    let mut gone = connect(addr);
    gone.write_all(QUERY).unwrap();
    await_kernel(addr, ESTABLISHED, QUERY.len(), 1);
    handle_events(&mut server);
    assert_answered(&mut gone, "the first client");
    drop(gone);
    let mut new = connect(addr);
    new.write_all(QUERY).unwrap();
    await_kernel(addr, CLOSE_WAIT, END_OF_STREAM, 1);
    await_kernel(addr, ESTABLISHED, QUERY.len(), 1);
    handle_events(&mut server);
    assert_answered(&mut new, "the second client");
    // The kernel may show a state a little before it tells of it.
    while server.connection(0).is_some() {
        handle_events(&mut server);
    }
    // The first still had its place when the second was given one.
    assert!(server.connection(1).is_some());
}

#[test]
fn no_more_are_accepted_than_wait() {
    let (mut server, addr) = server();
    let listener = |server: &TcpServer| server.listeners[0].count_backlog();
    assert_eq!(listener(&server), None);
    let clients: Vec<StdStream> = (0..=ACCEPT_AT_ONCE).map(|_| connect(addr)).collect();
    let end = Instant::now() + LONGEST_WAIT;
    while listener(&server) != Some(clients.len()) {
        assert!(Instant::now() < end, "{:?} wait", listener(&server));
        std::thread::sleep(Duration::from_millis(1));
    }
    handle_events(&mut server);
    assert_eq!((listener(&server), server.has_backlog()), (Some(1), true));
    server.accept_waiting(Instant::now());
    assert_eq!((listener(&server), server.has_backlog()), (None, false));
}
