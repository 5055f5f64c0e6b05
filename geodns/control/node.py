"""The running node: ties store, publisher, prober and dataplane together, and is what the API and the command line talk to.

Order of a start: lock and dataplane (`ground.py`; it answers from its disk at once), and only then the node with the database, so that DNS
never waits for it. Order of an end: whoever uses the node (the API) first, then the loops, the dataplane last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import structlog

from geodns.control import effects, healthtable, privileges
from geodns.control.configuration import Configuration, describe_access
from geodns.control.follower import Follower
from geodns.control.geo import GeoWatcher
from geodns.control.ground import Ground
from geodns.control.health import HealthFlow
from geodns.control.healthtable import Override
from geodns.control.housekeeping import Housekeeper
from geodns.control.keeper import DatabaseKeeper
from geodns.control.loops import keep_running
from geodns.control.operator import OperatorDesk
from geodns.control.publisher import Publisher
from geodns.control.recorder import HealthRecorder
from geodns.control.simulation import Question, Simulator
from geodns.control.spool import Spool
from geodns.control.status import Figures, Report
from geodns.control.supervisor import Ending
from geodns.control.vantages import Vantages
from geodns.control.writer import Writer, WriteResult
from geodns.control.zonefiles import ZoneFiles
from geodns.errors import DataplaneUnavailable, GeodnsError, InvalidInput, Problem
from geodns.model import names
from geodns.model.findings import Policy
from geodns.prober import AddressPolicy, Brake, CheckState, Collaborators, EndpointReport, Prober, Transition
from geodns.prober.target import HealthEntry
from geodns.publish import frames
from geodns.publish.client import LinkClient
from geodns.settings import Settings
from geodns.store.audit import Actor
from geodns.store.database import Database, Session
from geodns.store.requests import ChangeRequest, WritePolicy
from geodns.store.retention import Retention

log = structlog.get_logger(__name__)

# A check may serve thousands of records; the story of a transition is for people.
MAX_EFFECTS = 50


class Node:
    """`async with Ground(settings) as ground, Node(settings, ground) as node:` is a running node.

    Raises StartupError on the way in; nothing is left behind then.
    """

    database: Database
    prober: Prober

    def __init__(self, settings: Settings, ground: Ground) -> None:
        self.settings = settings
        self.directory = ground.directory
        self.supervisor = ground.supervisor
        self._ground = ground
        self._stack = AsyncExitStack()

    # ---- life ----

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ground.ending = _judge_end(error)
        self.expect_end()
        await self._stack.aclose()

    async def _start(self) -> None:
        settings, directory = self.settings, self.directory
        self.database = await Database.open(settings.database.url)
        self._stack.push_async_callback(self.database.close)
        self._make_parts(await asyncio.to_thread(Spool.open, directory.spool))
        self.supervisor.tell(self._attached)
        privileges.drop_to(settings.user, directory.path)
        await self.geo.look()
        await self.desk.restore()
        group = await self._stack.enter_async_context(asyncio.TaskGroup())
        tasks = [group.create_task(keep_running(name, run)) for name, run in self._loops()]
        self._stack.callback(_cancel, tasks)

    def expect_end(self) -> None:
        """The node is about to stop: a dataplane that ends from now on (Ctrl-C reaches it too) is not started again."""
        self.supervisor.expect_end()

    def reload(self) -> None:
        """SIGHUP: zone files in mirror mode and location files are read again."""
        log.info("reading zone files and location files again")
        self.geo.look_again()
        if self.files is not None:
            self.files.look_again()

    def _make_parts(self, spool: Spool) -> None:
        """Everything there is, wired; nothing runs yet."""
        settings, directory = self.settings, self.directory
        vantage = settings.node.name
        policy = Policy(allow_loopback=settings.prober.allow_loopback, denied=settings.prober.denied)
        nameservers = tuple(names.parse_name(name, None) for name in settings.zones.nameservers)
        self.keeper = DatabaseKeeper(
            self.database, settings.database.url, migrate_allowed=settings.database.migrate, has_state=self._has_state
        )
        self.publisher = Publisher(self.database, lambda: self.supervisor.link)
        self.keeper.check_history = self.publisher.check_history
        self.keeper.is_same_history = self.publisher.is_same_history
        self.writer = Writer(self.keeper, self.publisher, WritePolicy(policy, nameservers))
        self.recorder = HealthRecorder(self.keeper, spool, vantage)
        self.flow = HealthFlow(lambda: self.supervisor.link, lambda: self.prober.vector())
        brake = Brake(settings.health.brake_record, settings.health.brake_total)
        self.prober = Prober(
            vantage,
            self.flow.verdicts_changed,
            Collaborators(recorder=self.recorder, policy=_address_policy(settings), brake=brake),
        )
        self.prober.set_sentinels(settings.health.sentinel_checks)
        self.desk = OperatorDesk(self.keeper, self.recorder, self.flow, self.prober, settings.health.alone)
        self.vantages = Vantages(self.keeper, self.prober, vantage)
        self.follower = Follower(self.keeper, self.prober, self.flow, before=self._state_before, served=lambda: self.publisher.served)
        self.recorder.describe_effects = self._describe_effects
        self.publisher.head_changed = self.follower.head_changed
        self.publisher.lineage_changed = self.flow.send_whole
        access = describe_access(settings)
        self.configuration = Configuration(settings.geo.databases, vantage, directory.cookie_secrets, access=access)
        self.geo = GeoWatcher(settings.geo.databases, self._offer_configuration)
        geo_databases = {"geo_databases": [str(path) for path in settings.geo.databases]}
        self.simulator = Simulator(self.database, self.flow, self.prober, self.desk, directory, policy, geo_databases)
        remembered = Retention(timedelta(days=settings.retention.health_days), timedelta(days=settings.retention.audit_days))
        self.housekeeper = Housekeeper(self.keeper, remembered, self._secrets_read)
        self.files: ZoneFiles | None = None
        if settings.zones.directory is not None:
            self.files = ZoneFiles(settings.zones.directory, policy, self.keeper, self.writer.commit, vantage)
        else:
            self.publisher.gate.set()
        self.report = Report(
            settings,
            self.supervisor,
            self.keeper,
            self.publisher,
            self.prober,
            self.recorder,
            self.desk,
            self.follower,
            self.geo,
            self.files,
            self.housekeeper,
        )

    def _loops(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        """Every background task. The dataplane's keeper and the database's come first: all others wait for what they bring."""
        files = self.files
        loops: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("dataplane", self.supervisor.run),
            ("database", self.keeper.run),
            ("publisher", self.publisher.run),
            ("follower", self.follower.run),
            ("prober", self._probe),
            ("health", self.flow.run),
            ("recorder", self.recorder.run),
            ("operator", self.desk.run),
            ("vantages", self.vantages.run),
            ("housekeeping", self.housekeeper.run),
            ("geo", self.geo.run),
        ]
        if files is not None:
            loops.append(("zone files", lambda: files.run(self.settings.zones.mode, self.publisher.gate, self.publisher.has_served)))
        return loops

    async def _probe(self) -> None:
        """Checks, and at the end what was not written yet."""
        try:
            await self.prober.run()
        finally:
            await self.recorder.flush()

    # ---- what the parts tell each other ----

    def _attached(self, link: LinkClient) -> None:
        """A new link: configuration, health, and whatever revision is missing."""
        self._offer_configuration()
        self.flow.attached(link)
        self.publisher.attached(link)

    def _offer_configuration(self) -> None:
        self.configuration.offer(self.supervisor.link, self.geo.generation)

    def _secrets_read(self, secrets: Sequence[bytes]) -> None:
        self.configuration.put_secrets(secrets)
        self._offer_configuration()

    def _has_state(self) -> bool:
        """Whether the dataplane serves, or keeps, a state: then no new database may take its place."""
        return self.publisher.served is not None or self.directory.holds_dataplane_state()

    async def _state_before(self, session: Session) -> tuple[list[CheckState], Mapping[int, HealthEntry]]:
        """What was believed before this process: the table's rows, overlaid by the spool's, and what the dataplane has in force."""
        states = {state.endpoint_id: state for state in await healthtable.load_states(session, self.settings.node.name)}
        states |= await asyncio.to_thread(self.recorder.spooled_states)
        served: Mapping[int, HealthEntry] = {}
        link = self.supervisor.link
        if link is not None:
            with suppress(DataplaneUnavailable):
                served = {value_id: _as_verdict(entry) for value_id, entry in (await link.health_reported()).items()}
        return list(states.values()), served

    def _describe_effects(self, transition: Transition) -> list[dict[str, Any]]:
        """Which answers a transition changed, record by record; the vector has gone out when this is asked."""
        found: list[dict[str, Any]] = []
        for zone, record in dict.fromkeys((target.zone, target.record) for target in transition.values):
            chain = self.follower.chain((zone, record))
            if chain is not None:
                found += effects.find_changes(record, chain, self.flow.in_force_before, self.flow.in_force)
            if len(found) >= MAX_EFFECTS:
                break
        return found[:MAX_EFFECTS]

    # ---- what the API and the command line ask ----

    async def write(self, request: ChangeRequest, actor: Actor) -> WriteResult:
        """Commit, publish every revision up to this one, wait at most two seconds for its adoption. Raises what the store raises,
        ForeignHistory (409), DatabaseUnavailable and SchemaTooNew (503)."""
        return await self.writer.write(request, actor)

    async def check_history(self, session: Session) -> None:
        """Raises ForeignHistory when the session's database is not the history that is served; for writes that take no revision."""
        await self.keeper.check_history(session)

    async def explain(self, name: str, rtype: str, client: str) -> dict[str, Any]:
        """The dataplane's trace of its own answer. Raises DataplaneUnavailable, and InvalidInput with the dataplane's own sentence."""
        link = self.supervisor.link
        if link is None:
            raise DataplaneUnavailable("the dataplane is not linked", hint="geodns status says why")
        document = await link.explain({"name": name, "type": rtype, "client": client})
        if isinstance(document.get("error"), str):
            raise InvalidInput([Problem("", "not-explained", document["error"])], document["error"])
        return document

    async def simulate(self, question: Question) -> dict[str, Any]:
        """What would be answered if. Raises what `Simulator.run` does."""
        return await self.simulator.run(question)

    def endpoints(self) -> list[EndpointReport]:
        """Every check with its story."""
        return self.prober.endpoints()

    def endpoint(self, endpoint_id: str) -> EndpointReport | None:
        """One check."""
        return self.prober.endpoint(endpoint_id)

    def push_report(self, endpoint_id: str, *, is_up: bool, cause: str) -> bool:
        """What a PUSH endpoint says of itself: it counts here at once, and is told to the other vantages. False when it is none."""
        if not self.prober.report(endpoint_id, is_up=is_up, cause=cause):
            return False
        self.vantages.report(endpoint_id, is_up=is_up, cause=cause)
        return True

    def overrides(self) -> list[Override]:
        """Every override in force."""
        return self.desk.in_force(datetime.now(UTC))

    def override_of(self, value_id: int) -> Override | None:
        """The override that counts for a value."""
        return self.desk.override_of(value_id)

    async def set_override(self, override: Override, actor: Actor) -> bool:
        """Puts or takes back an override, in force on this node when it returns; whether the database has it already."""
        return await self.desk.set_override(override, actor)

    async def set_freeze(self, is_on: bool, reason: str, actor: Actor) -> None:
        """Stops all changes by health, or lets them go on."""
        await self.desk.set_freeze(is_on, reason, actor)

    @property
    def frozen(self) -> str | None:
        """Why health stands still, or None."""
        return self.desk.frozen

    def status(self) -> dict[str, Any]:
        """Now, as a JSON object with `problems`, a list of sentences."""
        return self.report.status()

    def readiness(self) -> tuple[bool, str]:
        """Whether queries are answered as they should be, and why not."""
        return self.report.readiness()

    def counters(self) -> Figures:
        """The dataplane's counters, as last heard."""
        return self.report.counters()

    def figures(self) -> Figures:
        """What the node knows, for metrics."""
        return self.report.figures()


def _address_policy(settings: Settings) -> AddressPolicy:
    """Our own API is nobody's target: a check comes from an address that its listener may trust."""
    listeners = [(address.host, address.port) for address in (settings.api.listen, settings.metrics.listen) if address is not None]
    return AddressPolicy(settings.prober.allow_loopback, settings.prober.denied, listeners)


def _judge_end(error: BaseException | None) -> Ending:
    """
    | the block ended by | of the dataplane ends |
    |---|---|
    | nothing, Ctrl-C | everything |
    | one of our own errors: the API could not start | what this process started |
    | a defect | nothing |
    """
    if error is None or isinstance(error, KeyboardInterrupt | asyncio.CancelledError):
        return Ending.EVERYTHING
    return Ending.WHAT_WE_STARTED if isinstance(error, GeodnsError) else Ending.NOTHING


def _as_verdict(entry: frames.HealthEntry) -> HealthEntry:
    return HealthEntry(entry.down, max(1, entry.factor), entry.ttl_bound_s, entry.since_ms)


def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
