"""A geodns node as its operator meets it: the real `geodns serve` with its dataplane, its REST API, its state directory."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.dig import Answer, dig
from tests.support.ports import free_port
from tests.support.waiting import wait_until

TOKEN = "test-admin-token"  # noqa: S105 # the admin token that every test node is given

# How soon it starts is the claim of a few tests alone, which say so; a machine that runs many others takes its time.
START_S = 60.0
END_S = 60.0


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response with its JSON body decoded."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Node:
    """`geodns serve` with its own state directory and free ports. `settings` are environment variables without their prefix.

    `address` is where it is reached; `command` is put before the program's own, such as `ip netns exec NAME`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        zones: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        address: str = "127.0.0.1",
        command: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.state.mkdir(parents=True, exist_ok=True)
        self.zones = directory / "zones"
        self.zones.mkdir(exist_ok=True)
        for name, text in (zones or {}).items():
            (self.zones / name).write_text(text)
        self.address = address
        self._command = tuple(command)
        self.dns_port = free_port()
        self.api_port = free_port()
        self.settings = dict(settings or {})
        self.log = directory / "log.jsonl"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What the processes are started with."""
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith("GEODNS_") or key == "GEODNS_DATAPLANE_BINARY"},
            "GEODNS_DNS_LISTEN": f"{self.address}:{self.dns_port}",
            "GEODNS_DNS_WORKERS": "2",
            "GEODNS_API_LISTEN": f"{self.address}:{self.api_port}",
            "GEODNS_API_TOKEN": TOKEN,
            "GEODNS_STATE_DIRECTORY": str(self.state),
            "GEODNS_ZONES_DIRECTORY": str(self.zones),
            "GEODNS_PROBER_ALLOW_LOOPBACK": "true",
            **{f"GEODNS_{key}": value for key, value in self.settings.items()},
        }

    def spawn(self) -> None:
        """Starts `geodns serve` without waiting for it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._command, sys.executable, "-m", "geodns", "serve"],
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start(self, *, within_s: float = START_S) -> float:
        """Starts it and returns the seconds until /readyz was 200."""
        self.spawn()
        return self.wait_ready(within_s=within_s)

    def wait_ready(self, *, within_s: float = START_S) -> float:
        """Waits for /readyz; shows the log when the process ended or time ran out."""

        def ready() -> bool:
            if self.process is not None and self.process.poll() is not None:
                pytest.fail(f"geodns serve ended with {self.process.returncode}:\n{self.tail()}")
            return self.get("/readyz").status == 200

        try:
            return wait_until(ready, within_s=within_s, what="/readyz")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from error

    def logged(self) -> str:
        """All that its processes have written."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, size: int = 6000) -> str:
        """The end of the log, to be shown."""
        return self.logged()[-size:]

    def stop(self) -> None:
        """Ends it with SIGTERM as an operator would, and the dataplane with it, whatever state the test left them in."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=END_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(timeout=5)
        left = self.dataplanes()
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=5)

    def dataplanes(self) -> list[psutil.Process]:
        """The running dataplane processes of this node, found by its state directory."""
        found = []
        for process in psutil.process_iter(["name", "cmdline"]):
            arguments = process.info["cmdline"] or []
            if "geodns-dataplane" in (process.info["name"] or "") and any(str(self.state) in argument for argument in arguments):
                found.append(process)
        return found

    def kill_control(self) -> None:
        """kill -9 of the control process alone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(timeout=5)

    def kill_dataplane(self) -> int:
        """kill -9 of the dataplane; its pid."""
        (process,) = self.dataplanes()
        process.kill()
        return int(process.pid)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = TOKEN,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 15.0,
    ) -> Response:
        """One HTTP request to the API; `path` is whole, "/api/v1/…"."""
        request = urllib.request.Request(f"http://{self.address}:{self.api_port}{path}", method=method)  # always http
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        for key, value in (headers or {}).items():
            request.add_header(key, value)
        try:
            with urllib.request.urlopen(request, data=data, timeout=timeout_s) as response:  # noqa: S310 # always http
                return Response(response.status, dict(response.headers), _decode(response.read()))
        except urllib.error.HTTPError as error:
            return Response(error.code, dict(error.headers), _decode(error.read()))

    def get(self, path: str) -> Response:
        """GET."""
        return self.request("GET", path)

    def put(self, path: str, body: Any) -> Response:
        """PUT."""
        return self.request("PUT", path, body)

    def wait_served(self, written: Response, *, within_s: float = 60.0) -> None:
        """Waits until a write is served: on a busy machine that may be after its response (202)."""
        assert written.status in (200, 201, 202), f"{written}\n{self.tail()}"
        if not written.body["applied"]:
            wanted = written.body["revision"]
            wait_until(
                lambda: (self.get("/api/v1/status").body["dataplane"]["revision"] or 0) >= wanted,
                within_s=within_s,
                what=f"revision {wanted} in force",
            )

    def dig(self, name: str, rtype: str = "A", *options: str) -> Answer:
        """The real dig against this node."""
        return dig(self.dns_port, name, rtype, *options, server=self.address)

    def command(self, *arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """`geodns VERB …` with this node's settings."""
        return run_geodns(arguments, self.environment, timeout_s=timeout_s, directory=self.directory)


MakeNode = Callable[..., Node]


def run_geodns(
    arguments: Sequence[str], environment: Mapping[str, str], *, timeout_s: float = 60.0, directory: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """The geodns command as a user would call it."""
    return subprocess.run(
        [sys.executable, "-m", "geodns", *arguments],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        cwd=directory,
        check=False,
    )


def _decode(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")
