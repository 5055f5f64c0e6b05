"""What would be answered if: gathers records and health of both sides of a question, and has the dataplane's own binary work it out.

The binary runs as a process of its own for each question (`geodns-dataplane simulate`), bounded in time, memory and priority: no question
can slow, grow or wedge the process that answers packets. The side *after* is made by the code that writes make: the record is judged by the
model, and the assumptions are laid over health by the overlay that lays overrides. Nothing is written anywhere.
"""

from __future__ import annotations

import asyncio
import enum
import json
import secrets
import struct
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from geodns.control.binary import find_binary
from geodns.control.health import HealthFlow
from geodns.control.operator import OperatorDesk
from geodns.control.overlay import OverrideKind, Place, Word
from geodns.control.source import pack_steered
from geodns.control.statedir import StateDirectory
from geodns.control.targets import Watched, watch
from geodns.errors import Busy, DataplaneUnavailable, InvalidInput, NotFound, Problem, errors_in
from geodns.model import names, rdata
from geodns.model import zones as zone_rules
from geodns.model.findings import Policy
from geodns.model.names import Name
from geodns.model.record import Rrset
from geodns.model.records import parse_record
from geodns.model.steering import Network
from geodns.prober import Prober, Verdict
from geodns.publish import items
from geodns.publish.frames import HealthEntry, Operator
from geodns.store import lists, records, zones
from geodns.store.database import Database, Session
from geodns.store.encoding import own_value_text
from geodns.store.records import StateRow, StoredSteered
from geodns.store.rows import rrset_of
from geodns.store.value_ids import values_of

log = structlog.get_logger(__name__)

# Two, so that a long question does not keep a short one waiting; each is one thread at the lowest priority.
RUNNING = 2
# Questions that wait their turn; whoever asks more is told to come back.
WAITING = 8
# The binary bounds its own processor time at 120 s; this is for a machine so busy that it does not get it.
ANSWER_S = 150.0
# Of the document. A thousand sites in 250 countries are far below.
MAX_DOCUMENT = 64 * 1024 * 1024
# Records that one question is about at most; the others are counted and named in a note.
MAX_RECORDS = 500
# Ids of values that only the changed record has: from the top, where the store will not be for years.
FIRST_SPARE_ID = (1 << 32) - 1

_LENGTH = struct.Struct(">I")


class Assumed(enum.Enum):
    """What is assumed of a target: an override's word, or that its checks fail."""

    UP = "up"
    DOWN = "down"
    DRAIN = "drain"
    FAIL = "fail"


OPERATORS = {Assumed.UP: Operator.UP, Assumed.DOWN: Operator.DOWN, Assumed.DRAIN: Operator.DRAIN}

Target = tuple[OverrideKind, str]


@dataclass(frozen=True, slots=True)
class Databases:
    """The population: all networks of the location databases by size; `ipv6_share` of all clients are those of IPv6."""

    ipv6_share: float = 0.5

    def to_order(self) -> dict[str, Any]:
        return {"databases": {"ipv6_share": self.ipv6_share}}


@dataclass(frozen=True, slots=True)
class Prefixes:
    """The population: prefixes with weights."""

    weights: tuple[tuple[Network, float], ...]

    def to_order(self) -> dict[str, Any]:
        return {"prefixes": [(str(network), weight) for network, weight in self.weights]}


@dataclass(frozen=True, slots=True)
class Question:
    """What if. Without `name` it is about every steered record that an assumption names; with `record`, that stands at `name` afterwards.

    `rtype` None means every steered type at `name`, or the record's own. `assumptions` by target; `seed` of whatever is drawn.
    """

    name: Name | None
    rtype: int | None = None
    record: object | None = None
    assumptions: Mapping[Target, Assumed] = field(default_factory=dict)
    population: Databases | Prefixes = Databases()
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class _Sides:
    """The records that a question is about: as items, and as health sees them."""

    before: list[bytes]
    after: list[bytes]
    watched: list[Watched]
    changed: Watched | None
    lists: frozenset[str]
    left_out: int
    warnings: list[Problem]


