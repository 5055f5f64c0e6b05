//! Eleven representative queries, each answered a round number of times in one function that callgrind can be told to watch: what the guard of
//! `tests/unit/bench/test_instructions.py` counts. It opens no socket; what is counted is everything between the receive and the send of a full batch: the look
//! at the generation and the clock, the answers, the limiter and the counters.
//!
//! `instructions` prints one line a case, in the order in which `answer_many` is called: the name and the queries of a call. Every seed is fixed, so that
//! two runs of one binary count alike.

#[path = "../../engine/tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use geodns_engine::acl::NetworkSet;
use geodns_engine::location::{Country, Location, LocationSet, LocationTableBuilder, MAX_SUBDIVISIONS, NamedTable, Subdivision};
use geodns_engine::rrl::{Limits, Pace};
use geodns_engine::spec::{
    AllDown, Change, LastResort, PoolSpec, Prefix, RrsetData, RrsetSpec, RuleOrigin, RuleSpec, Select, Status, SteeringSpec, ValueSpec,
};
use geodns_serve::counters::WorkerCounters;
use geodns_serve::published::Published;
use geodns_serve::responder::{RateClock, Responder};
use geodns_serve::sys::{Datagram, Outbox, WIDTH};
use geodns_wire::rtype;
use support::{MANY_STEERED, Server, add_opt, many_names, name, request};

/// Enough that what happens once a batch has its true share.
const QUERIES: usize = 1024;
/// Static names: the zone has as many pages as an ordinary one.
const NAMES: usize = 1000;
const SEED: u64 = 53;

/// A client in 198.18.4.0/24, which the table has in New York.
const CLIENT_SUBNET: &[u8] = &[0, 1, 24, 0, 198, 18, 4];
const OPTION_CLIENT_SUBNET: u16 = 8;

struct Case {
    name: &'static str,
    requests: Vec<Vec<u8>>,
    asks: Asks,
}

/// The server that a case is for.
#[derive(Clone, Copy)]
enum Asks {
    /// A thousand names and a thousand networks.
    Small,
    /// The same, with rates limited.
    Limited,
    /// As many names and networks as are read ahead.
    Large,
}

fn main() {
    let (mut small, mut large) = (server(1024, ""), server(16_384, &many_names()));
    let mut unlimited = responder(&mut small, None);
    let mut reading_ahead = responder(&mut large, None);
    let pace = Pace::new(100_000).expect("within MAX_RATE");
    let limits = Limits { pace, slip: 2, ipv4_prefix: 24, ipv6_prefix: 56, allow: NetworkSet::default(), dry_run: false };
    let mut limited = responder(&mut small, Some(limits));
    for case in cases() {
        let responder = match case.asks {
            Asks::Small => &mut unlimited,
            Asks::Limited => &mut limited,
            Asks::Large => &mut reading_ahead,
        };
        let answered = answer_many(responder, &case.requests);
        assert_eq!(answered, QUERIES, "{}", case.name);
        println!("{} {QUERIES}", case.name);
    }
}

/// What callgrind watches, by this name.
#[inline(never)]
fn answer_many(responder: &mut Responder, requests: &[Vec<u8>]) -> usize {
    let mut answers = Answers { reply: [0; 1232], count: 0 };
    for batch in (0..QUERIES).step_by(WIDTH) {
        let datagram = |index: usize| Datagram { index, source: source(index), octets: &requests[index % requests.len()], is_cut: false };
        responder.begin_batch();
        responder.respond_to_batch((batch..batch + WIDTH).map(datagram), &mut answers);
    }
    answers.count
}

/// Takes answers and looks at none.
struct Answers {
    reply: [u8; 1232],
    count: usize,
}

impl Outbox for Answers {
    fn room(&mut self) -> &mut [u8] {
        &mut self.reply
    }

    fn queue(&mut self, _index: usize, _length: usize) {
        black_box(&self.reply);
        self.count += 1;
    }
}

/// A prefix a query, so that the limiter finds nobody over the limit however fast the processor is.
fn source(index: usize) -> SocketAddr {
    let [.., third, fourth] = index.to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(10, third, fourth, 1), 5353))
}

fn responder(server: &mut Server, rate_limits: Option<Limits>) -> Responder {
    server.options.rate_limits = rate_limits;
    let published = Arc::new(Published::new(Arc::new(server.view())));
    Responder::seeded(published, Arc::new(RateClock::seeded(SEED)), Arc::new(WorkerCounters::default()), SEED)
}

fn cases() -> Vec<Case> {
    let each = |names: &dyn Fn(usize) -> String, qtype: &str| (0..NAMES).map(|number| request(&names(number), qtype)).collect::<Vec<_>>();
    let plain = |name, requests| Case { name, requests, asks: Asks::Small };
    let with_subnet = |qname: &str| {
        let mut request = request(qname, "A");
        add_opt(&mut request, 1232, 0, &[(OPTION_CLIENT_SUBNET, CLIENT_SUBNET)]);
        vec![request]
    };
    vec![
        plain("static", each(&|number| format!("n{number:07}.bench.example."), "A")),
        plain("nodata", each(&|number| format!("n{number:07}.bench.example."), "AAAA")),
        plain("nxdomain", each(&|number| format!("x{number:07}.bench.example."), "A")),
        plain("wildcard", each(&|number| format!("w{number:07}.wild.bench.example."), "A")),
        plain("delegation", each(&|number| format!("h{number:07}.sub.bench.example."), "A")),
        plain("alias", vec![request("alias.bench.example.", "A")]),
        plain("weighted", vec![request("weighted.bench.example.", "A")]),
        plain("country", with_subnet("country.bench.example.")),
        Case { asks: Asks::Large, ..plain("city-sticky", with_subnet("city.bench.example.")) },
        Case {
            asks: Asks::Large,
            ..plain("among-many", (0..MANY_STEERED).map(|number| request(&format!("s{number}.many.example."), "A")).collect())
        },
        Case { asks: Asks::Limited, ..plain("rate-limited", each(&|number| format!("n{number:07}.bench.example."), "A")) },
    ]
}

