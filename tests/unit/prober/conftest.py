"""What the prober's tests share: one attempt against a real server, and a certificate authority."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from geodns.model.check import Check, Timing
from geodns.prober import tls
from geodns.prober.attempt import Surroundings, attempt
from geodns.prober.outcome import Outcome
from geodns.prober.policy import AddressPolicy
from geodns.prober.probe import make_probe
from geodns.prober.resolve import SystemResolver
from geodns.prober.schedule import LoopWatch
from tests.support.certificates import Authority

PATIENCE_S = 10.0
"""For what must be answered, on any machine; what must fall silent is given a timeout of its own, which the test then waits for."""

Try = Callable[[Check], Awaitable[Outcome]]


class NeverLate(LoopWatch):
    """A machine that is busy with other suites holds this process up: what is judged here is the server, and no lateness of ours."""

    def late_since(self, start_s: float) -> float:
        return 0.0


async def try_check(check: Check, timeout_s: float = PATIENCE_S, *, allow_loopback: bool = True) -> Outcome:
    """One attempt of a check, as the prober makes it."""
    timed = replace(check, timing=Timing(timeout_s=timeout_s))
    watch = NeverLate(asyncio.get_running_loop())
    try:
        return await attempt(timed, make_probe(timed), Surroundings(AddressPolicy(allow_loopback), SystemResolver(), watch))
    finally:
        watch.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    """The authority as a trust anchor, through the variable that an operator would use."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    tls.context.cache_clear()
    yield authority
    tls.context.cache_clear()


@pytest.fixture
def hosts_file(tmp_path: Path) -> Path:
    return tmp_path / "hosts"
