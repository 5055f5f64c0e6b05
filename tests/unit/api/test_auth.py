"""Tokens, roles and the limit on guessing."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from geodns.api.auth import (
    GUESS_WINDOW_S,
    GUESSES,
    MAX_GUESSERS,
    AdminToken,
    Authenticator,
    GuessLimiter,
    Identity,
    Role,
    obtain_admin_token,
)
from geodns.api.problems import ErrorReply
from geodns.errors import DatabaseUnavailable, StartupError
from geodns.settings import Settings


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Tokens:
    """A database of tokens that can be away."""

    def __init__(self, **known: Role) -> None:
        self.known = known
        self.is_away = False
        self.asked = 0

    async def look_up(self, token: str) -> Identity | None:
        self.asked += 1
        if self.is_away:
            raise DatabaseUnavailable("away")
        role = self.known.get(token)
        return None if role is None else Identity(token, role)


def ask(authorization: str | None) -> web.Request:
    return make_mocked_request("GET", "/", headers={} if authorization is None else {"Authorization": authorization})


async def refusal(authenticator: Authenticator, authorization: str | None) -> ErrorReply:
    with pytest.raises(ErrorReply) as refused:
        await authenticator.identify(ask(authorization))
    return refused.value


@pytest.mark.parametrize(
    ("needed", "sufficient"),
    [
        (Role.READ, {Role.READ, Role.WRITE, Role.ADMIN}),
        (Role.WRITE, {Role.WRITE, Role.ADMIN}),
        (Role.REPORT, {Role.REPORT, Role.WRITE, Role.ADMIN}),
        (Role.ADMIN, {Role.ADMIN}),
    ],
)
def test_roles_cover_what_stands_below_them(needed: Role, sufficient: set[Role]) -> None:
    assert {role for role in Role if role.covers(needed)} == sufficient


async def test_the_admin_token_and_those_of_the_database_are_known() -> None:
    tokens = Tokens(deploy=Role.WRITE)
    authenticator = Authenticator("admin-secret", tokens.look_up, GuessLimiter(Clock()))
    assert (await authenticator.identify(ask("Bearer admin-secret"))).role is Role.ADMIN
    assert await authenticator.identify(ask("bearer   deploy")) == Identity("deploy", Role.WRITE)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer \xfc", "deploy", "Bearer wrong"])
async def test_without_a_valid_token_401_with_a_challenge(header: str | None) -> None:
    reply = await refusal(Authenticator("admin-secret", Tokens(deploy=Role.WRITE).look_up, GuessLimiter(Clock())), header)
    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"].startswith('Bearer realm="geodns"')


async def test_a_confirmed_token_and_the_admin_token_outlive_the_database() -> None:
    tokens = Tokens(deploy=Role.WRITE, other=Role.READ)
    authenticator = Authenticator("admin-secret", tokens.look_up, GuessLimiter(Clock()))
    await authenticator.identify(ask("Bearer deploy"))
    tokens.is_away = True
    assert (await authenticator.identify(ask("Bearer deploy"))).role is Role.WRITE
    assert (await authenticator.identify(ask("Bearer admin-secret"))).role is Role.ADMIN
    with pytest.raises(DatabaseUnavailable):
        await authenticator.identify(ask("Bearer other"))


async def test_a_revoked_token_is_not_remembered() -> None:
    tokens = Tokens(deploy=Role.WRITE)
    authenticator = Authenticator("admin-secret", tokens.look_up, GuessLimiter(Clock()))
    await authenticator.identify(ask("Bearer deploy"))
    del tokens.known["deploy"]
    assert (await refusal(authenticator, "Bearer deploy")).status == 401
    tokens.is_away = True
    with pytest.raises(DatabaseUnavailable):
        await authenticator.identify(ask("Bearer deploy"))


async def test_behind_a_proxy_wrong_tokens_of_others_do_not_lock_out_those_in_use() -> None:
    authenticator = Authenticator("admin-secret", Tokens(deploy=Role.WRITE).look_up, GuessLimiter(Clock()))
    await authenticator.identify(ask("Bearer deploy"))
    statuses = [(await refusal(authenticator, "Bearer wrong")).status for _ in range(2 * GUESSES)]
    assert statuses == [401] * GUESSES + [429] * GUESSES
    assert (await authenticator.identify(ask("Bearer admin-secret"))).role is Role.ADMIN
    assert (await authenticator.identify(ask("Bearer deploy"))).role is Role.WRITE


async def test_a_flood_of_invented_tokens_does_not_reach_the_database() -> None:
    clock, tokens = Clock(), Tokens(deploy=Role.WRITE)
    authenticator = Authenticator("admin-secret", tokens.look_up, GuessLimiter(clock))
    for number in range(3 * GUESSES):
        await refusal(authenticator, f"Bearer invented{number}")
    assert tokens.asked == GUESSES
    assert (await refusal(authenticator, "Bearer deploy")).status == 429, "a stranger until it was confirmed once"
    clock.now_s += GUESS_WINDOW_S
    assert (await authenticator.identify(ask("Bearer deploy"))).role is Role.WRITE


def test_guessing_is_limited_by_address_and_forgiven_after_a_minute() -> None:
    clock = Clock()
    limiter = GuessLimiter(clock)
    for _ in range(GUESSES):
        limiter.check("192.0.2.1")
        limiter.record("192.0.2.1")
        clock.now_s += 1
    with pytest.raises(ErrorReply) as refused:
        limiter.check("192.0.2.1")
    assert refused.value.status == 429
    assert 0 < int(refused.value.headers["Retry-After"]) <= GUESS_WINDOW_S
    limiter.check("192.0.2.2")
    clock.now_s += int(refused.value.headers["Retry-After"])
    limiter.check("192.0.2.1")


def test_guessers_share_an_ipv6_site_and_mapped_addresses_are_ipv4() -> None:
    limiter = GuessLimiter(Clock())
    for number in range(GUESSES):
        limiter.record(f"2001:db8::{number + 1:x}")
        limiter.record("::ffff:192.0.2.1")
    for address in ("2001:db8::ffff", "192.0.2.1"):
        with pytest.raises(ErrorReply):
            limiter.check(address)
    limiter.check("2001:db8:0:1::1")


def test_the_table_of_guessers_is_bounded() -> None:
    limiter = GuessLimiter(Clock())
    for number in range(MAX_GUESSERS + 100):
        limiter.record(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(limiter._failures) == MAX_GUESSERS


def test_the_first_start_makes_a_token_that_the_next_finds(tmp_path: Path) -> None:
    settings = Settings.load(environ={"GEODNS_STATE_DIRECTORY": str(tmp_path / "state")})
    first = obtain_admin_token(settings)
    assert first.made
    assert len(first.token) > 40
    assert stat.S_IMODE(settings.token_file.stat().st_mode) == 0o600
    again = obtain_admin_token(settings)
    assert (again.token, again.made) == (first.token, False)
    assert [path.name for path in settings.state.directory.iterdir()] == ["token"]


def test_the_setting_stands_over_the_file(tmp_path: Path) -> None:
    settings = Settings.load(environ={"GEODNS_STATE_DIRECTORY": str(tmp_path), "GEODNS_API_TOKEN": "from-the-environment"})
    assert obtain_admin_token(settings) == AdminToken("from-the-environment", made=False)
    assert not settings.token_file.exists()


def test_a_token_that_cannot_be_kept_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = Settings.load(environ={"GEODNS_STATE_DIRECTORY": str(tmp_path / "file")})
    with pytest.raises(StartupError, match="the admin token cannot be kept"):
        obtain_admin_token(settings)
