//! What is answered, where, and from when on.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use serde_json::Value;

use crate::control::Heard;
use crate::dns::{self, NOERROR, NXDOMAIN, REFUSED, ask_tcp, ask_tcp_on, ask_udp, client_of, connect, query};
use crate::process::{Dataplane, Directory, Flags, PATIENCE, free_port};
use crate::zones::{A, address, removed, triple, zone};

const WWW: &str = "www.example.com";

/// Enough clients for the kernel to choose every one of a few workers.
const CLIENTS: usize = 48;

#[test]
fn without_a_state_every_query_is_refused_and_status_says_so() {
    let directory = Directory::new();
    let plane = Dataplane::start(&Flags::on_loopback(&directory.0));
    for server in [plane.v4(), plane.v6()] {
        assert_eq!(ask_udp(server, WWW).rcode(), REFUSED);
        assert_eq!(ask_tcp(server, WWW).rcode(), REFUSED);
    }
    let mut control = plane.publisher();
    assert_eq!(control.hello.served, None);
    assert_eq!(control.status()["served"], Value::Null);
}

#[test]
fn what_was_acknowledged_is_answered_by_every_worker_over_every_transport() {
    let directory = Directory::new();
    let plane = Dataplane::start(&Flags::on_loopback(&directory.0).with(&["--workers", "4"]));
    let mut control = plane.publisher();
    // Connections and sockets from before the change must see it too.
    let sockets: Vec<UdpSocket> =
        [plane.v4(), plane.v6()].into_iter().flat_map(|server| (0..CLIENTS).map(move |_| client_of(server))).collect();
    let mut streams = [connect(plane.v4()), connect(plane.v6())];
    let message = query(1, WWW, A);
    let check = |sockets: &[UdpSocket], streams: &mut [std::net::TcpStream], addr: [u8; 4]| {
        for socket in sockets {
            assert_eq!(dns::ask_on(socket, &message).address(), Some(addr));
        }
        for stream in streams {
            assert_eq!(ask_tcp_on(stream, &message).address(), Some(addr));
        }
    };
    assert_eq!(control.full(triple(1), &zone([192, 0, 2, 1])), Heard::Ack(triple(1)));
    check(&sockets, &mut streams, [192, 0, 2, 1]);
    for revision in 2..30_u8 {
        let addr = [192, 0, 2, revision];
        let (base, next) = (triple(u64::from(revision) - 1), triple(u64::from(revision)));
        assert_eq!(control.delta(base, next, &[address(WWW, addr)]), Heard::Ack(next));
        check(&sockets, &mut streams, addr);
    }
    assert_eq!(control.delta(triple(29), triple(30), &[removed(WWW)]), Heard::Ack(triple(30)));
    assert!(sockets.iter().all(|socket| dns::ask_on(socket, &message).rcode() == NXDOMAIN));
    let counters = control.status()["counters"].clone();
    assert_eq!(counters["queries"]["udp4"], 30 * CLIENTS);
    assert_eq!(counters["queries"]["tcp6"], 29);
    assert_eq!(counters["responses"]["NXDOMAIN"], 2 * CLIENTS);
    assert_eq!(counters["panics"], 0);
}

#[test]
fn a_wildcard_listener_answers_from_the_address_that_was_asked() {
    let directory = Directory::new();
    let wildcard_v4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), free_port(Ipv4Addr::UNSPECIFIED.into()));
    let wildcard_v6: SocketAddr = format!("[::]:{}", free_port("::".parse().unwrap())).parse().unwrap();
    let flags = Flags {
        listen: vec![wildcard_v4, wildcard_v6],
        state: directory.0.clone(),
        more: vec!["--workers".into(), "2".into()],
        limits: None,
    };
    let plane = Dataplane::start(&flags);
    let (wildcard_v4, wildcard_v6) = (plane.v4(), plane.v6());
    assert_eq!(plane.publisher().full(triple(1), &zone([192, 0, 2, 1])), Heard::Ack(triple(1)));
    for (from, asked) in [("127.0.0.1:0", "127.0.0.1"), ("127.0.0.1:0", "127.0.0.77"), ("[::1]:0", "::1")] {
        let port = if asked.contains(':') { wildcard_v6.port() } else { wildcard_v4.port() };
        let server = SocketAddr::new(asked.parse().unwrap(), port);
        let socket = UdpSocket::bind(from).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.send_to(&query(1, WWW, A), server).unwrap();
        let mut reply = [0; 512];
        let (length, source) = socket.recv_from(&mut reply).unwrap();
        assert_eq!(source, server);
        assert_eq!(dns::Reply(reply[..length].to_vec()).rcode(), NOERROR);
        assert_eq!(ask_tcp(server, WWW).address(), Some([192, 0, 2, 1]));
    }
}

#[test]
fn a_datagram_that_is_no_query_gets_no_answer_and_is_counted() {
    let directory = Directory::new();
    let plane = Dataplane::start(&Flags::on_loopback(&directory.0));
    let mut control = plane.publisher();
    assert_eq!(control.full(triple(1), &zone([192, 0, 2, 1])), Heard::Ack(triple(1)));
    let socket = client_of(plane.v4());
    let mut response = query(1, WWW, A);
    response[2] |= 0x80;
    for silent in [b"".as_slice(), b"short", &response, &[0; 5000]] {
        socket.send(silent).unwrap();
    }
    // The same client's next query is answered, and first: the others were silent.
    assert_eq!(dns::ask_on(&socket, &query(2, WWW, A)).address(), Some([192, 0, 2, 1]));
    let dropped = control.status()["counters"]["dropped"].clone();
    assert_eq!((&dropped["short"], &dropped["response"], &dropped["too_long"]), (&2.into(), &1.into(), &1.into()));
}