class Simulator:
    """Answers questions, a few at a time."""

    def __init__(
        self,
        database: Database,
        flow: HealthFlow,
        prober: Prober,
        desk: OperatorDesk,
        directory: StateDirectory,
        policy: Policy,
        configuration: Mapping[str, Any],
    ) -> None:
        """`configuration` holds the keys of CONFIG that decide anything: the location databases."""
        self._database = database
        self._flow = flow
        self._prober = prober
        self._desk = desk
        self._directory = directory
        self._policy = policy
        self._configuration = dict(configuration)
        self._running = asyncio.Semaphore(RUNNING)
        self._present = 0

    async def run(self, question: Question) -> dict[str, Any]:
        """The document of docs/simulate.md.

        Raises InvalidInput, NotFound, Busy, DatabaseUnavailable, and DataplaneUnavailable when the binary fails.
        """
        async with self._turn():
            async with self._database.read() as session:
                sides = await self._gather(session, question)
                list_items = await _read_lists(session, sides.lists)
            now = datetime.now(UTC)
            served = self._flow.overlay.suppose((place for each in sides.watched for place in each.places), {}, (), now)
            supposed, assumptions = self._assume(question, sides, now)
            seed = secrets.randbits(63) if question.seed is None else question.seed
            head = {"config": self._configuration, "population": question.population.to_order(), "seed": seed}
            sections = (
                await asyncio.to_thread(lambda: json.dumps(head).encode()),
                b"".join((*list_items, *sides.before)),
                b"".join(sides.after),
                _pack_health(served),
                _pack_health(supposed),
            )
            document = await self._ask(b"".join(_LENGTH.pack(len(section)) + section for section in sections))
        return {
            "assumptions": assumptions,
            "changed": question.record is not None,
            "notes": self._note(sides, assumptions),
            "seed": seed,
            **document,
            "records_left_out": sides.left_out,
        }

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._present >= RUNNING + WAITING:
            raise Busy("too many simulations are under way", hint="try again in a minute")
        self._present += 1
        try:
            async with self._running:
                yield
        finally:
            self._present -= 1

    # ---- both sides ----

    async def _gather(self, session: Session, question: Question) -> _Sides:
        if question.name is None:
            return await self._gather_named(session, question)
        enclosing = await zones.find_enclosing(session, [question.name])
        if question.name not in enclosing:
            raise NotFound(f"{names.zone_text(question.name)} lies in none of our zones")
        apex = enclosing[question.name]
        steered = await records.steered_at(session, [(apex, question.name)])
        rtype = question.rtype
        changed: Rrset | None = None
        warnings: list[Problem] = []
        if question.record is not None:
            changed, warnings = await self._judge(session, apex, question)
            rtype = changed.rtype
        wanted = [stored for stored in steered if rtype is None or stored.rrset.rtype == rtype]
        before = [_as_item(stored) for stored in wanted]
        if not wanted:
            rows = [row for row in await records.owner_rrsets(session, apex, question.name) if row.rtype == rtype]
            if not rows and changed is None:
                what = "steered record" if rtype is None else f"{rdata.rtype_to_text(rtype)} record"
                raise NotFound(f"there is no {what} {names.zone_text(question.name)}", hint="a name below a wildcard is simulated as that")
            before = [_row_item(row) for row in rows]
        after, watched = ([], None) if changed is None else _compile(apex, changed, wanted)
        return _Sides(
            before,
            after,
            [watch(stored) for stored in wanted],
            watched,
            frozenset(_lists_of(stored.rrset for stored in wanted)) | frozenset(_lists_of([] if changed is None else [changed])),
            0,
            warnings,
        )

    async def _gather_named(self, session: Session, question: Question) -> _Sides:
        """Every steered record that the assumptions name."""
        if not question.assumptions:
            sentence = "there is nothing to simulate: name a record, or assume something of a value, pool, record or site"
            raise InvalidInput([Problem("", "nothing-assumed", sentence)], sentence)
        # A hundred thousand values take a third of a second, which checks on this loop must not wait for.
        places = await asyncio.to_thread(self._flow.overlay.places_named, question.assumptions.keys())
        named = dict.fromkeys(place.record for place in places)
        if not named:
            sentence = "no steered record has what is assumed something of"
            raise InvalidInput([Problem("/assume", "names-nothing", sentence)], sentence)
        chosen = set(sorted(named)[:MAX_RECORDS])
        owners = {names.parse_name(record.rpartition("/")[0], None) for record in chosen}
        enclosing = await zones.find_enclosing(session, owners)
        found = await records.steered_at(session, sorted((apex, owner) for owner, apex in enclosing.items()))
        both = [(stored, watch(stored)) for stored in found]
        # An owner has records of other types too, which nothing is assumed of or which are left out.
        both = [(stored, watched) for stored, watched in both if watched.key[1] in chosen]
        lists_of = frozenset(_lists_of(stored.rrset for stored, _ in both))
        before = [_as_item(stored) for stored, _ in both]
        return _Sides(before, [], [watched for _, watched in both], None, lists_of, len(named) - len(chosen), [])

    async def _judge(self, session: Session, apex: Name, question: Question) -> tuple[Rrset, list[Problem]]:
        """The changed record as a write would take it, and its warnings. Raises InvalidInput with every problem."""
        zone = await zones.get_zone(session, apex)
        owner = question.name
        assert owner is not None, "a record is simulated at a name"  # noqa: S101 # for the type checker
        named = None if question.rtype is None else rdata.rtype_to_text(question.rtype)
        parsed = parse_record(apex, owner, question.record, rtype=named, default_ttl=zone.default_ttl, policy=self._policy)
        problems = [problem.below("/record") for problem in parsed.problems]
        if parsed.rrset is not None:
            others = [row for row in await records.owner_rrsets(session, apex, owner) if row.rtype not in (parsed.rrset.rtype, rdata.SOA)]
            end = [*(rrset_of(row.owner, row.rtype, row.ttl, row.body, None, None) for row in others), parsed.rrset]
            problems += [replace(problem, pointer="/record") for problem in zone_rules.check_owner(apex, owner, end)]
            problems += await lists.warn_of_unknown(session, dict.fromkeys(_lists_of([parsed.rrset]), owner))
        if parsed.rrset is None or errors_in(problems):
            raise InvalidInput(problems)
        return parsed.rrset, problems

    # ---- health ----

    def _assume(self, question: Question, sides: _Sides, now: datetime) -> tuple[dict[int, HealthEntry], list[dict[str, Any]]]:
        """Health as it would be, and what each assumption is about."""
        watched = [each for each in sides.watched if sides.changed is None or each.key != sides.changed.key]
        watched += [] if sides.changed is None else [sides.changed]
        places = [place for each in watched for place in each.places]
        checked = {target.value_id for each in watched for target in each.targets}
        fails = {target for target, assumed in question.assumptions.items() if assumed is Assumed.FAIL}
        failing = {place.value_id for place in places if place.value_id in checked and not fails.isdisjoint(place.targets())}
        words = {target: Word(OPERATORS[assumed]) for target, assumed in question.assumptions.items() if assumed in OPERATORS}
        supposed = self._flow.overlay.suppose(places, words, failing | self._already_down(sides), now)
        about: dict[Target, list[Place]] = {target: [] for target in question.assumptions}
        for place in places:
            for target in place.targets():
                if target in about:
                    about[target].append(place)
        described = []
        for (kind, text), assumed in question.assumptions.items():
            pool_values = [place for place in about[kind, text] if place.pool]
            described.append(
                {
                    "target": f"{kind.value}/{text}",
                    "state": assumed.value,
                    "values": len(about[kind, text]),
                    "unchecked": sum(place.value_id not in checked for place in pool_values) if assumed is Assumed.FAIL else 0,
                }
            )
        return supposed, described

    def _already_down(self, sides: _Sides) -> set[int]:
        """Values new in the changed record whose check runs already and finds them down."""
        if sides.changed is None:
            return set()
        known = {place.value_id for each in sides.watched for place in each.places}
        down = set()
        for target in sides.changed.targets:
            report = None if target.check is None or target.value_id in known else self._prober.endpoint(target.check.endpoint_id)
            if report is not None and report.state.verdict is Verdict.DOWN:
                down.add(target.value_id)
        return down

    def _note(self, sides: _Sides, assumptions: Sequence[Mapping[str, Any]]) -> list[str]:
        """What a reader must know beside the figures."""
        notes = [problem.message for problem in sides.warnings]
        unnamed = [each["target"] for each in assumptions if not each["values"]]
        if unnamed:
            notes.append(f"nothing here has {', '.join(unnamed[:5])}" + (f" and {len(unnamed) - 5} more" if len(unnamed) > 5 else ""))
        if any(each["unchecked"] for each in assumptions):
            notes.append("some values that are assumed to fail are not checked: they would be answered on, and so they are here")
        if self._desk.frozen is not None and any(each["state"] == Assumed.FAIL.value for each in assumptions):
            notes.append(f"health is frozen ({self._desk.frozen}): as long as it is, nothing that fails changes an answer")
        if sides.left_out:
            notes.append(f"{sides.left_out} more records have what is assumed something of; name one to see it")
        return notes

    # ---- the process ----

    async def _ask(self, order: bytes) -> dict[str, Any]:
        """One order, one document. Raises InvalidInput with the engine's own sentence."""
        command = [str(find_binary()), "simulate", "--state", str(self._directory.dataplane)]
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, cwd="/")
        except OSError as error:
            raise DataplaneUnavailable(f"a simulation cannot be started: {error.strerror}") from error
        try:
            async with asyncio.timeout(ANSWER_S):
                document, complaint = await _converse(process, order)
                code = await process.wait()
        except TimeoutError:
            raise DataplaneUnavailable(f"the simulation took longer than {ANSWER_S:.0f} s and was ended") from None
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if code != 0 or not document:
            log.error("a simulation failed", code=code, said=complaint.decode(errors="replace")[-500:])
            raise DataplaneUnavailable("the simulation ended before its answer", hint="it is bounded in memory and time: ask about less")
        answer: dict[str, Any] = await asyncio.to_thread(json.loads, document)
        if isinstance(answer.get("error"), str):
            raise InvalidInput([Problem("", "not-simulated", answer["error"])], answer["error"])
        return answer


