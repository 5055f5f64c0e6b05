//! Where a client is and which database says so; which rules match it and why the others do not.

use std::net::IpAddr;

use serde::Serialize;

use crate::location::address::holds;
use crate::location::{Country, Facts, Geo, Location, LocationSet, Matcher, Membership};
use crate::spec::{RuleOrigin, RuleSpec};
use crate::steer::Steered;

/// Everything known of an address. `from` names the database behind each fact.
#[derive(Debug, Default, Serialize)]
pub struct LocationReport {
    pub country: Option<String>,
    pub continent: Option<&'static str>,
    pub subdivisions: Vec<String>,
    pub asn: Option<u32>,
    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
    pub from: FactSources,
    /// What each database says by itself, in order of precedence.
    pub databases: Vec<DatabaseReport>,
}

/// Which database a fact is taken from; a continent mostly from octoDNS's table.
#[derive(Debug, Default, Serialize)]
pub struct FactSources {
    pub country: Option<String>,
    pub continent: Option<String>,
    pub subdivisions: Option<String>,
    pub asn: Option<String>,
    pub coordinates: Option<String>,
}

/// What one database says.
#[derive(Debug, Serialize)]
pub struct DatabaseReport {
    pub database: String,
    /// The database's network around the address, or the hole in it.
    pub network: String,
    pub country: Option<String>,
    pub continent: Option<&'static str>,
    pub subdivisions: Vec<String>,
    pub asn: Option<u32>,
    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
}

fn degrees(millionths: i32) -> f64 {
    f64::from(millionths) / 1e6
}

impl LocationReport {
    /// Asks every database.
    pub(super) fn new(locations: &LocationSet, addr: IpAddr) -> Self {
        let mut facts = Facts::default();
        let mut report = Self::default();
        for named in locations.tables() {
            let Some(found) = named.table.look_up(addr) else { continue };
            let before = facts;
            facts.add(found.location);
            report.note_sources(&before, &facts, &named.name);
            report.databases.push(DatabaseReport::new(&named.name, addr, found.network, found.location));
        }
        facts.settle();
        if facts.country.and_then(Country::continent).is_some() {
            report.from.continent = Some("octoDNS, for the country".to_owned());
        }
        Self {
            country: facts.country.map(|country| country.to_string()),
            continent: facts.continent.map(crate::location::Continent::code),
            subdivisions: facts.subdivisions.iter().flatten().map(ToString::to_string).collect(),
            asn: facts.asn,
            latitude: facts.coordinates.map(|point| degrees(point.latitude)),
            longitude: facts.coordinates.map(|point| degrees(point.longitude)),
            ..report
        }
    }

    fn note_sources(&mut self, before: &Facts, after: &Facts, name: &str) {
        let note = |source: &mut Option<String>, is_new: bool| {
            if is_new {
                *source = Some(name.to_owned());
            }
        };
        note(&mut self.from.country, before.country != after.country);
        note(&mut self.from.continent, before.continent != after.continent);
        note(&mut self.from.subdivisions, before.subdivisions != after.subdivisions);
        note(&mut self.from.asn, before.asn != after.asn);
        note(&mut self.from.coordinates, before.coordinates != after.coordinates);
    }
}

impl DatabaseReport {
    fn new(name: &str, addr: IpAddr, network: u8, location: &Location) -> Self {
        Self {
            database: name.to_owned(),
            network: show_network(addr, network),
            country: location.country.map(|country| country.to_string()),
            continent: location.continent.map(crate::location::Continent::code),
            subdivisions: location.subdivisions().map(|code| code.to_string()).collect(),
            asn: location.asn,
            latitude: location.coordinates.map(|point| degrees(point.latitude)),
            longitude: location.coordinates.map(|point| degrees(point.longitude)),
        }
    }
}

/// The network of that length around an address.
pub(super) fn show_network(addr: IpAddr, length: u8) -> String {
    use crate::location::address::Address;
    let network = match addr {
        IpAddr::V4(addr) => IpAddr::V4(u32::from(addr).network(length).into()),
        IpAddr::V6(addr) => IpAddr::V6(u128::from(addr).network(length).into()),
    };
    format!("{network}/{length}")
}

/// What became of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleVerdict {
    /// The first that matches.
    Decides,
    /// It would match, had not an earlier one.
    MatchesLater,
    NoMatch,
}

/// One rule.
#[derive(Debug, Serialize)]
pub struct RuleReport {
    /// Index in the order in which rules are judged.
    pub rule: u16,
    /// Where it is written: `octodns.geodns.rules` or `dynamic.rules`.
    pub origin: &'static str,
    pub pool: String,
    pub verdict: RuleVerdict,
    /// The predicates that match, or why none does.
    pub because: Vec<String>,
}

