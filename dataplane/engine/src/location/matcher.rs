//! Which rule a client matches, and for how wide a prefix around it that holds.
//!
//! The decision is the index of the matched rule. A merged map answers with one search: all boundaries of subnets, lists and locations between which the rule stays the
//! same are gone from it, so its scope is the shortest possible. Without a merged map the sources are asked one after the other; the scope is then the longest of theirs, still
//! correct, and longer than needed where two networks beside each other happen to lead to the same rule.

use std::net::IpAddr;
use std::sync::Arc;

use super::address_map::{AddressMap, Family, Membership, PrefixSet};
use super::range_map::{RangeFault, RangeMap, RangeMapBuilder};
use super::rules::{PlaceRules, RuleSet};
use super::set::{Facts, LocationSet};
use super::table::{Location, LocationTable};

/// A rule set with the lists that it names and, when there is one, its merged map.
#[derive(Debug, Clone)]
pub struct Matcher {
    rules: Arc<RuleSet>,
    /// With the first rule that asks for each, in order of rules. A list that is not there matches nobody and is left out.
    lists: Vec<NamedList>,
    merged: Option<AddressMap<u16>>,
}

/// A list that is there, with the first rule that asks for it.
#[derive(Debug, Clone)]
struct NamedList {
    first: u16,
    name: String,
    set: Arc<PrefixSet>,
}

/// A matched rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matched {
    pub rule: u16,
    /// Length of a prefix around the client in which every address matches the same rule; the shortest such with a merged map.
    pub scope: u8,
}

impl Matcher {
    /// A matcher without a merged map. `list` finds the ranges of a named list.
    pub fn new(rules: Arc<RuleSet>, list: impl Fn(&str) -> Option<Arc<PrefixSet>>) -> Self {
        let lists = rules
            .lists()
            .iter()
            .filter_map(|(first, name)| Some(NamedList { first: *first, name: name.clone(), set: list(name)? }))
            .collect();
        Self { rules, lists, merged: None }
    }

    /// The rule set.
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// The ranges of a list that is there.
    pub fn list(&self, name: &str) -> Option<&PrefixSet> {
        self.lists.iter().find(|list| list.name == name).map(|list| &*list.set)
    }

    /// True when subnets alone decide, so that there is nothing to merge.
    pub fn is_plain(&self, locations: &LocationSet) -> bool {
        self.lists.is_empty() && locations.that_provide(self.rules.places().wants()).next().is_none()
    }

    /// True with a merged map.
    pub fn is_merged(&self) -> bool {
        self.merged.is_some()
    }

    /// Memory of the merged map.
    pub fn merged_bytes(&self) -> usize {
        self.merged.as_ref().map_or(0, |map| map.v4.bytes().saturating_add(map.v6.bytes()))
    }

    /// Ranges that merging goes through: those of the lists and of the databases that are asked.
    pub fn source_ranges(&self, locations: &LocationSet) -> usize {
        let lists = self.lists.iter().map(|list| list.set.len());
        let tables = locations.that_provide(self.rules.places().wants()).map(|table| table.ranges().len());
        lists.chain(tables).fold(self.rules.subnets().len(), usize::saturating_add)
    }

    /// The same matcher with a merged map.
    ///
    /// # Errors
    /// When there are more ranges than 32 bits can count.
    pub fn merge(mut self, locations: &LocationSet) -> Result<Self, RangeFault> {
        let tables: Vec<&LocationTable> = locations.that_provide(self.rules.places().wants()).map(Arc::as_ref).collect();
        self.merged = Some(AddressMap { v4: self.merge_family(&tables)?, v6: self.merge_family(&tables)? });
        Ok(self)
    }

    /// The first rule that the address matches.
    pub fn decide(&self, addr: IpAddr, locations: &LocationSet) -> Matched {
        if self.rules.is_constant() {
            return Matched { rule: 0, scope: 0 };
        }
        match &self.merged {
            Some(map) => {
                let (rule, scope) = map.look_up(addr).unwrap_or((self.rules.catch_all(), 0));
                Matched { rule, scope }
            }
            None => self.ask_sources(addr, locations),
        }
    }

