//! Adoption: what is taken over, what is refused, and that a refusal changes nothing (`docs/link-protocol.md` section 1).

use geodns_engine::refused::RefusalCode;
use geodns_engine::spec::{Change, HealthEntry, Triple};
use geodns_link::frame::{Begin, End, Frame};

use crate::control::{Control, Heard, begin_delta, begin_full, encode, end_of};
use crate::dns::{NXDOMAIN, ask_udp};
use crate::process::{Dataplane, Directory, Flags};
use crate::zones::{address, apex, bare_zone, down, failover, name, triple, zone};

const WWW: &str = "www.example.com";
const FIRST: [u8; 4] = [192, 0, 2, 1];
const OTHER: [u8; 4] = [198, 51, 100, 9];

struct Served {
    plane: Dataplane,
    control: Control,
    _directory: Directory,
}

/// Revision 10 is served.
fn serve() -> Served {
    let directory = Directory::new();
    let plane = Dataplane::start(&Flags::on_loopback(&directory.0));
    let mut control = plane.publisher();
    assert_eq!(control.full(triple(10), &zone(FIRST)), Heard::Ack(triple(10)));
    Served { plane, control, _directory: directory }
}

impl Served {
    fn check_refused(&mut self, begin: &Begin, changes: &[Change], code: RefusalCode) {
        let revision = begin.triple.revision;
        match self.control.transfer(begin.clone(), changes) {
            Heard::Refused(refused, with, _) => assert_eq!((refused, with), (revision, code), "{begin:?}"),
            other => panic!("{begin:?} is refused, not {other:?}"),
        }
        self.check_serves(FIRST);
    }

    fn check_serves(&self, addr: [u8; 4]) {
        assert_eq!(ask_udp(self.plane.v4(), WWW).address(), Some(addr));
    }
}

#[test]
fn older_never_replaces_newer_and_another_history_never_replaces_this_one() {
    let mut served = serve();
    let other_history = Triple { lineage: [2; 16], ..triple(11) };
    let same_revision = Triple { tag: 99, ..triple(10) };
    let cases = [
        (begin_full(triple(9)), RefusalCode::Stale),
        (begin_full(same_revision), RefusalCode::Stale),
        (begin_full(other_history), RefusalCode::Lineage),
        (Begin { ancestors: vec![[3; 16], [4; 16]], ..begin_full(other_history) }, RefusalCode::Lineage),
        (begin_delta(triple(9), triple(11)), RefusalCode::Base),
        (begin_delta(same_revision, triple(11)), RefusalCode::Base),
        (begin_delta(triple(10), other_history), RefusalCode::Lineage),
        (begin_delta(triple(10), triple(10)), RefusalCode::Stale),
        (begin_delta(triple(10), triple(9)), RefusalCode::Stale),
    ];
    for (begin, code) in cases {
        served.check_refused(&begin, &zone(OTHER), code);
    }
    assert_eq!(served.control.full(triple(10), &zone(FIRST)), Heard::Ack(triple(10)));
    let child = Begin { ancestors: vec![[5; 16], triple(0).lineage], ..begin_full(Triple { revision: 3, ..other_history }) };
    assert_eq!(served.control.transfer(child.clone(), &zone(OTHER)), Heard::Ack(child.triple));
    served.check_serves(OTHER);
}

#[test]
fn a_delta_without_a_state_is_refused() {
    let directory = Directory::new();
    let plane = Dataplane::start(&Flags::on_loopback(&directory.0));
    let heard = plane.publisher().delta(triple(1), triple(2), &zone(FIRST));
    assert!(matches!(heard, Heard::Refused(2, RefusalCode::Base, _)), "{heard:?}");
}

#[test]
fn a_transfer_that_is_not_what_was_sent_is_refused_whole() {
    let mut served = serve();
    let changes = [address(WWW, OTHER)];
    let stream = encode(&changes);
    let right = end_of(&stream, 1);
    for wrong in [End { crc: !right.crc, ..right }, End { items: 2, ..right }, End { bytes: 1, ..right }] {
        served.control.send(&Frame::Begin(begin_delta(triple(10), triple(11))));
        served.control.send(&Frame::Chunk(&stream));
        served.control.send(&Frame::End(wrong));
        let heard = served.control.answer();
        assert!(matches!(heard, Heard::Refused(11, RefusalCode::Checksum, _)), "{heard:?}");
        served.check_serves(FIRST);
    }
    served.control.send(&Frame::Begin(begin_delta(triple(10), triple(11))));
    served.control.send(&Frame::Chunk(&stream[..stream.len() - 1]));
    served.control.send(&Frame::End(end_of(&stream[..stream.len() - 1], 0)));
    let heard = served.control.answer();
    assert!(matches!(heard, Heard::Refused(11, RefusalCode::Malformed, _)), "{heard:?}");
    assert_eq!(served.control.delta(triple(10), triple(11), &changes), Heard::Ack(triple(11)));
    served.check_serves(OTHER);
}

