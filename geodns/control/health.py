"""Health on its way to the dataplane: verdicts and overrides in, HEALTH frames out (health.md section 6).

A change goes out at once, within the same turn of the event loop as the outcome that made it; everything goes out whole once a second, from
packed entries that are only made anew where something changed. Until the node knows which values there are (the store has been
read once), and while the dataplane serves another history than theirs, nothing is sent at all: silence means keep.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from geodns.control.overlay import UNKNOWN, Overlay, Place, Words, next_expiry
from geodns.prober.target import HealthEntry as ProberEntry
from geodns.publish.client import LinkClient
from geodns.publish.frames import HealthEntry

# link.md section 3: on every change, and whole once a second.
WHOLE_S = 1.0


class HealthFlow:
    """`verdicts_changed` is the prober's `on_change`; `vector` is the prober's whole word."""

    def __init__(self, link: Callable[[], LinkClient | None], vector: Callable[[], Mapping[int, ProberEntry]]) -> None:
        self.overlay = Overlay()
        self.lineage: uuid.UUID | None = None
        self._link = link
        self._vector = vector
        self._last: dict[int, ProberEntry] = {}
        self._before: dict[int, HealthEntry] = {}
        self._packed: dict[int, bytes] = {}
        self._joined: bytes | None = b""
        self._epoch = 0

    def attached(self, link: LinkClient) -> None:
        """A new link: it gets everything at once, under an epoch above what it has."""
        # Milliseconds of the wall clock: above every epoch of a former control, also when the dataplane has forgotten its own.
        self._epoch = max(self._epoch, link.hello.health_epoch, time.time_ns() // 1_000_000)
        self.send_whole()

    def verdicts_changed(self, entries: Mapping[int, ProberEntry]) -> None:
        """Some verdicts changed: told at once."""
        self._last.update(entries)
        self._before = {value_id: self.overlay.entries.get(value_id, UNKNOWN) for value_id in entries}
        self.overlay.put_verdicts(entries)
        self._tell(self.overlay.apply(datetime.now(UTC), entries.keys()))

    def in_force(self, value_id: int) -> HealthEntry:
        """What the dataplane is told of a value."""
        return self.overlay.entries.get(value_id, UNKNOWN)

    def in_force_before(self, value_id: int) -> HealthEntry:
        """The same before the verdicts that changed last."""
        return self._before.get(value_id) or self.in_force(value_id)

    def put_places(self, lineage: uuid.UUID, places: Iterable[Place]) -> None:
        """All values that there are in a history; from now on the node knows what it speaks of."""
        self.overlay.put_places(places)
        changed = self.overlay.apply(datetime.now(UTC))
        self._packed = {value_id: data for value_id, data in self._packed.items() if value_id in self.overlay.entries}
        self._joined = None
        self._tell(changed)
        self.refresh()
        self.lineage = lineage
        self.send_whole()

    def change_places(self, gone: Iterable[int], new: Iterable[Place]) -> None:
        """The values of records that changed: those that are gone, and those that stand there now."""
        new = list(new)
        self.overlay.change_places(gone, new)
        for value_id in gone:
            self._last.pop(value_id, None)
            if self._packed.pop(value_id, None) is not None:
                self._joined = None
        self._tell(self.overlay.apply(datetime.now(UTC), [place.value_id for place in new]))
        self.refresh()

    def put_words(self, words: Words) -> None:
        """All overrides that are set: told at once."""
        if words != self.overlay.words:
            self.overlay.put_words(words)
            self._tell(self.overlay.apply(datetime.now(UTC)))

    async def run(self) -> None:
        """The whole vector once a second, and overrides that end by themselves on time; cancel it to end."""
        while True:
            self.refresh()
            self.send_whole()
            await asyncio.sleep(self._pause_s())

    def refresh(self) -> None:
        """What time alone changed: bounds, ramps, overrides that end."""
        vector = self._vector()
        moved = [value_id for value_id, entry in vector.items() if self._last.get(value_id) is not entry]
        unchecked = self._last.keys() - vector.keys()
        self._last = dict(vector)
        self.overlay.put_verdicts({value_id: vector[value_id] for value_id in moved})
        self.overlay.drop_verdicts(unchecked)
        moved += unchecked
        has_expiries = any(word.expires_at is not None for word in self.overlay.words.values())
        self._tell(self.overlay.apply(datetime.now(UTC), None if has_expiries else moved))

    def send_whole(self) -> None:
        """Everything, to the present link."""
        link = self._addressee()
        if link is None:
            return
        if self._joined is None:
            self._joined = b"".join(self._packed.values())
        self._epoch += 1
        link.send_health(self._epoch, self._joined, whole=True)

    def _tell(self, changed: Mapping[int, HealthEntry]) -> None:
        """Packs what changed, and sends it when there is a link."""
        if not changed:
            return
        packed = {value_id: entry.to_bytes(value_id) for value_id, entry in changed.items()}
        self._packed.update(packed)
        for value_id, entry in changed.items():
            if entry == UNKNOWN:  # the dataplane assumes it of whatever a whole vector leaves out
                self._packed.pop(value_id)
        self._joined = None
        link = self._addressee()
        if link is not None:
            self._epoch += 1
            link.send_health(self._epoch, b"".join(packed.values()), whole=False)

    def _addressee(self) -> LinkClient | None:
        """The link, if what it serves has the value ids that we speak of: in another history they would name other values."""
        link = self._link()
        if link is None or self.lineage is None:
            return None
        return link if link.served is None or link.served.lineage == self.lineage else None

    def _pause_s(self) -> float:
        """Until the next whole vector, or the end of an override before that."""
        now = datetime.now(UTC)
        expiry = next_expiry(self.overlay.words, now)
        return WHOLE_S if expiry is None else min(WHOLE_S, max(0.0, (expiry - now).total_seconds()))
