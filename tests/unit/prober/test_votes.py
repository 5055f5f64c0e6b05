"""Votes: who counts, and how many must agree."""

from __future__ import annotations

import pytest

from geodns.prober.votes import LIVE_S, Assembly, Vote, tally, votes_needed

NAMES = "abcdefghij"
LETTERS = {"u": Vote.UP, "d": Vote.DOWN, "w": Vote.WITHHELD}


@pytest.mark.parametrize(
    ("votes", "quorum", "is_down", "claim"),
    [
        ("d", None, True, "a vantage alone decides"),
        ("u", None, False, ""),
        ("w", None, False, "and withholds alone"),
        ("du", None, False, "half is not more than half"),
        ("dd", None, True, ""),
        ("duu", None, False, "one of three is overruled"),
        ("ddu", None, True, ""),
        ("dwu", None, False, "a withheld vote stays in the count"),
        ("dww", None, False, "two cut off: nothing changes"),
        ("ddw", None, True, "a really dead one is removed"),
        ("dduu", None, False, ""),
        ("ddduu", None, True, ""),
        ("du", 0.5, True, "a share is reached, not passed"),
        ("duu", 0.5, False, ""),
        ("dduu", 0.5, True, ""),
        ("duuuuuuuuu", 0.1, True, ""),
        ("ddd", 1.0, True, ""),
        ("ddu", 1.0, False, ""),
        ("du", 1, True, "a number of vantages"),
        ("duu", 2, False, ""),
        ("ddu", 2, True, ""),
        ("d", 2, False, "two words are two words, also when only one vantage lives"),
    ],
)
def test_quorum(votes: str, quorum: float | int | None, is_down: bool, claim: str) -> None:
    count = tally({name: LETTERS[letter] for name, letter in zip(NAMES, votes, strict=False)}, quorum)
    assert count.is_down is is_down, claim or str(count)
    assert count.live == len(votes)
    assert count.withheld == votes.count("w")


def test_a_share_is_not_rounded_up_by_the_machine() -> None:
    assert votes_needed(30, 0.1) == 3


def test_a_tally_reads_as_a_sentence() -> None:
    assert str(tally({"a": Vote.DOWN, "b": Vote.WITHHELD, "c": Vote.UP}, None)) == "1 of 3 vantages see it down, 2 needed, 1 withheld"


def test_only_fresh_heartbeats_count() -> None:
    assembly = Assembly()
    assembly.hear_heartbeat("fra", age_s=1.0, now_s=100.0)
    assembly.hear_heartbeat("ams", age_s=LIVE_S + 1, now_s=100.0)
    assert assembly.live(100.0) == {"fra"}
    assert assembly.live(99.0 + LIVE_S) == {"fra"}
    assert assembly.live(99.1 + LIVE_S) == frozenset()


def test_an_older_heartbeat_read_later_changes_nothing() -> None:
    assembly = Assembly()
    assembly.hear_heartbeat("fra", age_s=0.0, now_s=100.0)
    assembly.hear_heartbeat("fra", age_s=30.0, now_s=101.0)
    assert assembly.live(104.0) == {"fra"}


def test_a_heartbeat_from_the_future_is_one_from_now() -> None:
    assembly = Assembly()
    assembly.hear_heartbeat("fra", age_s=-3600.0, now_s=100.0)
    assert assembly.live(100.0 + LIVE_S + 1) == frozenset()


def test_votes_of_the_dead_do_not_count() -> None:
    assembly = Assembly()
    assembly.hear_votes("ghost", {"one": Vote.DOWN})
    assert assembly.votes("one", 100.0) == {}
    assembly.hear_heartbeat("ghost", 0.0, 100.0)
    assert assembly.votes("one", 100.0) == {"ghost": Vote.DOWN}
    assert assembly.votes("two", 100.0) == {"ghost": Vote.UP}, "unknown is not down"


def test_hearing_tells_what_changed() -> None:
    assembly = Assembly()
    assert assembly.hear_votes("fra", {"one": Vote.DOWN, "two": Vote.UP}) == {"one"}
    assert assembly.hear_votes("fra", {"one": Vote.DOWN, "three": Vote.WITHHELD}) == {"three"}
    assert assembly.hear_votes("fra", {"one": Vote.UP}) == {"one"}
