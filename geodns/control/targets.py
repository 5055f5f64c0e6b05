"""From stored steered rrsets to what is checked and to where each value id stands.

Pure. Names are text as an operator writes them: absolute, without the final dot (contract section 6, overrides).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from geodns.control.effects import Chain
from geodns.control.overlay import Place
from geodns.model import names, rdata
from geodns.prober.target import Target
from geodns.store.encoding import own_value_text
from geodns.store.records import StoredSteered

Key = tuple[str, str]
"""Zone and record: ("example.com", "www.example.com/A")."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One steered rrset as health sees it."""

    key: Key
    places: tuple[Place, ...]
    targets: tuple[Target, ...]
    chain: Chain
    needs_location: bool


def watch(stored: StoredSteered) -> Watched:
    """Every value of a steered rrset with its place; those with a check as targets. Raises ValueError for an rrset without steering."""
    rrset = stored.rrset
    if rrset.steering is None:
        raise ValueError("a static rrset has nothing to be watched")
    zone, owner, rtype = names.zone_text(stored.zone), names.zone_text(rrset.owner), rdata.rtype_to_text(rrset.rtype)
    record = f"{owner}/{rtype}"
    sites: dict[str, str] = {}
    places: list[Place] = []
    targets: list[Target] = []
    for pool in rrset.steering.pools:
        for value in pool.values:
            value_id = stored.value_ids[pool.name, value.value]
            places.append(Place(value_id, record, pool.name, value.value, value.site))
            sites.setdefault(value.value, value.site)
            if value.check is not None:
                targets.append(Target(value_id, zone, owner, rtype, pool.name, value.value, value.check))
    for value_id, wire in zip(stored.own_ids, rrset.rdatas, strict=True):
        text = own_value_text(rrset.rtype, wire)
        places.append(Place(value_id, record, "", text, sites.get(text, "")))
    needs_location = any(rule.geos or rule.asns for rule in rrset.steering.rules)
    return Watched((zone, record), tuple(places), tuple(targets), Chain.of(rrset.steering, stored.value_ids), needs_location)


@dataclass(frozen=True, slots=True)
class Change:
    """What became of some records: value ids that are gone, and the places and targets of all that changed or came."""

    gone: frozenset[int]
    places: tuple[Place, ...]
    targets: tuple[Target, ...]

    @property
    def unchecked(self) -> frozenset[int]:
        """Values that are no target any more, gone or not."""
        return self.gone | ({place.value_id for place in self.places} - {target.value_id for target in self.targets})


class WatchList:
    """All steered rrsets of the node, as far as health is concerned."""

    def __init__(self) -> None:
        self._watched: dict[Key, Watched] = {}

    def replace(self, watched: list[Watched]) -> None:
        """All there are."""
        self._watched = {each.key: each for each in watched}

    def change(self, found: Mapping[Key, Watched | None]) -> Change:
        """What stands at some records now, None = nothing any more."""
        gone: set[int] = set()
        places: list[Place] = []
        targets: list[Target] = []
        for key, watched in found.items():
            before = self._watched.pop(key, None)
            if watched is not None:
                self._watched[key] = watched
            if watched != before:
                gone |= set() if before is None else {place.value_id for place in before.places}
                places += () if watched is None else watched.places
                targets += () if watched is None else watched.targets
        return Change(frozenset(gone - {place.value_id for place in places}), tuple(places), tuple(targets))

    def below(self, zone: str, owner: str) -> list[Key]:
        """The records known at an owner name; steering has three types."""
        return [key for rtype in ("A", "AAAA", "CNAME") if (key := (zone, f"{owner}/{rtype}")) in self._watched]

    def in_zone(self, zone: str) -> list[Key]:
        """The records known in a zone."""
        return [key for key in self._watched if key[0] == zone]

    def chain(self, key: Key) -> Chain | None:
        """The pools of a record."""
        watched = self._watched.get(key)
        return None if watched is None else watched.chain

    def needs_location(self) -> bool:
        """Whether any record has a rule that a location database decides."""
        return any(watched.needs_location for watched in self._watched.values())

    def places(self) -> Iterator[Place]:
        """All of them."""
        return (place for watched in self._watched.values() for place in watched.places)

    def targets(self) -> Iterator[Target]:
        """All of them."""
        return (target for watched in self._watched.values() for target in watched.targets)
