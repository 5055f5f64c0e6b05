"""The keeper of the dataplane against real processes that speak the link and answer no DNS."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from geodns.control import supervisor
from geodns.control.statedir import StateDirectory
from geodns.control.supervisor import Ending, Program, Supervisor
from geodns.errors import StartupError
from geodns.publish.client import LinkClient

DIGEST = bytes(32)
OTHER = b"\x01" * 32
# For the starts and ends of processes, on a machine that is busy with other suites.
PATIENCE_S = 60.0


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    state = StateDirectory(tmp_path)
    state.create()
    return state


def command(directory: StateDirectory, **how: object) -> list[str]:
    return [sys.executable, "-m", "tests.support.fake_dataplane_program", str(directory.socket), json.dumps(how)]


@asynccontextmanager
async def keeping(
    directory: StateDirectory, digest: bytes = DIGEST, attached: Callable[[LinkClient], None] = lambda link: None, **how: object
) -> AsyncIterator[Supervisor]:
    """A supervisor that runs, and is stopped at the end."""
    keeper = Supervisor(Program(command(directory, digest=digest.hex(), **how), digest), directory)
    keeper.tell(attached)
    try:
        await keeper.start()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(keeper.run())
            try:
                yield keeper
            finally:
                keeper.expect_end()
                running.cancel()
    finally:
        await keeper.stop()


def launch(arguments: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(arguments, stderr=subprocess.PIPE)


@asynccontextmanager
async def found(directory: StateDirectory, **how: object) -> AsyncIterator[subprocess.Popen[bytes]]:
    """A dataplane that runs already when control comes."""
    process = launch(command(directory, **how))
    try:
        assert process.stderr is not None
        assert await asyncio.to_thread(process.stderr.readline) == b"listening\n"
        yield process
    finally:
        process.kill()
        process.communicate()


async def until(claim: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
    async with asyncio.timeout(timeout_s):
        while not claim():  # noqa: ASYNC110 - the claim is about another process
            await asyncio.sleep(0.01)


def pid_of(keeper: Supervisor) -> int:
    assert keeper.hello is not None
    return keeper.hello.pid


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))


async def test_nothing_runs_so_one_is_started_and_ended_last(directory: StateDirectory) -> None:
    async with keeping(directory) as keeper:
        assert keeper.connected
        assert keeper.started_here
        pid = pid_of(keeper)
        assert os.getpgid(pid) == os.getpgid(0)
    assert not psutil.pid_exists(pid)


async def test_one_that_runs_with_our_settings_is_attached_and_ended_with_us(directory: StateDirectory) -> None:
    async with found(directory) as process:
        async with keeping(directory) as keeper:
            assert pid_of(keeper) == process.pid
            assert not keeper.started_here
        assert process.wait(PATIENCE_S) == 0


async def test_a_failed_start_leaves_alone_what_was_running_before(directory: StateDirectory) -> None:
    async with found(directory) as process:
        keeper = Supervisor(Program(command(directory), DIGEST), directory)
        await keeper.start()
        await keeper.stop(Ending.WHAT_WE_STARTED)
        assert process.poll() is None


@pytest.mark.parametrize("how", [{"digest": OTHER.hex()}, {"version": 9}], ids=["other settings", "other link version"])
async def test_a_supervised_one_that_differs_is_replaced(directory: StateDirectory, how: dict[str, object]) -> None:
    async with found(directory, **how) as process, keeping(directory) as keeper:
        assert process.wait(PATIENCE_S) == 0
        assert pid_of(keeper) != process.pid
        assert keeper.problem is None


async def test_a_standalone_one_with_other_settings_is_used_named_and_never_ended(directory: StateDirectory) -> None:
    async with found(directory, ownership=1, digest=OTHER.hex()) as process:
        async with keeping(directory) as keeper:
            assert pid_of(keeper) == process.pid
            assert keeper.problem is not None
            assert "other start settings" in keeper.problem
        assert process.poll() is None


async def test_a_standalone_one_of_another_version_is_left_alone(directory: StateDirectory) -> None:
    async with found(directory, ownership=1, version=9) as process:
        async with keeping(directory) as keeper:
            assert not keeper.connected
            assert keeper.problem is not None
            assert "link version 9" in keeper.problem
        assert process.poll() is None


async def test_killed_it_is_back_at_once_and_linked(directory: StateDirectory) -> None:
    links: list[LinkClient] = []
    async with keeping(directory, attached=links.append) as keeper:
        first = pid_of(keeper)
        os.kill(first, signal.SIGKILL)
        await until(lambda: len(links) == 2)
        assert pid_of(keeper) != first
        assert keeper.restarts == 1


async def test_one_that_keeps_dying_is_started_less_and_less_often(directory: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    def delays() -> Iterator[float]:
        for delay_s in (0.0, 0.01, 0.02, 0.02):
            waits.append(delay_s)
            yield delay_s
        yield 60.0

    monkeypatch.setattr(supervisor, "_delays", delays)
    async with keeping(directory, die_after_s=0.2) as keeper:
        await until(lambda: keeper.problem is not None and "60.0 s" in keeper.problem)
    assert waits == [0.0, 0.01, 0.02, 0.02]


async def test_a_lost_link_to_a_living_dataplane_is_made_anew(directory: StateDirectory) -> None:
    links: list[LinkClient] = []
    async with keeping(directory, attached=links.append) as keeper:
        first = pid_of(keeper)
        links[0].close("for the test")
        await until(lambda: len(links) == 2)
        assert pid_of(keeper) == first
        assert keeper.restarts == 0


async def test_a_refusal_to_start_is_one_sentence(directory: StateDirectory) -> None:
    with pytest.raises(StartupError, match=r"^127\.0\.0\.1:5300 is taken by another program$"):
        async with keeping(directory, refuse="127.0.0.1:5300 is taken by another program"):
            raise AssertionError("must not start")


async def test_a_second_serve_gets_one_sentence(directory: StateDirectory) -> None:
    with directory.locked(), pytest.raises(StartupError, match=rf"another geodns serve \(pid {os.getpid()}\)"), directory.locked():
        raise AssertionError("must not be had twice")
    with directory.locked():
        pass


def test_a_path_too_long_for_a_socket_falls_back_to_a_short_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1")
    short, long = StateDirectory(Path("/var/lib/geodns")), StateDirectory(Path("/" + "x" * 100))
    assert short.socket == Path("/var/lib/geodns/dataplane/link.sock")
    assert long.socket.parent == Path("/run/user/1")
    assert len(str(long.socket)) <= 107
    assert long.socket != StateDirectory(Path("/" + "y" * 100)).socket
