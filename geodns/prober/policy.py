"""Which addresses a check may contact: a check must never become a way to reach what only this machine can reach.

Judged on addresses, never on names: `attempt` asks again for the address that a name resolved to, immediately before it
connects to that very address, so that a name cannot be pointed elsewhere in between. Private networks (RFC 1918, RFC
4193) are allowed: people balance them.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_GUARDED_V4 = (
    (IPv4Network("0.0.0.0/8"), "unspecified"),
    (IPv4Network("169.254.0.0/16"), "link-local"),
    (IPv4Network("192.0.0.192/32"), "cloud metadata"),
    (IPv4Network("100.100.100.200/32"), "cloud metadata"),
    (IPv4Network("168.63.129.16/32"), "cloud metadata"),
    (IPv4Network("224.0.0.0/4"), "multicast"),
    (IPv4Network("255.255.255.255/32"), "broadcast"),
)
_GUARDED_V6 = (
    (IPv6Network("::/128"), "unspecified"),
    (IPv6Network("fe80::/10"), "link-local"),
    (IPv6Network("fd00:ec2::/32"), "cloud metadata"),
    (IPv6Network("fd20:ce::254/128"), "cloud metadata"),
    (IPv6Network("ff00::/8"), "multicast"),
)

# Prefixes whose addresses carry an IPv4 address that a gateway, or this kernel, would deliver to; and how many bits stand right of it.
_EMBEDDED_V4 = (
    (IPv6Network("::ffff:0:0/96"), 0),  # mapped, RFC 4291 §2.5.5.2
    (IPv6Network("::/96"), 0),  # compatible, RFC 4291 §2.5.5.1
    (IPv6Network("::ffff:0:0:0/96"), 0),  # translated, RFC 2765 §2.1
    (IPv6Network("2002::/16"), 80),  # 6to4, RFC 3056 §2
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64, RFC 6052 §2.1
    (IPv6Network("64:ff9b:1::/48"), 0),  # local-use NAT64, RFC 8215; as a /96
)
_TEREDO = IPv6Network("2001::/32")  # RFC 4380 §4: the client's address is the last 32 bits, inverted


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """The operator's policy. `allow_loopback` is for samples and tests, where everything runs on one machine."""

    allow_loopback: bool = False

    def refusal(self, address: str) -> str | None:
        """Why `address` (a literal) must not be contacted, in words, or None when it may be."""
        try:
            parsed = ip_address(address)
        except ValueError:
            return "not an address"
        return self._refusal_v4(parsed) if isinstance(parsed, IPv4Address) else self._refusal_v6(parsed)

    def _refusal_v4(self, address: IPv4Address) -> str | None:
        if address.is_loopback:
            return None if self.allow_loopback else "loopback"
        return next((word for network, word in _GUARDED_V4 if address in network), None)

    def _refusal_v6(self, address: IPv6Address) -> str | None:
        if address.scope_id is not None:
            return "link-local"
        if address == IPv6Address("::1"):
            return None if self.allow_loopback else "loopback"
        for network, word in _GUARDED_V6:
            if address in network:
                return word
        for network, bits_right in _EMBEDDED_V4:
            if address in network:
                return self._refusal_v4(IPv4Address(int(address) >> bits_right & 0xFFFFFFFF))
        if address in _TEREDO:
            return self._refusal_v4(IPv4Address(int(address) & 0xFFFFFFFF ^ 0xFFFFFFFF))
        return None