#[test]
fn a_state_that_makes_no_sense_is_refused_whole() {
    let mut served = serve();
    let without_soa = vec![Change::PutZone { apex: name("example.org") }];
    let not_below = Change::PutOwner { apex: apex(), owner: name("www.example.org"), rrsets: vec![] };
    let absent_zone = Change::PutOwner { apex: name("example.org"), owner: name("example.org"), rrsets: vec![] };
    let delta = || begin_delta(triple(10), triple(11));
    for changes in [without_soa, vec![address(WWW, OTHER), not_below], vec![address(WWW, OTHER), absent_zone]] {
        served.check_refused(&delta(), &changes, RefusalCode::Malformed);
    }
    served.check_refused(&begin_full(triple(11)), &[Change::DropZone { apex: apex() }], RefusalCode::Malformed);
}

#[test]
fn a_transfer_that_is_aborted_or_replaced_leaves_nothing_behind() {
    let mut served = serve();
    let stream = encode(&[address(WWW, OTHER)]);
    served.control.send(&Frame::Begin(begin_delta(triple(10), triple(11))));
    served.control.send(&Frame::Chunk(&stream));
    served.control.send(&Frame::Abort);
    served.control.send(&Frame::End(end_of(&stream, 1)));
    let heard = served.control.answer();
    assert!(matches!(heard, Heard::Refused(_, RefusalCode::State, _)), "{heard:?}");
    served.check_serves(FIRST);

    served.control.send(&Frame::Begin(begin_full(triple(11))));
    let mut successor = served.plane.publisher();
    assert_eq!(served.control.answer(), Heard::Closed);
    assert_eq!(successor.delta(triple(10), triple(12), &[address(WWW, OTHER)]), Heard::Ack(triple(12)));
    served.check_serves(OTHER);
}

#[test]
fn a_full_replaces_everything() {
    let mut served = serve();
    assert_eq!(served.control.full(triple(11), &bare_zone()), Heard::Ack(triple(11)));
    assert_eq!(ask_udp(served.plane.v4(), WWW).rcode(), NXDOMAIN);
}

#[test]
fn health_is_in_force_at_once_also_between_the_chunks_of_a_transfer() {
    let directory = Directory::new();
    let plane = Dataplane::start(&Flags::on_loopback(&directory.0));
    let mut control = plane.publisher();
    let mut changes = bare_zone();
    changes.push(failover(WWW, FIRST, OTHER));
    assert_eq!(control.full(triple(1), &changes), Heard::Ack(triple(1)));
    let answer = || ask_udp(plane.v4(), WWW).address();
    assert_eq!(answer(), Some(FIRST));

    let stream = encode(&changes);
    let (half, rest) = stream.split_at(stream.len() / 2);
    control.send(&Frame::Begin(begin_full(triple(2))));
    control.send(&Frame::Chunk(half));
    control.whole_health(5, &[(1, down())]);
    control.status();
    assert_eq!(answer(), Some(OTHER));
    control.health_changes(6, &[(1, HealthEntry::default())]);
    control.status();
    assert_eq!(answer(), Some(FIRST));
    control.health_changes(7, &[(1, down())]);
    control.send(&Frame::Chunk(rest));
    control.send(&Frame::End(end_of(&stream, changes.len())));
    assert_eq!(control.answer(), Heard::Ack(triple(2)));
    assert_eq!(answer(), Some(OTHER));

    control.health_changes(6, &[(1, HealthEntry::default())]);
    assert_eq!(control.status()["health_epoch"], 7);
    assert_eq!(answer(), Some(OTHER), "a lower epoch is ignored");
    control.whole_health(8, &[]);
    control.status();
    assert_eq!(answer(), Some(FIRST), "a whole vector replaces everything");

    let mut successor = plane.publisher();
    // More than one frame, of which the first names value 1.
    let many: Vec<(u32, HealthEntry)> = (1..5000).map(|id| (id, if id == 1 { down() } else { HealthEntry::default() })).collect();
    successor.whole_health(3, &many);
    assert_eq!(successor.status()["health_epoch"], 3);
    assert_eq!(answer(), Some(OTHER), "epochs begin anew on a new connection");
}
