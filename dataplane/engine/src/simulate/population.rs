//! Whose answers are forecast: all networks of the location databases by size, or prefixes with weights.

use std::net::IpAddr;

use super::{Budget, SimulationFault};
use crate::location::address::{Address, span};
use crate::location::{Family, LocationSet};
use crate::spec::Prefix;
use crate::steer::StickyPrefix;

/// Global unicast, RFC 4291 §2.4 as IANA gives it out: the rest of IPv6 has no clients.
const IPV6_UNICAST: (u128, u128) = (0x2000 << 112, (0x4000 << 112) - 1);

/// Clients, and how much each counts.
#[derive(Debug, Clone, PartialEq)]
pub enum Population {
    /// Every address of which a location database says something, or every address there is without databases. Addresses of one family count alike;
    /// those of IPv6 are together `ipv6_share` of all clients, because a number of IPv4 addresses and one of IPv6 addresses cannot be compared.
    Databases { ipv6_share: f64 },
    /// Each prefix with its weight. Where two overlap, both count.
    Prefixes(Vec<(Prefix, f64)>),
}

/// Addresses of one family, from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    V4(u32, u32),
    V6(u128, u128),
}

/// Addresses that count alike.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub span: Span,
    pub per_address: f64,
    /// Of all of them that count.
    pub weight: f64,
}

impl Population {
    pub(super) fn blocks(&self, locations: &LocationSet, budget: &Budget) -> Result<Vec<Block>, SimulationFault> {
        match self {
            Self::Databases { ipv6_share } => {
                let v4 = count_known(locations, (0_u32, u32::MAX), budget)?;
                let v6 = count_known(locations, IPV6_UNICAST, budget)?;
                // A family that the databases do not have leaves all clients to the other.
                let v6_weight = if v4 > 0.0 { *ipv6_share } else { 1.0 };
                let v4_weight = if v6 > 0.0 { 1.0 - v6_weight } else { 1.0 };
                let block = |span, known: f64, weight: f64| Block { span, per_address: weight / known, weight };
                let v4_block = block(Span::V4(0, u32::MAX), v4, v4_weight);
                let v6_block = block(Span::V6(IPV6_UNICAST.0, IPV6_UNICAST.1), v6, v6_weight);
                Ok([(v4, v4_block), (v6, v6_block)]
                    .into_iter()
                    .filter(|(known, block)| *known > 0.0 && block.weight > 0.0)
                    .map(|(_, block)| block)
                    .collect())
            }
            Self::Prefixes(prefixes) => Ok(prefixes.iter().filter_map(|(prefix, weight)| Block::of_prefix(prefix, *weight)).collect()),
        }
    }
}

/// Addresses of which any database says something; all, where there is no database.
fn count_known<A: Family>(locations: &LocationSet, (first, last): (A, A), budget: &Budget) -> Result<f64, SimulationFault> {
    let mut known = 0.0;
    let mut next = Some(first);
    while let Some(here) = next.filter(|here| *here <= last) {
        budget.spend(1)?;
        let stretch = locations.stretch(here);
        let end = stretch.last.min(last);
        if stretch.is_known || locations.is_empty() {
            known += here.count_to(end);
        }
        next = end.after();
    }
    Ok(known)
}

impl Block {
    fn of_prefix(prefix: &Prefix, weight: f64) -> Option<Self> {
        let (span, size) = match prefix.addr {
            IpAddr::V4(_) => span::<u32>(prefix).map(|(first, last)| (Span::V4(first, last), first.count_to(last))),
            IpAddr::V6(_) => span::<u128>(prefix).map(|(first, last)| (Span::V6(first, last), first.count_to(last))),
        }?;
        Some(Self { span, per_address: weight / size, weight })
    }
}

impl Span {
    pub(super) fn first(&self) -> IpAddr {
        match self {
            Self::V4(first, _) => first.to_ip(),
            Self::V6(first, _) => first.to_ip(),
        }
    }

    /// The address at that fraction of the way to the last.
    pub(super) fn part_way(&self, fraction: f64) -> IpAddr {
        match self {
            Self::V4(first, last) => first.part_way(*last, fraction).to_ip(),
            Self::V6(first, last) => first.part_way(*last, fraction).to_ip(),
        }
    }

    /// Client prefixes of `sticky` that it touches.
    pub(super) fn count_keys(&self, prefix: StickyPrefix) -> f64 {
        match self {
            Self::V4(first, last) => count_networks(*first, *last, prefix.ipv4),
            Self::V6(first, last) => count_networks(*first, *last, prefix.ipv6),
        }
    }

    /// Each part of it that `sticky` keeps together: its first address, and its share of the span.
    pub(super) fn each_key(
        &self,
        prefix: StickyPrefix,
        visit: impl FnMut(IpAddr, f64) -> Result<(), SimulationFault>,
    ) -> Result<(), SimulationFault> {
        match self {
            Self::V4(first, last) => each_network(*first, *last, prefix.ipv4, visit),
            Self::V6(first, last) => each_network(*first, *last, prefix.ipv6, visit),
        }
    }
}

fn count_networks<A: Address>(first: A, last: A, length: u8) -> f64 {
    let network = first.network(length);
    network.count_to(last.broadcast(length)) / network.count_to(network.broadcast(length))
}

fn each_network<A: Address>(
    first: A,
    last: A,
    length: u8,
    mut visit: impl FnMut(IpAddr, f64) -> Result<(), SimulationFault>,
) -> Result<(), SimulationFault> {
    let whole = first.count_to(last);
    let mut next = Some(first);
    while let Some(here) = next.filter(|here| *here <= last) {
        let end = here.broadcast(length).min(last);
        visit(here.to_ip(), here.count_to(end) / whole)?;
        next = end.after();
    }
    Ok(())
}
