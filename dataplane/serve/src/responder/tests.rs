use geodns_engine::acl::NetworkSet;
use geodns_engine::rrl::Pace;
use geodns_engine::spec::{Change, Prefix, RrsetData, RrsetSpec, WireName};
use geodns_engine::steer::SteeringEditor;
use geodns_engine::view::{Options, View};
use geodns_engine::zones::ZoneSet;

use geodns_wire::rtype;

use super::*;

const CLIENT: &str = "192.0.2.1:5353";
const BURST: usize = 25;
const FLOOD: usize = 1000;
const TC: u8 = 0x02;
const QUESTION: &[u8] = b"\x03www\x07example\x03com\x00\x00\x01\x00\x01";
const COOKIE_AT: usize = 12 + QUESTION.len() + 11;

/// A responder on no zones (every question is REFUSED, which counts like any answer) that lets a hundred a second through, a quarter of them at once.
struct World {
    responder: Responder,
    counters: Arc<WorkerCounters>,
}

impl World {
    fn new(limits: Option<Limits>) -> Self {
        Self::of(ZoneSet::new(1), limits)
    }

    fn of(zones: ZoneSet, limits: Option<Limits>) -> Self {
        let options = Options { cookie_secrets: vec![[7; 16]], rate_limits: limits, ..Options::default() };
        let (tables, health) = SteeringEditor::new().tables();
        let view = View { zones: Arc::new(zones), tables, health, options: Arc::new(options), triple: None };
        let counters = Arc::new(WorkerCounters::default());
        let published = Arc::new(Published::new(Arc::new(view)));
        let mut responder = Responder::new(published, Arc::new(RateClock::start().unwrap()), Arc::clone(&counters)).unwrap();
        responder.begin_batch();
        Self { responder, counters }
    }

    /// `FLOOD` requests in one instant: the replies.
    fn flood(&mut self, request: &[u8], client: &str) -> Vec<Vec<u8>> {
        (0..FLOOD).filter_map(|_| self.ask(request, client)).collect()
    }

    fn ask(&mut self, request: &[u8], client: &str) -> Option<Vec<u8>> {
        self.ask_all(&[request], client, &mut Replies::default()).pop().map(|(_, reply)| reply)
    }

    /// Asks in one batch: the replies and which request each is for.
    fn ask_all(&mut self, requests: &[&[u8]], client: &str, replies: &mut Replies) -> Vec<(usize, Vec<u8>)> {
        let source = client.parse().unwrap();
        let datagrams = requests.iter().enumerate().map(|(index, octets)| Datagram { index, source, octets, is_cut: octets.is_empty() });
        self.responder.respond_to_batch(datagrams, replies);
        std::mem::take(&mut replies.taken)
    }

    #[track_caller]
    fn assert_counted(&self, expected: &[(Counter, usize)]) {
        for (counter, count) in expected {
            assert_eq!(self.counters.get(*counter), *count as u64, "{counter:?}");
        }
    }
}

/// Replies as they come; `panics_at` is the number of the room that cannot be had, from 0.
#[derive(Default)]
struct Replies {
    room: Vec<u8>,
    rooms: usize,
    panics_at: Option<usize>,
    taken: Vec<(usize, Vec<u8>)>,
}

impl Outbox for Replies {
    fn room(&mut self) -> &mut [u8] {
        let number = self.rooms;
        self.rooms += 1;
        assert_ne!(Some(number), self.panics_at, "as the test wants it");
        self.room.resize(1232, 0);
        &mut self.room
    }

    fn queue(&mut self, index: usize, length: usize) {
        self.taken.push((index, self.room[..length].to_vec()));
    }
}

fn limits(slip: u8) -> Limits {
    let allow = NetworkSet::new(&[Prefix { addr: "198.51.100.0".parse().unwrap(), length: 24 }]);
    Limits { pace: Pace::new(100).unwrap(), slip, ipv4_prefix: 24, ipv6_prefix: 56, allow, dry_run: false }
}

fn plain() -> Vec<u8> {
    [&[0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], QUESTION].concat()
}

fn with_cookie(cookie: &[u8]) -> Vec<u8> {
    let length = u8::try_from(cookie.len()).unwrap();
    let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, length + 4, 0, 10, 0, length];
    [&[0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1], QUESTION, &opt, cookie].concat()
}

/// The cookie of a reply, client's and server's part.
fn cookie_of(reply: &[u8]) -> &[u8] {
    assert_eq!(reply[COOKIE_AT..COOKIE_AT + 4], [0, 10, 0, 24]);
    &reply[COOKIE_AT + 4..COOKIE_AT + 28]
}

#[test]
fn a_flood_over_udp_is_limited_and_counted() {
    let mut world = World::new(Some(limits(0)));
    assert_eq!(world.flood(&plain(), CLIENT).len(), BURST);
    world.assert_counted(&[
        (Counter::QueriesUdp4, FLOOD),
        (Counter::TypeA, FLOOD),
        (Counter::Refused, BURST),
        (Counter::Truncated, 0),
        (Counter::DroppedRate, FLOOD - BURST),
    ]);
}

