"""The spool: order, durability of what was acknowledged, torn tails, the limit."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geodns.control.spool import Spool


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def numbers(spool: Spool) -> list[int]:
    return [record["n"] for record in spool.records()]


def test_records_come_back_in_order_also_in_the_next_process(path: Path) -> None:
    spool = Spool.open(path)
    assert spool.append([{"n": 1, "text": "Grüße\nline"}, {"n": 2}])
    assert spool.append([{"n": 3}])
    again = Spool.open(path)
    assert (again.count, numbers(again)) == (3, [1, 2, 3])
    assert path.stat().st_mode & 0o777 == 0o600


def test_nothing_there_is_an_empty_spool(path: Path) -> None:
    spool = Spool.open(path)
    assert (spool.count, list(spool.records())) == (0, [])
    assert not path.exists()


def test_what_does_not_fit_is_refused_whole(path: Path) -> None:
    spool = Spool.open(path, limit=3)
    assert spool.append([{"n": 1}, {"n": 2}])
    assert not spool.append([{"n": 3}, {"n": 4}])
    assert numbers(spool) == [1, 2]
    assert spool.append([{"n": 3}])
    spool.clear()
    assert spool.append([{"n": 4}])
    assert numbers(Spool.open(path)) == [4]


@given(cut=st.integers(min_value=0, max_value=200))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_torn_tail_is_cut_off_and_appending_goes_on(path: Path, cut: int) -> None:
    path.unlink(missing_ok=True)
    whole = Spool.open(path)
    whole.append([{"n": number} for number in range(5)])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - cut % len(data)])
    spool = Spool.open(path)
    kept = numbers(spool)
    assert kept == list(range(len(kept)))
    assert spool.append([{"n": 99}])
    assert numbers(Spool.open(path)) == [*kept, 99]


def test_a_changed_byte_ends_the_spool_there(path: Path) -> None:
    Spool.open(path).append([{"n": 1}, {"n": 2}, {"n": 3}])
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"2", b"7")
    path.write_bytes(b"".join(lines))
    assert numbers(Spool.open(path)) == [1]
