"""Who calls, and whether they may: bearer tokens (RFC 6750), roles, and a limit on guessing.

Tokens of the database are stored as SHA-256 hashes (they are 256 random bits, so that a slow hash would protect nothing) and looked up
by hash. The node's own admin token is compared in constant time and needs no database, so that an operator is heard while it is away;
so is a token that the database confirmed before it went.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import ipaddress
import math
import os
import secrets
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from aiohttp import web

from geodns.api.problems import ErrorReply
from geodns.errors import DatabaseUnavailable, StartupError
from geodns.settings import Settings

GUESSES = 10
GUESS_WINDOW_S = 60.0
"""Ten wrong tokens a minute from one address: a script with an expired token is noticed, and 256 bits are never guessed."""

MAX_GUESSERS = 4096
"""Addresses remembered. Beyond that the longest silent is forgotten: the table must not be a way to fill memory."""

MAX_REMEMBERED = 1024
"""Confirmed tokens remembered for the time in which the database is away."""

IPV6_SITE = 64
"""One IPv6 customer holds at least a /64 (RFC 6177), so guesses are counted by that."""


class Role(enum.Enum):
    """What a token may do. `read` < `write` < `admin`; `report` may push reports and nothing else."""

    READ = "read"
    WRITE = "write"
    REPORT = "report"
    ADMIN = "admin"

    def covers(self, needed: Role) -> bool:
        """Whether this role suffices where `needed` is asked for.

        | needed \\ has | report | read | write | admin |
        |---|---|---|---|---|
        | read   |   | x | x | x |
        | write  |   |   | x | x |
        | report | x |   | x | x |
        | admin  |   |   |   | x |
        """
        return self in _COVERED_BY[needed]


_COVERED_BY: dict[Role, frozenset[Role]] = {
    Role.READ: frozenset({Role.READ, Role.WRITE, Role.ADMIN}),
    Role.WRITE: frozenset({Role.WRITE, Role.ADMIN}),
    Role.REPORT: frozenset({Role.REPORT, Role.WRITE, Role.ADMIN}),
    Role.ADMIN: frozenset({Role.ADMIN}),
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a token belongs to; `name` is what the audit trail shows."""

    name: str
    role: Role


LookUp = Callable[[str], Awaitable[Identity | None]]
"""Finds a token in the database; raises DatabaseUnavailable."""


@dataclass(slots=True)
class GuessLimiter:
    """Counts wrong tokens by address over a sliding window; `clock` is monotonic, in seconds."""

    clock: Callable[[], float]
    _failures: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)

    def check(self, address: str) -> None:
        """Raises ErrorReply 429 while the address is over its limit.

        For tokens that nobody has confirmed yet: behind a proxy all callers share an address, and one script with an expired token must
        not lock out the operator. That a token in use passes tells a guesser nothing that its first use would not.
        """
        key = _group(address)
        failures = self._failures.get(key)
        if failures is None:
            return
        now = self.clock()
        while failures and now - failures[0] >= GUESS_WINDOW_S:
            failures.popleft()
        if not failures:
            del self._failures[key]
        elif len(failures) >= GUESSES:
            wait_s = max(1, math.ceil(GUESS_WINDOW_S - (now - failures[0])))
            raise ErrorReply(
                HTTPStatus.TOO_MANY_REQUESTS, "too-many-guesses", "too many wrong tokens from this address", {"Retry-After": str(wait_s)}
            )

    def record(self, address: str) -> None:
        """One wrong token."""
        key = _group(address)
        failures = self._failures.setdefault(key, deque(maxlen=GUESSES))
        failures.append(self.clock())
        self._failures.move_to_end(key)
        if len(self._failures) > MAX_GUESSERS:
            self._failures.popitem(last=False)


def _group(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, IPV6_SITE), strict=False))


@dataclass(slots=True)
class Authenticator:
    """Turns a request into an identity. `admin_token` is the node's own; `look_up` asks the database."""

    admin_token: str
    look_up: LookUp
    limiter: GuessLimiter
    _confirmed: OrderedDict[bytes, Identity] = field(default_factory=OrderedDict)

    async def identify(self, request: web.Request) -> Identity:
        """The caller; raises ErrorReply 401 or 429."""
        token = _read_bearer(request)
        address = request.remote or "unknown"
        identity = await self._find(token, address)
        if identity is None:
            self.limiter.record(address)
            raise _unauthorized("this token is not valid", 'Bearer realm="geodns", error="invalid_token"')
        return identity

    async def _find(self, token: str, address: str) -> Identity | None:
        # Hashes of equal length are compared, so that not even the length of the admin token shows.
        digest = hashlib.sha256(token.encode()).digest()
        if hmac.compare_digest(digest, hashlib.sha256(self.admin_token.encode()).digest()):
            return Identity("admin token", Role.ADMIN)
        # Before the database: a flood of invented tokens would keep all its readers busy.
        if digest not in self._confirmed:
            self.limiter.check(address)
        try:
            identity = await self.look_up(token)
        except DatabaseUnavailable:
            remembered = self._confirmed.get(digest)
            if remembered is None:
                raise
            return remembered
        if identity is None:
            self._confirmed.pop(digest, None)
            return None
        self._confirmed[digest] = identity
        self._confirmed.move_to_end(digest)
        if len(self._confirmed) > MAX_REMEMBERED:
            self._confirmed.popitem(last=False)
        return identity


def _read_bearer(request: web.Request) -> str:
    header = request.headers.get("Authorization")
    if header is None:
        raise _unauthorized("this route needs a token", 'Bearer realm="geodns"', hint="send `Authorization: Bearer TOKEN`")
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or not token.isascii():
        raise _unauthorized("the Authorization header is not `Bearer TOKEN`", 'Bearer realm="geodns", error="invalid_request"')
    return token


def _unauthorized(detail: str, challenge: str, *, hint: str | None = None) -> ErrorReply:
    return ErrorReply(HTTPStatus.UNAUTHORIZED, "unauthorized", detail, {"WWW-Authenticate": challenge}, hint)


@dataclass(frozen=True, slots=True)
class AdminToken:
    """The node's own admin token. `made` says that it is new, and is to be shown once."""

    token: str
    made: bool


def obtain_admin_token(settings: Settings) -> AdminToken:
    """The setting `api.token`, else the token file of the state directory, else a new token written there with mode 0600.

    Raises StartupError when the file can be neither read nor written.
    """
    if settings.api.token is not None:
        return AdminToken(settings.api.token.get_secret_value(), made=False)
    path = settings.token_file
    try:
        found = read_token_file(path)
        if found is not None:
            return AdminToken(found, made=False)
        token = "gdt_" + secrets.token_urlsafe(32)
        _write_token_file(path, token)
    except OSError as error:
        raise StartupError(
            f"the admin token cannot be kept in {path}: {error.strerror}", hint="make the state directory writable, or set GEODNS_API_TOKEN"
        ) from None
    return AdminToken(token, made=True)


def read_token_file(path: Path) -> str | None:
    """The token, or None where there is no file or an empty one; other OSErrors pass."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip() or None
    except FileNotFoundError:
        return None


def _write_token_file(path: Path, token: str) -> None:
    """Whole or not at all, and never readable by others, not even for a moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(token + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
