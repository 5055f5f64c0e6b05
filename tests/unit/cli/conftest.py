"""The command line against the API of the API's own tests: real HTTP, a real store, no dataplane."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from geodns.cli.main import run
from tests.unit.api.conftest import ADMIN, Api, api, empty_database, node

__all__ = ["Command", "Result", "api", "command", "empty_database", "local", "node"]


@dataclass(frozen=True, slots=True)
class Result:
    """What a command line ended with."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


Run = Callable[..., Result]


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in an empty working directory, without a server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEODNS_STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def call(*arguments: str) -> Result:
        capsys.readouterr()
        code = run(arguments)
        captured = capsys.readouterr()
        root.handlers[:], root.level = handlers, level
        structlog.reset_defaults()
        assert "Traceback" not in captured.err
        return Result(int(code), captured.out, captured.err)

    return call


@dataclass
class Command:
    """The one door: a command line against a running API."""

    api: Api
    local: Run

    async def run(self, *arguments: str, code: int = 0) -> Result:
        """In a thread, because the API answers on this one."""
        result = await asyncio.to_thread(self.local, *arguments)
        assert result.code == code, result
        return result


@pytest.fixture
def command(api: Api, local: Run, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Command lines whose settings lead to the API of the test."""
    monkeypatch.setenv("GEODNS_API_LISTEN", api.url.removeprefix("http://"))
    monkeypatch.setenv("GEODNS_API_TOKEN", ADMIN)
    return Command(api, local)
