"""What a verdict changed on the wire, as the history tells it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import pytest

from geodns.control.effects import Chain, Member, find_changes
from geodns.model.steering import Status
from geodns.publish.frames import HealthEntry, Operator

UP, DOWN = HealthEntry(), HealthEntry(down=True)
OBEY = Status.OBEY


def chain(min_up: float = 0.0) -> Chain:
    """eu (values 1 and 2, of weights 3 and 1) falls back to us (3), which falls back to last (4, status up); rules name eu and us."""
    eu = (Member(1, 3, OBEY, False), Member(2, 1, OBEY, False))
    us, last = (Member(3, 1, OBEY, False),), (Member(4, 1, Status.UP, False),)
    return Chain({"eu": ("us", eu), "us": ("last", us), "last": (None, last)}, ("eu", "us"), min_up)


def told(chain: Chain, down_before: Collection[int], down_after: Collection[int], words: Mapping[int, Operator] | None = None) -> list[str]:
    def entry(value_id: int, down: Collection[int]) -> HealthEntry:
        return replace(DOWN if value_id in down else UP, operator=(words or {}).get(value_id, Operator.NONE))

    found = find_changes("www.example.com/A", chain, lambda each: entry(each, down_before), lambda each: entry(each, down_after))
    return [
        f"{each['pool']}: " + " -> ".join(f"{each[when]['pool']} {each[when]['up']}/{each[when]['of']}" for when in ("before", "after"))
        for each in found
    ]


@pytest.mark.parametrize(
    ("before", "after", "words", "expected"),
    [
        ((), (1,), {}, ["eu: eu 2/2 -> eu 1/2"]),
        ((1,), (1, 2), {}, ["eu: eu 1/2 -> us 1/1"]),
        ((1, 2), (1, 2, 3), {}, ["eu: us 1/1 -> last 1/1", "us: us 1/1 -> last 1/1"]),
        ((1, 2, 3), (2, 3), {}, ["eu: last 1/1 -> eu 1/2"]),
        ((), (4,), {}, []),
        ((), (1,), {1: Operator.UP}, []),
        ((2,), (1, 2), {4: Operator.DOWN, 3: Operator.DRAIN}, ["eu: eu 1/2 -> us 1/1"]),
        ((2,), (1, 2), {4: Operator.DOWN, 3: Operator.DOWN}, ["eu: eu 1/2 -> None 0/0"]),
        ((2, 3), (1, 2, 3), {3: Operator.DRAIN}, ["eu: eu 1/2 -> last 1/1"]),
        ((), (1,), {1: Operator.DRAIN}, []),
    ],
)
def test_each_pool_that_a_rule_names_tells_who_serves_its_clients(
    before: Collection[int], after: Collection[int], words: Mapping[int, Operator], expected: list[str]
) -> None:
    assert told(chain(), before, after, words) == expected


def test_a_pool_with_too_little_up_hands_over_unless_no_other_has_more() -> None:
    assert told(chain(min_up=0.5), (), (1,)) == ["eu: eu 2/2 -> us 1/1"]
    assert told(chain(min_up=0.5), (), (2,)) == ["eu: eu 2/2 -> eu 1/2"]
    # Forced down still counts, drained does not.
    assert told(chain(min_up=0.5), (2,), (), {1: Operator.DOWN}) == []
    assert told(chain(min_up=0.5), (2,), (), {1: Operator.DRAIN}) == ["eu: us 1/1 -> eu 1/2"]


def test_what_is_drained_serves_when_nothing_else_can_the_first_pool_of_the_chain() -> None:
    drained = (Member(1, 1, OBEY, True), Member(2, 1, OBEY, True))
    second = (Member(3, 1, OBEY, True),)
    pools = Chain({"eu": ("us", drained), "us": (None, second)}, ("eu",), 0.5)
    assert told(pools, (), (1,)) == ["eu: eu 2/2 -> eu 1/2"]
    assert told(pools, (1,), (1, 2)) == ["eu: eu 1/2 -> us 1/1"]
    assert told(pools, (), (1,), {1: Operator.UP}) == [], "`up` does not end a drain"
