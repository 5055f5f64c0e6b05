//! Decisions as tables of cases in the field's language: record, health and client in, values, ttl and scope out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::*;
use crate::location::{Country, Location, LocationSet, LocationTable, LocationTableBuilder, NamedTable};
use crate::rng::FastRng;
use crate::spec::*;

/// A case of shares: name, answers, health, and the weights that are drawn from.
type SharesCase<'a> = (&'a str, usize, Health, Vec<(u8, f64)>);

/// What control says of values.
type Health = Vec<(ValueId, HealthEntry)>;

/// A case of a table: name, record, health, and the values that can be answered.
type Case<'a> = (&'a str, Record, Health, &'a [u8]);

/// The same with an outcome.
type OutcomeCase<'a> = (&'a str, Record, Health, &'a [u8], SteerOutcome);

/// `(seen, expected)` pairs hold at the 0.1 % level. The quantile by Wilson and Hilferty's approximation, good to a percent from one degree of freedom on.
pub(crate) fn chi_square_passes(pairs: &[(f64, f64)]) -> bool {
    let statistic: f64 = pairs.iter().map(|(seen, expected)| (seen - expected).powi(2) / expected).sum();
    #[allow(clippy::cast_precision_loss)]
    let freedom = (pairs.len().max(2) - 1) as f64;
    let spread = 2.0 / (9.0 * freedom);
    statistic < freedom * (1.0 - spread + 3.0902 * spread.sqrt()).powi(3)
}

/// A record in the words of `case!`; every value's id is the last octet of its address, own values count from 200.
#[derive(Clone)]
pub(crate) struct Record {
    pub owner: Vec<u8>,
    pub rtype: u16,
    pub ttl: u32,
    pub spec: SteeringSpec,
}

/// `192.0.2.N` or `2001:db8::N`.
pub(crate) fn value(number: u8, weight: u32) -> ValueSpec {
    ValueSpec {
        id: number.into(),
        weight,
        status: Status::Obey,
        drained: false,
        site: String::new(),
        coordinates: None,
        rdata: Box::new([192, 0, 2, number]),
    }
}

pub(crate) fn pool(name: &str, fallback: Option<u16>, values: Vec<ValueSpec>) -> PoolSpec {
    PoolSpec { name: name.into(), fallback, values }
}

pub(crate) fn rule(pool: u16) -> RuleSpec {
    RuleSpec { origin: RuleOrigin::Dynamic, pool, geos: vec![], subnets: vec![], asns: vec![], lists: vec![] }
}

pub(crate) fn geo_rule(pool: u16, geos: &[&str]) -> RuleSpec {
    RuleSpec { geos: geos.iter().map(ToString::to_string).collect(), ..rule(pool) }
}

pub(crate) fn prefix(text: &str) -> Prefix {
    let (addr, length) = text.split_once('/').unwrap();
    Prefix { addr: addr.parse().unwrap(), length: length.parse().unwrap() }
}

pub(crate) fn subnet_rule(pool: u16, subnets: &[&str]) -> RuleSpec {
    RuleSpec { subnets: subnets.iter().map(|text| prefix(text)).collect(), ..rule(pool) }
}

/// Pools in a chain of the given order, one catch-all, own values .200 and .201, ttl 60.
pub(crate) fn record(pools: Vec<PoolSpec>, rules: Vec<RuleSpec>) -> Record {
    let own = |number: u8| LastResort { id: number.into(), rdata: Box::new([192, 0, 2, number]) };
    Record {
        owner: b"\x03www\x07example\x03com\x00".to_vec(),
        rtype: 1,
        ttl: 60,
        spec: SteeringSpec {
            answers: Some(1),
            select: Select::Weighted,
            all_down: AllDown::Values,
            min_up: 0,
            ttl: None,
            values: vec![own(200), own(201)],
            pools,
            rules,
        },
    }
}

/// Two pools, `first` (.1 weight 3, .2 weight 1) with fallback `second` (.11, .12), behind one catch-all.
pub(crate) fn failover() -> Record {
    let first = pool("first", Some(1), vec![value(1, 3), value(2, 1)]);
    record(vec![first, pool("second", None, vec![value(11, 1), value(12, 1)])], vec![rule(0)])
}

pub(crate) fn down() -> HealthEntry {
    HealthEntry { down: true, ..HealthEntry::default() }
}

pub(crate) fn operator(word: Override) -> HealthEntry {
    HealthEntry { operator: word, ..HealthEntry::default() }
}

pub(crate) fn bound(seconds: u32) -> HealthEntry {
    HealthEntry { ttl_bound: Some(seconds), ..HealthEntry::default() }
}

pub(crate) fn client(text: &str) -> Client {
    let addr: IpAddr = text.parse().unwrap();
    Client { addr, prefix: if addr.is_ipv4() { 32 } else { 128 }, from_ecs: false }
}

/// Everything that a decision reads.
pub(crate) struct Bench {
    pub steered: Arc<Steered>,
    pub tables: Arc<SteeringTables>,
    pub health: Arc<HealthTable>,
    pub picked: Picked,
    pub rng: FastRng,
}

impl Bench {
    pub(crate) fn new(record: &Record, health: &[(ValueId, HealthEntry)], locations: LocationSet) -> Self {
        let mut editor = SteeringEditor::new();
        editor.set_locations(Arc::new(locations));
        let steered = editor.compile(&record.owner, record.rtype, record.ttl, record.spec.clone()).unwrap();
        editor.set_health(HealthUpdate::Whole(health.to_vec()));
        let (tables, health) = editor.tables();
        Self { steered, tables, health, picked: Picked::new(), rng: FastRng::from_seed(11) }
    }

    pub(crate) fn decide(&mut self, client: &Client) -> Decision {
        decide(&self.tables, &self.health, &self.steered, client, &mut self.rng, &mut self.picked, &mut NoTrace)
    }

    /// Last octets of the answer, in drawn order.
    pub(crate) fn answer(&mut self, client: &Client) -> Vec<u8> {
        self.decide(client);
        self.picked.rdatas(&self.steered).map(|rdata| *rdata.last().unwrap()).collect()
    }

    /// Every value that can be answered.
    pub(crate) fn reachable(&mut self, client: &Client) -> BTreeSet<u8> {
        (0..300).flat_map(|_| self.answer(client)).collect()
    }
}

