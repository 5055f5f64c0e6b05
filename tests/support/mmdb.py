"""Small location databases for tests, made on the spot with a writer library; reserved prefixes stand for the continents."""

from __future__ import annotations

import array
import itertools
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet

# Zeros between the search tree and the data (MaxMind DB format 2.0).
_SEPARATOR = 16

# One client network a continent: documentation and benchmarking space (RFC 5737, RFC 2544, RFC 3849) cut into pieces.
CLIENTS = {
    "AF": ("198.18.1.0/24", "ZA"),
    "AN": ("198.18.2.0/24", "AQ"),
    "AS": ("198.18.3.0/24", "JP"),
    "EU": ("198.18.4.0/24", "DE"),
    "NA": ("198.18.5.0/24", "US"),
    "OC": ("198.18.6.0/24", "AU"),
    "SA": ("198.18.7.0/24", "BR"),
}


def write_country_database(path: Path, networks: dict[str, str], *, flat: bool = False) -> Path:
    """Writes network → country code as an .mmdb: MaxMind's nested schema, or with `flat` a plain `country_code`."""
    records = {network: {"country_code": code} if flat else {"country": {"iso_code": code}} for network, code in networks.items()}
    return write_database(path, records, "Test-Country")


def write_database(path: Path, records: Mapping[str, Mapping[str, Any]], database_type: str) -> Path:
    """Writes network → record, in MaxMind's words, as an .mmdb."""
    writer = MMDBWriter(6, database_type, languages=["en"], description="made by a test", ipv4_compatible=True)
    for network, record in records.items():
        writer.insert_network(IPSet([network]), dict(record))
    writer.to_db_file(str(path))
    return path


def write_continents(path: Path) -> Path:
    """The database of CLIENTS, with 127.0.0.0/8 in Germany so that the sender's address can be tested too."""
    networks = dict(CLIENTS.values())
    networks["127.0.0.0/8"] = "DE"
    networks["2001:db8:4::/48"] = "DE"
    networks["2001:db8:5::/48"] = "US"
    return write_country_database(path, networks)


def write_grid(path: Path, depth: int, places: Sequence[tuple[str, float, float]], *, build_epoch: int = 1_700_000_000) -> Path:
    """Writes an .mmdb that cuts IPv4 into 2^depth networks of /depth: network n lies in `places[n % len(places)]`.

    A place is (country, latitude, longitude). Written by hand, because a million networks take the writer library minutes; the search tree
    is complete, so nodes are numbers in a row.
    """
    records = [
        {"country": {"iso_code": code}, "location": {"latitude": latitude, "longitude": longitude}} for code, latitude, longitude in places
    ]
    encoded = [_encode(record) for record in records]
    offsets = list(itertools.accumulate((len(each) for each in encoded), initial=0))[:-1]
    nodes, leaves = 2**depth - 1, 2**depth
    inner = array.array("I", range(1, nodes))  # the children of node n are 2n + 1 and 2n + 2
    per_place = [nodes + _SEPARATOR + offset for offset in offsets]
    outer = array.array("I", per_place * (leaves // len(places) + 1))[:leaves]
    tree = inner + outer
    tree.byteswap()  # big-endian on disk
    metadata = {
        "binary_format_major_version": _Unsigned(16, 2),
        "binary_format_minor_version": _Unsigned(16, 0),
        "build_epoch": _Unsigned(64, build_epoch),
        "database_type": "Test-City",
        "description": {"en": "made by a test"},
        "ip_version": _Unsigned(16, 4),
        "languages": ["en"],
        "node_count": _Unsigned(32, nodes),
        "record_size": _Unsigned(16, 32),
    }
    path.write_bytes(tree.tobytes() + bytes(_SEPARATOR) + b"".join(encoded) + b"\xab\xcd\xefMaxMind.com" + _encode(metadata))
    return path


@dataclass(frozen=True, slots=True)
class _Unsigned:
    """A number of so many bits: readers insist on them."""

    bits: int
    number: int


def _encode(value: object) -> bytes:
    """A value of the data section (MaxMind DB format 2.0), as far as `write_grid` needs it: nothing is 29 bytes or longer."""
    match value:
        case str():
            return bytes([2 << 5 | len(value)]) + value.encode()
        case float():
            return bytes([3 << 5 | 8]) + struct.pack("!d", value)
        case _Unsigned(16, number):
            return bytes([5 << 5 | 2]) + struct.pack("!H", number)
        case _Unsigned(32, number):
            return bytes([6 << 5 | 4]) + struct.pack("!I", number)
        case _Unsigned(64, number):
            return bytes([8, 9 - 7]) + struct.pack("!Q", number)
        case dict():
            return bytes([7 << 5 | len(value)]) + b"".join(_encode(key) + _encode(each) for key, each in value.items())
        case list():
            return bytes([len(value), 11 - 7]) + b"".join(map(_encode, value))
    raise TypeError(f"{value!r} has no encoding here")


def write_city_database(path: Path, networks: dict[str, tuple[str, float, float]]) -> Path:
    """Writes network → (country code, latitude, longitude) as an .mmdb in MaxMind's nested schema."""
    writer = MMDBWriter(6, "Test-City", languages=["en"], description="made by a test", ipv4_compatible=True)
    for network, (country, latitude, longitude) in networks.items():
        record = {"country": {"iso_code": country}, "location": {"latitude": latitude, "longitude": longitude}}
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return path