#[test]
fn a_slipped_reply_is_the_question_alone_with_tc() {
    let mut world = World::new(Some(limits(1)));
    let replies = world.flood(&plain(), CLIENT);
    assert_eq!(replies.len(), FLOOD);
    let slipped = &replies[BURST];
    assert_eq!(
        (&slipped[..2], slipped[2] & TC, &slipped[4..12], &slipped[12..]),
        (&[0, 9][..], TC, &[0, 1, 0, 0, 0, 0, 0, 0][..], QUESTION)
    );
    world.assert_counted(&[(Counter::Truncated, FLOOD - BURST), (Counter::RateSlipped, FLOOD - BURST), (Counter::DroppedRate, 0)]);
}

#[test]
fn a_slipped_reply_keeps_the_opt_record_and_with_it_a_cookie() {
    let mut world = World::new(Some(limits(1)));
    let slipped = world.flood(&with_cookie(&[5; 8]), CLIENT).pop().unwrap();
    assert_eq!((slipped[2] & TC, &slipped[4..12]), (TC, &[0, 1, 0, 0, 0, 0, 0, 1][..]));
    assert_eq!(cookie_of(&slipped)[..8], [5; 8]);
}

#[test]
fn a_valid_cookie_is_never_limited_and_an_invented_one_is() {
    let mut world = World::new(Some(limits(0)));
    let first = world.ask(&with_cookie(&[5; 8]), CLIENT).unwrap();
    world.flood(&plain(), CLIENT);
    assert_eq!(world.flood(&with_cookie(cookie_of(&first)), CLIENT).len(), FLOOD);
    assert!(world.flood(&with_cookie(&[5; 24]), CLIENT).is_empty());
    assert!(world.flood(&with_cookie(&[5; 8]), CLIENT).is_empty());
}

#[test]
fn a_dry_run_answers_everything_and_counts() {
    let mut world = World::new(Some(Limits { dry_run: true, ..limits(2) }));
    let replies = world.flood(&plain(), CLIENT);
    assert!(replies.len() == FLOOD && replies.iter().all(|reply| reply[2] & TC == 0));
    let limited = FLOOD - BURST;
    world.assert_counted(&[
        (Counter::RateWouldSlip, limited / 2),
        (Counter::RateWouldDrop, limited - limited / 2),
        (Counter::RateSlipped, 0),
        (Counter::DroppedRate, 0),
        (Counter::Truncated, 0),
        (Counter::Refused, FLOOD),
    ]);
}

#[test]
fn nothing_is_limited_without_a_rate_from_allowed_networks_or_elsewhere() {
    assert_eq!(World::new(None).flood(&plain(), CLIENT).len(), FLOOD);
    let mut world = World::new(Some(limits(0)));
    assert_eq!(world.flood(&plain(), "198.51.100.7:53").len(), FLOOD);
    world.flood(&plain(), CLIENT);
    for client in ["192.0.3.1:53", "[2001:db8::1]:53"] {
        assert!(world.ask(&plain(), client).is_some(), "{client}");
    }
    assert_eq!(world.ask(&plain(), "[::ffff:192.0.2.9]:53"), None);
}

#[test]
fn tcp_is_never_limited() {
    let mut world = World::new(Some(limits(0)));
    world.flood(&plain(), CLIENT);
    let mut reply = [0; 1232];
    for _ in 0..FLOOD {
        assert!(world.responder.respond_tcp(&plain(), CLIENT.parse().unwrap(), &mut reply).is_some());
    }
}