    /// Ranges of the merged map; 0 without one.
    pub fn merged_ranges(&self) -> usize {
        self.merged.as_ref().map_or(0, AddressMap::len)
    }

    /// Fetches what says where the range of an address is (`ahead`). Without a merged map the answer waits for its sources.
    pub fn fetch_index(&self, addr: IpAddr) {
        if let Some(map) = &self.merged {
            map.fetch_index(addr);
        }
    }

    /// Fetches the range.
    pub fn fetch_range(&self, addr: IpAddr) {
        if let Some(map) = &self.merged {
            map.fetch_range(addr);
        }
    }

    /// A source is asked only while it could name an earlier rule than the one in hand. Inside the longest prefix of those asked they all say the same, so the same ones
    /// are asked there, in the same order, with the same result.
    fn ask_sources(&self, addr: IpAddr, locations: &LocationSet) -> Matched {
        let (mut rule, mut scope) = self.rules.subnets().look_up(addr).unwrap_or((self.rules.catch_all(), 0));
        for NamedList { first, set, .. } in &self.lists {
            if *first >= rule {
                break;
            }
            let (membership, prefix) = set.look_up(addr).unwrap_or((Membership::Outside, 0));
            scope = scope.max(prefix);
            if membership == Membership::Inside {
                rule = *first;
            }
        }
        let places = self.rules.places();
        if places.first() < rule {
            let mut facts = Facts::default();
            for found in locations.that_provide(places.wants()).filter_map(|table| table.look_up(addr)) {
                facts.add(found.location);
                scope = scope.max(found.network);
            }
            facts.settle();
            rule = rule.min(places.decide(&facts));
        }
        Matched { rule, scope }
    }

    /// The first rule by address and the first rule by place, each as ranges of its own, and then the lesser of both.
    fn merge_family<A: Family>(&self, tables: &[&LocationTable]) -> Result<RangeMap<A, u16>, RangeFault> {
        let mut rules = A::ranges(self.rules.subnets()).clone();
        for NamedList { first, set, .. } in &self.lists {
            let rule = |membership| if membership == Membership::Inside { *first } else { u16::MAX };
            rules = combine(&rules, A::ranges(set), |rule_before, membership| rule_before.min(rule(membership)))?;
        }
        combine(&rules, &find_places(self.rules.places(), tables)?, u16::min)
    }
}

/// The first rule that matches by place, as ranges.
fn find_places<A: Family>(rules: &PlaceRules, tables: &[&LocationTable]) -> Result<RangeMap<A, u16>, RangeFault> {
    match tables {
        [] => Ok(RangeMap::uniform(u16::MAX)),
        // Most installations have one database that matters to a rule set: then a rule is looked up by class, without a thought about precedence.
        [table] => {
            let by_class: Vec<u16> = table.classes().iter().map(|class| decide_place(rules, [class])).collect();
            let mut builder = RangeMapBuilder::new(u16::MAX);
            let ranges = A::ranges(table.ranges());
            for (start, class) in ranges.starts().iter().zip(ranges.values()) {
                builder.push(*start, by_class.get(*class as usize).copied().unwrap_or(u16::MAX));
            }
            builder.finish()
        }
        _ => find_places_in_all(rules, tables),
    }
}

/// The same with several databases: one pass over the boundaries of all.
fn find_places_in_all<A: Family>(rules: &PlaceRules, tables: &[&LocationTable]) -> Result<RangeMap<A, u16>, RangeFault> {
    let mut cursors: Vec<(&LocationTable, Cursor<A, u32>)> =
        tables.iter().map(|table| (*table, Cursor::new(A::ranges(table.ranges())))).collect();
    let mut builder = RangeMapBuilder::new(u16::MAX);
    let mut start = Some(A::default());
    while let Some(here) = start {
        for (_, cursor) in &mut cursors {
            cursor.advance(here);
        }
        let locations = cursors.iter().filter_map(|(table, cursor)| table.classes().get(cursor.value()? as usize));
        builder.push(here, decide_place(rules, locations));
        start = cursors.iter().filter_map(|(_, cursor)| cursor.next_start()).min();
    }
    builder.finish()
}

