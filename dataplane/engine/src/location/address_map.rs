//! Range maps of both address families, and how prefixes become one.

use std::net::IpAddr;

use super::address::{Address, span};
use super::range_map::{RangeFault, RangeMap, RangeMapBuilder};
use crate::spec::Prefix;

/// A value for every address of either family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressMap<V> {
    pub v4: RangeMap<u32, V>,
    pub v6: RangeMap<u128, V>,
}

/// Addresses that know their half of an `AddressMap`.
pub trait Family: Address {
    /// The ranges of this family.
    fn ranges<V>(map: &AddressMap<V>) -> &RangeMap<Self, V>;
}

impl Family for u32 {
    fn ranges<V>(map: &AddressMap<V>) -> &RangeMap<Self, V> {
        &map.v4
    }
}

impl Family for u128 {
    fn ranges<V>(map: &AddressMap<V>) -> &RangeMap<Self, V> {
        &map.v6
    }
}

impl<V: Copy> AddressMap<V> {
    /// One value for every address.
    pub fn uniform(value: V) -> Self {
        Self { v4: RangeMap::uniform(value), v6: RangeMap::uniform(value) }
    }

    /// The value of the address, and the length of the shortest prefix around it that lies in the same range.
    pub fn look_up(&self, addr: IpAddr) -> Option<(V, u8)> {
        match addr {
            IpAddr::V4(addr) => self.v4.look_up(addr.into()),
            IpAddr::V6(addr) => self.v6.look_up(addr.into()),
        }
    }

    /// Fetches what says where the range of an address is (`ahead`).
    pub fn fetch_index(&self, addr: IpAddr) {
        match addr {
            IpAddr::V4(addr) => self.v4.fetch_index(addr.into()),
            IpAddr::V6(addr) => self.v6.fetch_index(addr.into()),
        }
    }

    /// Fetches the range.
    pub fn fetch_range(&self, addr: IpAddr) {
        match addr {
            IpAddr::V4(addr) => self.v4.fetch_range(addr.into()),
            IpAddr::V6(addr) => self.v6.fetch_range(addr.into()),
        }
    }

    /// Ranges of both families.
    pub fn len(&self) -> usize {
        self.v4.len().saturating_add(self.v6.len())
    }

    /// Never true: a map covers every address.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// True when no address of either family differs from the others of it.
    pub fn is_uniform(&self) -> bool {
        self.v4.is_uniform() && self.v6.is_uniform()
    }
}

impl<V: Copy + Ord> AddressMap<V> {
    /// The least value among the prefixes that hold an address, `outside` where none does and where that is less.
    ///
    /// # Errors
    /// When a prefix is not a network (`address::is_network`), or there are too many.
    pub fn least(prefixes: &[(Prefix, V)], outside: V) -> Result<Self, RangeFault> {
        Ok(Self { v4: least(prefixes, outside)?, v6: least(prefixes, outside)? })
    }
}

/// Prefixes are nested or disjoint, so one pass in order of their first address with a stack of those still open sees them all.
fn least<A: Address, V: Copy + Ord>(prefixes: &[(Prefix, V)], outside: V) -> Result<RangeMap<A, V>, RangeFault> {
    let mut spans: Vec<(A, A, V)> = prefixes
        .iter()
        .filter_map(|(prefix, value)| {
            let (first, last) = span::<A>(prefix)?;
            Some((first, last, *value))
        })
        .collect();
    spans.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
    let mut builder = RangeMapBuilder::new(outside);
    let mut open: Vec<(A, V)> = Vec::new();
    for (first, last, value) in spans {
        close_before(first, &mut open, outside, &mut builder);
        let least = open.last().map_or(outside, |&(_, value)| value).min(value);
        builder.push(first, least);
        open.push((last, least));
    }
    close_before(A::LAST, &mut open, outside, &mut builder);
    builder.finish()
}

fn close_before<A: Address, V: Copy + PartialEq>(first: A, open: &mut Vec<(A, V)>, outside: V, builder: &mut RangeMapBuilder<A, V>) {
    while let Some(&(last, _)) = open.last() {
        if last >= first {
            return;
        }
        open.pop();
        if let Some(after) = last.after() {
            builder.push(after, open.last().map_or(outside, |&(_, value)| value));
        }
    }
}

/// Whether an address lies in a named CIDR list. `Inside` is the lesser, so that `AddressMap::least` makes the union.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Membership {
    Inside,
    Outside,
}

/// A named CIDR list as ranges.
pub type PrefixSet = AddressMap<Membership>;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::location::address::holds;
    use crate::rng::{FastRng, Rng};

    pub(crate) fn prefix(text: &str) -> Prefix {
        let (addr, length) = text.split_once('/').unwrap();
        Prefix { addr: addr.parse().unwrap(), length: length.parse().unwrap() }
    }

    #[test]
    fn the_least_of_nested_prefixes_wins() {
        let rules =
            [("10.0.0.0/8", 3), ("10.1.0.0/16", 5), ("10.1.2.0/24", 1), ("10.1.2.128/25", 2), ("192.0.2.0/24", 9), ("2001:db8::/32", 4)];
        let rules: Vec<(Prefix, u16)> = rules.iter().map(|(text, rule)| (prefix(text), *rule)).collect();
        let map = AddressMap::least(&rules, 7).unwrap();
        for (addr, expected) in [
            ("9.255.255.255", (7, 7)),
            ("10.0.0.0", (3, 16)),
            ("10.1.2.3", (1, 24)),
            ("10.1.2.200", (1, 24)),
            ("10.1.3.0", (3, 24)),
            ("192.0.2.1", (7, 1)),
            ("2001:db8::1", (4, 32)),
            ("2001:db9::", (7, 32)),
        ] {
            let (value, length) = map.look_up(addr.parse().unwrap()).unwrap();
            assert_eq!(value, expected.0, "{addr}");
            if addr.contains(':') || addr.starts_with("10.1.") {
                assert_eq!(length, expected.1, "{addr}");
            }
        }
    }

    #[test]
    fn agrees_with_a_search_through_all_prefixes() {
        let mut rng = FastRng::from_seed(3);
        for _ in 0..200 {
            let mut prefixes = Vec::new();
            for _ in 0..rng.below(12) {
                let length = u8::try_from(rng.below(33)).unwrap();
                let addr = u32::try_from(rng.below(1 << 16)).unwrap() << 16;
                prefixes.push((Prefix { addr: IpAddr::V4(addr.network(length).into()), length }, rng.below(6)));
            }
            let map = AddressMap::least(&prefixes, 4).unwrap();
            for _ in 0..200 {
                let addr = IpAddr::V4((u32::try_from(rng.below(1 << 16)).unwrap() << 16).into());
                let expected = prefixes.iter().filter(|(prefix, _)| holds(prefix, addr)).map(|&(_, value)| value).chain([4]).min();
                assert_eq!(map.look_up(addr).map(|(value, _)| value), expected, "{addr} in {prefixes:?}");
            }
        }
    }

    #[test]
    fn the_last_address_closes_nothing() {
        let map = AddressMap::least(&[(prefix("255.255.255.255/32"), 0_u8), (prefix("0.0.0.0/0"), 1)], 2).unwrap();
        assert_eq!((map.v4.get(u32::MAX), map.v4.get(0), map.v6.get(0)), (Some(0), Some(1), Some(2)));
    }
}
