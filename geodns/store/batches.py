"""Cutting long sequences into statements of a bearable size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

Item = TypeVar("Item")

# A statement over this many rows takes a few milliseconds to bind, far below what the event loop may be held, and the cost of the statement
# itself no longer shows. It is also below SQLite's limit of bound parameters (32,766) for one column.
BATCH: Final = 1000


def in_batches(items: Sequence[Item], size: int = BATCH) -> Iterator[Sequence[Item]]:
    """Consecutive slices of at most `size` items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
