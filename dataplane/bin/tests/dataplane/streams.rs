//! DNS over TCP (RFC 7766) with clients of all manners.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::control::Heard;
use crate::dns::{NOERROR, ask_tcp, ask_tcp_on, ask_udp, connect, framed, query, read_reply};
use crate::process::{Dataplane, Directory, Flags, wait_until};
use crate::zones::{A, TXT, texts, triple, zone};

const WWW: &str = "www.example.com";
const BULK: &str = "bulk.example.com";

struct Served {
    plane: Dataplane,
    _directory: Directory,
}

fn serve() -> Served {
    let directory = Directory::new();
    let plane = Dataplane::start(&Flags::on_loopback(&directory.0));
    let mut changes = zone([192, 0, 2, 1]);
    changes.push(texts(BULK, 60_000));
    assert_eq!(plane.publisher().full(triple(1), &changes), Heard::Ack(triple(1)));
    Served { plane, _directory: directory }
}

#[test]
fn pipelined_queries_are_answered_in_order_however_they_are_cut() {
    let served = serve();
    let queries: Vec<u8> = (0..200).flat_map(|id| framed(&query(id, WWW, A))).collect();
    for step in [1, 2, 3, 13, 1000, queries.len()] {
        let mut stream = connect(served.plane.v4());
        let mut reader = stream.try_clone().unwrap();
        let reading = std::thread::spawn(move || (0..200).map(|_| read_reply(&mut reader).unwrap().id()).collect::<Vec<_>>());
        for piece in queries.chunks(step) {
            stream.write_all(piece).unwrap();
        }
        assert_eq!(reading.join().unwrap(), (0..200).collect::<Vec<_>>(), "in pieces of {step}");
    }
}

#[test]
fn an_answer_of_nearly_64_kib_arrives_whole() {
    let served = serve();
    let reply = ask_tcp_on(&mut connect(served.plane.v6()), &query(1, BULK, TXT));
    assert_eq!(reply.rcode(), NOERROR);
    assert!(reply.0.len() > 60_000);
    assert_eq!(usize::from(reply.answers()), 60_000 / 255);
}

#[test]
fn a_client_that_closes_its_side_is_still_answered() {
    let served = serve();
    let mut stream = connect(served.plane.v4());
    stream.write_all(&framed(&query(7, WWW, A)).repeat(3)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!((0..3).map(|_| read_reply(&mut stream).unwrap().id()).collect::<Vec<_>>(), [7, 7, 7]);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn what_is_no_query_ends_the_connection_behind_the_answers_before_it() {
    let served = serve();
    for junk in [framed(b""), framed(b"short"), framed(&[0xff; 100])] {
        let mut stream = connect(served.plane.v4());
        stream.write_all(&[framed(&query(1, WWW, A)), junk].concat()).unwrap();
        assert_eq!(read_reply(&mut stream).unwrap().id(), 1);
        assert!(read_reply(&mut stream).is_err());
    }
    assert_eq!(ask_tcp(served.plane.v4(), WWW).address(), Some([192, 0, 2, 1]));
}

#[test]
fn over_the_cap_of_an_address_the_longest_idle_connection_goes_and_a_fresh_one_is_answered() {
    let served = serve();
    let mut idle: Vec<TcpStream> = (0..64).map(|_| connect(served.plane.v4())).collect();
    // All are open and known, and the second was useful last.
    for stream in &mut idle {
        assert_eq!(ask_tcp_on(stream, &query(1, WWW, A)).rcode(), NOERROR);
    }
    ask_tcp_on(&mut idle[0], &query(1, WWW, A));
    assert_eq!(ask_tcp(served.plane.v4(), WWW).address(), Some([192, 0, 2, 1]));
    assert_eq!(idle[1].read(&mut [0]).unwrap_or(0), 0, "the longest idle has gone");
    assert_eq!(ask_tcp_on(&mut idle[0], &query(2, WWW, A)).id(), 2);
    assert_eq!(ask_tcp_on(&mut idle[63], &query(3, WWW, A)).id(), 3);
    let counters = served.plane.publisher().status()["counters"].clone();
    assert_eq!(counters["tcp_connections"]["evicted"], 1);
}

#[test]
fn clients_that_never_read_cost_a_bounded_amount_and_delay_nobody() {
    let served = serve();
    let before = served.plane.memory();
    // Each asks for 60 MB and takes nothing.
    let questions = framed(&query(1, BULK, TXT)).repeat(1000);
    let deaf: Vec<TcpStream> = (0..60)
        .map(|_| {
            let mut stream = connect(served.plane.v4());
            stream.write_all(&questions).unwrap();
            stream
        })
        .collect();
    let mut times: Vec<Duration> = (0..51)
        .map(|_| {
            let begun = Instant::now();
            assert_eq!(ask_tcp(served.plane.v6(), WWW).address(), Some([192, 0, 2, 1]));
            assert_eq!(ask_udp(served.plane.v4(), WWW).address(), Some([192, 0, 2, 1]));
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    // The median, because the machine may be busy with other tests.
    assert!(times[25] < Duration::from_secs(1), "{times:?}");
    let grown = served.plane.memory().saturating_sub(before);
    assert!(grown < 24 * 1024 * 1024, "grown by {grown} bytes");
    drop(deaf);
}

#[test]
fn idle_and_dribbling_connections_are_closed_in_time() {
    let served = serve();
    let mut idle = connect(served.plane.v4());
    let mut dribbling = connect(served.plane.v6());
    ask_tcp_on(&mut idle, &query(1, WWW, A));
    let begun = Instant::now();
    let message = framed(&query(1, WWW, A));
    dribbling.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
    let mut sent = 0;
    // A byte now and then does not keep a connection alive.
    wait_until("the dribbling connection is closed", || {
        let _ = dribbling.write_all(&message[sent % message.len()..=sent % message.len()]);
        sent += usize::from(sent + 1 < message.len());
        !matches!(dribbling.read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    });
    assert_eq!(idle.read(&mut [0]).unwrap_or(0), 0);
    assert!(begun.elapsed() > Duration::from_secs(8), "{:?}", begun.elapsed());
}

#[test]
fn an_idle_connection_costs_less_than_4_kib() {
    let served = serve();
    let hosts = |number: u16| format!("127.0.{}.{}:0", 1 + number / 200, 1 + number % 200);
    let before = served.plane.memory();
    // From many addresses, so that the cap of one is not reached.
    let open: Vec<TcpStream> = (0..1000).map(|number| connect_from(&hosts(number), served.plane.v4())).collect();
    let mut last = open.last().unwrap().try_clone().unwrap();
    assert_eq!(ask_tcp_on(&mut last, &query(1, WWW, A)).id(), 1);
    let each = served.plane.memory().saturating_sub(before) / 1000;
    assert!(each < 4096, "{each} bytes each");
    assert_eq!(served.plane.publisher().status()["counters"]["tcp_open"], 1000);
}

fn connect_from(source: &str, server: std::net::SocketAddr) -> TcpStream {
    let source: std::net::SocketAddrV4 = source.parse().unwrap();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&source.into()).unwrap();
    socket.connect(&server.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(crate::process::PATIENCE)).unwrap();
    stream
}
