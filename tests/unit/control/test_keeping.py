"""Small parts of the node: loops that begin anew, transactions that end, the dataplane's log, the configuration, leaving root."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from geodns.control import logtail, loops, privileges
from geodns.control.binary import find_binary, make_command
from geodns.control.configuration import Configuration, describe_access
from geodns.control.logtail import LogTail
from geodns.control.loops import finish, keep_running
from geodns.control.statedir import StateDirectory
from geodns.control.status import Report
from geodns.errors import StartupError
from geodns.publish.client import LinkClient, open_link
from geodns.publish.frames import Ownership, Role
from geodns.settings import Settings
from tests.support.fake_dataplane import FakeDataplane
from tests.support.logs import logged_by


async def test_a_loop_that_fails_is_logged_and_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "PAUSE_S", 0.001)
    rounds = 0
    again = asyncio.Event()

    async def fail_twice() -> None:
        nonlocal rounds
        rounds += 1
        if rounds < 3:
            raise RuntimeError("a defect")
        again.set()
        await asyncio.Event().wait()

    with logged_by(loops) as logs:
        async with asyncio.TaskGroup() as group, asyncio.timeout(5):
            running = group.create_task(keep_running("test", fail_twice))
            await again.wait()
            running.cancel()
    assert [(entry["loop"], entry["log_level"]) for entry in logs] == [("test", "error")] * 2


@pytest.mark.parametrize(("silent_s", "late_s", "is_silent"), [(4.0, 0.0, False), (6.0, 0.1, True), (6.0, 6.0, False)])
def test_a_dataplane_is_silent_only_when_this_process_could_have_heard_it(silent_s: float, late_s: float, is_silent: bool) -> None:
    prober = SimpleNamespace(status=lambda: SimpleNamespace(loop_late_recently_s=late_s))
    link = SimpleNamespace(silent_s=silent_s)
    assert Report._is_silent(cast(Report, SimpleNamespace(prober=prober)), cast(LinkClient, link)) is is_silent


async def test_cancelled_work_comes_to_its_end_first() -> None:
    started, done = asyncio.Event(), asyncio.Event()

    async def transaction() -> None:
        started.set()
        await asyncio.sleep(0.05)
        done.set()

    task = asyncio.create_task(finish(transaction()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()


async def test_work_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "FINISH_S", 0.05)
    task = asyncio.create_task(finish(asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(5):
            await task


def test_the_dataplanes_lines_become_ours_and_old_ones_are_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("old\n")
    tail = LogTail(path)
    with path.open("a") as file:
        file.write('{"timestamp":"2026-01-01T00:00:00Z","level":"warning","message":"the disk is full","path":"/x"}\nplain\npart')
    with logged_by(logtail) as logs:
        tail.pass_on()
        with path.open("a") as file:
            file.write("ial\n[not json\n")
        tail.pass_on()
    assert logs == [
        {"event": "the disk is full", "log_level": "warning", "path": "/x"},
        {"event": "plain", "log_level": "info"},
        {"event": "partial", "log_level": "info"},
        {"event": "[not json", "log_level": "info"},
    ]
    path.write_text("geodns-dataplane: 127.0.0.1:53 is in use\n")
    assert tail.last_line() == "127.0.0.1:53 is in use"


def test_a_large_log_is_emptied_once_it_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geodns.control.logtail.KEEP_BYTES", 100)
    path = tmp_path / "log"
    tail = LogTail(path)
    path.write_text("x" * 99 + "\nlast\n")
    with logged_by(logtail) as logs:
        tail.pass_on()
        assert path.stat().st_size == 0
        path.write_text("next\n")
        tail.pass_on()
    assert [entry["event"] for entry in logs][-2:] == ["last", "next"]


async def test_configuration_is_sent_when_it_differs_and_whole(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.json"
    configuration = Configuration([Path("/geo/a.mmdb")], "fra1", secrets)
    async with FakeDataplane(tmp_path / "s").running() as plane, open_link(plane.path, Role.PUBLISHER) as link:
        configuration.offer(link, 1)
        configuration.offer(link, 1)
        configuration.put_secrets([bytes(16)])
        configuration.offer(link, 1)
        await plane.until(lambda: len(plane.configs) == 2)
        assert plane.configs[1] == {"geo_databases": ["/geo/a.mmdb"], "geo_generation": 1, "cookie_secrets": ["00" * 16], "nsid": "fra1"}
    assert secrets.stat().st_mode & 0o777 == 0o600
    assert Configuration([], "fra1", secrets).document(1)["cookie_secrets"] == ["00" * 16]
    secrets.write_text("torn")
    assert Configuration([], "fra1", secrets).document(1)["cookie_secrets"] == []


def test_who_is_answered_and_how_often_reaches_the_dataplane(tmp_path: Path) -> None:
    assert describe_access(Settings.load({}, environ={})) == {}
    environ = {
        "GEODNS_DNS_ALLOW": "192.0.2.0/24, 2001:db8::/32",
        "GEODNS_DNS_DENY": "192.0.2.7",
        "GEODNS_RRL_RATE": "50",
        "GEODNS_RRL_SLIP": "3",
        "GEODNS_RRL_IPV4_PREFIX": "28",
        "GEODNS_RRL_IPV6_PREFIX": "48",
        "GEODNS_RRL_ALLOW": "198.51.100.0/24",
        "GEODNS_RRL_DRY_RUN": "true",
    }
    access = describe_access(Settings.load({}, environ=environ))
    assert access == {
        "allow": ["192.0.2.0/24", "2001:db8::/32"],
        "deny": ["192.0.2.7/32"],
        "rrl": {"rate": 50, "slip": 3, "ipv4": 28, "ipv6": 48, "allow": ["198.51.100.0/24"], "dry_run": True},
    }
    assert Configuration([], "fra1", tmp_path / "secrets.json", access=access).document(1)["rrl"]["rate"] == 50


def test_the_dataplane_is_started_with_all_that_its_digest_covers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEODNS_DATAPLANE_BINARY", sys.executable)
    flags = {"state.directory": str(tmp_path), "dns.listen": "192.0.2.1:53,[2001:db8::1]:53", "dns.workers": 3, "user": "geodns"}
    settings = Settings.load(flags, environ={})
    directory = StateDirectory(tmp_path)
    command = make_command(settings, directory, Ownership.SUPERVISED)
    assert command[1:] == [
        *("--state", str(tmp_path / "dataplane"), "--socket", str(tmp_path / "dataplane" / "link.sock")),
        *("--listen", "192.0.2.1:53", "--listen", "[2001:db8::1]:53", "--workers", "3"),
        *("--settings-digest", settings.start_digest.hex(), "--user", "geodns", "--supervised"),
    ]
    assert "--supervised" not in make_command(settings, directory, Ownership.STANDALONE)


def test_a_missing_binary_names_the_mend(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="is not there") as caught:
        find_binary({"GEODNS_DATAPLANE_BINARY": str(tmp_path / "none")})
    assert caught.value.hint is not None
    assert "GEODNS_DATAPLANE_BINARY" in caught.value.hint


LEAVE_ROOT = """
import os, subprocess, sys
from pathlib import Path
from geodns.control.privileges import drop_to
drop_to("nobody", Path(sys.argv[1]))
status = {line.split(":")[0]: line.split(":")[1].strip() for line in open("/proc/self/status")}
child = subprocess.run(["grep", "CapEff", "/proc/self/status"], capture_output=True, text=True).stdout.split()[1]
print(os.getuid(), os.geteuid(), status["CapEff"], child, os.stat(sys.argv[1] + "/file").st_uid)
"""


def test_a_file_that_the_dataplane_renames_meanwhile_hinders_no_handing_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "base").touch()
    monkeypatch.setattr(os, "walk", lambda directory: [(str(directory), [], ["base.new", "base"])])
    privileges.hand_over(tmp_path, os.getuid(), os.getgid())


def test_root_is_left_for_good_with_one_capability_for_the_dataplane() -> None:
    # Not below pytest's own directory, which another user may not even enter.
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "file").touch()
        if os.geteuid() != 0:
            privileges.drop_to("nobody", directory)  # only root can become somebody else, and the settings say so before
            assert os.geteuid() == (directory / "file").stat().st_uid
            return
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
        done = subprocess.run([sys.executable, "-c", LEAVE_ROOT, name], capture_output=True, text=True, env=environment, check=True)
    uid, effective, ours, childs, owner = done.stdout.splitlines()[-1].split()
    assert uid == effective == owner != "0"
    assert int(ours, 16) == int(childs, 16) == 1 << 10
