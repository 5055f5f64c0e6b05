"""Brakes: counted as values come, turn and go; they hold on one vantage's word, and never the first value."""

from __future__ import annotations

import pytest

from geodns.prober import Target
from geodns.prober.brake import Brake
from geodns.prober.votes import Tally

ALONE = Tally(down=1, withheld=0, live=1, needed=1)
AGREED = Tally(down=2, withheld=0, live=3, needed=2)


def target(number: int, owner: str = "www.example.com") -> Target:
    return Target(number, "example.com", owner, "A", "eu", f"192.0.2.{number}", None)


def braking(values: int, down: int, *, record: float = 1.0, total: float = 1.0) -> Brake:
    """One record with so many values, so many of them down."""
    brake = Brake(record, total)
    for number in range(values):
        brake.put(target(number), is_down=False)
    for number in range(down):
        brake.note(target(number), is_down=True)
    return brake


@pytest.mark.parametrize(
    ("values", "down", "share", "falling", "is_held"),
    [
        (10, 4, 1.0, 6, False),
        (10, 4, 0.5, 1, False),
        (10, 5, 0.5, 1, True),
        (10, 4, 0.5, 2, True),
        (10, 6, 0.7, 1, False),
        (10, 7, 0.7, 1, True),
        (3, 0, 0.01, 1, False),
        (10, 0, 0.5, 5, False),
        (3, 1, 0.01, 1, True),
        (3, 1, 0.5, 0, False),
    ],
)
@pytest.mark.parametrize("kind", ["record", "total"])
def test_a_share(kind: str, values: int, down: int, share: float, falling: int, is_held: bool) -> None:
    brake = braking(values, down, **{kind: share})
    reason = brake.holds_back([target(number) for number in range(down, down + falling)], ALONE)
    assert (reason is not None) is is_held, reason
    assert brake.holds_back([target(number) for number in range(down, down + falling)], AGREED) is None


def test_one_check_of_many_values_may_empty_a_record_but_not_all_records() -> None:
    falling = [target(number) for number in range(3)]
    assert braking(3, 0, record=0.01).holds_back(falling, ALONE) is None
    brake = braking(3, 0, total=0.5)
    assert brake.holds_back(falling, ALONE) == "0 of 3 values of all records are down, and one vantage alone may take out 1"
    assert brake.holds_back(falling, AGREED) is None


def test_a_record_is_counted_by_itself_and_the_reason_says_so() -> None:
    brake = braking(4, 2, record=0.5, total=0.5)
    for number in range(10, 20):
        brake.put(target(number, "other.example.com"), is_down=False)
    assert brake.holds_back([target(3)], ALONE) == ("2 of 4 values of www.example.com/A are down, and one vantage alone may take out 2")
    assert brake.holds_back([target(10, "other.example.com")], ALONE) is None
    for number in range(10, 15):
        brake.note(target(number, "other.example.com"), is_down=True)
    assert brake.holds_back([target(15, "other.example.com")], ALONE) == (
        "5 of 10 values of other.example.com/A are down, and one vantage alone may take out 5"
    )
    assert Brake(1.0, 0.5).holds_back([target(1)], ALONE) is None


def test_what_returns_or_goes_makes_room() -> None:
    brake = braking(4, 2, record=0.5)
    brake.note(target(0), is_down=False)
    assert brake.holds_back([target(3)], ALONE) is None
    brake.note(target(0), is_down=True)
    brake.drop(target(0), is_down=True)
    assert brake.holds_back([target(3)], ALONE), "of the three left one and a half may be down"
    for number in (1, 2, 3):
        brake.drop(target(number), is_down=number == 1)
    assert not brake._checked
