"""Shares against weights by chi-square, without a statistics library: the critical values that tests need, written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

# Upper 0.1 % points of the chi-square distribution by degrees of freedom: a right server fails one run in a thousand.
CRITICAL = {1: 10.828, 2: 13.816, 3: 16.266, 4: 18.467, 5: 20.515}


def assert_shares(drawn: Iterable[str], weights: Mapping[str, int]) -> None:
    """Fails when the drawn values do not fit the weights at the 0.1 % level, or hold a value without a weight."""
    counts = Counter(drawn)
    strangers = set(counts) - set(weights)
    assert not strangers, f"drawn without a weight: {sorted(strangers)}"
    total = sum(counts.values())
    whole = sum(weights.values())
    statistic = sum((counts[value] - total * weight / whole) ** 2 / (total * weight / whole) for value, weight in weights.items())
    critical = CRITICAL[len(weights) - 1]
    assert statistic < critical, f"chi-square {statistic:.2f} ≥ {critical} for {dict(counts)} against {dict(weights)}"
