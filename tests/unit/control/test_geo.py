"""Location files: judged in sentences, followed, and never offered when they are not sound."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from geodns.control import geo
from geodns.control.geo import GeoWatcher, judge
from tests.support.mmdb import write_continents


def test_each_kind_of_file_is_judged(tmp_path: Path) -> None:
    good = write_continents(tmp_path / "good.mmdb")
    assert judge(good).state == "ok"
    assert judge(good).database_type == "Test-Country"
    assert judge(tmp_path / "absent.mmdb").state == "missing"
    for name, data in {"zeros": bytes(5000), "empty": b"", "truncated": good.read_bytes()[: good.stat().st_size // 2]}.items():
        path = tmp_path / name
        path.write_bytes(data)
        found = judge(path)
        assert (found.state, bool(found.reason)) == ("corrupt", True), name


async def test_a_new_sound_file_is_offered_and_a_broken_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geo, "POLL_S", 0.02)
    path = tmp_path / "geo.mmdb"
    offered = asyncio.Event()
    watcher = GeoWatcher([path], offered.set)
    await watcher.look()
    assert watcher.generation == 1
    assert watcher.files[0].state == "missing"
    async with asyncio.TaskGroup() as group, asyncio.timeout(10):
        running = group.create_task(watcher.run())
        shutil.move(write_continents(tmp_path / "new"), path)
        await offered.wait()
        assert (watcher.generation, watcher.files[0].state) == (2, "ok")
        offered.clear()
        path.write_bytes(bytes(100))
        while watcher.files[0].state == "ok":  # noqa: ASYNC110 - no event tells of a refusal
            await asyncio.sleep(0.01)
        assert watcher.generation == 2
        assert not offered.is_set()
        running.cancel()


async def test_sighup_looks_again_without_a_change(tmp_path: Path) -> None:
    offered = asyncio.Event()
    watcher = GeoWatcher([write_continents(tmp_path / "geo.mmdb")], offered.set)
    await watcher.look()
    async with asyncio.TaskGroup() as group, asyncio.timeout(10):
        running = group.create_task(watcher.run())
        watcher.look_again()
        await offered.wait()
        running.cancel()
    assert watcher.generation == 2
