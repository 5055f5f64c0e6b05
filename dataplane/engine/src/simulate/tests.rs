//! Forecasts held against decisions that are really made, for every address of a small world.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::*;
use crate::location::{Location, LocationSet, LocationTableBuilder, NamedTable};
use crate::spec::{AllDown, Coordinates, HealthEntry, Prefix, ValueId, ValueSpec};
use crate::steer::tests::{Record, down, failover, geo_rule, pool, prefix, record, rule, subnet_rule, value};
use crate::steer::{Client, HealthUpdate, NoTrace, Picked, SteerOutcome, SteeringEditor, SteeringTables, decide};

const EFFORT: Effort = Effort { steps: 10_000_000, sticky_clients: 100_000, seed: 1 };

/// Both sides of one record.
struct World {
    tables: Arc<SteeringTables>,
    before: (Arc<Steered>, Arc<HealthTable>),
    after: (Arc<Steered>, Arc<HealthTable>),
}

/// 10.0.0.0/9 in DE, 10.128.0.0/10 in US and `2001:db8::/32` in US; with coordinates, and twice as much of nothing around them.
fn locations() -> LocationSet {
    let mut builder = LocationTableBuilder::default();
    for (network, country, longitude) in [("10.0.0.0/9", "DE", 8), ("10.128.0.0/10", "US", -100), ("2001:db8::/32", "US", -100)] {
        let class = builder.intern(Location {
            country: Country::from_code(country),
            coordinates: Some(Coordinates { latitude: 45_000_000, longitude: longitude * 1_000_000 }),
            ..Location::default()
        });
        builder.put(&prefix(network), class).unwrap();
    }
    LocationSet::new(vec![NamedTable { name: "test.mmdb".into(), table: Arc::new(builder.finish("Test".into(), 0).unwrap()) }])
}

impl World {
    fn new(before: &Record, after: &Record, health: &[(ValueId, HealthEntry)], locations: LocationSet) -> Self {
        let mut editor = SteeringEditor::new();
        editor.set_locations(Arc::new(locations));
        let mut compile = |record: &Record| editor.compile(&record.owner, record.rtype, record.ttl, record.spec.clone()).unwrap();
        let (steered, changed) = (compile(before), compile(after));
        let (tables, well) = editor.tables();
        editor.set_health(HealthUpdate::Whole(health.to_vec()));
        let (_, ill) = editor.tables();
        Self { tables, before: (steered, well), after: (changed, ill) }
    }

    fn outage(record: &Record, health: &[(ValueId, HealthEntry)]) -> Self {
        Self::new(record, record, health, locations())
    }

    fn run_with(&self, population: &Population, effort: Effort) -> Result<RecordReport, SimulationFault> {
        let mut simulation = Simulation::new(&self.tables, population, effort)?;
        simulation.run(&Case {
            owner: b"\x03www\x07example\x03com\x00",
            rtype: 1,
            before: Side { subject: Subject::Steered(&self.before.0), health: &self.before.1 },
            after: Side { subject: Subject::Steered(&self.after.0), health: &self.after.1 },
        })
    }

    fn run(&self, population: &Population) -> RecordReport {
        self.run_with(population, EFFORT).unwrap()
    }
}

fn everybody() -> Population {
    Population::Databases { ipv6_share: 0.0 }
}

fn prefixes(texts: &[(&str, f64)]) -> Population {
    Population::Prefixes(texts.iter().map(|(text, weight)| (prefix(text), *weight)).collect())
}

/// Shares after, by value.
fn after(report: &RecordReport) -> BTreeMap<String, f64> {
    report.values.iter().filter(|row| row.after > 0.0).map(|row| (row.value.clone(), row.after)).collect()
}

fn check(report: &RecordReport, expected: &[(u8, f64)]) {
    let shares = after(report);
    assert_eq!(shares.len(), expected.len(), "{shares:?}");
    for (number, share) in expected {
        let found = shares[&format!("192.0.2.{number}")];
        assert!((found - share).abs() < 1e-6, "192.0.2.{number}: {found} and not {share}");
    }
}

fn is_near(share: f64, expected: f64) -> bool {
    (share - expected).abs() < 1e-6
}

#[test]
fn a_weighted_pool_loses_only_what_is_down() {
    let report = World::outage(&failover(), &[(1, down())]).run(&everybody());
    check(&report, &[(2, 1.0)]);
    assert!(is_near(report.moved, 0.75), "{}", report.moved);
    let moves: Vec<_> = report.moves.iter().map(|row| (row.from.value.clone().unwrap(), row.to.value.clone().unwrap())).collect();
    assert_eq!(moves, [("192.0.2.1".to_owned(), "192.0.2.2".to_owned())]);
    assert!(is_near(report.moves[0].clients, 0.75) && is_near(report.error, 0.0));
}