/// One check for all suites: the values that can be answered, and the outcome.
fn check(name: &str, record: &Record, health: &[(ValueId, HealthEntry)], expected: &[u8], outcome: SteerOutcome) {
    let mut bench = Bench::new(record, health, LocationSet::default());
    let here = client("203.0.113.1");
    assert_eq!(bench.decide(&here).outcome, outcome, "{name}");
    assert_eq!(bench.reachable(&here), expected.iter().copied().collect(), "{name}");
}

fn with(mut record: Record, change: impl FnOnce(&mut SteeringSpec)) -> Record {
    change(&mut record.spec);
    record
}

#[test]
fn the_first_pool_that_can_serve_serves() {
    use Override::{Down, Drain, Up};
    let status = |status| with(failover(), |spec| spec.pools[0].values[0].status = status);
    let min_up = |millionths| with(failover(), |spec| spec.min_up = millionths);
    let drained = || with(failover(), |spec| spec.pools[0].values[0].drained = true);
    let all_of = |mut record: Record| {
        record.spec.min_up = 1_000_000;
        record
    };
    let cases: [Case<'_>; 29] = [
        ("all up", failover(), vec![], &[1, 2]),
        ("unknown is up", failover(), vec![(99, down())], &[1, 2]),
        ("one down", failover(), vec![(1, down())], &[2]),
        ("pool down: fallback", failover(), vec![(1, down()), (2, down())], &[11, 12]),
        ("all down: own values", failover(), [1, 2, 11, 12].map(|id| (id, down())).to_vec(), &[200, 201]),
        ("status down", status(Status::Down), vec![], &[2]),
        ("status up against health", status(Status::Up), vec![(1, down())], &[1, 2]),
        ("status down and the rest down", status(Status::Down), vec![(2, down())], &[11, 12]),
        ("override down against health", failover(), vec![(1, operator(Down))], &[2]),
        ("override down against status up", status(Status::Up), vec![(1, operator(Down))], &[2]),
        ("override up against health", failover(), vec![(1, HealthEntry { down: true, ..operator(Up) })], &[1, 2]),
        ("override up against status down", status(Status::Down), vec![(1, operator(Up))], &[1, 2]),
        ("drain takes out of draws", failover(), vec![(1, operator(Drain))], &[2]),
        ("drain before fallback: the fallback has values that are up", failover(), vec![(1, operator(Drain)), (2, down())], &[11, 12]),
        (
            "drained values are the step before all_down",
            failover(),
            vec![(1, operator(Drain)), (2, down()), (11, down()), (12, down())],
            &[1],
        ),
        (
            "drained and down is down",
            failover(),
            vec![(1, HealthEntry { down: true, ..operator(Drain) }), (2, down()), (11, down()), (12, down())],
            &[200, 201],
        ),
        (
            "the first pool with drained values that are up",
            failover(),
            vec![(1, down()), (2, down()), (11, operator(Drain)), (12, down())],
            &[11],
        ),
        ("weight 0 in the record drains", drained(), vec![], &[2]),
        ("weight 0 and override up still drains", drained(), vec![(1, operator(Up))], &[2]),
        ("min_up met exactly", min_up(250_000), vec![(1, down())], &[2]),
        ("min_up missed: fallback", min_up(250_001), vec![(1, down())], &[11, 12]),
        ("min_up missed everywhere: the first with any value", min_up(750_001), vec![(1, down()), (11, down())], &[2]),
        ("min_up missed, then a pool that has nothing", min_up(250_001), vec![(1, down()), (11, down()), (12, down())], &[2]),
        ("drained does not count for min_up", min_up(1_000_000), vec![(1, operator(Drain))], &[2]),
        ("override down counts for min_up", min_up(300_000), vec![(1, operator(Down))], &[11, 12]),
        ("status down does not count for min_up", all_of(status(Status::Down)), vec![], &[2]),
        ("status down and override up counts for min_up", all_of(status(Status::Down)), vec![(1, operator(Up))], &[1, 2]),
        ("status down and override up make up for nothing", all_of(status(Status::Down)), vec![(1, operator(Up)), (2, down())], &[11, 12]),
        ("min_up of everything", min_up(1_000_000), vec![(2, down())], &[11, 12]),
    ];
    for (name, record, health, expected) in cases {
        check(name, &record, &health, expected, SteerOutcome::Answer);
    }
}

#[test]
fn all_down_is_what_the_operator_chose() {
    use Override::{Down, Drain};
    let dead = || [1, 2, 11, 12].map(|id| (id, down())).to_vec();
    let and = |more: &[(ValueId, HealthEntry)]| {
        let mut health = dead();
        health.retain(|(id, _)| more.iter().all(|(other, _)| other != id));
        health.extend_from_slice(more);
        health
    };
    let choose = |all_down| with(failover(), |spec| spec.all_down = all_down);
    let min = |min| with(choose(AllDown::NoData), |spec| spec.ttl = Some(TtlRange { min, max: 60 }));
    let status_down = |numbers: &[usize]| {
        with(choose(AllDown::ServeAll), |spec| numbers.iter().for_each(|number| spec.pools[0].values[*number].status = Status::Down))
    };
    let forced = HealthEntry { down: true, ..operator(Down) };
    let cases: [OutcomeCase<'_>; 12] = [
        ("values", choose(AllDown::Values), dead(), &[200, 201], SteerOutcome::Answer),
        ("values less a forced one", choose(AllDown::Values), and(&[(200, operator(Down))]), &[201], SteerOutcome::Answer),
        (
            "values all forced",
            choose(AllDown::Values),
            and(&[(200, operator(Down)), (201, operator(Down))]),
            &[200, 201],
            SteerOutcome::Answer,
        ),
        ("values drained", choose(AllDown::Values), and(&[(200, operator(Drain))]), &[200, 201], SteerOutcome::Answer),
        ("own values have no health", choose(AllDown::Values), and(&[(200, down())]), &[200, 201], SteerOutcome::Answer),
        ("serve-all", choose(AllDown::ServeAll), dead(), &[1, 2], SteerOutcome::Answer),
        ("serve-all less a forced one", choose(AllDown::ServeAll), and(&[(1, forced)]), &[2], SteerOutcome::Answer),
        ("serve-all less status down", status_down(&[0]), dead(), &[2], SteerOutcome::Answer),
        ("serve-all of nothing", status_down(&[0, 1]), dead(), &[200, 201], SteerOutcome::Answer),
        ("nodata", choose(AllDown::NoData), dead(), &[], SteerOutcome::NoData { negative_ttl: 5 }),
        ("nodata with ttl.min", min(3), dead(), &[], SteerOutcome::NoData { negative_ttl: 3 }),
        ("servfail", choose(AllDown::ServFail), dead(), &[], SteerOutcome::ServFail),
    ];
    for (name, record, health, expected, outcome) in cases {
        check(name, &record, &health, expected, outcome);
    }
}

