//! The link as a stranger would use it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use geodns_engine::refused::RefusalCode;
use geodns_link::LINK_VERSION;
use geodns_link::frame::{Frame, MAX_FRAME, Ownership, Role};

use crate::control::{Control, Heard, begin_full};
use crate::dns::{REFUSED, ask_udp};
use crate::process::{Dataplane, Directory, Flags};
use crate::zones::{bare_zone, down, failover, triple, zone};

fn start(directory: &Directory) -> Dataplane {
    Dataplane::start(&Flags::on_loopback(&directory.0).with(&["--settings-digest", &"5a".repeat(32)]))
}

fn check_refused_and_closed(control: &mut Control, code: RefusalCode) {
    match control.answer() {
        Heard::Refused(_, with, _) => assert_eq!(with, code),
        other => panic!("refused with {code:?}, not {other:?}"),
    }
    assert_eq!(control.answer(), Heard::Closed);
}

#[test]
fn hello_says_who_is_there() {
    let directory = Directory::new();
    let plane = start(&directory);
    let hello = Control::connect(&plane.flags.socket()).hello;
    assert_eq!((hello.link_version, hello.ownership), (LINK_VERSION, Ownership::Supervised));
    assert_eq!((hello.served, hello.settings_digest), (None, [0x5a; 32]));
    assert_eq!(fs::metadata(plane.flags.socket()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn an_unknown_frame_and_another_version_are_refused_by_version() {
    let directory = Directory::new();
    let plane = start(&directory);
    let mut control = plane.publisher();
    control.send_bytes(&[0, 0, 0, 1, 0x70]);
    check_refused_and_closed(&mut control, RefusalCode::Version);
    let mut control = Control::connect(&plane.flags.socket());
    control.send(&Frame::Attach { link_version: LINK_VERSION + 1, role: Role::Publisher });
    check_refused_and_closed(&mut control, RefusalCode::Version);
}

#[test]
fn frames_out_of_order_and_out_of_role_are_refused() {
    let directory = Directory::new();
    let plane = start(&directory);
    let mut unattached = Control::connect(&plane.flags.socket());
    unattached.send(&Frame::StatusRequest);
    check_refused_and_closed(&mut unattached, RefusalCode::State);
    let mut twice = plane.publisher();
    twice.send(&Frame::Attach { link_version: LINK_VERSION, role: Role::Observer });
    check_refused_and_closed(&mut twice, RefusalCode::State);
    for frame in [Frame::Begin(begin_full(triple(1))), Frame::Abort, Frame::Config(b"{}"), Frame::Ack(triple(1))] {
        let mut observer = Control::observer(&plane.flags.socket());
        observer.send(&frame);
        check_refused_and_closed(&mut observer, RefusalCode::Role);
    }
    let mut publisher = plane.publisher();
    publisher.send(&Frame::Ack(triple(1)));
    check_refused_and_closed(&mut publisher, RefusalCode::Role);
}

#[test]
fn sixteen_observers_may_ask_beside_a_publisher_and_no_more() {
    let directory = Directory::new();
    let plane = start(&directory);
    let mut control = plane.publisher();
    let mut observers: Vec<Control> = (0..16).map(|_| Control::observer(&plane.flags.socket())).collect();
    for observer in &mut observers {
        assert_eq!(observer.status()["version"], env!("CARGO_PKG_VERSION"));
    }
    let mut one_more = Control::observer(&plane.flags.socket());
    check_refused_and_closed(&mut one_more, RefusalCode::Limit);
    assert_eq!(control.full(triple(1), &zone([192, 0, 2, 1])), Heard::Ack(triple(1)));
    assert!(observers[15].status()["served"].is_string());
}

#[test]
fn a_configuration_is_taken_whole_or_refused_with_its_key() {
    let directory = Directory::new();
    let plane = start(&directory);
    let mut control = plane.publisher();
    assert_eq!(control.full(triple(1), &zone([192, 0, 2, 1])), Heard::Ack(triple(1)));
    control.send(&Frame::Config(br#"{"deny": ["127.0.0.0/8"]}"#));
    control.status();
    assert_eq!(ask_udp(plane.v4(), "www.example.com").rcode(), REFUSED);
    control.send(&Frame::Config(br#"{"allow": ["198.51.100.0/24"], "denny": []}"#));
    let Heard::Refused(0, RefusalCode::Malformed, reason) = control.answer() else { panic!("an unknown key is refused") };
    assert!(reason.contains("denny"));
    assert_eq!(ask_udp(plane.v6(), "www.example.com").address(), Some([192, 0, 2, 1]));
    control.send(&Frame::Config(b"{}"));
    control.status();
    assert_eq!(ask_udp(plane.v4(), "www.example.com").address(), Some([192, 0, 2, 1]));
}

#[test]
fn a_publisher_is_told_the_status_unasked_and_an_observer_is_not() {
    let directory = Directory::new();
    let plane = start(&directory);
    let mut control = plane.publisher();
    let mut observer = Control::observer(&plane.flags.socket());
    for _ in 0..2 {
        let Heard::Status(status) = control.next() else { panic!("only STATUS comes unasked") };
        assert_eq!(status["workers"]["listen"][0], plane.v4().to_string());
        for key in ["served", "counters", "geo", "disk", "health_epoch", "uptime_s", "version"] {
            assert!(status.get(key).is_some(), "{key}");
        }
    }
    observer.send(&Frame::Explain { id: 1, json: b"{}" });
    assert!(matches!(observer.next(), Heard::Explained(1, _)), "what is asked comes first when nothing comes unasked");
}

#[test]
fn whoever_asks_is_told_why_by_the_code_that_answers() {
    let directory = Directory::new();
    let plane = start(&directory);
    let mut changes = bare_zone();
    changes.push(failover("www.example.com", [192, 0, 2, 1], [192, 0, 2, 2]));
    let mut control = plane.publisher();
    assert_eq!(control.full(triple(1), &changes), Heard::Ack(triple(1)));
    control.whole_health(1, &[(1, down())]);
    control.status();
    let mut observer = Control::observer(&plane.flags.socket());
    observer.send(&Frame::Explain { id: 7, json: br#"{"name": "www.example.com.", "type": "A", "client": "198.51.100.0/24"}"# });
    let Heard::Explained(7, document) = observer.answer() else { panic!("a question is answered") };
    assert_eq!(document["answer"]["answer"][0]["data"], "192.0.2.2", "{document}");
    observer.send(&Frame::Explain { id: 8, json: br#"{"name": "www..", "type": "A", "client": "::1"}"# });
    let Heard::Explained(8, document) = observer.answer() else { panic!("a question is answered") };
    assert!(document["error"].is_string());
}

#[test]
fn bytes_that_are_no_frames_cost_their_connection_and_nothing_else() {
    let directory = Directory::new();
    let plane = start(&directory);
    let mut control = plane.publisher();
    assert_eq!(control.full(triple(1), &zone([192, 0, 2, 1])), Heard::Ack(triple(1)));
    let too_long = u32::try_from(MAX_FRAME + 1).unwrap().to_be_bytes().to_vec();
    let mut noise = 1_u32;
    let mut random = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.to_be_bytes()[0]
    };
    let mut strangers: Vec<Vec<u8>> = vec![too_long, vec![0; 4], vec![0xff; 4]];
    for kind in 0..=255_u8 {
        let payload: Vec<u8> = (0..64).map(|_| random()).collect();
        strangers.push([&[0, 0, 0, 65, kind][..], &payload].concat());
    }
    for bytes in strangers {
        let mut stranger = Control::observer(&plane.flags.socket());
        stranger.send_bytes(&bytes);
        // Type 0x60 is a question, and is answered; everything else ends the connection.
        if bytes.get(4) != Some(&0x60) && bytes.get(4) != Some(&0x51) {
            assert!(matches!(stranger.answer(), Heard::Refused(..)), "{bytes:?}");
            assert_eq!(stranger.answer(), Heard::Closed);
        }
    }
    let status = control.status();
    assert_eq!(status["counters"]["panics"], 0);
    assert_eq!(ask_udp(plane.v4(), "www.example.com").address(), Some([192, 0, 2, 1]));
}
