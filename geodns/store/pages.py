"""Lists in pages: an opaque cursor says after what to go on, so that a page costs the same however far down it is.

A cursor is the position of the last item shown, as base64url JSON. It is no secret and no promise: one that does not parse is refused.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from geodns.errors import InvalidInput, Problem

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000

Item = TypeVar("Item")
Position = int | str | bytes
_BYTES_KEY = "x"


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items of a list; `next` is the cursor of the following page, or None at the end."""

    items: tuple[Item, ...]
    next: str | None = None


def make_page(items: Sequence[Item], limit: int, position: Callable[[Item], Sequence[Position]]) -> Page[Item]:
    """A page from a query that asked for `limit` + 1 rows."""
    shown = tuple(items[:limit])
    return Page(shown, write_cursor(*position(shown[-1])) if len(items) > limit else None)


def clamp_limit(limit: int | None) -> int:
    """The number of items a page has: asked, or 100, never beyond 1000."""
    return DEFAULT_LIMIT if limit is None else max(1, min(limit, MAX_LIMIT))


def write_cursor(*parts: Position) -> str:
    """A cursor for a position."""
    document = [{_BYTES_KEY: part.hex()} if isinstance(part, bytes) else part for part in parts]
    return base64.urlsafe_b64encode(json.dumps(document, separators=(",", ":")).encode()).decode().rstrip("=")


def read_cursor(cursor: str, *kinds: type[Position]) -> tuple[Position, ...]:
    """The position of a cursor whose parts must be of `kinds`; InvalidInput for anything else."""
    try:
        document = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        parts = tuple(bytes.fromhex(part[_BYTES_KEY]) if isinstance(part, dict) else part for part in document)
    except (ValueError, TypeError, KeyError, AttributeError, binascii.Error, RecursionError) as error:
        raise _refused() from error
    if len(parts) != len(kinds) or any(type(part) is not kind for part, kind in zip(parts, kinds, strict=True)):
        raise _refused()
    return parts


def _refused() -> InvalidInput:
    return InvalidInput([Problem("/cursor", "cursor", "this cursor was not made by this list; start without one")])
