"""Which addresses a check may contact: a check must never become a way to reach what only this machine can reach.

`model.targets` judges values when they are written. `attempt` asks here again for the address that a name resolved to,
immediately before it connects to that very address, so that a name cannot be pointed elsewhere in between. Only here is judged what
only the machine knows: whether an address is one of its own, where its own API listens.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from geodns.model.targets import why_guarded


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """The operator's policy. `allow_loopback` is for samples and tests, where everything runs on one machine; `denied` are networks that
    are not contacted either; `own_listeners` are addresses and ports of this node's own API and metrics."""

    allow_loopback: bool = False
    denied: Sequence[IPv4Network | IPv6Network] = ()
    own_listeners: Sequence[tuple[str, int]] = ()

    def refusal(self, address: str, port: int | None = None) -> str | None:
        """Why `address` (a literal) must not be contacted, in words, or None when it may be."""
        try:
            parsed = ip_address(address)
        except ValueError:
            return "not an address"
        if reason := why_guarded(parsed, allow_loopback=self.allow_loopback, denied=self.denied):
            return reason
        if any(port == own_port and _is_served_by(parsed, ip_address(host)) for host, own_port in self.own_listeners):
            return "this node's own listener"
        return None


def _is_served_by(address: IPv4Address | IPv6Address, host: IPv4Address | IPv6Address) -> bool:
    """Whether a listener on `host` is reached at `address`: the same one, or any of this machine's when it listens on all."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address == host or (host.is_unspecified and host.version == address.version and _is_of_this_machine(address))


def _is_of_this_machine(address: IPv4Address | IPv6Address) -> bool:
    """Only an address of this machine can be bound."""
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
