"""What a report says of its goals, and what the README quotes of it."""

from __future__ import annotations

import pytest

from bench import quote
from bench.goals import LIMITS, Limit, Measured, Outcome, Ratio, Verdict, judge_all, sum_up
from bench.measure import estimate

STATIC = Ratio(("peers", "geodns", "static"), ("peers", "gdnsd", "static"), 1.0)
KEPT = Limit("overload", "share", "", least=0.95)


def measured(ours: list[float], theirs: list[float]) -> Measured:
    return Measured({STATIC.ours: ours, STATIC.theirs: theirs}, {("overload", "share"): [0.99, 0.94, 0.97]})


@pytest.mark.parametrize(
    ("ours", "theirs", "outcome"),
    [
        ([4.0, 9.0, 5.0], [5.0, 5.0, 5.0], Outcome.HOLDS),
        ([5.02, 5.02, 5.02], [5.0, 5.0, 5.0], Outcome.HOLDS),  # 1.00 as it is printed
        ([5.1, 5.1, 5.1], [5.0, 5.0, 5.0], Outcome.MISSED),
        ([5.0], [], Outcome.NOT_MEASURED),
    ],
)
def test_a_ratio_is_judged_by_its_medians_as_they_are_printed(ours: list[float], theirs: list[float], outcome: Outcome) -> None:
    assert STATIC.judge(measured(ours, theirs)).outcome is outcome


def test_a_limit_is_judged_by_the_median_and_a_figure_that_is_missing_by_nothing() -> None:
    assert KEPT.judge(measured([], [])).outcome is Outcome.HOLDS
    assert Limit("overload", "share", "", most=0.95).judge(measured([], [])).outcome is Outcome.MISSED
    assert Limit("overload", "another", "", least=0.95).judge(measured([], [])).outcome is Outcome.NOT_MEASURED


def test_only_goals_of_the_parts_that_were_run_are_judged() -> None:
    nothing = Measured({}, {})
    assert {verdict.part for verdict in judge_all(nothing, ["overload", "peers"])} == {"overload", "peers"}
    assert len([verdict for verdict in judge_all(nothing, ["health"]) if verdict.outcome is Outcome.NOT_MEASURED]) == len(
        [limit for limit in LIMITS if limit.part == "health"]
    )


def test_the_last_line_counts_and_names_what_was_missed() -> None:
    verdicts = [Verdict("peers", "this", "", "", Outcome.HOLDS), Verdict("change", "that", "", "", Outcome.MISSED)]
    assert sum_up(verdicts) == "1 goals hold, 1 missed, 0 not measured; missed: change: that"


@pytest.mark.parametrize(("count", "low", "high"), [(5, 1, 5), (6, 1, 6), (9, 2, 8), (15, 4, 12)])
def test_the_interval_of_a_median_is_the_one_of_the_sign_test(count: int, low: int, high: int) -> None:
    found = estimate(range(1, count + 1))
    assert (found.low, found.high) == (low, high)


def test_the_readme_quotes_ratios_and_nothing_else() -> None:
    cost = measured([4.0, 9.0, 5.0], [5.0, 5.0, 5.0])
    lines = [STATIC.judge(cost), STATIC.judge(measured([], [])), KEPT.judge(cost)]
    head = 'geodns bench, 2026-11-20 13:18 UTC, commit 0123abc\nmachine {"cpu": "some", "cores": 2}\n'
    quoted = quote.table("some.txt", head + "\n".join(map(str, lines)))
    assert [line for line in quoted.splitlines() if line.startswith("| peers")] == ["| peers | static | gdnsd | 1.00 | [0.80, 1.80] |"]
