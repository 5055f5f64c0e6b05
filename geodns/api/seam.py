"""What the API needs of a node, and nothing more: a test may bring its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from geodns.control.healthtable import Override
from geodns.control.simulation import Question
from geodns.errors import Problem
from geodns.prober import Prober
from geodns.settings import Settings
from geodns.store.audit import Actor
from geodns.store.database import Database, Session
from geodns.store.requests import ChangeRequest, Operation, Step
from geodns.telemetry import Measured


class WriteResult(Protocol):
    """What became of a write: what was committed, and whether this node serves it."""

    @property
    def revision(self) -> int: ...
    @property
    def serial(self) -> int | None: ...
    @property
    def applied(self) -> bool: ...
    @property
    def changed(self) -> bool: ...
    @property
    def created(self) -> bool: ...
    @property
    def steps(self) -> Sequence[Step]: ...
    @property
    def counts(self) -> Sequence[tuple[Operation, int]]: ...
    @property
    def problems(self) -> Sequence[Problem]: ...


class Node(Protocol):
    """A running node."""

    @property
    def settings(self) -> Settings: ...

    @property
    def database(self) -> Database: ...

    @property
    def prober(self) -> Prober: ...

    async def write(self, request: ChangeRequest, actor: Actor) -> WriteResult:
        """Commit, publish, and wait at most two seconds until the dataplane has adopted it."""
        ...

    async def check_history(self, session: Session) -> None:
        """For a write that takes no revision, in its transaction: ForeignHistory (409) under a database that is not the one served from."""
        ...

    async def explain(self, name: str, rtype: str, client: str) -> Mapping[str, Any]:
        """The dataplane's trace of its own answer. Raises DataplaneUnavailable, InvalidInput."""
        ...

    def push_report(self, endpoint_id: str, *, is_up: bool, cause: str) -> bool:
        """What a PUSH endpoint says of itself: it counts at once, and other vantages hear of it. False when it is none."""
        ...

    async def simulate(self, question: Question) -> Mapping[str, Any]:
        """What would be answered if. Raises InvalidInput, NotFound, Busy, DatabaseUnavailable, DataplaneUnavailable."""
        ...

    def overrides(self) -> Sequence[Override]:
        """Every override in force."""
        ...

    def override_of(self, value_id: int) -> Override | None:
        """The override that counts for a value."""
        ...

    async def set_override(self, override: Override, actor: Actor) -> bool:
        """Puts, or with `state` None takes back, an override; in force when it returns. Whether the database has it already."""
        ...

    @property
    def frozen(self) -> str | None:
        """Why health stands still, or None."""
        ...

    async def set_freeze(self, is_on: bool, reason: str, actor: Actor) -> None:
        """Stops all changes by health, or lets them go on. Raises DatabaseUnavailable."""
        ...

    def status(self) -> Mapping[str, Any]:
        """Now, as a JSON object with `problems`, a list of sentences."""
        ...

    def readiness(self) -> tuple[bool, str]:
        """Whether queries are answered as they should be, and why not."""
        ...

    def counters(self) -> Measured:
        """The dataplane's counters, as last heard."""
        ...

    def figures(self) -> Measured:
        """What the node knows, under the sources of `telemetry.NODE_METRICS`."""
        ...
