"""What the dataplane is told of each value: the prober's verdict, with the operator's word laid over it.

Pure: verdicts and overrides go in, entries of the link come out. An override stands above the record's `status` (which the dataplane knows
from the record), and that above health (contract section 2.6). The freeze is the prober's business: its verdicts then stand still.

    override           entry
    none               the prober's
    in force           the prober's verdict and factor, with the override; no bound
    with an expiry     the same; bound = time left
"""

from __future__ import annotations

import enum
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from geodns.publish.frames import FULL_FACTOR, HealthEntry, Operator


class OverrideKind(enum.Enum):
    """What an override names, the most specific first: that is the order in which they win."""

    VALUE = "value"
    POOL = "pool"
    RECORD = "record"
    SITE = "site"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value id stands. `record` is "www.example.com/A"; `pool` is "" for one of the record's own values."""

    value_id: int
    record: str
    pool: str
    value: str
    site: str = ""

    def targets(self) -> Iterator[tuple[OverrideKind, str]]:
        """The overrides that could name it, the most specific first."""
        yield OverrideKind.VALUE, self.value
        if self.pool:
            yield OverrideKind.POOL, f"{self.record}/{self.pool}"
        yield OverrideKind.RECORD, self.record
        if self.site:
            yield OverrideKind.SITE, self.site


@dataclass(frozen=True, slots=True)
class Word:
    """An override in force: what the operator said, and until when."""

    operator: Operator
    expires_at: datetime | None = None


class Verdict(Protocol):
    """What the prober says of a value."""

    @property
    def down(self) -> bool: ...
    @property
    def factor(self) -> int: ...
    @property
    def ttl_bound_s(self) -> int | None: ...
    @property
    def since_ms(self) -> int: ...


Words = Mapping[tuple[OverrideKind, str], Word]
UNKNOWN = HealthEntry()


def find_word(place: Place, words: Words, now: datetime) -> Word | None:
    """The override that counts for a value. An expired one is none, and lets a less specific one count."""
    target = find_target(place, words, now)
    return None if target is None else words[target]


def find_target(place: Place, words: Words, now: datetime) -> tuple[OverrideKind, str] | None:
    """What that override names."""
    for target in place.targets():
        word = words.get(target)
        if word is not None and (word.expires_at is None or word.expires_at > now):
            return target
    return None


def lay_word(entry: HealthEntry, word: Word, now: datetime) -> HealthEntry:
    """An entry under an override: the verdict stays visible below it, its bound does not count."""
    left_s = None if word.expires_at is None else max(0, math.ceil((word.expires_at - now).total_seconds()))
    return replace(entry, operator=word.operator, ttl_bound_s=left_s)


def as_entry(verdict: Verdict) -> HealthEntry:
    """The prober's word as an entry."""
    return HealthEntry(verdict.down, Operator.NONE, verdict.factor, verdict.ttl_bound_s, verdict.since_ms)


def next_expiry(words: Words, now: datetime) -> datetime | None:
    """When an override that is in force ends by itself."""
    return min((word.expires_at for word in words.values() if word.expires_at is not None and word.expires_at > now), default=None)


class Overlay:
    """All values of the node and what is in force on each. Entries that say nothing (`UNKNOWN`) are left out: the dataplane assumes them.

    `apply` is to be called after any change of the parts; it returns the entries that changed.
    """

    def __init__(self) -> None:
        self.entries: dict[int, HealthEntry] = {}
        self._places: dict[int, Place] = {}
        self._words: Words = {}
        self._verdicts: dict[int, HealthEntry] = {}

    @property
    def words(self) -> Words:
        return self._words

    def put_places(self, places: Iterable[Place]) -> None:
        """All values there are; what is known of others is forgotten."""
        self._places = {place.value_id: place for place in places}
        self._verdicts = {value_id: entry for value_id, entry in self._verdicts.items() if value_id in self._places}

    def change_places(self, gone: Iterable[int], new: Iterable[Place]) -> None:
        """The values of changed records: `gone` stand nowhere any more, `new` stand there now."""
        for value_id in gone:
            self._places.pop(value_id, None)
            self._verdicts.pop(value_id, None)
            self.entries.pop(value_id, None)
        self._places.update((place.value_id, place) for place in new)

    def put_words(self, words: Words) -> None:
        """All overrides."""
        self._words = dict(words)

    def put_verdicts(self, verdicts: Mapping[int, Verdict]) -> None:
        """Some of the prober's verdicts changed."""
        self._verdicts.update((value_id, as_entry(verdict)) for value_id, verdict in verdicts.items() if value_id in self._places)

    def drop_verdicts(self, value_ids: Iterable[int]) -> None:
        """Values that are checked no more: nothing is known of them."""
        for value_id in value_ids:
            self._verdicts.pop(value_id, None)

    def named_by(self, kind: OverrideKind, target: str) -> list[int]:
        """The values that an override of this target is about."""
        return [place.value_id for place in self._places.values() if (kind, target) in place.targets()]

    def target_in_force(self, value_id: int, now: datetime) -> tuple[OverrideKind, str] | None:
        """What the override that counts for a value names; None where there is none."""
        place = self._places.get(value_id)
        return None if place is None else find_target(place, self._words, now)

    def places_named(self, targets: Collection[tuple[OverrideKind, str]]) -> list[Place]:
        """The places that overrides of these targets would be about; may be called from another thread."""
        return [place for place in list(self._places.values()) if any(target in targets for target in place.targets())]

    def suppose(self, places: Iterable[Place], words: Words, failing: Collection[int], now: datetime) -> dict[int, HealthEntry]:
        """What would be in force at these places if the operator said `words` besides, and checks found the values `failing` down."""
        said = {**self._words, **words}
        supposed = {}
        for place in places:
            entry = self._verdicts.get(place.value_id, UNKNOWN)
            if place.value_id in failing:
                entry = replace(entry, down=True, factor=FULL_FACTOR, ttl_bound_s=None)
            word = find_word(place, said, now)
            supposed[place.value_id] = entry if word is None else lay_word(entry, word, now)
        return supposed

    def apply(self, now: datetime, touched: Iterable[int] | None = None) -> dict[int, HealthEntry]:
        """Recomputes `entries` (of the values `touched`, or of all) and returns those that changed; values that are gone are left out."""
        if touched is None:
            return self._apply_all(now)
        changed = {}
        for value_id in touched:
            place = self._places.get(value_id)
            if place is not None and self._put(value_id, self._compute(place, now)):
                changed[value_id] = self.entries.get(value_id, UNKNOWN)
        return changed

    def _apply_all(self, now: datetime) -> dict[int, HealthEntry]:
        before = self.entries
        computed = ((value_id, self._compute(place, now)) for value_id, place in self._places.items())
        self.entries = {value_id: entry for value_id, entry in computed if entry != UNKNOWN}
        changed = {value_id: entry for value_id, entry in self.entries.items() if before.get(value_id, UNKNOWN) != entry}
        changed.update((value_id, UNKNOWN) for value_id in before if value_id in self._places and value_id not in self.entries)
        return changed

    def _compute(self, place: Place, now: datetime) -> HealthEntry:
        entry = self._verdicts.get(place.value_id, UNKNOWN)
        word = find_word(place, self._words, now) if self._words else None
        return entry if word is None else lay_word(entry, word, now)

    def _put(self, value_id: int, entry: HealthEntry) -> bool:
        if self.entries.get(value_id, UNKNOWN) == entry:
            return False
        if entry == UNKNOWN:
            del self.entries[value_id]
        else:
            self.entries[value_id] = entry
        return True