#[test]
fn fallback_serves_and_the_report_says_so() {
    let report = World::outage(&failover(), &[(1, down()), (2, down())]).run(&everybody());
    check(&report, &[(11, 0.5), (12, 0.5)]);
    let rule = &report.rules[0];
    let serves = |side: &Option<RuleSide>| side.as_ref().unwrap().serves.clone();
    assert_eq!((serves(&rule.before).as_deref(), serves(&rule.after).as_deref()), (Some("first"), Some("second")));
    assert_eq!(report.pools.len(), 2);
}

#[test]
fn answers_without_a_value_have_their_share() {
    let mut silent = failover();
    silent.spec.all_down = AllDown::NoData;
    let all = [1, 2, 11, 12].map(|id| (id, down()));
    let report = World::outage(&silent, &all).run(&everybody());
    let outcomes: Vec<_> = report.outcomes.iter().map(|row| (row.outcome, row.before, row.after)).collect();
    assert_eq!(outcomes, [("answer", 1.0, 0.0), ("nodata", 0.0, 1.0)]);
    assert_eq!(report.moves[0].to.outcome, "nodata");
    silent.spec.all_down = AllDown::Values;
    check(&World::outage(&silent, &all).run(&everybody()), &[(200, 0.5), (201, 0.5)]);
}

/// DE has two thirds of all known addresses of IPv4.
#[test]
fn countries_count_by_the_size_of_their_networks() {
    let by_country =
        record(vec![pool("eu", None, vec![value(1, 1)]), pool("us", None, vec![value(2, 1)])], vec![geo_rule(0, &["EU"]), rule(1)]);
    let world = World::outage(&by_country, &[]);
    let report = world.run(&everybody());
    check(&report, &[(1, 2.0 / 3.0), (2, 1.0 / 3.0)]);
    assert_eq!(report.countries.iter().map(|row| row.country.clone().unwrap()).collect::<Vec<_>>(), ["DE", "US"]);
    assert!(is_near(report.moved, 0.0) && report.moves.is_empty());
    check(&world.run(&Population::Databases { ipv6_share: 0.25 }), &[(1, 0.5), (2, 0.5)]);
    check(&world.run(&prefixes(&[("10.0.0.0/24", 1.0), ("10.128.0.0/30", 3.0)])), &[(1, 0.25), (2, 0.75)]);
    // One prefix that is half in a country and half unknown.
    check(&world.run(&prefixes(&[("10.128.0.0/9", 1.0), ("10.0.0.0/8", 2.0)])), &[(1, 1.0 / 3.0), (2, 2.0 / 3.0)]);
}

#[test]
fn without_databases_every_address_is_a_client() {
    let halves = record(
        vec![pool("low", None, vec![value(1, 1)]), pool("high", None, vec![value(2, 1)])],
        vec![subnet_rule(0, &["0.0.0.0/2"]), rule(1)],
    );
    check(&World::new(&halves, &halves, &[], LocationSet::default()).run(&everybody()), &[(1, 0.25), (2, 0.75)]);
}

#[test]
fn sticky_clients_of_a_dead_value_move_and_no_others() {
    let mut sticky = record(vec![pool("all", None, (1..=4).map(|number| value(number, 1)).collect())], vec![rule(0)]);
    sticky.spec.select = Select::Sticky;
    let world = World::outage(&sticky, &[(1, down())]);
    let clients = prefixes(&[("10.0.0.0/10", 1.0)]);
    let report = world.run(&clients);
    let lost = report.values.iter().find(|row| row.value == "192.0.2.1").unwrap();
    assert!(is_near(report.moved, lost.before) && is_near(lost.after, 0.0), "{report:?}");
    assert_eq!((report.sample, report.moves.len()), (None, 3));
    // The same from a sample, within the bound that it states.
    let sampled = world.run_with(&clients, Effort { sticky_clients: 4000, ..EFFORT }).unwrap();
    assert_eq!(sampled.sample, Some(4000));
    for row in &sampled.values {
        let exact = report.values.iter().find(|other| other.value == row.value).unwrap();
        assert!(
            (row.before - exact.before).abs() <= sampled.error && (row.after - exact.after).abs() <= sampled.error,
            "{row:?} {exact:?}"
        );
    }
}

#[test]
fn a_changed_record_is_compared_with_the_one_that_is_served() {
    let mut changed = failover();
    changed.spec.pools[0].values[0].weight = 1;
    let report = World::new(&failover(), &changed, &[], locations()).run(&everybody());
    check(&report, &[(1, 0.5), (2, 0.5)]);
    assert!(is_near(report.moved, 0.25));
    changed.spec.select = Select::Sticky;
    let report = World::new(&failover(), &changed, &[], locations()).run(&prefixes(&[("10.0.0.0/14", 1.0)]));
    // Three quarters of those whose only value is now .2 had .1, and one quarter of the others had .2.
    assert!((report.moved - 0.5).abs() < 0.05, "{}", report.moved);
    assert_eq!((report.select.before, report.select.after), (Some("weighted"), Some("sticky")));
}

