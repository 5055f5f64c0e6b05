"""ETag, If-Match and If-None-Match: RFC 9110 §8.8.3 and §13.1."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from geodns.api.preconditions import Preconditions, matches_none
from geodns.api.problems import ErrorReply


def read(*headers: tuple[str, str]) -> Preconditions:
    return Preconditions.read(CIMultiDictProxy(CIMultiDict(headers)))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], Preconditions()),
        ([("If-Match", '"17"')], Preconditions(if_match=frozenset({17}))),
        ([("If-Match", '"17", "18"'), ("If-Match", '"19"')], Preconditions(if_match=frozenset({17, 18, 19}))),
        ([("If-Match", "*")], Preconditions(must_exist=True)),
        # Strong comparison: a weak tag matches nothing, and neither does one that we never gave out.
        ([("If-Match", 'W/"17"')], Preconditions(if_match=frozenset())),
        ([("If-Match", '"other", "017"')], Preconditions(if_match=frozenset())),
        ([("If-Match", "")], Preconditions(if_match=frozenset())),
        ([("If-None-Match", "*")], Preconditions(create_only=True)),
        ([("If-None-Match", '"17"')], Preconditions(if_none_match=frozenset({17}))),
    ],
)
def test_conditions_are_read(headers: list[tuple[str, str]], expected: Preconditions) -> None:
    assert read(*headers) == expected


@pytest.mark.parametrize("value", ["17", '"17', "*, *", '"a" x', 'w/"17"'])
def test_what_is_no_list_of_tags_is_refused(value: str) -> None:
    with pytest.raises(ErrorReply) as refused:
        read(("If-Match", value))
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("values", "matches"), [(['"17"'], True), (['W/"17"'], True), (['"1", "17"'], True), (["*"], True), (['"1"'], False), ([], False)]
)
def test_reads_compare_weakly(values: list[str], matches: bool) -> None:
    assert matches_none(values, '"17"') is matches
