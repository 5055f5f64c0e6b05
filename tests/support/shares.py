"""Shares against weights by chi-square, without a statistics library: the critical values that tests need, written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

# Upper one-in-a-million points of the chi-square distribution by degrees of freedom. The server draws from the kernel's randomness, which
# has no seed to record: at the 0.1 % level of the engine's seeded tests, a right server would fail one landing in some hundred.
CRITICAL = {1: 23.928, 2: 27.631, 3: 30.665, 4: 33.377, 5: 35.888}


def assert_shares(drawn: Iterable[str], weights: Mapping[str, int]) -> None:
    """Fails when the drawn values do not fit the weights at the level of one in a million, or hold a value without a weight."""
    counts = Counter(drawn)
    strangers = set(counts) - set(weights)
    assert not strangers, f"drawn without a weight: {sorted(strangers)}"
    total = sum(counts.values())
    whole = sum(weights.values())
    statistic = sum((counts[value] - total * weight / whole) ** 2 / (total * weight / whole) for value, weight in weights.items())
    critical = CRITICAL[len(weights) - 1]
    assert statistic < critical, f"chi-square {statistic:.2f} ≥ {critical} for {dict(counts)} against {dict(weights)}"
