"""What a verdict changed on the wire: for each pool that a rule leads to, which pool served before and which serves after, with how many.

Pure, for the history alone: answers are decided by the dataplane; this repeats its choice of a pool over verdicts and overrides, and leaves
out what is drawn from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from geodns.model.steering import Status, Steering
from geodns.publish.frames import HealthEntry, Operator

EntryOf = Callable[[int], HealthEntry]
"""The entry in force on a value id."""


@dataclass(frozen=True, slots=True)
class Serving:
    """A pool in service with `up` of its `of` values (drained ones when nothing else is up); None = none can, `all_down` decides."""

    pool: str | None
    up: int
    of: int

    def to_json(self) -> dict[str, Any]:
        """For the history."""
        return {"pool": self.pool, "up": self.up, "of": self.of}


@dataclass(frozen=True, slots=True)
class Member:
    """A value of a pool, as far as the choice of a pool goes."""

    value_id: int
    weight: int
    status: Status
    is_drained: bool


@dataclass(frozen=True, slots=True)
class Chain:
    """The pools of one record."""

    pools: Mapping[str, tuple[str | None, tuple[Member, ...]]]  # name -> fallback, members
    starts: tuple[str, ...]  # the pools that rules name
    min_up: float

    @classmethod
    def of(cls, steering: Steering, value_ids: Mapping[tuple[str, str], int]) -> Chain:
        """The pools of a steered rrset."""
        return cls(
            {
                pool.name: (
                    pool.fallback,
                    tuple(Member(value_ids[pool.name, each.value], each.weight, each.status, each.drained) for each in pool.values),
                )
                for pool in steering.pools
            },
            tuple(dict.fromkeys(rule.pool for rule in steering.rules)),
            steering.min_up,
        )

    def serving(self, start: str, entry_of: EntryOf) -> Serving:
        """The pool that serves whoever a rule leads to `start`: the first of the chain with enough up, else the first with any, else the
        first with any that is up but drained."""
        with_any: Serving | None = None
        with_drained: Serving | None = None
        name: str | None = start
        passed: set[str] = set()
        while name is not None and name not in passed:
            passed.add(name)
            fallback, members = self.pools[name]
            up, drained, counted = [], 0, 0
            for member in members:
                entry = entry_of(member.value_id)
                is_healthy, is_drained = _is_healthy(member, entry), _is_drained(member, entry)
                if is_healthy and not is_drained:
                    up.append(member)
                drained += is_healthy and is_drained
                if not is_drained and (is_healthy or member.status is not Status.DOWN):
                    counted += member.weight
            if up:
                found = Serving(name, len(up), len(members))
                if sum(member.weight for member in up) >= self.min_up * counted:
                    return found
                with_any = with_any or found
            elif drained:
                with_drained = with_drained or Serving(name, drained, len(members))
            name = fallback
        return with_any or with_drained or Serving(None, 0, 0)


def find_changes(record: str, chain: Chain, before: EntryOf, after: EntryOf) -> Iterable[dict[str, Any]]:
    """One document for each pool that a rule names, whose answers are others than before."""
    for start in chain.starts:
        was, is_now = chain.serving(start, before), chain.serving(start, after)
        if was != is_now:
            yield {"record": record, "pool": start, "before": was.to_json(), "after": is_now.to_json()}


def _is_drained(member: Member, entry: HealthEntry) -> bool:
    return member.is_drained or entry.operator is Operator.DRAIN


def _is_healthy(member: Member, entry: HealthEntry) -> bool:
    """
    | override | status | health | healthy |
    |---|---|---|---|
    | up | | | yes |
    | none, drain | up | | yes |
    | none, drain | obey | not down | yes |
    | anything else | | | no |
    """
    if entry.operator in (Operator.UP, Operator.DOWN):
        return entry.operator is Operator.UP
    return member.status is Status.UP or (member.status is Status.OBEY and not entry.down)
