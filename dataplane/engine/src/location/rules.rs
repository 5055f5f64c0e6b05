//! The predicates of a record's rules, compiled: which rule is the first that a client matches. Pools do not enter, so records with equal rules share one set.

use std::collections::BTreeMap;

use super::address::is_network;
use super::address_map::AddressMap;
use super::place::{COUNTRY_CODES, Continent, Country, Geo, Subdivision};
use super::set::Facts;
use super::table::Provides;
use crate::refused::Refused;
use crate::spec::{Prefix, RuleSpec};

/// No rule of this kind matches. No rule has this number: a set holds at most 65,535 of them.
const NO_RULE: u16 = u16::MAX;

/// What makes one rule match: any of these. None at all: everybody matches.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Predicates {
    pub geos: Vec<String>,
    pub subnets: Vec<Prefix>,
    pub asns: Vec<u32>,
    pub lists: Vec<String>,
}

impl Predicates {
    /// The predicates of a rule in one order, so that rules which say the same are equal.
    pub fn of(rule: &RuleSpec) -> Self {
        fn sorted<T: Ord + Clone>(items: &[T]) -> Vec<T> {
            let mut items = items.to_vec();
            items.sort_unstable();
            items.dedup();
            items
        }
        Self { geos: sorted(&rule.geos), subnets: sorted(&rule.subnets), asns: sorted(&rule.asns), lists: sorted(&rule.lists) }
    }

    /// True for a catch-all.
    pub fn is_empty(&self) -> bool {
        self.geos.is_empty() && self.subnets.is_empty() && self.asns.is_empty() && self.lists.is_empty()
    }
}

/// The predicates of all rules of a record. Rules are known by their index.
#[derive(Debug)]
pub struct RuleSet {
    /// The first rule that everybody matches; later ones never decide.
    catch_all: u16,
    places: PlaceRules,
    /// The first rule that matches by its own subnets; the catch-all elsewhere.
    subnets: AddressMap<u16>,
    /// Named lists with the first rule that asks for each, in order of rules.
    lists: Vec<(u16, String)>,
}

impl RuleSet {
    /// Compiles the predicates of rules in the order in which they are judged.
    ///
    /// # Errors
    /// Refused when the last rule is no catch-all, or a subnet is no network.
    pub fn new(rules: &[Predicates]) -> Result<Self, Refused> {
        if !rules.last().is_some_and(Predicates::is_empty) {
            return Err(Refused::malformed("the last rule is no catch-all"));
        }
        if rules.len() > usize::from(NO_RULE) {
            return Err(Refused::limit("more than 65,535 rules"));
        }
        if let Some(prefix) = rules.iter().flat_map(|rule| &rule.subnets).find(|prefix| !is_network(prefix)) {
            return Err(Refused::malformed(format!("subnet {}/{} is no network", prefix.addr, prefix.length)));
        }
        let numbered = || (0_u16..).zip(rules).take_while(|(_, rule)| !rule.is_empty());
        let catch_all = numbered().last().map_or(0, |(rule, _)| rule.saturating_add(1));
        let subnets: Vec<(Prefix, u16)> =
            numbered().flat_map(|(number, rule)| rule.subnets.iter().map(move |subnet| (*subnet, number))).collect();
        let mut lists = BTreeMap::new();
        for (number, name) in numbered().flat_map(|(number, rule)| rule.lists.iter().map(move |name| (number, name))) {
            lists.entry(name.clone()).or_insert(number);
        }
        let mut lists: Vec<(u16, String)> = lists.into_iter().map(|(name, number)| (number, name)).collect();
        lists.sort_unstable();
        let too_many = |_| Refused::limit("more subnets than 32 bits can count");
        Ok(Self {
            catch_all,
            places: PlaceRules::new(numbered()),
            subnets: AddressMap::least(&subnets, catch_all).map_err(too_many)?,
            lists,
        })
    }

    /// True when every client is decided alike.
    pub fn is_constant(&self) -> bool {
        self.catch_all == 0
    }

    /// The first rule that everybody matches.
    pub fn catch_all(&self) -> u16 {
        self.catch_all
    }

    /// The first rule that an address matches by the rules' own subnets, or the catch-all.
    pub fn subnets(&self) -> &AddressMap<u16> {
        &self.subnets
    }

    /// Named lists with the first rule that asks for each.
    pub fn lists(&self) -> &[(u16, String)] {
        &self.lists
    }

    /// Rules that ask where a client is.
    pub fn places(&self) -> &PlaceRules {
        &self.places
    }
}

/// First rules by place and autonomous system: a client's facts to a rule in a few reads.
#[derive(Debug)]
pub struct PlaceRules {
    continents: [u16; Continent::ALL.len()],
    countries: Box<[u16]>,
    provinces: Vec<((Country, Subdivision), u16)>,
    asns: Vec<(u32, u16)>,
    /// The first rule of all of them.
    first: u16,
    wants: Provides,
}

impl PlaceRules {
    fn new<'a>(rules: impl Iterator<Item = (u16, &'a Predicates)>) -> Self {
        let mut continents = [NO_RULE; Continent::ALL.len()];
        let mut countries = vec![NO_RULE; COUNTRY_CODES].into_boxed_slice();
        let mut provinces = BTreeMap::new();
        let mut asns = BTreeMap::new();
        let mut first = NO_RULE;
        let mut wants = Provides::default();
        for (number, rule) in rules {
            for geo in rule.geos.iter().filter_map(|geo| Geo::parse(geo)) {
                let entry = match geo {
                    Geo::Continent(continent) => continents.get_mut(continent as usize),
                    Geo::Country(country) => countries.get_mut(usize::from(country.number())),
                    Geo::Province(country, subdivision) => Some(provinces.entry((country, subdivision)).or_insert(number)),
                };
                if let Some(entry) = entry {
                    *entry = number.min(*entry);
                }
                wants.places = true;
                first = first.min(number);
            }
            for asn in &rule.asns {
                asns.entry(*asn).or_insert(number);
                wants.asns = true;
                first = first.min(number);
            }
        }
        Self { continents, countries, provinces: provinces.into_iter().collect(), asns: asns.into_iter().collect(), first, wants }
    }

    /// The lowest rule that asks for a place or a system; above every rule when none does.
    pub fn first(&self) -> u16 {
        self.first
    }

    /// Which facts are asked for.
    pub fn wants(&self) -> Provides {
        self.wants
    }

    /// The first rule that matches by these facts, or a number above every rule.
    pub fn decide(&self, facts: &Facts) -> u16 {
        let continent = facts.continent.and_then(|continent| self.continents.get(continent as usize));
        let country = facts.country.and_then(|country| self.countries.get(usize::from(country.number())));
        let mut rule = continent.copied().unwrap_or(NO_RULE).min(country.copied().unwrap_or(NO_RULE));
        if let Some(country) = facts.country
            && !self.provinces.is_empty()
        {
            for subdivision in facts.subdivisions.iter().flatten() {
                rule = rule.min(find(&self.provinces, &(country, *subdivision)));
            }
        }
        facts.asn.map_or(rule, |asn| rule.min(find(&self.asns, &asn)))
    }
}

fn find<K: Ord>(sorted: &[(K, u16)], key: &K) -> u16 {
    let place = sorted.binary_search_by(|(entry, _)| entry.cmp(key));
    place.ok().and_then(|place| sorted.get(place)).map_or(NO_RULE, |&(_, rule)| rule)
}
