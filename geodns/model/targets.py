"""Addresses that a check must not contact: a probe is a request that this host makes on somebody's word.

Refused are loopback, link-local, multicast, unspecified and broadcast addresses and services of clouds that only a host within the
cloud can reach, also where an IPv6 address carries such an IPv4 address: mapped and compatible (RFC 4291 §2.5.5), translated (RFC 2765
§2.1), 6to4 (RFC 3056), Teredo (RFC 4380), ISATAP (RFC 5214), NAT64 (RFC 6052, RFC 8215). Private networks are not refused: checking them
is what most operators want; who does not names them in `prober.deny`.

The same function judges values at write time and resolved addresses at probe time.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# Services of clouds: credentials of the host are to be had there. 169.254.169.254 is link-local as well, and named for its message.
_CLOUD_SERVICES = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192",
        "fd00:ec2::23", "fd00:ec2::123", "fd00:ec2::253", "fd00:ec2::254", "fd20:ce::254",
    )
)  # fmt: skip

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
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")
_TEREDO = IPv6Network("2001::/32")
_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_ISATAP = frozenset((bytes.fromhex("00005efe"), bytes.fromhex("02005efe")))  # bits 64 to 95, under any prefix


def why_guarded(
    address: IPv4Address | IPv6Address, *, allow_loopback: bool, denied: Sequence[IPv4Network | IPv6Network] = ()
) -> str | None:
    """What makes the address one that is not probed, such as "a loopback address", or None. `denied` are the operator's own."""
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return "a link-local address"
    for inner in (address, *_embedded(address)):
        if inner in _CLOUD_SERVICES:
            return "a service of the cloud"
        for network, what in _GUARDED:
            if inner.version == network.version and inner in network and not (allow_loopback and "loopback" in what):
                return what
        if any(inner.version == network.version and inner in network for network in denied):
            return "in a network of prober.deny"
    return None


def _embedded(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """IPv4 addresses that an IPv6 address may stand for."""
    if isinstance(address, IPv4Address) or int(address) <= 1:
        return []
    found = [part for part in (address.ipv4_mapped, address.sixtofour) if part]
    last = IPv4Address(address.packed[12:])
    if any(address in network for network in (_COMPATIBLE, _TRANSLATED, _NAT64)) or address.packed[8:12] in _ISATAP:
        found.append(last)
    if address in _TEREDO:  # RFC 4380 §4: the client's address, inverted
        found.append(IPv4Address(int(last) ^ 0xFFFFFFFF))
    if address in _LOCAL_NAT64:  # RFC 6052 §2.2: behind a /48 around the zero byte, behind a /96 at the end; the other place is zeros
        places = (address.packed[6:8] + address.packed[9:11], address.packed[12:])
        found += [IPv4Address(octets) for octets in places if octets[0]]
    return found
