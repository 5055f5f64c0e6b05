use geodns_engine::acl::NetworkSet;
use geodns_engine::rrl::Pace;
use geodns_engine::spec::Prefix;
use geodns_engine::steer::SteeringEditor;
use geodns_engine::view::{Options, View};
use geodns_engine::zones::ZoneSet;

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
        let options = Options { cookie_secrets: vec![[7; 16]], rate_limits: limits, ..Options::default() };
        let (tables, health) = SteeringEditor::new().tables();
        let view = View { zones: Arc::new(ZoneSet::new(1)), tables, health, options: Arc::new(options), triple: None };
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
        let mut reply = [0; 1232];
        self.responder.respond_udp(request, client.parse().unwrap(), &mut reply).map(|length| reply[..length].to_vec())
    }

    #[track_caller]
    fn assert_counted(&self, expected: &[(Counter, usize)]) {
        for (counter, count) in expected {
            assert_eq!(self.counters.get(*counter), *count as u64, "{counter:?}");
        }
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

#[test]
fn only_a_panic_while_answering_drops_a_query() {
    let mut world = World::new(None);
    world.responder.recover_from_panic();
    world.assert_counted(&[(Counter::Panics, 1), (Counter::DroppedPanic, 0)]);
    world.responder.drop_after_panic();
    world.assert_counted(&[(Counter::Panics, 2), (Counter::DroppedPanic, 1)]);
}