#[test]
fn all_down_answers_go_out_whole_and_in_stored_order() {
    let dead = [1, 2, 11, 12].map(|id| (id, down()));
    let here = client("203.0.113.1");
    for (all_down, expected) in [(AllDown::Values, [200, 201]), (AllDown::ServeAll, [1, 2])] {
        let mut bench = Bench::new(&with(failover(), |spec| spec.all_down = all_down), &dead, LocationSet::default());
        assert_eq!(bench.answer(&here), expected);
    }
}

#[test]
fn a_cname_never_carries_two_values() {
    let target = |number: u8| -> Rdata { Box::new([1, b'a'.saturating_add(number), 0]) };
    let mut cname = with(failover(), |spec| {
        spec.all_down = AllDown::ServeAll;
        spec.values.truncate(1);
        spec.values[0].rdata = target(20);
        for (number, value) in (0..).zip(spec.pools.iter_mut().flat_map(|pool| &mut pool.values)) {
            value.rdata = target(number);
        }
    });
    cname.rtype = 5;
    let mut bench = Bench::new(&cname, &[1, 2, 11, 12].map(|id| (id, down())), LocationSet::default());
    let here = client("203.0.113.1");
    let mut seen = BTreeMap::new();
    for _ in 0..4_000 {
        bench.decide(&here);
        let rdatas: Vec<Rdata> = bench.picked.rdatas(&bench.steered).map(Box::from).collect();
        assert_eq!(rdatas.len(), 1);
        *seen.entry(rdatas[0].clone()).or_insert(0.0) += 1.0;
    }
    assert!(chi_square_passes(&[(seen[&target(0)], 3_000.0), (seen[&target(1)], 1_000.0)]), "{seen:?}");
}

#[test]
fn answers_are_as_many_as_asked_for_and_never_the_same_twice() {
    for (answers, expected) in [(Some(1), 1), (Some(2), 2), (Some(9), 2), (None, 2)] {
        for select in [Select::Weighted, Select::Sticky, Select::Nearest] {
            let record = with(failover(), |spec| {
                spec.answers = answers;
                spec.select = select;
            });
            let mut bench = Bench::new(&record, &[], LocationSet::default());
            let answer = bench.answer(&client("203.0.113.1"));
            assert_eq!((answer.len(), BTreeSet::from_iter(answer).len()), (expected, expected), "{answers:?} {select:?}");
        }
    }
}

#[test]
fn shares_follow_weights_ramps_and_failures() {
    let slow = |factor| HealthEntry { factor, ..HealthEntry::default() };
    for (health, shares) in [
        (vec![], [(1, 0.75), (2, 0.25)]),
        (vec![(1, slow(333))], [(1, 0.999 / 1.999), (2, 1.0 / 1.999)]),
        (vec![(2, slow(1))], [(1, 3.0 / 3.001), (2, 0.001 / 3.001)]),
        (vec![(1, down()), (2, down())], [(11, 0.5), (12, 0.5)]),
    ] {
        let mut bench = Bench::new(&failover(), &health, LocationSet::default());
        let here = client("203.0.113.1");
        let rounds = 100_000_u32;
        let mut seen: BTreeMap<u8, f64> = BTreeMap::new();
        for _ in 0..rounds {
            *seen.entry(bench.answer(&here)[0]).or_default() += 1.0;
        }
        let pairs = shares.map(|(value, share)| (seen.get(&value).copied().unwrap_or(0.0), share * f64::from(rounds)));
        assert!(chi_square_passes(&pairs), "{health:?}: {seen:?}");
    }
}

/// The probability of a drawn order: the product of each step's share of what is left.
fn order_probability(weights: &BTreeMap<u8, f64>, order: &[u8]) -> f64 {
    let mut left: f64 = weights.values().sum();
    order.iter().fold(1.0, |product, value| {
        let step = product * weights[value] / left;
        left -= weights[value];
        step
    })
}

/// Six values of weights far apart, behind them three more.
#[test]
fn several_answers_follow_small_weights_also_after_failures() {
    let ramp = |factor| HealthEntry { factor, ..HealthEntry::default() };
    let pools = || {
        let first = [1, 1, 2, 3, 40, 100].into_iter().zip(1..).map(|(weight, number)| value(number, weight)).collect();
        let second = [1, 5, 2].into_iter().zip(11..).map(|(weight, number)| value(number, weight)).collect();
        record(vec![pool("first", Some(1), first), pool("second", None, second)], vec![rule(0)])
    };
    let whole = [(1, 1.0), (2, 1.0), (3, 2.0), (4, 3.0), (5, 40.0), (6, 100.0)];
    let dead = |ids: &[ValueId]| ids.iter().map(|id| (*id, down())).collect::<Health>();
    let cases: [SharesCase<'_>; 6] = [
        ("one of all", 1, vec![], whole.to_vec()),
        ("two of all", 2, vec![], whole.to_vec()),
        ("one of those that are left", 1, dead(&[6, 3]), vec![(1, 1.0), (2, 1.0), (4, 3.0), (5, 40.0)]),
        ("three of those that are left", 3, dead(&[5, 6]), vec![(1, 1.0), (2, 1.0), (3, 2.0), (4, 3.0)]),
        (
            "two, one of which has just come back",
            2,
            [dead(&[5]), vec![(6, ramp(50))]].concat(),
            vec![(1, 1.0), (2, 1.0), (3, 2.0), (4, 3.0), (6, 5.0)],
        ),
        ("two of the fallback", 2, dead(&[1, 2, 3, 4, 5, 6]), vec![(11, 1.0), (12, 5.0), (13, 2.0)]),
    ];
    for (name, answers, health, weights) in cases {
        let record = with(pools(), |spec| spec.answers = u16::try_from(answers).ok());
        let mut bench = Bench::new(&record, &health, LocationSet::default());
        let here = client("203.0.113.1");
        let rounds = 100_000_u32;
        let mut seen: BTreeMap<Vec<u8>, f64> = BTreeMap::new();
        for _ in 0..rounds {
            *seen.entry(bench.answer(&here)).or_default() += 1.0;
        }
        let weights = BTreeMap::from_iter(weights);
        let pairs: Vec<(f64, f64)> =
            seen.iter().map(|(order, seen)| (*seen, order_probability(&weights, order) * f64::from(rounds))).collect();
        let expected: f64 = pairs.iter().map(|(_, expected)| expected).sum();
        assert!((expected - f64::from(rounds)).abs() < 1.0, "{name}: an order was never drawn");
        assert!(seen.keys().all(|order| order.len() == answers) && chi_square_passes(&pairs), "{name}: {seen:?}");
    }
}

