"""Self-suspicion: when silence is likelier to be our own."""

from __future__ import annotations

import pytest

from geodns.prober.outcome import Evidence
from geodns.prober.suspicion import Suspicion

LETTERS = {"+": Evidence.OK, "-": Evidence.ANSWERED_BADLY, "s": Evidence.SILENT, "0": Evidence.NO_EVIDENCE}


@pytest.mark.parametrize(
    ("results", "is_suspect", "claim"),
    [
        ("", False, "nothing was seen"),
        ("ssss", False, "four addresses may share a fault of theirs"),
        ("sssss", True, "five silent addresses are suspect"),
        ("ssss+", True, "four of five are 80 %"),
        ("sss++", False, "three of five are not"),
        ("ssss-", True, "a bad answer is an answer"),
        ("sss--", False, "and proves the path"),
        ("ssss0000", False, "no evidence is no result"),
        ("ssssssss++", True, "eight of ten"),
        ("sssssss+++", False, "seven of ten"),
    ],
)
def test_share_of_silent_addresses(results: str, is_suspect: bool, claim: str) -> None:
    suspicion = Suspicion()
    for index, letter in enumerate(results):
        suspicion.record(f"192.0.2.{index}", LETTERS[letter], 10.0)
    assert (suspicion.judge(10.0, 2.0) is not None) is is_suspect, claim


def test_only_the_latest_result_of_an_address_counts() -> None:
    suspicion = Suspicion()
    for evidence in (Evidence.SILENT, Evidence.OK):
        for index in range(5):
            suspicion.record(f"192.0.2.{index}", evidence, 10.0)
    assert suspicion.judge(10.0, 2.0) is None


def test_many_checks_of_one_address_are_one_address() -> None:
    suspicion = Suspicion()
    for _ in range(50):
        suspicion.record("192.0.2.1", Evidence.SILENT, 10.0)
    assert suspicion.judge(10.0, 2.0) is None


def test_results_older_than_the_timeout_say_nothing() -> None:
    suspicion = Suspicion()
    for index in range(20):
        suspicion.record(f"198.51.100.{index}", Evidence.OK, 9.9)
    for index in range(5):
        suspicion.record(f"192.0.2.{index}", Evidence.SILENT, 12.0)
    assert suspicion.judge(12.0, 2.0) is not None
    assert suspicion.judge(12.0, 3.0) is None
    assert suspicion.judge(14.5, 2.0) is None


def test_addresses_that_are_no_longer_checked_are_forgotten() -> None:
    suspicion = Suspicion()
    for index in range(5):
        suspicion.record(f"192.0.2.{index}", Evidence.SILENT, 10.0)
    suspicion.forget(frozenset({"192.0.2.1"}))
    assert suspicion.judge(10.0, 2.0) is None


def test_the_reason_is_in_words() -> None:
    suspicion = Suspicion()
    for index in range(6):
        suspicion.record(f"192.0.2.{index}", Evidence.SILENT if index else Evidence.OK, 10.0)
    assert suspicion.judge(10.0, 2.0) == "5 of 6 addresses fell silent within 2 s"


@pytest.mark.parametrize(
    ("results", "is_suspect", "claim"),
    [
        ("s", False, "one sentinel may be down itself; the addresses decide, and there are none"),
        ("ss", True, "both are silent"),
        ("s+", False, ""),
        ("s-", False, "a bad answer is an answer"),
        ("s0", False, "no result yet is not silence"),
    ],
)
def test_sentinels(results: str, is_suspect: bool, claim: str) -> None:
    suspicion = Suspicion()
    suspicion.set_sentinels(frozenset(str(index) for index in range(len(results))))
    for index, letter in enumerate(results):
        suspicion.record_sentinel(str(index), LETTERS[letter])
    assert (suspicion.judge(10.0, 2.0) is not None) is is_suspect, claim


def test_two_sentinels_replace_the_count_of_addresses() -> None:
    suspicion = Suspicion()
    suspicion.set_sentinels(frozenset({"one", "two"}))
    for index in range(20):
        suspicion.record(f"192.0.2.{index}", Evidence.SILENT, 10.0)
    suspicion.record_sentinel("one", Evidence.OK)
    suspicion.record_sentinel("two", Evidence.SILENT)
    assert suspicion.judge(10.0, 2.0) is None


def test_a_sentinel_that_answers_ends_the_suspicion_at_once() -> None:
    suspicion = Suspicion()
    suspicion.set_sentinels(frozenset({"one", "two"}))
    suspicion.record_sentinel("one", Evidence.SILENT)
    suspicion.record_sentinel("two", Evidence.SILENT)
    assert suspicion.judge(10.0, 2.0)
    suspicion.record_sentinel("two", Evidence.OK)
    assert suspicion.judge(10.0, 2.0) is None
