"""Where an address is, by several location databases side by side (docs/locations.md), over intervals of addresses.

A database is a list of (network, record); the longest network around an address counts. IPv4 and IPv6 are two worlds, each of integers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Generic, TypeVar

from octodns.record.geo_data import geo_data

Network = IPv4Network | IPv6Network
T = TypeVar("T")
BITS = {4: 32, 6: 128}


@dataclass(frozen=True)
class Facts:
    """What is known of an address. `subdivisions` are parts of `country`."""

    country: str | None = None
    continent: str | None = None
    subdivisions: tuple[str, ...] = ()
    asn: int | None = None
    coordinates: tuple[float, float] | None = None


NOTHING = Facts()


@cache
def octodns_continent(country: str) -> str | None:
    """The continent under which octoDNS has a country; None for those that it lacks."""
    return next((continent for continent, countries in geo_data.items() if country in countries), None)


def read_record(record: Mapping[str, Any]) -> Facts:
    """The facts of one record in any of the schemas in use: nested (MaxMind, DB-IP), flat (IPinfo, old and new), `country_code` alone."""
    country = _code(record.get("country")) or _code(record.get("country_code")) or _code(record.get("registered_country"))
    continent = _code(record.get("continent")) or _code(record.get("continent_code"))
    subdivisions = [division["iso_code"] for division in record.get("subdivisions", [])]
    if "region_code" in record:
        subdivisions.append(record["region_code"])
    number = record.get("autonomous_system_number", record.get("asn"))
    place = record.get("location", record)
    latitude, longitude = place.get("latitude", place.get("lat")), place.get("longitude", place.get("lng"))
    return Facts(
        country,
        continent,
        tuple(subdivisions),
        None if number is None else int(str(number).removeprefix("AS")),
        None if latitude is None else (float(latitude), float(longitude)),
    )


def _code(value: Any) -> str | None:
    """A two-letter code, by itself or inside a place; names of countries and continents are no codes."""
    text = value.get("iso_code", value.get("code")) if isinstance(value, Mapping) else value
    return text if isinstance(text, str) and len(text) == 2 else None


def join(by_database: Sequence[Facts]) -> Facts:
    """For each fact the first database that has it; the continent is octoDNS's for that country, else the first database's that has one.

    Subdivisions that a record gives for another country are passed over.
    """
    country = next((facts.country for facts in by_database if facts.country), None)
    continent = next((facts.continent for facts in by_database if facts.continent), None)
    return Facts(
        country,
        (octodns_continent(country) if country else None) or continent,
        next((facts.subdivisions for facts in by_database if facts.subdivisions and facts.country in (None, country)), ()),
        next((facts.asn for facts in by_database if facts.asn is not None), None),
        next((facts.coordinates for facts in by_database if facts.coordinates), None),
    )


@dataclass(frozen=True)
class Intervals(Generic[T]):
    """A value for every address of a family: `values[i]` holds from `starts[i]` to before `starts[i + 1]`; neighbours differ."""

    family: int
    starts: tuple[int, ...]
    values: tuple[T, ...]

    @staticmethod
    def build(family: int, edges: Iterable[int], value_at: Callable[[int], T]) -> Intervals[T]:
        """From all addresses at which the value may change."""
        starts: list[int] = []
        values: list[T] = []
        for start in sorted({0, *edges}):
            value = value_at(start)
            if not values or values[-1] != value:
                starts.append(start)
                values.append(value)
        return Intervals(family, tuple(starts), tuple(values))

    def at(self, address: int) -> T:
        return self.values[bisect_right(self.starts, address) - 1]

    def shortest_prefix(self, address: int) -> int:
        """Length of the shortest prefix around an address in which every address has its value."""
        position = bisect_right(self.starts, address) - 1
        bits = BITS[self.family]
        first = self.starts[position]
        last = self.starts[position + 1] - 1 if position + 1 < len(self.starts) else (1 << bits) - 1
        for length in range(bits + 1):
            size = 1 << (bits - length)
            low = address // size * size
            if first <= low and low + size - 1 <= last:
                return length
        raise AssertionError("an address is alike with itself")


def edges_of(networks: Iterable[Network]) -> set[int]:
    """Where networks begin, and where they have ended."""
    edges: set[int] = set()
    for network in networks:
        first = int(network.network_address)
        end = first + network.num_addresses
        edges |= {first, end} if end < 1 << network.max_prefixlen else {first}
    return edges


def read_database(family: int, entries: Sequence[tuple[str, Mapping[str, Any]]]) -> Intervals[Facts]:
    """What one database says of each address of a family."""
    known = [(ip_network(network), read_record(record)) for network, record in entries]
    known = [(network, facts) for network, facts in known if network.version == family]
    known.sort(key=lambda entry: entry[0].prefixlen, reverse=True)
    spans = [(int(network.network_address), int(network.broadcast_address), facts) for network, facts in known]

    def longest(address: int) -> Facts:
        return next((facts for first, last, facts in spans if first <= address <= last), NOTHING)

    return Intervals.build(family, edges_of(network for network, _ in known), longest)


def join_databases(family: int, databases: Sequence[Intervals[Facts]]) -> Intervals[Facts]:
    """What all of them say together."""
    edges = {start for database in databases for start in database.starts}
    return Intervals.build(family, edges, lambda address: join([database.at(address) for database in databases]))


@dataclass(frozen=True)
class Locations:
    """All databases, in order of precedence, for both families."""

    databases: Mapping[int, Sequence[Intervals[Facts]]]
    joined: Mapping[int, Intervals[Facts]]

    @staticmethod
    def read(databases: Sequence[Sequence[tuple[str, Mapping[str, Any]]]]) -> Locations:
        by_family = {family: [read_database(family, entries) for entries in databases] for family in BITS}

        joined = {family: join_databases(family, held) for family, held in by_family.items()}
        return Locations(by_family, joined)

    def facts(self, family: int, address: int) -> Facts:
        return self.joined[family].at(address)

    def coordinates_network(self, family: int, address: int) -> int:
        """The network of the database that gives the coordinates, and of those before it that could have: the longest of them.

        A database without any coordinates could not.
        """
        longest = 0
        for index, database in enumerate(self.databases[family]):
            if not any(facts.coordinates for by_family in self.databases.values() for facts in by_family[index].values):
                continue
            longest = max(longest, database.shortest_prefix(address))
            if database.at(address).coordinates is not None:
                break
        return longest