#[test]
fn a_ramp_does_not_change_whether_a_pool_serves() {
    let record = with(failover(), |spec| spec.min_up = 1_000_000);
    let ramping = [1, 2].map(|id| (id, HealthEntry { factor: 0, ..HealthEntry::default() }));
    check("all of the pool at the start of its ramp", &record, &ramping, &[1, 2], SteerOutcome::Answer);
}

#[test]
fn the_ttl_is_the_least_bound_on_the_way_to_the_pool() {
    let range = Some(TtlRange { min: 5, max: 40 });
    let fixed_status = |ttl| {
        with(failover(), |spec| {
            spec.ttl = ttl;
            spec.pools[0].values[0].status = Status::Up;
        })
    };
    let adaptive = |ttl| with(failover(), |spec| spec.ttl = ttl);
    let dead_bound = |seconds| HealthEntry { down: true, ..bound(seconds) };
    let cases: [(&str, Record, Health, u32); 11] = [
        ("no block: the record's", adaptive(None), vec![(1, bound(0))], 60),
        ("settled: max", adaptive(range), vec![], 40),
        ("a bound", adaptive(range), vec![(1, bound(17))], 17),
        ("the least bound", adaptive(range), vec![(1, bound(17)), (2, bound(11))], 11),
        ("not under min", adaptive(range), vec![(1, bound(0))], 5),
        ("not over max", adaptive(range), vec![(1, bound(90))], 40),
        ("a pool past the one that serves does not count", adaptive(range), vec![(11, bound(9))], 40),
        ("a pool before the one that serves counts", adaptive(range), vec![(1, dead_bound(9)), (2, down())], 9),
        ("the whole chain when none serves", adaptive(range), vec![(1, down()), (2, down()), (11, down()), (12, dead_bound(8))], 8),
        ("status up does not obey", fixed_status(range), vec![(1, bound(9))], 40),
        ("own values do not count", adaptive(range), vec![(200, bound(9))], 40),
    ];
    for (name, record, health, expected) in cases {
        assert_eq!(Bench::new(&record, &health, LocationSet::default()).decide(&client("203.0.113.1")).ttl, expected, "{name}");
    }
}

fn countries(networks: &[(&str, &str)]) -> LocationTable {
    let mut builder = LocationTableBuilder::default();
    for (network, country) in networks {
        let class = builder.intern(Location { country: Country::from_code(country), ..Location::default() });
        builder.put(&prefix(network), class).unwrap();
    }
    builder.finish("Test-Country".into(), 0).unwrap()
}

fn located(networks: &[(&str, i32, i32)]) -> LocationSet {
    let mut builder = LocationTableBuilder::default();
    for &(network, latitude, longitude) in networks {
        let coordinates = Some(Coordinates { latitude: latitude * 1_000_000, longitude: longitude * 1_000_000 });
        let class = builder.intern(Location { coordinates, ..Location::default() });
        builder.put(&prefix(network), class).unwrap();
    }
    set(builder.finish("Test-City".into(), 0).unwrap())
}

fn set(table: LocationTable) -> LocationSet {
    LocationSet::new(vec![NamedTable { name: "test.mmdb".into(), table: Arc::new(table) }])
}

fn by_country() -> LocationSet {
    set(countries(&[("10.0.0.0/8", "DE"), ("11.0.0.0/8", "FR"), ("12.0.0.0/9", "US"), ("2001:db8::/32", "DE")]))
}

/// Pools 0 to 3 with the single values .1 to .4.
fn four_pools(rules: Vec<RuleSpec>) -> Record {
    record((1..=4).map(|number| pool(&format!("p{number}"), None, vec![value(number, 1)])).collect(), rules)
}

#[test]
fn the_first_matching_rule_decides_and_scope_is_its_reach() {
    let europe = || four_pools(vec![geo_rule(0, &["EU"]), rule(3)]);
    let germany_first = || four_pools(vec![geo_rule(1, &["EU-DE"]), geo_rule(0, &["EU"]), rule(3)]);
    let both = || {
        let either = RuleSpec { geos: vec!["EU-FR".into()], ..subnet_rule(0, &["12.3.0.0/16"]) };
        four_pools(vec![either, rule(3)])
    };
    let subnet_first = || four_pools(vec![subnet_rule(2, &["10.1.0.0/16"]), geo_rule(0, &["EU"]), rule(3)]);
    let cases = [
        ("a continent", europe(), "10.1.2.3", 1, 7),
        ("neighbours of one continent share a scope", europe(), "11.1.2.3", 1, 7),
        ("another continent", europe(), "12.1.2.3", 4, 6),
        ("nowhere", europe(), "200.1.2.3", 4, 1),
        ("IPv6", europe(), "2001:db8::1", 1, 32),
        ("the earlier rule wins", germany_first(), "10.1.2.3", 2, 8),
        ("the later rule gets the rest", germany_first(), "11.1.2.3", 1, 8),
        ("a subnet or a geo: the subnet", both(), "12.3.4.5", 1, 16),
        ("a subnet or a geo: the geo", both(), "11.3.4.5", 1, 8),
        ("a subnet cuts the scope of what is around it", subnet_first(), "10.2.2.3", 1, 15),
        ("a subnet inside a country", subnet_first(), "10.1.2.3", 3, 16),
        ("a catch-all alone", four_pools(vec![rule(3)]), "10.1.2.3", 4, 0),
    ];
    for (name, record, from, expected, scope) in cases {
        let mut bench = Bench::new(&record, &[], by_country());
        assert_eq!((bench.answer(&client(from)), bench.decide(&client(from)).scope), (vec![expected], scope), "{name}");
    }
}

#[test]
fn all_down_carries_the_scope_of_the_rule() {
    for all_down in [AllDown::NoData, AllDown::ServFail, AllDown::Values] {
        let record = with(four_pools(vec![geo_rule(0, &["EU-DE"]), rule(3)]), |spec| spec.all_down = all_down);
        assert_eq!(Bench::new(&record, &[(1, down())], by_country()).decide(&client("10.1.2.3")).scope, 8, "{all_down:?}");
    }
}

