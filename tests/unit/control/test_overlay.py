"""Overrides over verdicts: which entry the dataplane is told, as tables of cases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from geodns.control.overlay import Overlay, OverrideKind, Place, Word
from geodns.publish.frames import HealthEntry, Operator

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLACE = Place(1, "www.example.com/A", "eu", "192.0.2.10", "fra1")
OTHER = Place(2, "www.example.com/A", "us", "192.0.2.20", "nyc1")
OWN = Place(3, "www.example.com/A", "", "192.0.2.10", "fra1")

VALUE = (OverrideKind.VALUE, "192.0.2.10")
POOL = (OverrideKind.POOL, "www.example.com/A/eu")
RECORD = (OverrideKind.RECORD, "www.example.com/A")
SITE = (OverrideKind.SITE, "fra1")


def overlay(*places: Place) -> Overlay:
    made = Overlay()
    made.put_places(places or (PLACE, OTHER, OWN))
    return made


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({}, (0, 0, 0)),
        ({VALUE: Operator.UP}, (1, 0, 1)),
        ({POOL: Operator.DOWN}, (2, 0, 0)),
        ({RECORD: Operator.DRAIN}, (3, 3, 3)),
        ({SITE: Operator.DOWN}, (2, 0, 2)),
        ({VALUE: Operator.UP, POOL: Operator.DOWN, RECORD: Operator.DRAIN, SITE: Operator.DOWN}, (1, 3, 1)),
        ({POOL: Operator.DOWN, RECORD: Operator.DRAIN, SITE: Operator.UP}, (2, 3, 3)),
        ({RECORD: Operator.DRAIN, SITE: Operator.UP}, (3, 3, 3)),
    ],
)
def test_the_most_specific_override_wins(words: dict[tuple[OverrideKind, str], Operator], expected: tuple[int, int, int]) -> None:
    made = overlay()
    made.put_words({target: Word(operator) for target, operator in words.items()})
    made.apply(NOW)
    assert tuple(made.entries.get(number, HealthEntry()).operator for number in (1, 2, 3)) == expected


def test_an_expired_override_lets_a_less_specific_one_count() -> None:
    made = overlay()
    made.put_words({VALUE: Word(Operator.UP, NOW + timedelta(seconds=90.2)), RECORD: Word(Operator.DOWN)})
    made.apply(NOW)
    assert made.entries[1] == HealthEntry(operator=Operator.UP, ttl_bound_s=91)
    later = NOW + timedelta(seconds=91)
    assert made.apply(later)[1] == HealthEntry(operator=Operator.DOWN)


def test_an_override_hides_the_bound_of_health_and_keeps_its_verdict() -> None:
    made = overlay()
    made.put_verdicts({1: HealthEntry(down=True, ttl_bound_s=0, since_ms=5)})
    made.put_words({VALUE: Word(Operator.UP)})
    made.apply(NOW)
    assert made.entries[1] == HealthEntry(down=True, operator=Operator.UP, ttl_bound_s=None, since_ms=5)


def test_only_touched_values_are_looked_at_and_only_changes_are_told() -> None:
    made = overlay()
    made.put_verdicts({1: HealthEntry(down=True), 2: HealthEntry(down=True)})
    assert made.apply(NOW, [1]) == {1: HealthEntry(down=True)}
    assert made.apply(NOW, [1]) == {}
    assert made.apply(NOW, [2, 77]) == {2: HealthEntry(down=True)}


def test_a_value_that_is_gone_is_forgotten_and_not_told() -> None:
    made = overlay()
    made.put_verdicts({1: HealthEntry(down=True), 2: HealthEntry(down=True)})
    made.apply(NOW)
    made.change_places([1], [Place(4, "www.example.com/A", "eu", "192.0.2.40")])
    assert made.apply(NOW) == {}
    assert made.entries == {2: HealthEntry(down=True)}
    made.put_verdicts({1: HealthEntry(down=True)})
    assert made.apply(NOW) == {}


def test_a_record_rewritten_with_the_same_value_keeps_its_verdict() -> None:
    made = overlay()
    made.put_verdicts({1: HealthEntry(down=True)})
    made.apply(NOW)
    made.change_places([2], [PLACE])
    made.apply(NOW)
    assert made.entries == {1: HealthEntry(down=True)}
