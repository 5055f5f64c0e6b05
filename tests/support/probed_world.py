"""A made-up network for whole probers on simulated time: addresses that answer, refuse, hang or cannot be reached, as a function of time.

Everything but the sockets is the real thing: schedule, machine, votes, suspicion, publication.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import assert_never

from geodns.model.check import Check, Protocol, Timing
from geodns.prober import AddressPolicy, CheckState, Collaborators, HealthEntry, NoRecorder, Prober, Target, Transition
from geodns.prober.fault import AnsweredBadly, NoEvidence
from geodns.prober.stream import Progress
from tests.support.simulated_time import SimulatedLoop

SEED = 20_240_601
EPOCH = datetime(2024, 6, 1, tzinfo=UTC)
LATENCY_S = 0.02


class Manners(Enum):
    """What an address does at the moment."""

    OK = "ok"
    REFUSES = "refuses"
    HANGS = "hangs"
    UNROUTED = "unrouted"


Behaviour = Callable[[str, float], Manners]


@dataclass
class World:
    """`behaviour(address, seconds since the start)` is asked at the start of every attempt."""

    loop: SimulatedLoop
    behaviour: Behaviour = lambda address, now_s: Manners.OK
    attempts: list[tuple[float, str]] = field(default_factory=list)
    clock_step: timedelta = timedelta()
    start_s: float = 0.0

    def __post_init__(self) -> None:
        self.start_s = self.loop.time()

    @property
    def now_s(self) -> float:
        return self.loop.time() - self.start_s

    def utc_now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.now_s) + self.clock_step

    def probe(self, check: Check) -> Visit:
        return Visit(self)

    async def sleep_until(self, now_s: float) -> None:
        await asyncio.sleep(max(0.0, now_s - self.now_s))


@dataclass
class Visit:
    """A probe of that world. A target that falls silent or dies meanwhile is noticed as with a real connection."""

    world: World

    async def attempt(self, address: str, progress: Progress) -> str:
        world = self.world
        world.attempts.append((world.now_s, address))
        manners = world.behaviour(address, world.now_s)
        match manners:
            case Manners.OK:
                await asyncio.sleep(LATENCY_S)
                return "status 200"
            case Manners.REFUSES:
                raise AnsweredBadly("connection refused")
            case Manners.HANGS:
                await asyncio.sleep(3_600)
                raise AssertionError("nobody waits that long")
            case Manners.UNROUTED:
                raise NoEvidence("no local route")
            case _:
                assert_never(manners)


@dataclass
class Record(NoRecorder):
    """A recorder that keeps everything."""

    transitions: list[Transition] = field(default_factory=list)
    votes: list[CheckState] = field(default_factory=list)
    routine: list[CheckState] = field(default_factory=list)
    on_vote: Callable[[Sequence[CheckState]], None] = lambda states: None

    def turned(self, transitions: Sequence[Transition]) -> None:
        self.transitions += transitions
        self.on_vote([transition.state for transition in transitions])

    def voted(self, states: Sequence[CheckState]) -> None:
        self.votes += states
        self.on_vote(states)

    def observed(self, states: Sequence[CheckState]) -> None:
        self.routine += states


@dataclass
class Vantage:
    """One prober in a world, with what it told."""

    world: World
    name: str = "fra"
    record: Record = field(default_factory=Record)
    changes: list[tuple[float, Mapping[int, HealthEntry]]] = field(default_factory=list)
    seed: int = SEED

    def __post_init__(self) -> None:
        self.prober = Prober(
            self.name,
            lambda entries: self.changes.append((self.world.now_s, dict(entries))),
            Collaborators(
                recorder=self.record,
                policy=AddressPolicy(),
                make_probe=self.world.probe,
                rng=random.Random(self.seed),  # noqa: S311 - the same course in every run
                utc_now=self.world.utc_now,
            ),
        )

    async def run_until(self, now_s: float, *, meanwhile: Callable[[], object] | None = None) -> None:
        """Lets it check until that moment of the world."""
        async with asyncio.TaskGroup() as group:
            running = group.create_task(self.prober.run())
            while self.world.now_s < now_s:
                await self.world.sleep_until(min(now_s, self.world.now_s + 1.0) if meanwhile else now_s)
                if meanwhile:
                    meanwhile()
            running.cancel()

    def turned(self) -> list[tuple[float, str, str]]:
        """When, which address, to which verdict."""
        return [
            ((transition.at - EPOCH).total_seconds(), transition.values[0].value, transition.verdict.value)
            for transition in self.record.transitions
        ]


def address_of(index: int) -> str:
    """Distinct addresses from the prefixes for documentation, RFC 5737 and RFC 3849."""
    return f"2001:db8::{index + 1:x}"


def target_of(index: int, timing: Timing | None = None, address: str | None = None, pool: str = "eu") -> Target:
    """Value `index + 1`, with an HTTP check of its own address."""
    value = address or address_of(index)
    check = Check(Protocol.HTTP, value, 80, path="/healthz", host="www.example.com", timing=timing or Timing())
    return Target(index + 1, "example.com", "www.example.com", "AAAA", pool, value, check)