#[test]
fn past_the_limit_of_merged_maps_rules_decide_alike() {
    let mut editor = SteeringEditor::new();
    editor.set_locations(Arc::new(by_country()));
    let mut compiled = Vec::new();
    for number in 0..=u8::try_from(MAX_MERGED_MAPS).unwrap() {
        let subnet = format!("10.{number}.0.0/16");
        let record = four_pools(vec![subnet_rule(2, &[&subnet]), geo_rule(0, &["EU"]), rule(3)]);
        compiled.push((number, editor.compile(&record.owner, 1, 60, record.spec).unwrap()));
    }
    let (tables, health) = editor.tables();
    assert_eq!(tables.merged_maps().0, MAX_MERGED_MAPS);
    for (number, steered) in &compiled {
        let mut picked = Picked::new();
        for (from, expected, scopes) in [
            (format!("10.{number}.1.1"), 3, [16, 16]),
            ("10.200.1.1".into(), 1, [9, 9]),
            ("11.0.0.1".into(), 1, [8, 8]),
            ("12.0.0.1".into(), 4, [6, 9]),
        ] {
            let mut rng = FastRng::from_seed(1);
            let decision = decide(&tables, &health, steered, &client(&from), &mut rng, &mut picked, &mut NoTrace);
            let answer: Vec<_> = picked.rdatas(steered).map(|rdata| rdata[3]).collect();
            assert_eq!(answer, [expected], "{number} {from}");
            let is_merged = usize::from(*number) < MAX_MERGED_MAPS;
            assert_eq!(decision.scope, scopes[usize::from(!is_merged)], "{number} {from}");
        }
    }
}

/// A list of 30,000 networks, every second /24 from 10.0.0.0 on: too many to be merged at once.
fn many_offices(first: u32) -> Vec<Prefix> {
    let network = |number: u32| Prefix { addr: IpAddr::V4(((10 << 24) | ((2 * number + first) << 8)).into()), length: 24 };
    (0..30_000).map(network).collect()
}

/// The value that a client gets, and the scope.
fn answer_now(editor: &mut SteeringEditor, steered: &Steered, from: &str) -> (u8, u8) {
    let (tables, health) = editor.tables();
    let mut picked = Picked::new();
    let decision = decide(&tables, &health, steered, &client(from), &mut FastRng::from_seed(1), &mut picked, &mut NoTrace);
    (picked.rdatas(steered).map(|rdata| rdata[3]).next().unwrap(), decision.scope)
}

#[test]
fn what_takes_long_to_merge_is_right_before_it_is_merged() {
    let mut editor = SteeringEditor::new();
    let by_list = RuleSpec { lists: vec!["office".into()], ..rule(0) };
    let record = four_pools(vec![by_list, subnet_rule(0, &["10.0.1.0/24"]), rule(3)]);
    let other = four_pools(vec![RuleSpec { lists: vec!["office".into()], ..rule(0) }, rule(0)]);
    let steered = editor.compile(&record.owner, 1, 60, record.spec).unwrap();
    let _kept = editor.compile(&other.owner, 1, 60, other.spec).unwrap();
    editor.put_list("office".into(), many_offices(0)).unwrap();
    assert_eq!(answer_now(&mut editor, &steered, "10.0.0.1"), (1, 24));
    assert_eq!(editor.tables().0.merged_maps().0, 0, "nothing waits for a merged map");

    let overtaken = editor.next_merge().unwrap().run();
    editor.put_list("office".into(), many_offices(1)).unwrap();
    assert!(!editor.put_merged(overtaken), "the list has changed since");
    assert_eq!(answer_now(&mut editor, &steered, "10.0.0.1"), (4, 24));

    let overtaken = editor.next_merge().unwrap().run();
    editor.tables();
    editor.put_list("office".into(), many_offices(0)).unwrap();
    editor.tables();
    assert!(!editor.put_merged(overtaken), "and it is in force already");

    let mut maps = 0;
    while let Some(job) = editor.next_merge() {
        assert!(editor.put_merged(job.run()));
        maps += 1;
    }
    assert_eq!((maps, editor.tables().0.merged_maps().0), (2, 2));
    assert_eq!(answer_now(&mut editor, &steered, "10.0.0.1"), (1, 24));

    editor.put_list("office".into(), many_offices(1)).unwrap();
    editor.tables();
    let failed = editor.next_merge().unwrap().give_up();
    assert!(!editor.put_merged(failed));
    assert!(editor.put_merged(editor.next_merge().unwrap().run()), "the next rule set has its turn");
    assert!(editor.next_merge().is_none(), "what failed is not tried again until something changes");
    assert_eq!(answer_now(&mut editor, &steered, "10.0.1.1").0, 1);
}

#[test]
fn lists_steer_and_change_without_the_record() {
    let mut editor = SteeringEditor::new();
    let listed = RuleSpec { lists: vec!["office".into()], ..rule(0) };
    let record = four_pools(vec![listed, rule(3)]);
    let steered = editor.compile(&record.owner, 1, 60, record.spec).unwrap();
    let answer = |editor: &mut SteeringEditor| {
        let (tables, health) = editor.tables();
        let mut picked = Picked::new();
        let decision = decide(&tables, &health, &steered, &client("192.0.2.77"), &mut FastRng::from_seed(1), &mut picked, &mut NoTrace);
        let answer = picked.rdatas(&steered).map(|rdata| rdata[3]).next().unwrap();
        (answer, decision.scope)
    };
    let office = || vec![prefix("192.0.2.64/26"), prefix("2001:db8::/32")];
    assert_eq!(answer(&mut editor), (4, 0), "a list that is not there matches nobody");
    editor.put_list("office".into(), office()).unwrap();
    assert_eq!(answer(&mut editor), (1, 26));
    editor.drop_list("office");
    assert_eq!(answer(&mut editor), (4, 0));
    editor.put_list("home".into(), vec![]).unwrap();
    assert_eq!(editor.lists().map(|(name, _)| name).collect::<Vec<_>>(), ["home"]);
    assert!(editor.put_list("bad".into(), vec![Prefix { addr: "192.0.2.1".parse().unwrap(), length: 24 }]).is_err());
}

