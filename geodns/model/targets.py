"""Addresses that a check must not contact: a probe is a request that this host makes on somebody's word.

Refused are loopback, link-local, multicast, unspecified and broadcast addresses and the metadata services of clouds, also where an IPv6
address carries such an IPv4 address: mapped and compatible (RFC 4291 §2.5.5), 6to4 (RFC 3056), NAT64 (RFC 6052, RFC 8215). Private networks
are not refused: checking them is what most operators want.

The same function judges values at write time and resolved addresses at probe time.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

# fd00:ec2::254 is the metadata service of one cloud over IPv6; over IPv4 all use the link-local one, named for its message.
_METADATA = frozenset((IPv4Address("169.254.169.254"), IPv6Address("fd00:ec2::254")))

_GUARDED: tuple[tuple[IPv4Network | IPv6Network, str], ...] = (
    (IPv4Network("0.0.0.0/8"), "an unspecified address"),  # Linux connects 0.0.0.0 to itself
    (IPv4Network("127.0.0.0/8"), "a loopback address"),
    (IPv4Network("169.254.0.0/16"), "a link-local address"),
    (IPv4Network("224.0.0.0/4"), "a multicast address"),
    (IPv4Network("255.255.255.255/32"), "the broadcast address"),
    (IPv6Network("::/128"), "the unspecified address"),
    (IPv6Network("::1/128"), "the loopback address"),
    (IPv6Network("fe80::/10"), "a link-local address"),
    (IPv6Network("ff00::/8"), "a multicast address"),
)

_COMPATIBLE = IPv6Network("::/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")


def why_guarded(address: IPv4Address | IPv6Address, *, allow_loopback: bool) -> str | None:
    """What makes the address one that is not probed, such as "a loopback address", or None."""
    for inner in (address, *_embedded(address)):
        if inner in _METADATA:
            return "the metadata service of a cloud"
        for network, what in _GUARDED:
            if inner.version == network.version and inner in network and not (allow_loopback and "loopback" in what):
                return what
    return None


def _embedded(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """IPv4 addresses that an IPv6 address may stand for."""
    if isinstance(address, IPv4Address) or int(address) <= 1:
        return []
    found = [part for part in (address.ipv4_mapped, address.sixtofour) if part]
    if address in _COMPATIBLE or address in _NAT64:
        found.append(IPv4Address(address.packed[12:]))
    if address in _LOCAL_NAT64:  # RFC 6052 §2.2: behind a /48 around the zero byte, behind a /96 at the end; the other place is zeros
        places = (address.packed[6:8] + address.packed[9:11], address.packed[12:])
        found += [IPv4Address(octets) for octets in places if octets[0]]
    return found