async def _converse(process: asyncio.subprocess.Process, order: bytes) -> tuple[bytes, bytes]:
    """Writes the order and reads both outputs to their ends, none longer than `MAX_DOCUMENT`."""
    streams = process.stdin, process.stdout, process.stderr
    assert all(stream is not None for stream in streams)  # noqa: S101 # for the type checker
    stdin, stdout, stderr = streams
    assert stdin is not None and stdout is not None and stderr is not None  # noqa: S101, PT018 # as above

    async def write() -> None:
        # A process that has already ended says on its other pipes why.
        with suppress(ConnectionError):
            stdin.write(order)
            await stdin.drain()
            stdin.close()
            await stdin.wait_closed()

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        document = group.create_task(_read(stdout))
        complaint = group.create_task(_read(stderr))
    return document.result(), complaint.result()


async def _read(stream: asyncio.StreamReader) -> bytes:
    """To the end; what is past the limit is left out, which no reader of JSON takes for whole."""
    parts: list[bytes] = []
    size = 0
    while part := await stream.read(1 << 16):
        size += len(part)
        if size <= MAX_DOCUMENT:
            parts.append(part)
    return b"".join(parts)


async def _read_lists(session: Session, wanted: Iterable[str]) -> list[bytes]:
    """The CIDR lists of that name that there are, as items."""
    found = [await records.find_list(session, name) for name in sorted(wanted)]
    return [items.list_item(each.name, each.prefixes) for each in found if each is not None]