#[test]
fn the_nearest_value_that_is_up_answers() {
    let at = |number, latitude: i32, longitude: i32| ValueSpec {
        coordinates: Some(Coordinates { latitude: latitude * 1_000_000, longitude: longitude * 1_000_000 }),
        ..value(number, 1)
    };
    let values = vec![at(1, 50, 8), at(2, 40, -74), at(3, 35, 139), value(4, 1)];
    let nearest = with(record(vec![pool("all", None, values)], vec![rule(0)]), |spec| spec.select = Select::Nearest);
    let ordered = with(nearest.clone(), |spec| spec.answers = None);
    let locations = || located(&[("10.0.0.0/12", 48, 2), ("10.16.0.0/12", 37, -122), ("11.0.0.0/8", 45, 170)]);
    for (name, record, health, from, expected, scope) in [
        ("Paris", &nearest, vec![], "10.0.0.1", vec![1], 12),
        ("San Francisco", &nearest, vec![], "10.16.0.1", vec![2], 12),
        ("across the date line", &nearest, vec![], "11.0.0.1", vec![3], 8),
        ("Paris without Frankfurt", &nearest, vec![(1, down())], "10.0.0.1", vec![2], 12),
        ("all in order, the unplaced last", &ordered, vec![], "10.0.0.1", vec![1, 2, 3, 4], 12),
    ] {
        let mut bench = Bench::new(record, &health, locations());
        let here = client(from);
        assert_eq!((bench.answer(&here), bench.decide(&here).scope), (expected, scope), "{name}");
    }
    let mut nowhere = Bench::new(&nearest, &[], locations());
    assert_eq!(nowhere.reachable(&client("200.0.0.1")), BTreeSet::from([1, 2, 3, 4]), "without a location: weighted");
    assert_eq!(nowhere.decide(&client("200.0.0.1")).scope, 1);
    let mut no_database = Bench::new(&nearest, &[], LocationSet::default());
    assert_eq!(no_database.reachable(&client("10.0.0.1")), BTreeSet::from([1, 2, 3, 4]));
    assert_eq!(no_database.decide(&client("10.0.0.1")).scope, 0);
}

#[test]
fn equally_near_values_share_by_weight() {
    let here = Some(Coordinates { latitude: 50_000_000, longitude: 8_000_000 });
    let values = vec![
        ValueSpec { coordinates: here, ..value(1, 3) },
        ValueSpec { coordinates: here, ..value(2, 1) },
        ValueSpec { coordinates: Some(Coordinates { latitude: 0, longitude: 0 }), ..value(3, 100) },
    ];
    let nearest = with(record(vec![pool("all", None, values)], vec![rule(0)]), |spec| spec.select = Select::Nearest);
    let mut bench = Bench::new(&nearest, &[], located(&[("10.0.0.0/8", 48, 2)]));
    let mut seen: BTreeMap<u8, f64> = BTreeMap::new();
    for _ in 0..20_000 {
        *seen.entry(bench.answer(&client("10.0.0.1"))[0]).or_default() += 1.0;
    }
    assert!(chi_square_passes(&[(seen[&1], 15_000.0), (seen[&2], 5_000.0)]) && !seen.contains_key(&3), "{seen:?}");
}

fn sticky(values: Vec<ValueSpec>) -> Record {
    with(record(vec![pool("all", None, values)], vec![rule(0)]), |spec| spec.select = Select::Sticky)
}

fn at_site(number: u8, weight: u32, site: &str) -> ValueSpec {
    ValueSpec { site: site.into(), ..value(number, weight) }
}

/// The first /24s of 10.0.0.0/8, one address each.
fn clients(count: u32) -> impl Iterator<Item = Client> {
    (0..count).map(|number| Client { addr: IpAddr::V4(Ipv4Addr::from(0x0a00_0001 + (number << 8))), prefix: 32, from_ecs: false })
}

#[test]
fn sticky_clients_keep_their_value_and_their_prefix_decides() {
    let mut bench = Bench::new(&sticky((1..=9).map(|number| value(number, 1)).collect()), &[], LocationSet::default());
    for network in ["203.0.113", "198.51.100"] {
        let first = bench.answer(&client(&format!("{network}.0")));
        for host in 0..=255 {
            let here = client(&format!("{network}.{host}"));
            assert_eq!((bench.answer(&here), bench.decide(&here).scope), (first.clone(), 24));
        }
    }
    let first = bench.answer(&client("2001:db8:0:ab00::1"));
    assert_eq!(bench.answer(&client("2001:db8:0:abff:ffff::2")), first);
    assert_eq!(bench.decide(&client("2001:db8::1")).scope, 56);
}

#[test]
fn sticky_shares_follow_the_weights_of_sites_and_values() {
    let values = vec![at_site(1, 3, "fra1"), at_site(2, 1, "fra1"), at_site(3, 2, "nyc1"), value(4, 2), value(5, 1)];
    let mut bench = Bench::new(&sticky(values), &[(5, HealthEntry { factor: 500, ..HealthEntry::default() })], LocationSet::default());
    let count = 100_000;
    let mut seen: BTreeMap<u8, f64> = BTreeMap::new();
    for here in clients(count) {
        *seen.entry(bench.answer(&here)[0]).or_default() += 1.0;
    }
    let unit = f64::from(count) / 8.5;
    let pairs = [(1, 3.0), (2, 1.0), (3, 2.0), (4, 2.0), (5, 0.5)].map(|(value, weight)| (seen[&value], weight * unit));
    assert!(chi_square_passes(&pairs), "{seen:?}");
}

/// What each of 100,000 clients gets.
fn kept(record: &Record, health: &[(ValueId, HealthEntry)]) -> Vec<u8> {
    let mut bench = Bench::new(record, health, LocationSet::default());
    clients(100_000).map(|here| bench.answer(&here)[0]).collect()
}

#[test]
fn one_dead_value_takes_only_its_own_clients_along() {
    for number in [3_u8, 12] {
        let record = sticky((1..=number).map(|number| value(number, 1)).collect());
        let before = kept(&record, &[]);
        let dead = number / 2;
        let without = kept(&record, &[(dead.into(), down())]);
        let moved = before.iter().zip(&without).filter(|(a, b)| a != b).count();
        assert!(before.iter().zip(&without).all(|(a, b)| a == b || *a == dead), "{number}: somebody else's client moved");
        assert!(moved <= 100_000 / usize::from(number) + 1_000, "{number}: {moved}");
        assert_eq!(kept(&record, &[]), before, "they all return");
    }
}

