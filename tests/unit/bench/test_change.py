"""What the bench of change reads of a node."""

from __future__ import annotations

import pytest

from bench.change import read_lag


def test_the_event_loops_pause_is_read_from_the_metrics() -> None:
    page = "# TYPE geodns_event_loop_lag_seconds gauge\ngeodns_event_loop_lag_seconds 0.025\ngeodns_problems 0.0\n"
    assert read_lag(page) == 0.025


def test_a_pause_that_is_not_told_is_no_short_one() -> None:
    with pytest.raises(LookupError):
        read_lag("# TYPE geodns_event_loop_lag_seconds gauge\ngeodns_problems 0.0\n")
