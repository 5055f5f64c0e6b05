//! `geodns-dataplane simulate`: what would be answered if, in a process of its own (`docs/link-protocol.md` section 8). The forecast is the engine's; here an order
//! becomes its input and its report becomes JSON.
//!
//! Control starts one such process for each question, so that no question can slow, grow or wedge the one that answers packets. It reads the compiled location tables
//! that the serving process keeps and writes nothing, anywhere but to standard output.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use geodns_engine::simulate::{Case, Effort, Population, RecordReport, Side, Simulation, Subject};
use geodns_engine::spec::{Change, HealthEntry, Prefix, Rdata, RrsetData, RrsetSpec, ValueId, WireName};
use geodns_engine::steer::{HealthTable, HealthUpdate, Steered, SteeringEditor};
use geodns_link::bytes::Reader;
use geodns_link::health::{ENTRY_LEN, read_entry};
use geodns_link::item::Items;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::{self, Config};
use crate::locations;
use crate::sys;

/// Of an order: the lists that the records name are the most of it, a million networks are 18 MiB.
const MAX_ORDER: u64 = 128 * 1024 * 1024;

/// Of memory: city databases of some millions of networks, their merged maps and the order. Control must live beside it.
const MAX_MEMORY: u64 = 4 * 1024 * 1024 * 1024;

/// Of processor time. The engine's own bound is met long before, in all but a wedge.
const MAX_CPU_S: u64 = 120;

/// Steps of walks, decisions and draws: half a minute of one core.
const MAX_STEPS: u64 = 100_000_000;

/// Client prefixes up to which `sticky` is worked out for each one; a sample of as many is within 0.37 %.
const STICKY_CLIENTS: u32 = 200_000;

/// Of all samples together, so that many records take no longer than a few.
const ALL_STICKY_CLIENTS: u32 = 10_000_000;

/// The least sample of one record: within 1.2 %.
const LEAST_STICKY_CLIENTS: u32 = 20_000;

/// More records than this are told without their countries, which the total has.
const RECORDS_WITH_COUNTRIES: usize = 10;

/// What control asks, beside records and health.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    /// As in CONFIG.
    config: Value,
    population: Clients,
    seed: u64,
}

/// Whose answers are forecast.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Clients {
    Databases { ipv6_share: f64 },
    Prefixes(Vec<(String, f64)>),
}

/// An rrset's place, in the order in which they are told.
type Place = (WireName, u16);

/// One rrset, compiled.
enum Compiled {
    Static(Vec<Rdata>),
    Steered(Arc<Steered>),
}

/// Reads one order from standard input and gives the document, or one with the single key `error`. `state` is the serving process's directory.
///
/// # Errors
/// One sentence, when the process cannot bound itself.
pub fn simulate(state: &Path) -> Result<Value, String> {
    sys::bound_process(MAX_MEMORY, MAX_CPU_S).map_err(|error| format!("the process cannot bound itself: {error}"))?;
    let mut order = Vec::new();
    io::stdin().lock().take(MAX_ORDER).read_to_end(&mut order).map_err(|error| format!("the order cannot be read: {error}"))?;
    Ok(answer(&order, state).unwrap_or_else(|reason| json!({ "error": reason })))
}

/// `order` is five sections, each with its length in four bytes before it.
fn answer(order: &[u8], state: &Path) -> Result<Value, String> {
    let mut reader = Reader::new(order, "the order");
    let fault = |fault: geodns_link::Fault| fault.to_string();
    let mut section = || {
        let length = reader.u32().map_err(fault)?;
        reader.take(usize::try_from(length).unwrap_or(usize::MAX)).map_err(fault)
    };
    let [head, served, changed, health_before, health_after] = [section()?, section()?, section()?, section()?, section()?];
    reader.end().map_err(fault)?;
    let Order { config, population, seed } =
        serde_json::from_slice(head).map_err(|error| format!("the order is not understood: {error}"))?;
    let config = Config::read(config.to_string().as_bytes())?;
    let population = population.read()?;
    let mut editor = SteeringEditor::new();
    editor.set_sticky_prefix(config.sticky_prefix.0, config.sticky_prefix.1);
    editor.set_locations(Arc::new(locations::read_kept(&state.join("location"), &config.geo_databases)?));
    let before = compile(served, &mut editor)?;
    let mut places: Vec<Place> = before.iter().map(|(place, _)| place.clone()).collect();
    let after: BTreeMap<Place, Compiled> = compile(changed, &mut editor)?.into_iter().collect();
    places.extend(after.keys().filter(|place| !before.iter().any(|(known, _)| known == *place)).cloned());
    let before: BTreeMap<Place, Compiled> = before.into_iter().collect();
    let healths = [read_health(health_before)?, read_health(health_after)?].map(|entries| {
        editor.set_health(HealthUpdate::Whole(entries));
        editor.tables().1
    });
    let (tables, _) = editor.tables();
    let mut simulation = Simulation::new(&tables, &population, effort(places.len(), seed)).map_err(|fault| fault.to_string())?;
    let mut records = Vec::new();
    for place in &places {
        let case = make_case(place, &before, &after, &healths);
        let mut report = simulation.run(&case).map_err(|fault| fault.to_string())?;
        if places.len() > RECORDS_WITH_COUNTRIES {
            report.countries.clear();
        }
        records.push(report);
    }
    let total = simulation.total();
    let databases: Vec<Value> = tables.locations().tables().iter().map(|named| named.name.clone().into()).collect();
    let population = describe_population(&population, simulation.weight(), &databases);
    describe(&population, &records, &total)
}