/// A site with one of its two values dead weighs half: besides the clients of the dead value some of the other one leave the site, nobody else moves.
#[test]
fn one_dead_value_of_a_shared_site_moves_only_clients_of_the_site() {
    let names = ["fra1", "nyc1", "sin1", "gru1"];
    let record =
        sticky((1_u8..).zip(names.into_iter().flat_map(|name| [name; 2])).map(|(number, name)| at_site(number, 1, name)).collect());
    let before = kept(&record, &[]);
    let without = kept(&record, &[(3, down())]);
    let moves: Vec<(u8, u8)> = before.iter().copied().zip(without.iter().copied()).filter(|(a, b)| a != b).collect();
    assert!(moves.iter().all(|(from, _)| [3, 4].contains(from)), "a client of another site moved");
    assert!(moves.iter().all(|(from, to)| *from == 3 || ![3, 4].contains(to)), "who stays at the site keeps the value that is left");
    // 1/4 of all were at the site; 1/7 are when it weighs 1 of 7. Of the dead value's 1/8 all move, of the other's 1/8 those who leave.
    let expected = 100_000.0 * (1.0 / 8.0 + 1.0 / 8.0 * (1.0 - 4.0 / 7.0));
    let stayed = 100_000.0 - expected;
    #[allow(clippy::cast_precision_loss)]
    let gone = moves.len() as f64;
    assert!(chi_square_passes(&[(gone, expected), (100_000.0 - gone, stayed)]), "{gone} moved, {expected} expected");
    assert_eq!(kept(&record, &[]), before, "they all return");
}

#[test]
fn a_and_aaaa_lead_to_one_site() {
    let a = sticky(vec![at_site(1, 2, "fra1"), at_site(2, 2, "fra1"), at_site(3, 4, "nyc1"), at_site(4, 1, "sin1")]);
    let mut aaaa = sticky(vec![at_site(5, 4, "fra1"), at_site(6, 1, "nyc1"), at_site(7, 3, "nyc1"), at_site(8, 1, "sin1")]);
    aaaa.rtype = 28;
    for value in &mut aaaa.spec.pools[0].values {
        value.rdata = Box::new([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, u8::try_from(value.id).unwrap()]);
    }
    for own in &mut aaaa.spec.values {
        own.rdata = Box::new([0; 16]);
    }
    let site = |number: u8| match number {
        1 | 2 | 5 => "fra1",
        3 | 6 | 7 => "nyc1",
        _ => "sin1",
    };
    // With all sites up, and with one gone in both.
    for (dead_a, dead_aaaa) in [(vec![], vec![]), (vec![(1, down()), (2, down())], vec![(5, down())])] {
        let mut a = Bench::new(&a, &dead_a, LocationSet::default());
        let mut aaaa = Bench::new(&aaaa, &dead_aaaa, LocationSet::default());
        for here in clients(2_000) {
            assert_eq!(site(a.answer(&here)[0]), site(aaaa.answer(&here)[0]), "{here:?}");
        }
    }
}

#[test]
fn sticky_answers_are_the_best_in_order() {
    let values = || vec![at_site(1, 1, "fra1"), at_site(2, 1, "fra1"), at_site(3, 2, "nyc1"), at_site(4, 5, "nyc1"), value(5, 3)];
    let mut one = Bench::new(&sticky(values()), &[], LocationSet::default());
    let mut all = Bench::new(&with(sticky(values()), |spec| spec.answers = None), &[], LocationSet::default());
    let mut two = Bench::new(&with(sticky(values()), |spec| spec.answers = Some(2)), &[], LocationSet::default());
    for here in clients(1_000) {
        let order = all.answer(&here);
        assert_eq!((one.answer(&here), two.answer(&here)), (order[..1].to_vec(), order[..2].to_vec()));
    }
}

/// The vectors of `docs/sticky.md`. Changing them moves every client of every sticky record in the world.
#[test]
fn sticky_test_vectors() {
    let text = include_str!("../../../../docs/sticky.md");
    let values = vec![at_site(1, 3, "fra1"), at_site(2, 1, "fra1"), at_site(3, 2, "nyc1"), value(4, 1)];
    let mut bench = Bench::new(&with(sticky(values), |spec| spec.answers = None), &[], LocationSet::default());
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect())
        .collect();
    assert!(rows.len() >= 8, "the vectors are gone");
    for row in rows {
        let here = client(row[0]);
        let key = sticky::client_key(bench.steered.owner_state(), here.addr, StickyPrefix::default());
        let order: Vec<String> = bench.answer(&here).iter().map(|number| format!("192.0.2.{number}")).collect();
        assert_eq!((format!("{key:016x}"), order.join(" ")), (row[1].to_owned(), row[2].to_owned()), "{}", row[0]);
    }
}

#[test]
fn what_nobody_may_publish_is_refused() {
    type Break = fn(&mut Record);
    let breaks: [(&str, Break); 19] = [
        ("type", |record| record.rtype = 16),
        ("answers 0", |record| record.spec.answers = Some(0)),
        ("min_up", |record| record.spec.min_up = 1_000_001),
        ("ttl", |record| record.spec.ttl = Some(TtlRange { min: 6, max: 5 })),
        ("no values", |record| record.spec.values.clear()),
        ("no pools", |record| record.spec.pools.clear()),
        ("no rules", |record| record.spec.rules.clear()),
        ("no catch-all", |record| record.spec.rules[0].geos.push("EU".into())),
        ("rule's pool", |record| record.spec.rules[0].pool = 2),
        ("fallback", |record| record.spec.pools[0].fallback = Some(2)),
        ("loop", |record| record.spec.pools[1].fallback = Some(0)),
        ("loop of one", |record| record.spec.pools[1].fallback = Some(1)),
        ("weight", |record| record.spec.pools[0].values[0].weight = 0),
        ("coordinates", |record| {
            record.spec.pools[0].values[0].coordinates = Some(Coordinates { latitude: 90_000_001, longitude: 0 });
        }),
        ("id 0", |record| record.spec.values[0].id = 0),
        ("id twice", |record| record.spec.values[0].id = 1),
        ("rdata", |record| record.spec.values[0].rdata = Box::new([1, 2, 3])),
        ("subnet", |record| record.spec.rules.insert(0, subnet_rule(0, &["192.0.2.1/24"]))),
        ("two answers of a CNAME", |record| {
            record.rtype = 5;
            record.spec.answers = Some(2);
        }),
    ];
    for (name, break_it) in breaks {
        let mut broken = failover();
        break_it(&mut broken);
        assert!(SteeringEditor::new().compile(&broken.owner, broken.rtype, broken.ttl, broken.spec).is_err(), "{name}");
    }
}