#[test]
fn several_answers_share_a_client() {
    let mut double = record(vec![pool("all", None, vec![value(1, 1), value(2, 1), value(3, 1)])], vec![rule(0)]);
    double.spec.answers = Some(2);
    check(&World::outage(&double, &[(3, down())]).run(&everybody()), &[(1, 0.5), (2, 0.5)]);
    // More unequal values than probabilities are worked out for.
    double.spec.pools[0].values = (1..=20).map(|number| value(number, number.into())).collect();
    let report = World::outage(&double, &[]).run(&everybody());
    assert!(report.error > 0.001 && is_near(after(&report).values().sum(), 1.0), "{report:?}");
}

/// Every address of 10.0.0.0/16 against decisions that are really made: subnets finer than sticky's prefix, places, and all three methods.
#[test]
fn shares_are_those_of_all_clients_asked_one_by_one() {
    let place = |number: u8, weight, longitude: i32| ValueSpec {
        coordinates: Some(Coordinates { latitude: 45_000_000, longitude: longitude * 1_000_000 }),
        site: if number < 3 { "one".into() } else { "two".into() },
        ..value(number, weight)
    };
    for select in [Select::Weighted, Select::Sticky, Select::Nearest] {
        let pools =
            || vec![pool("a", Some(1), vec![place(1, 2, 8), place(2, 1, -90), place(3, 1, 8)]), pool("b", None, vec![place(4, 1, 0)])];
        let mut asked = record(pools(), vec![subnet_rule(1, &["10.0.3.64/26", "10.0.64.0/20"]), geo_rule(0, &["EU"]), rule(1)]);
        asked.spec.select = select;
        let world = World::outage(&asked, &[(1, down())]);
        let report = world.run(&prefixes(&[("10.0.0.0/16", 1.0)]));
        let mut counts: BTreeMap<String, f64> = BTreeMap::new();
        let (mut picked, mut rng) = (Picked::new(), FastRng::from_seed(2));
        for number in 0..1_u32 << 16 {
            let addr = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 | number));
            let client = Client { addr, prefix: 32, from_ecs: true };
            let decision = decide(&world.tables, &world.after.1, &world.after.0, &client, &mut rng, &mut picked, &mut NoTrace);
            assert_eq!(decision.outcome, SteerOutcome::Answer);
            let rdata: [u8; 4] = picked.rdatas(&world.after.0).next().unwrap().try_into().unwrap();
            *counts.entry(Ipv4Addr::from(rdata).to_string()).or_default() += 1.0 / 65536.0;
        }
        // Draws of the weighted pool differ by chance, the rest is exact.
        let allowed = if select == Select::Sticky { 1e-6 } else { 0.01 };
        let shares = after(&report);
        assert_eq!(counts.keys().collect::<Vec<_>>(), shares.keys().collect::<Vec<_>>(), "{select:?}");
        for (value, share) in &shares {
            assert!((counts[value] - share).abs() < allowed, "{select:?} {value}: {share} and not {}", counts[value]);
        }
    }
}

#[test]
fn work_is_bounded_and_nobody_is_no_population() {
    let world = World::outage(&failover(), &[]);
    let run = |population: &Population, steps| world.run_with(population, Effort { steps, ..EFFORT }).map(|_| ());
    assert_eq!(run(&everybody(), 3), Err(SimulationFault::TooMuch));
    assert_eq!(run(&everybody(), 1000), Ok(()));
    for weight in [0.0, f64::NAN] {
        assert_eq!(
            run(&Population::Prefixes(vec![(Prefix { addr: "10.0.0.0".parse().unwrap(), length: 8 }, weight)]), 1000),
            Err(SimulationFault::Nobody)
        );
    }
    assert_eq!(run(&Population::Prefixes(vec![]), 1000), Err(SimulationFault::Nobody));
}

#[test]
fn records_are_added_up() {
    let world = World::outage(&failover(), &[(1, down())]);
    let population = everybody();
    let mut simulation = Simulation::new(&world.tables, &population, EFFORT).unwrap();
    for health in [&world.after.1, &world.before.1] {
        let side = |health| Side { subject: Subject::Steered(&world.before.0), health };
        simulation.run(&Case { owner: b"\x00", rtype: 1, before: side(&world.before.1), after: side(health) }).unwrap();
    }
    let total = simulation.total();
    assert!(total.records == 2 && is_near(total.moved, 0.375), "{total:?}");
}