/// Two maps as one.
fn combine<A: Family, V: Copy, W: Copy, R: Copy + PartialEq>(
    left: &RangeMap<A, V>,
    right: &RangeMap<A, W>,
    join: impl Fn(V, W) -> R,
) -> Result<RangeMap<A, R>, RangeFault> {
    let (mut left, mut right) = (Cursor::new(left), Cursor::new(right));
    let (Some(first_left), Some(first_right)) = (left.value(), right.value()) else { return Err(RangeFault::Count) };
    let mut builder = RangeMapBuilder::new(join(first_left, first_right));
    while let Some(start) = left.next_start().into_iter().chain(right.next_start()).min() {
        left.advance(start);
        right.advance(start);
        if let (Some(value), Some(other)) = (left.value(), right.value()) {
            builder.push(start, join(value, other));
        }
    }
    builder.finish()
}

/// A place in the ranges of a map.
struct Cursor<'a, A, V> {
    map: &'a RangeMap<A, V>,
    range: usize,
}

impl<'a, A: Family, V: Copy> Cursor<'a, A, V> {
    fn new(map: &'a RangeMap<A, V>) -> Self {
        Self { map, range: 0 }
    }

    fn value(&self) -> Option<V> {
        self.map.values().get(self.range).copied()
    }

    fn next_start(&self) -> Option<A> {
        self.map.starts().get(self.range.saturating_add(1)).copied()
    }

    /// Moves on when the next range starts here. Never skips a range, because every boundary is visited.
    fn advance(&mut self, start: A) {
        if self.next_start() == Some(start) {
            self.range = self.range.saturating_add(1);
        }
    }
}