/// Each rule of the record for this client; `decided` is the packet path's own word.
pub(super) fn judge_rules(steered: &Steered, matcher: Option<&Matcher>, facts: &Facts, addr: IpAddr, decided: u16) -> Vec<RuleReport> {
    let pools = &steered.spec().pools;
    let judge = |(number, rule): (u16, &RuleSpec)| {
        let matching = find_matching(rule, matcher, facts, addr);
        let verdict = match (number == decided, matching.is_empty()) {
            (true, _) => RuleVerdict::Decides,
            (false, false) => RuleVerdict::MatchesLater,
            (false, true) => RuleVerdict::NoMatch,
        };
        RuleReport {
            rule: number,
            origin: match rule.origin {
                RuleOrigin::Dynamic => "dynamic.rules",
                RuleOrigin::Own => "octodns.geodns.rules",
            },
            pool: pools.get(usize::from(rule.pool)).map(|pool| pool.name.clone()).unwrap_or_default(),
            verdict,
            because: if matching.is_empty() { say_why_not(rule, matcher, facts) } else { matching },
        }
    };
    (0..).zip(&steered.spec().rules).map(judge).collect()
}

fn find_matching(rule: &RuleSpec, matcher: Option<&Matcher>, facts: &Facts, addr: IpAddr) -> Vec<String> {
    if rule.geos.is_empty() && rule.subnets.is_empty() && rule.asns.is_empty() && rule.lists.is_empty() {
        return vec!["the catch-all".to_owned()];
    }
    let in_list = |name: &&String| {
        let list = matcher.and_then(|matcher| matcher.list(name));
        list.and_then(|list| list.look_up(addr)).is_some_and(|(membership, _)| membership == Membership::Inside)
    };
    let subnets =
        rule.subnets.iter().filter(|subnet| holds(subnet, addr)).map(|subnet| format!("subnet {}/{}", subnet.addr, subnet.length));
    let lists = rule.lists.iter().filter(in_list).map(|name| format!("list {name}"));
    let asns = rule.asns.iter().filter(|asn| facts.asn == Some(**asn)).map(|asn| format!("asn {asn}"));
    let geos = rule.geos.iter().filter(|geo| is_in(geo, facts)).map(|geo| format!("geo {geo}"));
    subnets.chain(lists).chain(asns).chain(geos).collect()
}

fn is_in(geo: &str, facts: &Facts) -> bool {
    match Geo::parse(geo) {
        Some(Geo::Continent(continent)) => facts.continent == Some(continent),
        Some(Geo::Country(country)) => facts.country == Some(country),
        Some(Geo::Province(country, subdivision)) => facts.country == Some(country) && facts.subdivisions.contains(&Some(subdivision)),
        None => false,
    }
}

fn say_why_not(rule: &RuleSpec, matcher: Option<&Matcher>, facts: &Facts) -> Vec<String> {
    let mut reasons = Vec::new();
    if !rule.geos.is_empty() {
        reasons.push(match show_place(facts) {
            Some(place) => format!("the client is in {place}, not in {}", shorten(&rule.geos)),
            None => "where the client is, is not known".to_owned(),
        });
        reasons.extend(
            rule.geos
                .iter()
                .filter(|geo| Geo::parse(geo).is_none())
                .map(|geo| format!("geo {geo} is none of octoDNS's and matches nobody")),
        );
    }
    if !rule.subnets.is_empty() {
        reasons.push(format!("the client is in none of {} subnets", rule.subnets.len()));
    }
    if !rule.asns.is_empty() {
        let asns: Vec<String> = rule.asns.iter().map(ToString::to_string).collect();
        reasons.push(match facts.asn {
            Some(asn) => format!("the client is in autonomous system {asn}, not in {}", shorten(&asns)),
            None => "which autonomous system the client is in, is not known".to_owned(),
        });
    }
    for name in &rule.lists {
        let is_there = matcher.is_some_and(|matcher| matcher.list(name).is_some());
        reasons.push(if is_there { format!("the client is not in list {name}") } else { format!("there is no list {name} in force") });
    }
    reasons
}

fn show_place(facts: &Facts) -> Option<String> {
    match (facts.continent, facts.country) {
        (Some(continent), Some(country)) => {
            let subdivisions = facts.subdivisions.iter().flatten().map(ToString::to_string);
            Some([continent.code().to_owned(), country.to_string()].into_iter().chain(subdivisions).collect::<Vec<_>>().join("-"))
        }
        (Some(continent), None) => Some(continent.code().to_owned()),
        (None, Some(country)) => Some(country.to_string()),
        (None, None) => None,
    }
}

/// The first few of a list, and how many more there are.
fn shorten(items: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown = items.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match items.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}