fn describe(population: &Value, records: &[RecordReport], total: &impl serde::Serialize) -> Result<Value, String> {
    let to_value = |value: serde_json::Result<Value>| value.map_err(|error| error.to_string());
    Ok(json!({
        "population": population,
        "records": to_value(serde_json::to_value(records))?,
        "total": to_value(serde_json::to_value(total))?,
    }))
}

fn describe_population(population: &Population, weight: f64, databases: &[Value]) -> Value {
    let (source, prefixes, ipv6_share) = match population {
        Population::Prefixes(prefixes) => ("prefixes", Some(prefixes.len()), None),
        Population::Databases { ipv6_share } if databases.is_empty() => ("addresses", None, Some(*ipv6_share)),
        Population::Databases { ipv6_share } => ("databases", None, Some(*ipv6_share)),
    };
    let weight = Some(weight).filter(|_| prefixes.is_some());
    json!({ "source": source, "databases": databases, "prefixes": prefixes, "weight": weight, "ipv6_share": ipv6_share })
}

fn effort(records: usize, seed: u64) -> Effort {
    let records = u32::try_from(records.max(1)).unwrap_or(u32::MAX);
    Effort { steps: MAX_STEPS, sticky_clients: (ALL_STICKY_CLIENTS / records).clamp(LEAST_STICKY_CLIENTS, STICKY_CLIENTS), seed }
}

impl Clients {
    fn read(self) -> Result<Population, String> {
        match self {
            Self::Databases { ipv6_share } if (0.0..=1.0).contains(&ipv6_share) => Ok(Population::Databases { ipv6_share }),
            Self::Databases { .. } => Err("the share of IPv6 is not within 0 and 1".into()),
            Self::Prefixes(prefixes) => {
                let read = |(text, weight): &(String, f64)| -> Result<(Prefix, f64), String> {
                    let prefix = config::prefix(text).map_err(|what| format!("the population {what}"))?;
                    if weight.is_finite() && *weight >= 0.0 {
                        Ok((prefix, *weight))
                    } else {
                        Err(format!("the weight of {text} is no weight"))
                    }
                };
                prefixes.iter().map(read).collect::<Result<_, _>>().map(Population::Prefixes)
            }
        }
    }
}

/// The rrsets of an item stream; lists go into the editor.
fn compile(stream: &[u8], editor: &mut SteeringEditor) -> Result<Vec<(Place, Compiled)>, String> {
    let mut compiled = Vec::new();
    for change in Items::new(stream) {
        match change.map_err(|fault| fault.to_string())? {
            Change::PutList { name, prefixes } => editor.put_list(name, prefixes).map_err(|refused| refused.to_string())?,
            Change::PutOwner { owner, rrsets, .. } => {
                for rrset in rrsets {
                    let place = (owner.clone(), rrset.rtype);
                    compiled.push((place, compile_rrset(&owner, rrset, editor)?));
                }
            }
            Change::PutZone { .. } | Change::DropZone { .. } | Change::DropList { .. } => {
                return Err("an order holds rrsets and lists, and nothing else".into());
            }
        }
    }
    Ok(compiled)
}

fn compile_rrset(owner: &[u8], rrset: RrsetSpec, editor: &mut SteeringEditor) -> Result<Compiled, String> {
    let RrsetSpec { rtype, ttl, data } = rrset;
    match data {
        RrsetData::Static(rdatas) => Ok(Compiled::Static(rdatas)),
        RrsetData::Steered(spec) => editor.compile(owner, rtype, ttl, *spec).map(Compiled::Steered).map_err(|refused| refused.to_string()),
    }
}

fn read_health(bytes: &[u8]) -> Result<Vec<(ValueId, HealthEntry)>, String> {
    let mut reader = Reader::new(bytes, "a health vector");
    let entries = (0..bytes.len() / ENTRY_LEN).map(|_| read_entry(&mut reader)).collect::<Result<_, _>>();
    let entries = entries.map_err(|fault| fault.to_string())?;
    reader.end().map_err(|fault| fault.to_string())?;
    Ok(entries)
}

