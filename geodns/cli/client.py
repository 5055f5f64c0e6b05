"""The API as the CLI uses it: one request at a time, errors turned back into the exceptions that they were on the other side.

Where it is and with which token comes from the flags, else from the same settings that `geodns serve` reads, else from the token file.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import urllib.parse
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import aiohttp
import yarl

from geodns.api.auth import read_token_file
from geodns.api.problems import STATUSES
from geodns.cli.exits import Unreachable
from geodns.errors import GeodnsError, InvalidInput, Problem, Severity, Unauthorized
from geodns.settings import ListenAddress, Settings

CONNECT_S = 5.0
"""The API is on this machine or in this network."""

ANSWER_S = 900.0
"""The import of a million rrsets on a busy machine; everything else is answered within three seconds."""

READ_SIZE = 64 * 1024

_BY_KIND: dict[str, type[GeodnsError]] = {kind: error for error, _, kind in STATUSES}


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply that was not an error."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            raise Unreachable("what answers there is not the geodns API", hint="check --url") from None


@dataclass(frozen=True, slots=True)
class Client:
    """One API. `session` ends with the block that `open_client` is."""

    url: str
    token: str
    session: aiohttp.ClientSession = field(repr=False)
    tls: ssl.SSLContext | bool = True

    async def request(
        self,
        method: str,
        *path: str,
        query: Mapping[str, str | None] | None = None,
        body: Any = None,
        raw: tuple[str, bytes | Callable[[], AsyncIterator[bytes]]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """`path` are the parts after /api/v1, percent-encoded here; `raw` is media type and bytes. Raises what the API answered."""
        parts = "".join("/" + urllib.parse.quote(part, safe="") for part in path)
        given = {key: value for key, value in (query or {}).items() if value is not None}
        text = f"{self.url}/api/v1{parts}" + (f"?{urllib.parse.urlencode(given)}" if given else "")
        sent = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        data: Any = None
        if raw is not None:
            sent["Content-Type"], content = raw
            data = content() if callable(content) else content
        elif body is not None:
            sent["Content-Type"] = "application/json"
            data = json.dumps(body, ensure_ascii=False).encode()
        try:
            async with self.session.request(method, yarl.URL(text, encoded=True), data=data, headers=sent, ssl=self.tls) as response:
                answer = Answer(response.status, dict(response.headers), await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unreachable(
                f"the API at {self.url} does not answer: {_reason(error)}", hint="is `geodns serve` running? --url says where"
            ) from None
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise rebuild_error(answer)
        return answer

    async def get(self, *path: str, query: Mapping[str, str | None] | None = None) -> Any:
        return (await self.request("GET", *path, query=query)).json()

    async def get_all(self, *path: str, query: Mapping[str, str | None] | None = None) -> list[Any]:
        """Every item of a list, page after page."""
        items: list[Any] = []
        cursor: str | None = None
        while True:
            page = await self.get(*path, query={**(query or {}), "limit": "1000", "cursor": cursor})
            items += page["items"]
            cursor = page["next"]
            if cursor is None:
                return items


def rebuild_error(answer: Answer) -> GeodnsError:
    """The exception that became this reply (RFC 9457), so that the CLI has one way to show errors."""
    try:
        body = json.loads(answer.body)
        kind = str(body["type"]).rpartition(":")[2]
        detail = str(body["detail"])
    except (ValueError, KeyError, TypeError):
        return Unreachable(f"what answers there is not the geodns API: status {answer.status}", hint="check --url")
    hint = body.get("hint")
    if kind == "invalid-input":
        problems = [
            Problem(
                str(problem["pointer"]), str(problem["code"]), str(problem["message"]), Severity(problem["severity"]), problem.get("source")
            )
            for problem in body.get("errors", [])
        ]
        return InvalidInput(problems, detail, hint=hint)
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return Unauthorized(detail, hint="--token, GEODNS_API_TOKEN, or the token file of the state directory")
    if kind in _BY_KIND:
        return _BY_KIND[kind](detail, hint=hint)
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return GeodnsError(f"{detail} (request {body.get('request_id')})", hint=hint)
    return GeodnsError(detail, hint=hint)


@dataclass(frozen=True, slots=True)
class Target:
    """Where the API is. `url` and `token` None mean: as the settings say."""

    url: str | None = None
    token: str | None = None

    @asynccontextmanager
    async def open(self, settings: Settings) -> AsyncIterator[Client]:
        """A client for the time of a block. Raises Unauthorized when no token can be found."""
        token = self.token or find_token(settings)
        timeout = aiohttp.ClientTimeout(total=ANSWER_S, connect=CONNECT_S)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
            yield Client(self.url.rstrip("/") if self.url else local_url(settings), token, session, self._trust(settings))

    def _trust(self, settings: Settings) -> ssl.SSLContext | bool:
        """On our own listener the configured certificate is the one to expect, whatever name it bears."""
        if self.url is not None or settings.api.tls_certificate is None:
            return True
        try:
            context = ssl.create_default_context(cafile=settings.api.tls_certificate)
        except OSError as error:
            raise Unreachable(f"api.tls_certificate: {settings.api.tls_certificate} cannot be read: {error.strerror}") from None
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context


def local_url(settings: Settings) -> str:
    """The listener of this machine's `geodns serve`; a wildcard address is reached over loopback."""
    listen = settings.api.listen
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)  # noqa: S104 # compared, not bound
    scheme = "https" if settings.api.tls_certificate else "http"
    return f"{scheme}://{ListenAddress(host, listen.port)}"


def find_token(settings: Settings) -> str:
    """GEODNS_API_TOKEN or `api.token`, else the token file."""
    if settings.api.token is not None:
        return settings.api.token.get_secret_value()
    try:
        token = read_token_file(settings.token_file)
    except OSError as error:
        raise Unauthorized(
            f"the token file {settings.token_file} cannot be read: {error.strerror}", hint="run as its owner, or give --token"
        ) from None
    if token is None:
        raise Unauthorized(f"there is no token: {settings.token_file} does not exist", hint="give --token, or set GEODNS_API_TOKEN")
    return token


def _reason(error: Exception) -> str:
    if isinstance(error, asyncio.TimeoutError):
        return "no answer in time"
    number = getattr(getattr(error, "os_error", error), "errno", None)
    # By the number: asyncio puts a tuple into the text.
    return (os.strerror(number) if isinstance(number, int) and number > 0 else str(error) or type(error).__name__).lower()
