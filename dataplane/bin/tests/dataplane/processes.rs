//! Starting, ending and refusing to start.

use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use crate::control::Heard;
use crate::dns::{ask_udp, connect, framed, query, read_reply};
use crate::process::{Dataplane, Directory, Flags, PATIENCE};
use crate::zones::{A, triple, zone};
use std::io::Write as _;

const WWW: &str = "www.example.com";

fn check_refuses_to_start(flags: &Flags, code: i32, named: &str) {
    let (ended, said) = flags.run_to_end();
    assert_eq!(ended, Some(code), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("geodns-dataplane: ") && last.contains(named), "{said}");
}

#[test]
fn a_busy_port_is_one_sentence_and_exit_code_1() {
    let directory = Directory::new();
    let flags = Flags::on_loopback(&directory.0);
    let udp = UdpSocket::bind(flags.listen[1]).unwrap();
    check_refuses_to_start(&flags, 1, &format!("{} is in use by another program (UDP)", flags.listen[1]));
    drop(udp);
    let tcp = TcpListener::bind(flags.listen[0]).unwrap();
    check_refuses_to_start(&flags, 1, &format!("{} is in use by another program (TCP)", flags.listen[0]));
    drop(tcp);
    let plane = Dataplane::start(&flags);
    let elsewhere = Directory::new();
    check_refuses_to_start(&Flags { state: elsewhere.0.clone(), ..flags.clone() }, 1, "is in use by another program");
    check_refuses_to_start(&Flags::on_loopback(&directory.0), 1, "is in use by another dataplane");
    drop(plane);
}

#[test]
fn the_service_manager_hears_of_the_start_once_control_can_attach() {
    let directory = Directory::new();
    let manager = UnixDatagram::bind(directory.0.join("notify.sock")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let flags = Flags::on_loopback(&directory.0);
    let mut program = flags.command().env("NOTIFY_SOCKET", directory.0.join("notify.sock")).spawn().unwrap();
    let mut said = [0; 64];
    let length = manager.recv(&mut said).unwrap();
    assert_eq!(&said[..length], b"READY=1\n");
    UnixStream::connect(flags.socket()).unwrap();
    program.kill().unwrap();
    program.wait().unwrap();
}

#[test]
fn what_cannot_work_is_said_before_anything_is_served() {
    let directory = Directory::new();
    let flags = Flags::on_loopback(&directory.0);
    let long = format!("/tmp/{}", "x".repeat(120));
    check_refuses_to_start(&flags.clone().with(&["--socket", &long]), 1, "at most 107");
    check_refuses_to_start(&flags.clone().with(&["--user", "nobody-of-that-name"]), 1, "there is no user");
    check_refuses_to_start(&Flags { state: "/dev/null/state".into(), ..flags.clone() }, 1, "/dev/null/state");
    check_refuses_to_start(&Flags { listen: vec!["192.0.2.1:53".parse().unwrap()], ..flags.clone() }, 1, "192.0.2.1");
    check_refuses_to_start(&Flags { listen: vec![flags.listen[0], flags.listen[0]], ..flags.clone() }, 1, "twice");
    check_refuses_to_start(&Flags { listen: vec!["127.0.0.1:0".parse().unwrap()], ..flags.clone() }, 1, "port 0");
    check_refuses_to_start(&flags.with(&["--no-such-flag"]), 2, "--no-such-flag");
}

#[test]
fn sigterm_ends_it_soon_with_every_received_query_answered_and_the_socket_gone() {
    let directory = Directory::new();
    let mut plane = Dataplane::start(&Flags::on_loopback(&directory.0));
    assert_eq!(plane.publisher().full(triple(1), &zone([192, 0, 2, 1])), Heard::Ack(triple(1)));
    let mut stream = connect(plane.v4());
    stream.write_all(&framed(&query(1, WWW, A)).repeat(100)).unwrap();
    let begun = Instant::now();
    plane.signal(libc::SIGTERM);
    let answered = std::iter::from_fn(|| read_reply(&mut stream).ok()).count();
    assert_eq!(answered, 100);
    let status = plane.wait();
    assert_eq!((status.code(), status.signal()), (Some(0), None));
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert!(!plane.flags.socket().exists());
}

#[test]
fn ctrl_c_and_hangup_are_for_control_while_it_supervises() {
    let directory = Directory::new();
    let mut plane = Dataplane::start(&Flags::on_loopback(&directory.0));
    assert_eq!(plane.publisher().full(triple(1), &zone([192, 0, 2, 1])), Heard::Ack(triple(1)));
    for signal in [libc::SIGINT, libc::SIGHUP, libc::SIGPIPE] {
        plane.signal(signal);
        assert_eq!(ask_udp(plane.v4(), WWW).address(), Some([192, 0, 2, 1]));
    }
    assert!(plane.is_running());
}

#[test]
fn ctrl_c_ends_one_that_stands_alone() {
    let directory = Directory::new();
    let mut flags = Flags::on_loopback(&directory.0);
    flags.more.clear();
    let mut plane = Dataplane::start(&flags);
    plane.signal(libc::SIGINT);
    assert_eq!(plane.wait().code(), Some(0));
}

/// Tests run as root in containers and as somebody else elsewhere; each has its half of the promise.
#[test]
fn one_started_as_root_keeps_only_the_right_to_bind_and_nobody_else_can_change_users() {
    let directory = Directory::new();
    let flags = Flags::on_loopback(&directory.0).with(&["--user", "nobody"]);
    // SAFETY: no pointers, cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return check_refuses_to_start(&flags, 1, "cannot become the user nobody");
    }
    std::os::unix::fs::chown(&directory.0, Some(65_534), None).unwrap();
    let plane = Dataplane::start(&flags);
    for thread in std::fs::read_dir(format!("/proc/{}/task", plane.pid())).unwrap() {
        // One that has ended meanwhile has no rights left.
        let Ok(status) = std::fs::read_to_string(thread.unwrap().path().join("status")) else { continue };
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        assert!(field("Uid:").split_whitespace().all(|uid| uid == "65534"));
        assert_eq!((field("CapEff:"), field("CapPrm:")), ("0000000000000400".into(), "0000000000000400".into()));
    }
    assert_eq!(plane.publisher().full(triple(1), &zone([192, 0, 2, 1])), Heard::Ack(triple(1)));
    assert_eq!(ask_udp(plane.v4(), WWW).address(), Some([192, 0, 2, 1]));
}

#[test]
fn a_socket_file_that_nobody_answers_on_is_replaced() {
    let directory = Directory::new();
    let plane = Dataplane::start(&Flags::on_loopback(&directory.0)).kill_and_restart();
    assert!(plane.publisher().status()["served"].is_null());
}