fn decide_place<'a>(rules: &PlaceRules, locations: impl IntoIterator<Item = &'a Location>) -> u16 {
    let mut facts = Facts::default();
    locations.into_iter().for_each(|location| facts.add(location));
    facts.settle();
    rules.decide(&facts)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::location::address::{Address, holds};
    use crate::location::address_map::tests::prefix;
    use crate::location::place::Geo;
    use crate::location::rules::Predicates;
    use crate::location::set::NamedTable;
    use crate::location::table::LocationTableBuilder;
    use crate::location::table::tests::location;
    use crate::rng::{FastRng, Rng};
    use crate::spec::Prefix;

    /// The universe of the proofs: 2^16 addresses at the bottom of one /16 (IPv4) or /112 (IPv6), where all boundaries lie.
    const SIZE: u32 = 1 << 16;

    fn universe(family: u8, offset: u32) -> IpAddr {
        if family == 4 {
            IpAddr::V4((0x0a14_0000 | offset).into())
        } else {
            IpAddr::V6(((0x2001_0db8_u128 << 96) | u128::from(offset)).into())
        }
    }

    fn random_network(rng: &mut FastRng, family: u8) -> Prefix {
        let (bits, least) = if family == 4 { (32, 16) } else { (128, 112) };
        let length = least + u8::try_from(rng.below(17)).unwrap();
        let offset = u32::try_from(rng.below(u64::from(SIZE))).unwrap();
        let addr = match universe(family, offset) {
            IpAddr::V4(addr) => IpAddr::V4(u32::from(addr).network(length).into()),
            IpAddr::V6(addr) => IpAddr::V6(u128::from(addr).network(length).into()),
        };
        assert!(length <= bits);
        Prefix { addr, length }
    }

    fn random_table(rng: &mut FastRng, places: &[Location]) -> LocationTable {
        let mut builder = LocationTableBuilder::default();
        for family in [4, 6] {
            let mut networks: Vec<Prefix> = (0..40).map(|_| random_network(rng, family)).collect();
            networks.sort_unstable_by_key(|network| (network.addr, network.length));
            let mut covered: Option<Prefix> = None;
            for network in networks {
                if covered.is_some_and(|covered| holds(&covered, network.addr)) {
                    continue;
                }
                let class = builder.intern(places[usize::try_from(rng.below(places.len() as u64)).unwrap()]);
                builder.put(&network, class).unwrap();
                covered = Some(network);
            }
        }
        builder.finish("Random".into(), 0).unwrap()
    }

    fn some<T: Clone>(rng: &mut FastRng, of: &[T], most: u64) -> Vec<T> {
        (0..rng.below(most + 1)).map(|_| of[usize::try_from(rng.below(of.len() as u64)).unwrap()].clone()).collect()
    }

    fn random_rules(rng: &mut FastRng) -> Vec<Predicates> {
        let geos = ["EU", "AS", "NA", "EU-DE", "EU-FR", "NA-US-CA", "NA-US", "AS-DE"].map(String::from);
        let lists = ["a", "b", "absent"].map(String::from);
        let mut rules: Vec<Predicates> = (0..rng.below(5))
            .map(|_| Predicates {
                geos: some(rng, &geos, 2),
                subnets: (0..rng.below(3)).flat_map(|_| [random_network(rng, 4), random_network(rng, 6)]).collect(),
                asns: some(rng, &[64500, 64501], 1),
                lists: some(rng, &lists, 1),
            })
            .collect();
        rules.push(Predicates::default());
        rules
    }

    /// The decision as the contract words it, rule by rule, without any structure.
    fn decide_slowly(rules: &[Predicates], lists: &HashMap<&str, Vec<Prefix>>, locations: &LocationSet, addr: IpAddr) -> u16 {
        let facts = locations.locate(addr);
        let matches = |rule: &Predicates| {
            rule.is_empty()
                || rule.subnets.iter().any(|subnet| holds(subnet, addr))
                || rule.lists.iter().filter_map(|name| lists.get(name.as_str())).flatten().any(|subnet| holds(subnet, addr))
                || rule.asns.iter().any(|asn| facts.asn == Some(*asn))
                || rule.geos.iter().filter_map(|geo| Geo::parse(geo)).any(|geo| match geo {
                    Geo::Continent(continent) => facts.continent == Some(continent),
                    Geo::Country(country) => facts.country == Some(country),
                    Geo::Province(country, subdivision) => {
                        facts.country == Some(country) && facts.subdivisions.contains(&Some(subdivision))
                    }
                })
        };
        u16::try_from(rules.iter().position(matches).unwrap()).unwrap()
    }

    struct Scene {
        rules: Vec<Predicates>,
        lists: HashMap<&'static str, Vec<Prefix>>,
        locations: LocationSet,
        matcher: Matcher,
    }

    fn random_scene(rng: &mut FastRng) -> Scene {
        let countries = [
            location("DE", "EU", &[], 0),
            location("CY", "EU", &[], 0),
            location("", "EU", &[], 0),
            location("US", "NA", &["CA"], 64500),
            location("US", "NA", &["NV", "CA"], 0),
            Location::default(),
        ];
        let systems = [location("", "", &[], 64500), location("", "", &[], 64501), location("FR", "", &[], 0)];
        let tables = match rng.below(4) {
            0 => vec![],
            1 => vec![random_table(rng, &countries)],
            2 => vec![random_table(rng, &systems), random_table(rng, &countries)],
            _ => vec![random_table(rng, &countries), random_table(rng, &systems)],
        };
        let named = |table| NamedTable { name: "random".into(), table: Arc::new(table) };
        let locations = LocationSet::new(tables.into_iter().map(named).collect());
        let mut list = || (0..20).map(|_| random_network(rng, 4)).chain([prefix("2001:db8::8000/113")]).collect::<Vec<_>>();
        let lists = HashMap::from([("a", list()), ("b", list())]);
        let rules = random_rules(rng);
        let matcher = Matcher::new(Arc::new(RuleSet::new(&rules).unwrap()), |name| {
            let members: Vec<_> = lists.get(name)?.iter().map(|prefix| (*prefix, Membership::Inside)).collect();
            Some(Arc::new(AddressMap::least(&members, Membership::Outside).unwrap()))
        });
        Scene { rules, lists, locations, matcher }
    }

    /// What every address of the universe is decided to, and what everything beyond it is.
    struct Decided {
        inside: Vec<u16>,
        outside: u16,
        /// The first and last address of the run of equal decisions around each.
        runs: Vec<(u32, u32)>,
        bits: u8,
    }

    impl Decided {
        fn new(scene: &Scene, family: u8) -> Self {
            let slow = |addr| decide_slowly(&scene.rules, &scene.lists, &scene.locations, addr);
            let inside: Vec<u16> = (0..SIZE).map(|offset| slow(universe(family, offset))).collect();
            let (bits, beyond) = if family == 4 { (32, "203.0.113.1") } else { (128, "2001:db8:ffff::") };
            let mut runs = Vec::new();
            for run in inside.chunk_by(|a, b| a == b) {
                let first = u32::try_from(runs.len()).unwrap();
                runs.extend(vec![(first, first + u32::try_from(run.len()).unwrap() - 1); run.len()]);
            }
            Self { inside, outside: slow(beyond.parse().unwrap()), runs, bits }
        }

        /// Whether every address of the prefix around `offset` is decided like it.
        fn is_alike(&self, offset: u32, scope: u8) -> bool {
            let (first, last) = self.runs[offset as usize];
            match u32::from(self.bits - scope) {
                host_bits @ 0..16 => first <= offset >> host_bits << host_bits && offset | ((1 << host_bits) - 1) <= last,
                16 => (first, last) == (0, SIZE - 1),
                _ => (first, last) == (0, SIZE - 1) && self.outside == self.inside[0],
            }
        }
    }

    #[test]
    fn scopes_are_proved_by_brute_force() {
        let mut rng = FastRng::from_seed(20);
        for round in 0..8 {
            let scene = random_scene(&mut rng);
            let merged = scene.matcher.clone().merge(&scene.locations).unwrap();
            for family in [4, 6] {
                let decided = Decided::new(&scene, family);
                for offset in 0..SIZE {
                    let addr = universe(family, offset);
                    let at = format_args!("round {round}, {addr}");
                    let one_search = merged.decide(addr, &scene.locations);
                    let by_source = scene.matcher.decide(addr, &scene.locations);
                    let expected = decided.inside[offset as usize];
                    assert_eq!((one_search.rule, by_source.rule), (expected, expected), "{at}");
                    assert!(decided.is_alike(offset, one_search.scope), "{at}: merged scope {} too wide", one_search.scope);
                    assert!(decided.is_alike(offset, by_source.scope), "{at}: scope {} too wide", by_source.scope);
                    let shorter = one_search.scope.checked_sub(1);
                    assert!(!shorter.is_some_and(|scope| decided.is_alike(offset, scope)), "{at}: scope {} too long", one_search.scope);
                }
            }
        }
    }

    #[test]
    fn a_catch_all_alone_decides_for_everybody() {
        let matcher = Matcher::new(Arc::new(RuleSet::new(&[Predicates::default()]).unwrap()), |_| None);
        assert_eq!(matcher.decide("192.0.2.1".parse().unwrap(), &LocationSet::default()), Matched { rule: 0, scope: 0 });
    }

    #[test]
    fn geos_match_nobody_without_a_database() {
        let rules = [Predicates { geos: vec!["EU".into()], ..Predicates::default() }, Predicates::default()];
        let matcher = Matcher::new(Arc::new(RuleSet::new(&rules).unwrap()), |_| None);
        assert!(matcher.is_plain(&LocationSet::default()));
        assert_eq!(matcher.decide("192.0.2.1".parse().unwrap(), &LocationSet::default()), Matched { rule: 1, scope: 0 });
    }

    #[test]
    fn rules_that_nobody_may_publish_are_refused() {
        let geo = Predicates { geos: vec!["EU".into()], ..Predicates::default() };
        let host_bits = Predicates { subnets: vec![prefix("192.0.2.1/24")], ..Predicates::default() };
        let too_long = Predicates { subnets: vec![prefix("192.0.2.0/33")], ..Predicates::default() };
        for rules in [vec![], vec![geo], vec![host_bits, Predicates::default()], vec![too_long, Predicates::default()]] {
            assert!(RuleSet::new(&rules).is_err(), "{rules:?}");
        }
    }
}
