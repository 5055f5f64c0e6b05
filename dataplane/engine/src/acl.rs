//! Sets of client networks: `allow`, `deny`, `ecs` of CONFIG. Built once, then asked by binary search; overlapping networks are merged.

use std::net::IpAddr;

use crate::spec::Prefix;

/// A set of addresses given as networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkSet {
    ipv4: Vec<Span>,
    ipv6: Vec<Span>,
}

/// First and last address, of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    first: u128,
    last: u128,
}

impl NetworkSet {
    /// The union of `prefixes`.
    pub fn new(prefixes: &[Prefix]) -> Self {
        let of_family = |wanted: bool| merge(prefixes.iter().filter(|prefix| prefix.addr.is_ipv4() == wanted).map(Span::of).collect());
        Self { ipv4: of_family(true), ipv6: of_family(false) }
    }

    /// Without any address.
    pub fn is_empty(&self) -> bool {
        self.ipv4.is_empty() && self.ipv6.is_empty()
    }

    /// Whether the address lies in one of the networks. An IPv4-mapped address is to be given as IPv4.
    pub fn contains(&self, addr: IpAddr) -> bool {
        let (spans, number) = match addr {
            IpAddr::V4(addr) => (&self.ipv4, u128::from(u32::from(addr))),
            IpAddr::V6(addr) => (&self.ipv6, u128::from(addr)),
        };
        let after = spans.partition_point(|span| span.first <= number);
        after.checked_sub(1).and_then(|index| spans.get(index)).is_some_and(|span| number <= span.last)
    }
}

impl Span {
    fn of(prefix: &Prefix) -> Self {
        let (number, bits) = match prefix.addr {
            IpAddr::V4(addr) => (u128::from(u32::from(addr)), 32_u32),
            IpAddr::V6(addr) => (u128::from(addr), 128),
        };
        let host_bits = bits.saturating_sub(u32::from(prefix.length));
        let hosts = u128::MAX.checked_shr(128_u32.saturating_sub(host_bits)).unwrap_or(0);
        Self { first: number & !hosts, last: number | hosts }
    }
}

fn merge(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.first <= last.last => last.last = last.last.max(span.last),
            Some(_) | None => merged.push(span),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(networks: &[(&str, u8)]) -> NetworkSet {
        let prefixes: Vec<Prefix> = networks.iter().map(|(addr, length)| Prefix { addr: addr.parse().unwrap(), length: *length }).collect();
        NetworkSet::new(&prefixes)
    }

    #[test]
    fn membership_cases() {
        let set = set(&[("192.0.2.0", 24), ("192.0.2.128", 25), ("198.51.100.7", 32), ("2001:db8::", 32)]);
        let cases = [
            ("192.0.2.255", true),
            ("192.0.3.0", false),
            ("198.51.100.7", true),
            ("198.51.100.8", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::", false),
        ];
        for (addr, inside) in cases {
            assert_eq!(set.contains(addr.parse().unwrap()), inside, "{addr}");
        }
    }

    #[test]
    fn zero_length_is_the_whole_family_and_no_other() {
        let set = set(&[("0.0.0.0", 0)]);
        assert!(set.contains("255.255.255.255".parse().unwrap()));
        assert!(!set.contains("::1".parse().unwrap()));
        assert!(NetworkSet::default().is_empty());
    }
}