fn server(networks: u32, more_zones: &str) -> Server {
    let mut zone = String::from(
        "zone bench.example.
bench.example. 300 SOA ns1.bench.example. hostmaster.bench.example. 1 3600 600 604800 60
bench.example. 300 NS ns1.bench.example.
ns1.bench.example. 300 A 192.0.2.53
*.wild.bench.example. 300 A 192.0.2.77
sub.bench.example. 300 NS ns.sub.bench.example.
ns.sub.bench.example. 300 A 192.0.2.54
alias.bench.example. 300 CNAME n0000007.bench.example.
",
    );
    for number in 0..NAMES {
        let _ = writeln!(zone, "n{number:07}.bench.example. 300 A 10.0.{}.{}", number / 256, number % 256);
    }
    zone += more_zones;
    let mut server = Server::new(&zone);
    server.steering.set_locations(Arc::new(locations(networks)));
    let weighted = steering(vec![pool("one", &[(10, 3), (11, 2), (12, 1)])], vec![rule(0, &[])], Select::Weighted);
    let country = steering(
        vec![pool("eu", &[(20, 1)]), pool("na", &[(21, 1)]), pool("elsewhere", &[(22, 1)])],
        vec![rule(0, &["EU"]), rule(1, &["NA-US"]), rule(2, &[])],
        Select::Weighted,
    );
    let city = steering(
        vec![pool("east", &[(30, 1), (31, 1)]), pool("west", &[(32, 1), (33, 2), (34, 1)]), pool("elsewhere", &[(35, 1)])],
        vec![rule(0, &["NA-US-NY"]), rule(1, &["NA-US-CA"]), rule(2, &[])],
        Select::Sticky,
    );
    let steered = [("weighted", weighted), ("country", country), ("city", city)];
    server.apply(steered.map(|(label, spec)| put_steered(label, spec))).expect("the records are valid");
    merge_all(&mut server);
    server
}

/// Makes the maps that a server has soon after its start.
fn merge_all(server: &mut Server) {
    server.view();
    while let Some(job) = server.steering.next_merge() {
        assert!(server.steering.put_merged(job.run()), "nothing has changed meanwhile");
    }
}

fn put_steered(label: &str, spec: SteeringSpec) -> Change {
    let rrset = RrsetSpec { rtype: rtype::A, ttl: 300, data: RrsetData::Steered(Box::new(spec)) };
    Change::PutOwner { apex: name("bench.example."), owner: name(&format!("{label}.bench.example.")), rrsets: vec![rrset] }
}

fn steering(pools: Vec<PoolSpec>, rules: Vec<RuleSpec>, select: Select) -> SteeringSpec {
    let values = vec![LastResort { id: 100, rdata: Box::new([192, 0, 2, 1]) }];
    SteeringSpec { answers: Some(1), select, all_down: AllDown::Values, min_up: 0, ttl: None, values, pools, rules }
}

fn pool(name: &str, values: &[(u8, u32)]) -> PoolSpec {
    let value = |&(octet, weight): &(u8, u32)| ValueSpec {
        id: octet.into(),
        weight,
        status: Status::Obey,
        drained: false,
        site: String::new(),
        coordinates: None,
        rdata: Box::new([192, 0, 2, octet]),
    };
    PoolSpec { name: name.into(), fallback: None, values: values.iter().map(value).collect() }
}

fn rule(pool: u16, geos: &[&str]) -> RuleSpec {
    let geos = geos.iter().map(ToString::to_string).collect();
    RuleSpec { origin: RuleOrigin::Dynamic, pool, geos, subnets: vec![], asns: vec![], lists: vec![] }
}

/// Networks that differ from their neighbours, as those of a city database do.
fn locations(networks: u32) -> LocationSet {
    let places = [("DE", "BE"), ("US", "NY"), ("FR", "IDF"), ("BR", "SP"), ("US", "CA")];
    let mut builder = LocationTableBuilder::default();
    for index in 0..networks {
        let (country, subdivision) = places[index as usize % places.len()];
        let mut subdivisions = [None; MAX_SUBDIVISIONS];
        subdivisions[0] = Subdivision::from_code(subdivision);
        let class = builder.intern(Location { country: Country::from_code(country), subdivisions, ..Location::default() });
        let addr = IpAddr::V4(Ipv4Addr::from_bits(Ipv4Addr::new(198, 16, 0, 0).to_bits() + (index << 8)));
        builder.put(&Prefix { addr, length: 24 }, class).expect("in ascending order");
    }
    let table = builder.finish("Bench-City".into(), 0).expect("every class was interned");
    LocationSet::new(vec![NamedTable { name: "bench.mmdb".into(), table: Arc::new(table) }])
}