fn make_case<'a>(
    place: &'a Place,
    before: &'a BTreeMap<Place, Compiled>,
    after: &'a BTreeMap<Place, Compiled>,
    healths: &'a [Arc<HealthTable>; 2],
) -> Case<'a> {
    let subject = |compiled: Option<&'a Compiled>| match compiled {
        None => Subject::Absent,
        Some(Compiled::Steered(steered)) => Subject::Steered(steered),
        Some(Compiled::Static(rdatas)) => Subject::Static(rdatas),
    };
    let served = before.get(place);
    let [health_before, health_after] = healths;
    Case {
        owner: &place.0,
        rtype: place.1,
        before: Side { subject: subject(served), health: health_before },
        after: Side { subject: subject(after.get(place).or(served)), health: health_after },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use geodns_engine::spec::{AllDown, LastResort, PoolSpec, RuleOrigin, RuleSpec, Select, Status, SteeringSpec, ValueSpec};
    use geodns_link::health::put_entry;
    use geodns_link::item::put_item;

    const OWNER: &[u8] = b"\x03www\x07example\x03com\x00";
    const HEAD: &[u8] = br#"{"config": {}, "population": {"prefixes": [["192.0.2.0/24", 2], ["2001:db8::/32", 1.5]]}, "seed": 7}"#;

    fn order(sections: [&[u8]; 5]) -> Vec<u8> {
        sections.iter().flat_map(|section| [&u32::try_from(section.len()).unwrap().to_be_bytes(), *section].concat()).collect()
    }

    fn ask(sections: [&[u8]; 5]) -> Result<Value, String> {
        answer(&order(sections), Path::new("/nonexistent"))
    }

    fn value(id: ValueId) -> ValueSpec {
        let octet = u8::try_from(id).unwrap();
        let rdata = Box::new([192, 0, 2, octet]);
        ValueSpec { id, weight: 1, status: Status::Obey, drained: false, site: format!("site{id}"), coordinates: None, rdata }
    }

    /// Values .1 and .2, or one of them alone.
    fn item(values: &[ValueId]) -> Vec<u8> {
        let spec = SteeringSpec {
            answers: Some(1),
            select: Select::Weighted,
            all_down: AllDown::Values,
            min_up: 0,
            ttl: None,
            values: vec![LastResort { id: 9, rdata: Box::new([192, 0, 2, 9]) }],
            pools: vec![PoolSpec { name: "all".into(), fallback: None, values: values.iter().copied().map(value).collect() }],
            rules: vec![RuleSpec { origin: RuleOrigin::Dynamic, pool: 0, geos: vec![], subnets: vec![], asns: vec![], lists: vec![] }],
        };
        let rrsets = vec![RrsetSpec { rtype: 1, ttl: 60, data: RrsetData::Steered(Box::new(spec)) }];
        let mut out = Vec::new();
        put_item(&mut out, &Change::PutOwner { apex: OWNER.into(), owner: OWNER.into(), rrsets }).unwrap();
        out
    }

    fn down(id: ValueId) -> Vec<u8> {
        let mut out = Vec::new();
        put_entry(&mut out, id, &HealthEntry { down: true, ..HealthEntry::default() });
        out
    }

    #[test]
    fn an_outage_is_told_with_what_moves() {
        let document = ask([HEAD, &item(&[1, 2]), &[], &[], &down(1)]).unwrap();
        assert_eq!((&document["total"]["moved"], &document["population"]["weight"]), (&json!(0.5), &json!(3.5)));
        assert_eq!(document["records"][0]["moves"][0]["to"]["site"], "site2");
    }

    #[test]
    fn a_changed_record_stands_in_the_place_of_the_served_one() {
        let document = ask([HEAD, &item(&[1, 2]), &item(&[2]), &[], &[]]).unwrap();
        assert_eq!((document["records"].as_array().unwrap().len(), &document["records"][0]["moved"]), (1, &json!(0.5)));
        let document = ask([HEAD, &[], &item(&[2]), &[], &[]]).unwrap();
        assert_eq!(document["records"][0]["outcomes"][0], json!({"outcome": "absent", "before": 1.0, "after": 0.0}));
    }

    #[test]
    fn what_is_no_order_gets_a_reason() {
        let head = |population: &str| format!(r#"{{"config": {{}}, "population": {population}, "seed": 1}}"#).into_bytes();
        let mut drop = Vec::new();
        put_item(&mut drop, &Change::DropList { name: "a".into() }).unwrap();
        for (sections, named) in [
            ([&b"{}"[..], &[], &[], &[], &[]], "missing field"),
            ([HEAD, b"\x00", &[], &[], &[]], "an item"),
            ([HEAD, &drop, &[], &[], &[]], "nothing else"),
            ([HEAD, &[], &[], &[1, 2, 3], &[]], "health"),
            ([&head(r#"{"prefixes": [["192.0.2.1/24", 1]]}"#)[..], &[], &[], &[], &[]], "host bits"),
            ([&head(r#"{"prefixes": [["192.0.2.0/24", -1]]}"#)[..], &[], &[], &[], &[]], "weight"),
            ([&head(r#"{"prefixes": []}"#)[..], &[], &[], &[], &[]], "no clients"),
            ([&head(r#"{"databases": {"ipv6_share": 2}}"#)[..], &[], &[], &[], &[]], "IPv6"),
        ] {
            let reason = ask(sections).unwrap_err();
            assert!(reason.contains(named), "{named}: {reason}");
        }
        for cut in 0..order([HEAD, &item(&[1]), &[], &[], &[]]).len() {
            assert!(answer(&order([HEAD, &item(&[1]), &[], &[], &[]])[..cut], Path::new("/nonexistent")).is_err(), "{cut}");
        }
    }
}