def _lists_of(rrsets: Iterable[Rrset]) -> set[str]:
    return {name for rrset in rrsets if rrset.steering is not None for rule in rrset.steering.rules for name in rule.lists}


def _as_item(stored: StoredSteered) -> bytes:
    packed = pack_steered(stored)
    return items.owner_item(names.wire_of(stored.zone), names.wire_of(stored.rrset.owner), [] if packed is None else [packed])


def _row_item(row: StateRow) -> bytes:
    return items.owner_item(row.apex, row.owner, [items.packed_rrset(row.rtype, row.ttl, row.body)])


def _compile(apex: Name, changed: Rrset, before: Collection[StoredSteered]) -> tuple[list[bytes], Watched | None]:
    """The changed record as an item and as health sees it. A value that stays keeps its id, and with it what is known of it."""
    if changed.steering is None:
        packed = items.static_rrset(changed.rtype, changed.ttl, changed.rdatas)
        return [items.owner_item(names.wire_of(apex), names.wire_of(changed.owner), [packed])], None
    ids = {key: value_id for stored in before for key, value_id in stored.value_ids.items()}
    new = sorted(key for key in values_of(changed) if key not in ids)
    ids |= {key: FIRST_SPARE_ID - number for number, key in enumerate(new)}
    own = tuple(ids["", own_value_text(changed.rtype, wire)] for wire in changed.rdatas)
    stored = StoredSteered(apex, changed, ids, own, revision=0)
    return [_as_item(stored)], watch(stored)


def _pack_health(entries: Mapping[int, HealthEntry]) -> bytes:
    return b"".join(entry.to_bytes(value_id) for value_id, entry in entries.items())
