//! Whom an answer is decided for: the sender, or the client subnet that it names (RFC 7871) when policy believes it. Decides nothing else; who is refused is
//! `admit`'s business.

use std::net::{IpAddr, Ipv4Addr};

use geodns_wire::edns::{ClientSubnet, Edns};

use crate::steer::Client;
use crate::view::ClientSubnets;

/// An IPv4-mapped address is an IPv4 address behind that many bits of IPv6 (RFC 4291 §2.5.5.2).
pub const MAPPED_BITS: u8 = 96;
/// RFC 7871 §6: the family number of IPv6.
const FAMILY_IPV6: u16 = 2;

/// An IPv4-mapped address as the IPv4 address that it is.
pub fn unmapped(addr: IpAddr) -> IpAddr {
    match addr {
        IpAddr::V4(_) => addr,
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(addr, |v4: Ipv4Addr| IpAddr::V4(v4)),
    }
}

/// The client subnet of a request, when policy believes it.
#[inline]
pub fn believed_subnet<'e>(policy: &ClientSubnets, edns: &Edns<'e>, sender: IpAddr) -> Option<ClientSubnet<'e>> {
    // Family 0 says "no subnet", and no option is the answer to that: RFC 7871 §6 has no format for it, and common decoders refuse it.
    edns.client_subnet.filter(|subnet| subnet.family != 0 && is_believed(policy, sender))
}

fn is_believed(policy: &ClientSubnets, sender: IpAddr) -> bool {
    match policy {
        ClientSubnets::FromAll => true,
        ClientSubnets::FromNobody => false,
        ClientSubnets::From(networks) => networks.contains(sender),
    }
}

/// Contract section 2.1: the client subnet when there is one with a source prefix above 0, else the sender.
#[inline]
pub fn client_of(subnet: Option<&ClientSubnet<'_>>, sender: IpAddr) -> Client {
    let named = subnet.filter(|subnet| subnet.source > 0).and_then(|subnet| Some((subnet, subnet.addr()?)));
    match named {
        Some((subnet, addr)) => match (unmapped(addr), subnet.source.checked_sub(MAPPED_BITS)) {
            (addr @ IpAddr::V4(_), Some(prefix)) if subnet.family == FAMILY_IPV6 => Client { addr, prefix, from_ecs: true },
            (_, _) => Client { addr, prefix: subnet.source, from_ecs: true },
        },
        None => Client { addr: sender, prefix: if sender.is_ipv4() { 32 } else { 128 }, from_ecs: false },
    }
}

/// True when a subnet of IPv6 names an IPv4 client.
pub fn is_mapped(subnet: &ClientSubnet<'_>) -> bool {
    subnet.family == FAMILY_IPV6 && subnet.addr().is_some_and(|addr| unmapped(addr).is_ipv4())
}
