"""The API over a node that is a real store and nothing else: every write counts as served at once."""

from __future__ import annotations

import asyncio
import io
import json
import re
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped] # ships no types
import pytest
import yarl
from aiohttp import ClientSession

from geodns.api import server
from geodns.api.app import build
from geodns.api.auth import Authenticator, GuessLimiter, Identity, Role
from geodns.api.binding import Binding
from geodns.api.listener import bind
from geodns.api.openapi import describe
from geodns.api.table import ROUTES
from geodns.control.healthtable import Override
from geodns.control.overlay import OverrideKind
from geodns.control.simulation import Question
from geodns.control.writer import WriteResult
from geodns.errors import DatabaseUnavailable, DataplaneUnavailable, GeodnsError
from geodns.prober import Prober
from geodns.settings import ListenAddress, Settings
from geodns.store import changes, migrate
from geodns.store.audit import Actor
from geodns.store.database import Database, Session
from geodns.store.requests import ChangeRequest, WritePolicy

OPENAPI = describe(ROUTES)

ADMIN = "admin-token"
TOKENS = {role: f"token-of-{role.value}" for role in Role}


def explanation(name: str, rtype: str, client: str) -> dict[str, Any]:
    """What a dataplane without zones says (docs/explain.md)."""
    nowhere: dict[str, Any] = {
        **dict.fromkeys(("country", "continent", "asn", "latitude", "longitude")),
        "subdivisions": [],
        "from": dict.fromkeys(("country", "continent", "subdivisions", "asn", "coordinates")),
        "databases": [],
    }
    return {
        "question": {"name": name, "type": rtype},
        "client": {"address": client, "prefix": 32, "seen_as": "sender", "location": nowhere},
        "path": [{"step": "search", "name": name, "zone": None}],
        "answer": {"rcode": "REFUSED", "authoritative": False, "steered": False, "scope": None, "answer": [], "authority": []},
    }