/// A name of lower-case labels in wire form.
fn wire(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split_terminator('.') {
        wire.push(u8::try_from(label.len()).unwrap());
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// A question with this id.
fn question(id: u8, name: &str, qtype: u16) -> Vec<u8> {
    [&[0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &wire(name), &qtype.to_be_bytes(), &[0, 1]].concat()
}

/// A world among so many names that batches are read ahead, with an alias into another zone and a cut between two that are served.
fn large_world() -> World {
    let mut zones = ZoneSet::new(1).edit();
    let mut put = |apex: &str, owner: &str, rtype, rdata: &[u8]| {
        let rrsets = vec![RrsetSpec { rtype, ttl: 60, data: RrsetData::Static(vec![Box::from(rdata)]) }];
        let (apex, owner): (WireName, WireName) = (wire(apex).into(), wire(owner).into());
        let changes = [Change::PutZone { apex: apex.clone() }, Change::PutOwner { apex, owner, rrsets }];
        for change in changes {
            zones.apply(change, &mut SteeringEditor::new()).unwrap();
        }
    };
    for apex in ["example.", "cut.example.", "other."] {
        put(apex, apex, rtype::SOA, &[0; 22]);
    }
    put("example.", "cut.example.", rtype::NS, &wire("ns.other."));
    put("example.", "alias.example.", rtype::CNAME, &wire("www.other."));
    put("other.", "www.other.", rtype::A, &[192, 0, 2, 1]);
    for number in 0..9000_u32 {
        put("example.", &format!("n{number}.example."), rtype::A, &number.to_be_bytes());
    }
    let world = World::of(zones.finish().unwrap(), None);
    assert!(is_worth_reading_ahead(world.responder.subscription.view()));
    world
}

#[test]
fn a_batch_is_answered_alike_together_and_one_by_one() {
    let ds = 43;
    let mut requests = vec![
        question(1, "n17.example.", rtype::A),
        question(2, "no.example.", rtype::A),
        question(3, "alias.example.", rtype::A),
        question(4, "cut.example.", ds),
        question(5, "a.cut.example.", rtype::A),
        question(6, "example.net.", rtype::A),
        question(7, "n18.example.", rtype::SOA),
        vec![0; 5],
        [&[0, 9, 0x81][..], &question(9, "n1.example.", rtype::A)[3..]].concat(),
        question(10, "n1.example.", rtype::A)[..14].to_vec(),
    ];
    requests.extend((11..=30).map(|id| question(id, &format!("N{id}.example."), rtype::A)));
    requests.extend([with_cookie(&[5; 8]), question(32, "alias.example.", rtype::CNAME)]);
    assert_eq!(requests.len(), WIDTH);
    let sources: Vec<SocketAddr> = (0..WIDTH)
        .map(|index| match index {
            14 => SocketAddr::from(([192, 0, 2, 1], 0)),
            15 => SocketAddr::from(([0x20, 0x01, 0xd, 0xb8, 0, 0, 0, 1], 53)),
            _ => SocketAddr::from(([192, 0, 2, u8::try_from(index).unwrap()], 5353)),
        })
        .collect();
    let mut world = large_world();
    let mut ask = |is_together: bool| {
        let datagrams = requests.iter().zip(&sources).enumerate();
        let datagrams = datagrams.map(|(index, (octets, source))| Datagram { index, source: *source, octets, is_cut: index == 13 });
        let mut replies = Replies::default();
        if is_together {
            world.responder.respond_together(datagrams, &mut replies);
        } else {
            world.responder.respond_one_by_one(datagrams, &mut replies);
        }
        replies.taken
    };
    let (together, one_by_one) = (ask(true), ask(false));
    let unanswered = [7, 8, 13, 14];
    assert!(together.iter().map(|(index, _)| *index).eq((0..WIDTH).filter(|index| !unanswered.contains(index))));
    assert_eq!(together, one_by_one);
    for (index, reply) in &together {
        assert_eq!(reply[..2], requests[*index][..2], "the id of {index}");
    }
    world.assert_counted(&[
        (Counter::QueriesUdp4, 2 * (WIDTH - 2)),
        (Counter::DroppedTooLong, 2),
        (Counter::DroppedShort, 2),
        (Counter::DroppedResponse, 2),
        (Counter::DroppedSourcePort, 2),
        (Counter::Panics, 0),
    ]);
}

#[test]
fn a_panic_while_answering_drops_the_query_that_caused_it() {
    let question = plain();
    // Each query asks for its room twice: to be answered, and to be counted.
    for room in [2, 3] {
        for (name, mut world) in [("small", World::new(None)), ("large", large_world())] {
            let replies = world.ask_all(&[&question[..]; 5], CLIENT, &mut Replies { panics_at: Some(room), ..Replies::default() });
            assert!(replies.iter().map(|(index, _)| *index).eq([0, 2, 3, 4]), "{name}, room {room}");
            world.assert_counted(&[(Counter::QueriesUdp4, 5), (Counter::Panics, 1), (Counter::DroppedPanic, 1), (Counter::Refused, 4)]);
        }
    }
}

#[test]
fn a_panic_before_an_answer_is_begun_stops_no_other() {
    let (question, source) = (plain(), CLIENT.parse().unwrap());
    for (name, mut world) in [("small", World::new(None)), ("large", large_world())] {
        let mut replies = Replies::default();
        let datagrams = (0..5).map(|index| {
            assert_ne!(index, 2, "as the test wants it");
            Datagram { index, source, octets: &question, is_cut: false }
        });
        world.responder.respond_to_batch(datagrams, &mut replies);
        assert!(replies.taken.iter().map(|(index, _)| *index).eq([0, 1, 3, 4]), "{name}");
        world.assert_counted(&[(Counter::Panics, 1), (Counter::DroppedPanic, 1)]);
    }
}

#[test]
fn after_a_panic_over_tcp_the_next_query_is_answered() {
    let mut world = World::new(None);
    world.responder.drop_after_panic();
    world.assert_counted(&[(Counter::Panics, 1), (Counter::DroppedPanic, 1)]);
    assert!(world.responder.respond_tcp(&plain(), CLIENT.parse().unwrap(), &mut [0; 1232]).is_some());
}
