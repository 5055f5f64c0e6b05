"""The probability that an answer carries a value, when values are drawn one after the other by weight and none twice."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction


def inclusion(weights: Sequence[int], written: Sequence[int], answers: int) -> list[Fraction]:
    """For each value. Those of weight 0 come after every other; among themselves the written weights count."""
    if answers >= len(weights):
        return [Fraction(1)] * len(weights)
    heavy = [index for index, weight in enumerate(weights) if weight]
    light = [index for index, weight in enumerate(weights) if not weight]
    chances = [Fraction(0)] * len(weights)
    for members, by, slots in ((heavy, weights, answers), (light, written, answers - len(heavy))):
        for index, chance in zip(members, _drawn([by[index] for index in members], slots), strict=True):
            chances[index] = chance
    return chances


def _drawn(weights: Sequence[int], slots: int) -> list[Fraction]:
    """Step by step over what was drawn so far: a set of values, with the probability that it is this one."""
    if slots <= 0:
        return [Fraction(0)] * len(weights)
    if slots >= len(weights):
        return [Fraction(1)] * len(weights)
    drawn = {frozenset[int](): Fraction(1)}
    for _ in range(slots):
        following: dict[frozenset[int], Fraction] = {}
        for taken, chance in drawn.items():
            rest = sum(weight for index, weight in enumerate(weights) if index not in taken)
            for index, weight in enumerate(weights):
                if index not in taken:
                    with_it = taken | {index}
                    following[with_it] = following.get(with_it, Fraction(0)) + chance * weight / rest
        drawn = following
    return [sum((chance for taken, chance in drawn.items() if index in taken), Fraction(0)) for index in range(len(weights))]
