//! Explanations as documents: what an operator reads, and that it is what the wire says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::location::{Continent, Country, Location, LocationSet, LocationTableBuilder, NamedTable};
use crate::rng::FastRng;
use crate::spec::{Change, Coordinates, HealthEntry, Override, RrsetData, RrsetSpec, Select, Status, TtlRange};
use crate::steer::tests::{Record as Steering, bound, down, failover, geo_rule, operator, pool, prefix, record, rule, subnet_rule, value};
use crate::steer::{HealthUpdate, SteeringEditor};
use crate::zones::ZoneSet;

const APEX: &[u8] = b"\x07example\x03com\x00";

fn wire(label: &str) -> Box<[u8]> {
    let mut name = vec![u8::try_from(label.len()).unwrap()];
    name.extend(label.as_bytes());
    name.extend(APEX);
    name.into()
}

fn locations() -> LocationSet {
    let mut builder = LocationTableBuilder::default();
    for (network, country, continent, latitude) in
        [("10.0.0.0/8", "DE", "EU", 50), ("11.0.0.0/8", "CY", "EU", 35), ("12.0.0.0/8", "US", "NA", 40)]
    {
        let class = builder.intern(Location {
            country: Country::from_code(country),
            continent: Continent::from_code(continent),
            coordinates: Some(Coordinates { latitude: latitude * 1_000_000, longitude: 8_000_000 }),
            ..Location::default()
        });
        builder.put(&prefix(network), class).unwrap();
    }
    LocationSet::new(vec![NamedTable { name: "/data/city.mmdb".into(), table: Arc::new(builder.finish("Test-City".into(), 0).unwrap()) }])
}

/// example.com with the record at `www` and an alias of it.
fn view(steering: Steering, health: Vec<(u32, HealthEntry)>) -> View {
    let mut editor = SteeringEditor::new();
    editor.set_locations(Arc::new(locations()));
    editor.put_list("office".into(), vec![prefix("192.0.2.0/24")]).unwrap();
    let mut zones = ZoneSet::new(7).edit();
    let fixed = |rtype, rdata: &[u8]| RrsetSpec { rtype, ttl: 300, data: RrsetData::Static(vec![rdata.into()]) };
    let soa = [b"\x02ns\x00\x00".as_slice(), &[0; 16], &60_u32.to_be_bytes()].concat();
    let steered = RrsetSpec { rtype: steering.rtype, ttl: steering.ttl, data: RrsetData::Steered(Box::new(steering.spec)) };
    for change in [
        Change::PutZone { apex: APEX.into() },
        Change::PutOwner { apex: APEX.into(), owner: APEX.into(), rrsets: vec![fixed(6, &soa), fixed(2, b"\x02ns\x00")] },
        Change::PutOwner { apex: APEX.into(), owner: wire("alias"), rrsets: vec![fixed(5, &wire("www"))] },
        Change::PutOwner { apex: APEX.into(), owner: wire("www"), rrsets: vec![steered] },
    ] {
        zones.apply(change, &mut editor).unwrap();
    }
    editor.set_health(HealthUpdate::Whole(health));
    let (tables, health) = editor.tables();
    View { zones: Arc::new(zones.finish().unwrap()), tables, health, options: Arc::default(), triple: None }
}

fn ask(view: &View, name: &str, client: &str) -> Value {
    serde_json::to_value(explain(view, name, "A", client, &mut FastRng::from_seed(5)).unwrap()).unwrap()
}

/// The decision of the last steered step.
fn decision(document: &Value) -> Value {
    let steps = document["path"].as_array().unwrap();
    steps.iter().rfind(|step| step["step"] == "steered").unwrap()["decision"].clone()
}

fn geo_steering() -> Steering {
    let pools = vec![pool("eu", Some(1), vec![value(1, 3), value(2, 1)]), pool("us", None, vec![value(11, 1)])];
    let own = crate::spec::RuleSpec {
        origin: crate::spec::RuleOrigin::Own,
        lists: vec!["office".into(), "gone".into()],
        asns: vec![64500],
        ..rule(1)
    };
    record(pools, vec![own, subnet_rule(0, &["12.5.0.0/16"]), geo_rule(0, &["EU"]), rule(1)])
}

