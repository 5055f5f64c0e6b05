"""Cuts a case in which the dataplane and the oracle differ down to what is needed for the difference, by leaving out and asking again.

It knows nothing of what a world means: mappings and lists lose items as long as the rest can still be played and still differs.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.support.steered_plane import Plane, Question
from tests.support.steering_judge import Scene, Tally, judge
from tests.support.steering_worlds import Document, is_valid

# Enough for a world of sixty records on an idle machine; a failure has to be told before the test's time is over.
SHRINK_S = 100.0


@dataclass(frozen=True)
class Case:
    """One question in one world and mood."""

    world: Document
    mood: Document
    question: Question

    def __str__(self) -> str:
        return json.dumps({"world": self.world, "mood": self.mood, "question": asdict(self.question)}, ensure_ascii=False)


async def differences_of(plane: Plane, case: Case) -> list[str]:
    """A case alone, a few times: what is drawn differs."""
    await plane.load(case.world)
    plane.feel(case.mood)
    for _ in range(5):
        if differences := await judge(plane, Scene(case.world, case.mood), [case.question], Tally()):
            return differences[case.question]
    return []


async def shrink(plane: Plane, case: Case) -> Case:
    """Leaves out whatever is not needed for some difference, as far as it comes in time."""
    document = {"world": case.world, "mood": case.mood}
    deadline_s = time.monotonic() + SHRINK_S
    for path in [path for path in _containers(document) if len(path) > 1] * 2:
        if time.monotonic() < deadline_s:
            document = await _shrink_at(plane, case.question, document, path)
    return Case(document["world"], document["mood"], case.question)


async def _shrink_at(plane: Plane, question: Question, document: Document, path: Sequence[Any]) -> Document:
    """Leaves out halves, quarters and at last single items of one mapping or list, as long as a difference stays."""
    try:
        size = len(_at(document, path))
    except LookupError:
        return document  # left out already
    while size:
        start = 0
        while start < len(_at(document, path)):
            smaller = _without(document, path, start, start + size)
            if await _still_differs(plane, Case(smaller["world"], smaller["mood"], question)):
                document = smaller
            else:
                start += size
        size //= 2
    return document


def _without(document: Document, path: Sequence[Any], start: int, end: int) -> Document:
    """A copy that lacks some items of the mapping or list at a place."""
    smaller = copy.deepcopy(document)
    held = _at(smaller, path)
    for key in list(held)[start:end] if isinstance(held, dict) else [slice(start, end)]:
        del held[key]
    return smaller


def _containers(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all mappings and lists, outer ones first."""
    if isinstance(document, dict | list):
        yield path
        for key, held in document.items() if isinstance(document, dict) else enumerate(document):
            yield from _containers(held, (*path, key))


def _at(document: Any, path: Sequence[Any]) -> Any:
    for key in path:
        document = document[key]
    return document


async def _still_differs(plane: Plane, case: Case) -> bool:
    """Whether a cut-down case is one that can be played, and shows a difference."""
    try:
        is_valid_still = all(is_valid(record["name"], record["data"]) for record in case.world["records"])
        return is_valid_still and bool(await differences_of(plane, case))
    except (AssertionError, AttributeError, LookupError, TypeError, ValueError):
        return False
