"""The guard of the query path: eleven representative queries cost no more instructions than recorded, on however busy a machine."""

from __future__ import annotations

import pytest

from bench.instructions import ROOM_OTHER_ARCHITECTURE, ROOM_OTHER_COMPILER, Count, count, own_instructions, recorded

# A build with link-time optimization and a run under valgrind: a minute or so on a machine that does much else.
BUILD_TIMEOUT_S = 900


@pytest.mark.timeout(BUILD_TIMEOUT_S)
def test_no_query_costs_more_instructions_than_recorded() -> None:
    counted = count()
    assert not counted.dearer(recorded()), "if the cost is worth it: python -m bench.instructions --record"


def test_a_dearer_query_is_found_and_a_cheaper_one_is_not() -> None:
    record = Count("1.95.0", "x86_64", {"static": 1000.0, "country": 2000.0})
    within = Count("1.95.0", "x86_64", {"static": 1049.0, "country": 1500.0})
    beyond = Count("1.95.0", "x86_64", {"static": 1051.0, "country": 2000.0})
    other = Count("1.95.0", "x86_64", {"static": 1000.0})
    assert within.dearer(record) == []
    assert beyond.dearer(record) == ["static: 1051 instructions a query, recorded 1000, room 5%"]
    assert other.dearer(record) == ["country: only counted or only recorded"]


def test_another_compiler_or_architecture_has_more_room() -> None:
    record = Count("1.95.0", "x86_64", {"static": 1000.0})
    assert Count("1.97.0", "x86_64", {}).room(record) == ROOM_OTHER_COMPILER
    assert Count("1.95.0", "aarch64", {}).room(record) == ROOM_OTHER_ARCHITECTURE


def test_only_the_program_itself_counts_and_no_callee_twice() -> None:
    profile = """events: Ir
ob=(1) /target/release/examples/instructions
fn=(1) instructions::answer_many
10 5
+2 7
cob=(2) /usr/lib/libc.so.6
cfn=(2) memcpy
calls=3 0
12 900
* 1
ob=(2)
fn=(2)
0 900
ob=(1)
fn=(3) answer
-4 20
"""
    assert own_instructions(profile) == 33
