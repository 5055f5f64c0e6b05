"""Zone files beside the store: what `status` says of them while they are read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from geodns.control import zonefiles
from geodns.control.keeper import DatabaseKeeper
from geodns.control.zonefiles import ZoneFiles
from geodns.model import names
from geodns.model.findings import STRICT
from geodns.store import changes
from geodns.store.audit import Actor
from geodns.store.database import Database
from geodns.store.requests import ChangeRecords, ChangeRequest, Committed, Upsert, WritePolicy

APEX = names.parse_zone_name("example.com")
ZONE = "'': {type: NS, values: [ns1.example.com.]}\nns1: {type: A, value: 192.0.2.53}\n"


async def test_a_difference_stays_named_while_it_is_looked_at_again(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zonefiles, "REST_SHARE", 0)
    directory = tmp_path / "zones"
    directory.mkdir()
    (directory / "example.com.yaml").write_text(ZONE)
    meanwhile: list[list[str]] = []

    async def commit(request: ChangeRequest, actor: Actor) -> Committed:
        meanwhile.append(files.problems())
        return await changes.commit(database, request, actor, WritePolicy())

    keeper = DatabaseKeeper(database, "", migrate_allowed=False, has_state=lambda: True)
    files = ZoneFiles(directory, STRICT, keeper, commit, "test")
    await files.name_differences(await files.seed())
    await changes.commit(database, ChangeRecords(APEX, (Upsert("www", "A", {"value": "192.0.2.1"}),)), Actor("test"), WritePolicy())
    files.look_again()
    for _ in range(2):
        await files.name_differences(await files.seed())
    (problem,) = files.problems()
    assert "differs from its file" in problem
    assert meanwhile == [[], [], [problem]]
    (directory / "example.com.yaml").write_text(ZONE + "www: {type: A, value: 192.0.2.1}\n")
    await files.name_differences(await files.seed())
    assert files.problems() == []
