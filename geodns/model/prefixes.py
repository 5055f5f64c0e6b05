"""CIDR lists as one string of bytes.

A million prefixes as objects would be half a gigabyte, and each look of the garbage collector at them a second in which nothing else
happens; as bytes they are 6 MB that nobody on the way from the request to the dataplane has to take apart. A prefix is a byte for the
family (4 or 6), a byte for the length, and the address: the `prefix` of docs/link-protocol.md section 2. What a list may be called, and how
long it may be, is not decided here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from geodns.model.steering import Network

_IPV4 = "%d.%d.%d.%d"
_BYTES = {4: 4, 6: 16}


@dataclass(frozen=True, slots=True)
class Prefixes:
    """Prefixes in the order in which they were given."""

    body: bytes
    count: int

    @classmethod
    def of(cls, networks: Iterable[Network]) -> Prefixes:
        """From values."""
        packed = [pack_network(network) for network in networks]
        return cls(b"".join(packed), len(packed))

    def texts(self) -> Iterator[str]:
        """As they are written."""
        body, at = self.body, 0
        while at < len(body):
            family, length = body[at], body[at + 1]
            end = at + 2 + _BYTES[family]
            yield f"{_write(body[at + 2 : end])}/{length}"
            at = end


def pack_network(network: Network) -> bytes:
    """One prefix."""
    return bytes((network.version, network.prefixlen)) + network.network_address.packed


def pack_text(text: str) -> bytes | None:
    """A prefix without host bits, or a bare address, as Python's `ipaddress` reads it; None for anything else.

    An address with a zone (RFC 4007 §11) is refused: it means something on one machine only.
    """
    if "%" in text:
        return None
    address, slash, length = text.partition("/")
    # What nearly all prefixes look like, at a fifth of the cost of an object.
    if slash and len(length) <= 3 and length.isascii() and length.isdigit():
        try:
            packed = _read(address)
        except ValueError:
            return None
        host_bits = len(packed) * 8 - int(length)
        if host_bits < 0 or int.from_bytes(packed) & ((1 << host_bits) - 1):
            return None
        return bytes((4 if len(packed) == 4 else 6, int(length))) + packed
    try:
        return pack_network(ipaddress.ip_network(text))
    except ValueError:
        return None


def _read(address: str) -> bytes:
    """Raises ValueError for what is no address. Only IPv4 is worth a way of its own: lists are full of it."""
    octets = address.split(".")
    if len(octets) != 4 or ":" in address:
        return ipaddress.ip_address(address).packed
    packed = bytes(map(int, octets))
    if _IPV4 % tuple(packed) != address:
        raise ValueError("an octet is written in another form than the usual one")
    return packed


def _write(packed: bytes) -> str:
    return _IPV4 % tuple(packed) if len(packed) == 4 else str(ipaddress.IPv6Address(packed))