@dataclass
class StoreNode:
    """A node as the API needs it. `applied`, `error` and `is_ready` are what a test makes of it."""

    settings: Settings
    database: Database
    prober: Prober
    applied: bool = True
    error: GeodnsError | None = None
    is_ready: bool = True
    is_away: bool = False
    questions: list[tuple[str, str, str]] = field(default_factory=list)
    simulated: list[Question] = field(default_factory=list)
    actors: list[Actor] = field(default_factory=list)
    words: dict[tuple[OverrideKind, str], Override] = field(default_factory=dict)
    frozen: str | None = None

    async def write(self, request: ChangeRequest, actor: Actor) -> WriteResult:
        if self.is_away:
            raise DatabaseUnavailable("the database is away")
        if self.error is not None:
            raise self.error
        self.actors.append(actor)
        committed = await changes.commit(self.database, request, actor, WritePolicy())
        return WriteResult(committed, self.applied)

    async def check_history(self, session: Session) -> None:
        if self.error is not None:
            raise self.error

    async def explain(self, name: str, rtype: str, client: str) -> Mapping[str, Any]:
        if not self.is_ready:
            raise DataplaneUnavailable("the dataplane does not run")
        self.questions.append((name, rtype, client))
        return explanation(name, rtype, client)

    def push_report(self, endpoint_id: str, *, is_up: bool, cause: str) -> bool:
        return self.prober.report(endpoint_id, is_up=is_up, cause=cause)

    async def simulate(self, question: Question) -> Mapping[str, Any]:
        self.simulated.append(question)
        return {"assumptions": [], "notes": [], "records": []}

    def overrides(self) -> Sequence[Override]:
        return list(self.words.values())

    def override_of(self, value_id: int) -> Override | None:
        return next(iter(self.words.values()), None)

    async def set_override(self, override: Override, actor: Actor) -> bool:
        if override.state is None:
            del self.words[override.kind, override.target]
        else:
            self.words[override.kind, override.target] = override
        return True

    async def set_freeze(self, is_on: bool, reason: str, actor: Actor) -> None:
        self.frozen = reason if is_on else None

    def status(self) -> Mapping[str, Any]:
        return {"problems": [] if self.is_ready else ["not ready"], "dataplane": {"connected": self.is_ready}}

    def readiness(self) -> tuple[bool, str]:
        return self.is_ready, "" if self.is_ready else "the dataplane has adopted nothing"

    def counters(self) -> Mapping[str, Any]:
        return {"queries": {"udp4": 3}}

    def figures(self) -> Mapping[str, Any]:
        return {"ready": int(self.is_ready)}


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; `body` is decoded JSON, or text."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass
class Api:
    """The one door of these tests. `token` None sends none."""

    node: StoreNode
    url: str
    session: ClientSession

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = ADMIN,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """`path` goes out exactly as it stands, after /api/v1 unless it begins with //."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        data: io.BytesIO | None = None if raw is None else io.BytesIO(raw)
        if body is not None:
            data = io.BytesIO(json.dumps(body).encode())
            sent.setdefault("Content-Type", "application/json")
        text = path[1:] if path.startswith("//") else f"/api/v1{path}"
        async with self.session.request(method, yarl.URL(self.url + text, encoded=True), data=data, headers=sent) as response:
            content = await response.text()
            is_json = "json" in response.headers.get("Content-Type", "") and "jsonl" not in response.headers["Content-Type"]
            return Answer(response.status, response.headers, json.loads(content) if is_json and content else content)

    async def check(self, method: str, path: str, body: Any = None, *, status: int = 200, **options: Any) -> Answer:
        """A request that must have this status; an error must be problem details."""
        answer = await self.request(method, path, body, **options)
        assert answer.status == status, answer.body
        if status >= 400 and method != "HEAD":
            check_problem(answer)
        check_described(method, path, answer)
        return answer

    async def make_zone(self, name: str = "example.com") -> None:
        """A zone with two name servers."""
        nameservers = [f"ns1.{name}.", f"ns2.{name}."] if name != "@" else ["a.root.example."]
        await self.check("POST", "/zones", {"name": name, "nameservers": nameservers}, status=201)


def find_operation(method: str, path: str) -> dict[str, Any] | None:
    """The operation of the OpenAPI document that a request is for."""
    text = (path[1:] if path.startswith("//") else f"/api/v1{path}").partition("?")[0]
    for route in ROUTES:
        if route.method == method and re.fullmatch(
            re.sub(r"\{[a-z_]+(:[^}]*)?\}", lambda part: ".+" if part[1] else "[^/]+", route.pattern), text
        ):
            operation: dict[str, Any] = OPENAPI["paths"][route.path][method.lower()]
            return operation
    return None


def check_described(method: str, path: str, answer: Answer) -> None:
    """What was answered is what the OpenAPI document says: the status is named, and the body fits its schema."""
    operation = find_operation(method, path)
    if operation is None:
        assert answer.status in (404, 405) or method == "HEAD"
        return
    responses = operation["responses"]
    assert str(answer.status) in responses, f"{method} {path} answers {answer.status}, which is not described"
    content = responses[str(answer.status)].get("content", {})
    media_type = answer.headers.get("Content-Type", "").partition(";")[0]
    if content:
        assert media_type in content
        schema = content[media_type]["schema"]
        jsonschema.Draft202012Validator({**schema, "components": OPENAPI["components"]}).validate(answer.body)


def check_problem(answer: Answer) -> None:
    """RFC 9457, with our members, and nothing of our inside."""
    assert answer.headers["Content-Type"].startswith("application/problem+json"), answer.headers
    assert answer.body["status"] == answer.status
    assert answer.body["type"].startswith("urn:geodns:problem:")
    assert answer.body["title"]
    assert answer.body["detail"]
    assert answer.headers["X-Request-ID"] == answer.body["request_id"]
    text = json.dumps(answer.body)
    for leak in ("Traceback", "sqlalchemy", "pydantic", ".py", "errors.pydantic"):
        assert leak not in text


async def look_up(token: str) -> Identity | None:
    """The tokens of these tests."""
    return next((Identity(f"the {role.value}", role) for role, known in TOKENS.items() if known == token), None)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with the schema and nothing else; migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("template") / "geodns.db"
    asyncio.run(migrate.upgrade(f"sqlite:///{path}"))
    return path


@pytest.fixture
async def node(tmp_path: Path, empty_database: Path) -> AsyncIterator[StoreNode]:
    """A node with an empty SQLite store."""
    settings = Settings.load(environ={"GEODNS_STATE_DIRECTORY": str(tmp_path), "GEODNS_PROBER_ALLOW_LOOPBACK": "true"})
    shutil.copy(empty_database, tmp_path / "geodns.db")
    database = await Database.open(settings.database.url)
    yield StoreNode(settings, database, Prober("test", lambda entries: None))
    await database.close()


@pytest.fixture
async def api(node: StoreNode) -> AsyncIterator[Api]:
    """The API of that node on loopback."""
    authenticator = Authenticator(ADMIN, look_up, GuessLimiter(lambda: 0.0))
    listener = bind("api.listen", ListenAddress("127.0.0.1", 0))
    app = build(ROUTES, Binding(node, authenticator))
    async with server.serve(app, listener) as url, ClientSession() as session:
        yield Api(node, url, session)