#[test]
fn a_whole_document() {
    let view = view(geo_steering(), vec![(1, HealthEntry { down: true, since_ms: 1_700_000_000_000, ..HealthEntry::default() })]);
    let document = ask(&view, "alias.example.com", "10.1.2.0/24");
    assert_eq!(document["question"], json!({"name": "alias.example.com.", "type": "A"}));
    assert_eq!(
        (document["client"]["address"].clone(), document["client"]["prefix"].clone(), document["client"]["seen_as"].clone()),
        (json!("10.1.2.0"), json!(24), json!("client subnet"))
    );
    let location = &document["client"]["location"];
    assert_eq!((&location["country"], &location["continent"]), (&json!("DE"), &json!("EU")));
    assert_eq!(location["from"]["country"], "/data/city.mmdb");
    assert_eq!(location["databases"][0]["network"], "10.0.0.0/8");
    let steps: Vec<&str> = document["path"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["search", "exact", "static", "search", "exact", "steered"]);
    let decision = decision(&document);
    let rules: Vec<(&str, &str)> = decision["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| (rule["verdict"].as_str().unwrap(), rule["because"][0].as_str().unwrap()))
        .collect();
    assert_eq!(
        rules,
        [
            ("no-match", "which autonomous system the client is in, is not known"),
            ("no-match", "the client is in none of 1 subnets"),
            ("decides", "geo EU"),
            ("matches-later", "the catch-all"),
        ]
    );
    assert_eq!(decision["rules"][0]["because"][2], "there is no list gone in force");
    assert_eq!(decision["rule"], 2);
    let pool = &decision["pools"][0];
    assert_eq!((&pool["pool"], &pool["verdict"], &pool["live_share"]), (&json!("eu"), &json!("serves"), &json!(0.25)));
    assert_eq!(decision["pools"][1]["verdict"], "not-reached");
    let dead = &pool["values"][0];
    assert_eq!(
        (&dead["state"], &dead["because"], &dead["since_ms"]),
        (&json!("down"), &json!("health: down"), &json!(1_700_000_000_000_u64))
    );
    assert_eq!(decision["choice"]["chosen"], json!(["192.0.2.2"]));
    assert_eq!(
        decision["choice"]["candidates"],
        json!([{"value": "192.0.2.2", "site": null, "share": 1.0, "probability": 1.0, "distance_km": null}])
    );
    assert_eq!(decision["scope"], json!({"prefix": 8, "because": "rule", "rule": 8, "sticky_prefix": null, "location_network": null}));
    let answer = &document["answer"];
    assert_eq!((&answer["rcode"], &answer["authoritative"], &answer["scope"]), (&json!("NOERROR"), &json!(true), &json!(8)));
    assert_eq!(
        answer["answer"],
        json!([
            {"name": "alias.example.com.", "type": "CNAME", "ttl": 300, "data": "www.example.com."},
            {"name": "www.example.com.", "type": "A", "ttl": 60, "data": "192.0.2.2"},
        ])
    );
}

#[test]
fn facts_name_the_database_that_said_so() {
    let location = ask(&view(geo_steering(), vec![]), "www.example.com.", "11.0.0.1")["client"]["location"].clone();
    assert_eq!((&location["country"], &location["continent"]), (&json!("CY"), &json!("AS")));
    assert_eq!(location["from"]["continent"], "octoDNS, for the country");
    assert_eq!(location["databases"][0]["continent"], "EU");
}

#[test]
fn senders_and_subnets() {
    let document = |client: &str| ask(&view(geo_steering(), vec![]), "www.example.com.", client);
    assert_eq!(
        (document("10.1.2.3")["client"]["seen_as"].clone(), document("10.1.2.3")["answer"]["scope"].clone()),
        (json!("sender"), Value::Null)
    );
    assert_eq!(document("10.1.2.3/16")["client"]["address"], "10.1.0.0");
    let mut deaf = view(geo_steering(), vec![]);
    deaf.options = Arc::new(Options { client_subnets: ClientSubnets::FromNobody, ..Options::default() });
    let ignored = ask(&deaf, "www.example.com.", "10.1.2.0/24");
    assert_eq!(
        (&ignored["client"]["seen_as"], &ignored["answer"]["scope"], &decision(&ignored)["rule"]),
        (&json!("client subnet, ignored by policy"), &Value::Null, &json!(2))
    );
}

#[test]
fn what_cannot_be_asked() {
    let view = view(geo_steering(), vec![]);
    for (name, rtype, client, fault) in [
        ("a..b", "A", "192.0.2.1", ExplainFault::Name),
        ("www.example.com", "NOSUCH", "192.0.2.1", ExplainFault::Type),
        ("www.example.com", "A", "nobody", ExplainFault::Client),
        ("www.example.com", "A", "192.0.2.0/33", ExplainFault::Client),
    ] {
        assert_eq!(explain(&view, name, rtype, client, &mut FastRng::from_seed(1)).unwrap_err(), fault);
    }
}

#[test]
fn names_without_steering_are_explained_too() {
    let view = view(geo_steering(), vec![]);
    for (name, last, rcode) in
        [("example.com", "nodata", "NOERROR"), ("nowhere.example.com", "absent", "NXDOMAIN"), ("www.example.org", "search", "REFUSED")]
    {
        let document = ask(&view, name, "192.0.2.1");
        assert_eq!(
            (&document["path"].as_array().unwrap().last().unwrap()["step"], &document["answer"]["rcode"]),
            (&json!(last), &json!(rcode)),
            "{name}"
        );
    }
}

/// Columns: health, state of 192.0.2.1, and why.
#[test]
fn each_state_has_its_reason() {
    let status = |status| {
        let mut steering = failover();
        steering.spec.pools[0].values[0].status = status;
        steering
    };
    let mut weight_0 = failover();
    weight_0.spec.pools[0].values[0].drained = true;
    for (steering, word, state, because) in [
        (failover(), HealthEntry::default(), "up", "health: up"),
        (failover(), down(), "down", "health: down"),
        (failover(), operator(Override::Up), "up", "override: up"),
        (failover(), operator(Override::Down), "down", "override: down"),
        (failover(), operator(Override::Drain), "drained", "override: drain"),
        (weight_0, HealthEntry::default(), "drained", "weight 0 in the record"),
        (status(Status::Up), down(), "up", "status: up"),
        (status(Status::Down), HealthEntry::default(), "down", "status: down"),
    ] {
        let document = ask(&view(steering, vec![(1, word)]), "www.example.com", "192.0.2.1");
        let value = &decision(&document)["pools"][0]["values"][0];
        assert_eq!((&value["state"], &value["because"]), (&json!(state), &json!(because)));
    }
}

#[test]
fn ttl_and_scope_name_what_bounds_them() {
    let adaptive = |select| {
        let mut steering = geo_steering();
        steering.spec.ttl = Some(TtlRange { min: 5, max: 40 });
        steering.spec.select = select;
        steering.spec.pools[0].values[0].coordinates = Some(Coordinates { latitude: 50_000_000, longitude: 8_000_000 });
        steering
    };
    for (health, seconds, because) in
        [(vec![], 40, "max"), (vec![(1, bound(17))], 17, "bound"), (vec![(1, bound(2))], 5, "min"), (vec![(1, bound(40))], 40, "max")]
    {
        let ttl = decision(&ask(&view(adaptive(Select::Weighted), health), "www.example.com", "10.0.0.1"))["ttl"].clone();
        assert_eq!((&ttl["seconds"], &ttl["because"]), (&json!(seconds), &json!(because)));
    }
    assert_eq!(decision(&ask(&view(geo_steering(), vec![]), "www.example.com", "10.0.0.1"))["ttl"]["because"], "record");
    let scope = |select| decision(&ask(&view(adaptive(select), vec![]), "www.example.com", "10.0.0.1"))["scope"].clone();
    assert_eq!((&scope(Select::Sticky)["because"], &scope(Select::Sticky)["prefix"]), (&json!("sticky-prefix"), &json!(24)));
    assert_eq!(scope(Select::Nearest), json!({"prefix": 8, "because": "rule", "rule": 8, "sticky_prefix": null, "location_network": 8}));
    assert_eq!(decision(&ask(&view(failover(), vec![]), "www.example.com", "10.0.0.1"))["scope"]["because"], "everybody");
}

#[test]
fn probabilities_are_those_of_the_wire() {
    let variants = [
        (Select::Weighted, Some(1)),
        (Select::Weighted, Some(2)),
        (Select::Sticky, Some(1)),
        (Select::Nearest, Some(1)),
        (Select::Nearest, Some(2)),
    ];
    for (select, answers) in variants {
        let mut steering = failover();
        steering.spec.select = select;
        steering.spec.answers = answers;
        steering.spec.pools[0].values.push(value(3, 2));
        for (number, latitude) in [(0, 50), (1, 50), (2, 10)] {
            steering.spec.pools[0].values[number].coordinates = Some(Coordinates { latitude: latitude * 1_000_000, longitude: 8_000_000 });
        }
        let view = view(steering, vec![]);
        let mut rng = FastRng::from_seed(9);
        let mut seen: BTreeMap<String, f64> = BTreeMap::new();
        let rounds = 1_000;
        let mut expected = BTreeMap::new();
        for _ in 0..rounds {
            let document = serde_json::to_value(explain(&view, "www.example.com", "A", "10.0.0.1", &mut rng).unwrap()).unwrap();
            let choice = &decision(&document)["choice"];
            let on_the_wire: BTreeSet<&str> =
                document["answer"]["answer"].as_array().unwrap().iter().map(|record| record["data"].as_str().unwrap()).collect();
            let chosen: BTreeSet<&str> = choice["chosen"].as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect();
            assert_eq!(on_the_wire, chosen);
            for value in on_the_wire {
                *seen.entry(value.to_owned()).or_default() += 1.0;
            }
            expected = choice["candidates"]
                .as_array()
                .unwrap()
                .iter()
                .map(|candidate| (candidate["value"].as_str().unwrap().to_owned(), candidate["probability"].as_f64().unwrap()))
                .collect();
        }
        for (value, probability) in expected {
            let share = seen.get(&value).copied().unwrap_or(0.0) / f64::from(rounds);
            assert!((share - probability).abs() < 0.05, "{select:?} {answers:?} {value}: {share} against {probability}");
        }
    }
}

#[test]
fn distances_are_kilometres() {
    let mut steering = failover();
    steering.spec.select = Select::Nearest;
    // Frankfurt's latitude against the equator, on one meridian: 50 degrees.
    steering.spec.pools[0].values[0].coordinates = Some(Coordinates { latitude: 0, longitude: 8_000_000 });
    let candidates = decision(&ask(&view(steering, vec![]), "www.example.com", "10.0.0.1"))["choice"]["candidates"].clone();
    assert_eq!((&candidates[0]["distance_km"], &candidates[1]["distance_km"]), (&json!(5560), &Value::Null));
}

/// Every key of a document stands in `docs/explain.md`.
#[test]
fn keys_are_documented() {
    fn keys(value: &Value, out: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                out.extend(members.keys().cloned());
                members.values().for_each(|member| keys(member, out));
            }
            Value::Array(items) => items.iter().for_each(|item| keys(item, out)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut steering = geo_steering();
    steering.spec.ttl = Some(TtlRange { min: 5, max: 40 });
    let mut found = BTreeSet::new();
    keys(&ask(&view(steering, vec![(1, bound(9))]), "alias.example.com", "10.0.0.0/24"), &mut found);
    let docs = include_str!("../../../../docs/explain.md");
    let missing: Vec<&String> = found.iter().filter(|key| !docs.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