#[test]
fn health_may_come_before_the_state_and_stays() {
    let mut editor = SteeringEditor::new();
    assert!(!editor.set_health(HealthUpdate::Changes(vec![(1, down()), (77, down())])), "no rrset has these values yet");
    let steered = editor.compile(&failover().owner, 1, 60, failover().spec).unwrap();
    let (tables, health) = editor.tables();
    let mut picked = Picked::new();
    decide(&tables, &health, &steered, &client("203.0.113.1"), &mut FastRng::from_seed(1), &mut picked, &mut NoTrace);
    assert_eq!(picked.rdatas(&steered).map(|rdata| rdata[3]).collect::<Vec<_>>(), [2]);
    let mut in_force = editor.health();
    in_force.sort_unstable_by_key(|(id, _)| *id);
    assert_eq!(in_force, [(1, down()), (77, down())]);
    assert!(!editor.set_health(HealthUpdate::Whole(vec![(1, down())])), "nothing that is served changed");
    assert_eq!(editor.health(), [(1, down())]);
    assert!(editor.set_health(HealthUpdate::Whole(vec![])));
    assert_eq!(editor.health(), []);
}

#[test]
fn tables_are_the_same_while_nothing_changes() {
    let mut editor = SteeringEditor::new();
    let _kept = editor.compile(&failover().owner, 1, 60, failover().spec).unwrap();
    let (tables, health) = editor.tables();
    let _again = editor.compile(&failover().owner, 1, 60, failover().spec).unwrap();
    editor.set_health(HealthUpdate::Whole(vec![]));
    let (same_tables, same_health) = editor.tables();
    assert!(Arc::ptr_eq(&tables, &same_tables) && Arc::ptr_eq(&health, &same_health));
    editor.set_health(HealthUpdate::Changes(vec![(1, down())]));
    let (same_tables, new_health) = editor.tables();
    assert!(Arc::ptr_eq(&tables, &same_tables) && !Arc::ptr_eq(&health, &new_health));
}

#[test]
fn slots_and_rule_sets_are_reused_only_when_nobody_reads_them() {
    let numbered = |first: u32| {
        let mut record = failover();
        let values = record.spec.pools.iter_mut().flat_map(|pool| &mut pool.values).map(|value| &mut value.id);
        for (offset, id) in (0..).zip(values.chain(record.spec.values.iter_mut().map(|value| &mut value.id))) {
            *id = first + offset;
        }
        record.spec.rules.insert(0, subnet_rule(0, &[&format!("10.{}.0.0/16", first / 10 % 256)]));
        record
    };
    let mut editor = SteeringEditor::new();
    let compile = |editor: &mut SteeringEditor, first| {
        let record = numbered(first);
        editor.compile(&record.owner, 1, 60, record.spec).unwrap()
    };
    let kept = compile(&mut editor, 10);
    editor.set_health(HealthUpdate::Changes(vec![(10, down())]));
    for round in 2..5_000 {
        drop(compile(&mut editor, round * 10));
    }
    let (tables, health) = editor.tables();
    assert!(health.len() < 20_000 && tables.matchers.len() < 5_000, "{} slots, {} rule sets", health.len(), tables.matchers.len());
    assert!(health.word(kept.slots().next().unwrap()).is_down());
    let new = compile(&mut editor, 100_000);
    let kept_slots: BTreeSet<_> = kept.slots().collect();
    assert!(new.slots().all(|slot| !kept_slots.contains(&slot)));
}

#[test]
fn deciding_allocates_nothing_after_room_was_made() {
    let record = with(failover(), |spec| spec.answers = None);
    let mut bench = Bench::new(&record, &[], LocationSet::default());
    bench.picked.reserve(bench.tables.largest_choice());
    let room = bench.picked.candidates.capacity();
    for here in clients(1_000) {
        bench.decide(&here);
    }
    assert_eq!((bench.picked.candidates.capacity(), room >= 2), (room, true));
}

/// Rule, database network and direction are the same for every address inside the announced scope, and no shorter prefix has that: every address of a /16.
#[test]
fn scopes_of_nearest_are_proved_by_brute_force() {
    const SIZE: u32 = 1 << 16;
    let mut rng = FastRng::from_seed(31);
    for _ in 0..4 {
        let mut networks = Vec::new();
        let mut next = 0;
        while next < SIZE {
            let host_bits = u32::try_from(rng.below(13)).unwrap();
            let first = next.next_multiple_of(1 << host_bits);
            if first < SIZE && rng.below(4) > 0 {
                let place = i32::try_from(rng.below(5)).unwrap();
                networks.push((format!("{}/{}", Ipv4Addr::from(0x0a14_0000 + first), 32 - host_bits), place, place));
            }
            next = first + (1 << host_bits);
        }
        let networks: Vec<(&str, i32, i32)> =
            networks.iter().map(|(network, latitude, longitude)| (network.as_str(), *latitude, *longitude)).collect();
        let record =
            with(four_pools(vec![subnet_rule(0, &["10.20.64.0/19", "10.20.7.0/25"]), rule(3)]), |spec| spec.select = Select::Nearest);
        let mut bench = Bench::new(&record, &[], located(&networks));
        let addr = |offset: u32| IpAddr::V4(Ipv4Addr::from(0x0a14_0000 + offset));
        // What decides: the rule, and the network by its number, which the database's own cuts give.
        let starts: Vec<u32> = networks
            .iter()
            .flat_map(|(network, ..)| {
                let prefix = prefix(network);
                let IpAddr::V4(first) = prefix.addr else { unreachable!() };
                let offset = u32::from(first) - 0x0a14_0000;
                [offset, offset + (1 << (32 - prefix.length))]
            })
            .collect();
        let starts: BTreeSet<u32> = starts.into_iter().collect();
        let decided: Vec<(u16, usize)> = (0..SIZE)
            .map(|offset| (bench.tables.decide_rule(bench.steered.rule_set(), addr(offset)).rule, starts.range(..=offset).count()))
            .collect();
        let mut runs = Vec::new();
        for run in decided.chunk_by(|a, b| a == b) {
            let first = u32::try_from(runs.len()).unwrap();
            runs.extend(vec![(first, first + u32::try_from(run.len()).unwrap() - 1); run.len()]);
        }
        let alike = |offset: u32, scope: u8| {
            let (first, last) = runs[offset as usize];
            let host_bits = 32 - u32::from(scope);
            host_bits < 16 && first <= offset >> host_bits << host_bits && offset | ((1 << host_bits) - 1) <= last
        };
        for offset in 0..SIZE {
            let scope = bench.decide(&Client { addr: addr(offset), prefix: 32, from_ecs: true }).scope;
            assert!(alike(offset, scope) && !alike(offset, scope - 1), "{}: {scope}", addr(offset));
        }
    }
}
