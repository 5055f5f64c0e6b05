"""Which addresses a check may contact: a check must never become a way to reach what only this machine can reach.

`model.targets` judges values when they are written. `attempt` asks here again for the address that a name resolved to,
immediately before it connects to that very address, so that a name cannot be pointed elsewhere in between. Private
networks (RFC 1918, RFC 4193) are allowed: people balance them.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from geodns.model.targets import why_guarded

# Beyond what is refused at write: services of single clouds, which only a host within that cloud can reach.
_CLOUD_SERVICES = frozenset(
    ip_address(text) for text in ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::23", "fd00:ec2::123", "fd20:ce::254")
)

_TRANSLATED = IPv6Network("::ffff:0:0:0/96")  # RFC 2765 §2.1: an IPv4 address in the last 32 bits
_TEREDO = IPv6Network("2001::/32")  # RFC 4380 §4: the client's address in the last 32 bits, inverted


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
        if isinstance(parsed, IPv6Address) and parsed.scope_id is not None:
            return "a link-local address"
        for meant in (parsed, *_tunnelled(parsed)):
            if meant in _CLOUD_SERVICES:
                return "a service of the cloud"
            if reason := why_guarded(meant, allow_loopback=self.allow_loopback):
                return reason
        return None


def _tunnelled(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """The IPv4 address behind forms that `model.targets` does not look into."""
    last = int(address) & 0xFFFFFFFF
    if isinstance(address, IPv6Address) and address in _TRANSLATED:
        return [IPv4Address(last)]
    if isinstance(address, IPv6Address) and address in _TEREDO:
        return [IPv4Address(last ^ 0xFFFFFFFF)]
    return []
